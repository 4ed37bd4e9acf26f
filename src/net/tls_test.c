/* SPDX-License-Identifier: MIT */
#include "base/refusal.h"
#include "base/unit.h"
#include "net/net_test_dns.h"
#include "os/os.h"

#include <sanjab/file.h>

#include <sys/wait.h>

/* ── Certificates, made by the openssl command ───────────────────────────────────────────── */

static char folder[] = "/tmp/sanjab-tls-XXXXXX";

static const char script[] =
        "set -e; cd %s; exec 2>openssl.log\n"
        "key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
        "openssl req -x509 $key -keyout ca.key -out ca.pem -subj /CN=ca -days 9000\n"
        "openssl req -x509 $key -keyout other.key -out other.pem -subj /CN=other -days 9000\n"
        "echo subjectAltName=DNS:good.test,DNS:*.wild.test,IP:127.0.0.1,IP:::1 >names\n"
        "openssl req $key -keyout server.key -out server.csr -subj /CN=server\n"
        "sign() { openssl x509 -req -in ${3-server}.csr -CA ca.pem -CAkey ca.key \\\n"
        "         -CAcreateserial -extfile ${4-names} -days $1 -out $2; }\n"
        "sign 9000 server.pem; sign -1 expired.pem\n"
        "echo subjectAltName=DNS:other.test,DNS:*.many.test >more-names\n"
        "openssl req -newkey rsa:2048 -nodes -keyout named.key -out named.csr -subj /CN=named\n"
        "sign 9000 named.pem named more-names\n"
        "openssl req $key -keyout alice.key -out alice.csr -subj /O=Example/CN=alice\n"
        "sign 2000 alice.pem alice; sign -1 past-alice.pem alice\n"
        "echo nonsense >nonsense.pem\n";

/* The settings that most meetings have: making them costs more than a handshake. */
static sj_tls *usual_client, *usual_server;

static int make_certificates(void **state)
{
        char command[2000];
        (void)state;
        world_seeds_share = 3; /* a handshake costs as much as many plain exchanges */
        if (!mkdtemp(folder))
                return -1;
        snprintf(command, sizeof(command), script, folder);
        return system(command);
}

static int remove_certificates(void **state)
{
        char command[100];
        (void)state;
        sj_tls_free(usual_client);
        sj_tls_free(usual_server);
        snprintf(command, sizeof(command), "rm -r %s", folder);
        return system(command);
}

static const char *in_folder(const char *name)
{
        static char paths[8][100];
        static unsigned next;
        char *path = paths[next++ % 8];
        snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
        return path;
}

static sj_tls *server_of(const char *certificate, const char *const *alpn)
{
        sj_tls *tls;
        char why[SJ_TLS_WHY_MAX];
        sj_tls_options o = {.certificate_file = in_folder(certificate),
                            .key_file = in_folder("server.key"),
                            .alpn = alpn,
                            .no_resumption = true};
        CHECK_INT(sj_tls_new(&o, &tls, why), 0);
        return tls;
}

static sj_tls *client_of(const char *ca, const char *const *alpn)
{
        sj_tls *tls;
        char why[SJ_TLS_WHY_MAX];
        sj_tls_options o = {
                .ca_file = ca ? in_folder(ca) : NULL, .alpn = alpn, .no_resumption = true};
        CHECK_INT(sj_tls_new(&o, &tls, why), 0);
        return tls;
}

/* ── A handshake of the two ──────────────────────────────────────────────────────────────── */

struct meeting {
        const char *certificate; /* the server's; NULL: server.pem */
        const char *ca;          /* what the client trusts; NULL: ca.pem */
        const char *name;        /* whom the client wants; NULL: good.test */
        const char *const *client_alpn, *const *server_alpn;
        link_kind kind;
        sj_stream *below[2]; /* connected already, or NULL; on failure they are left here */
        sj_stream *ends[2];  /* client, server */
        int results[2];
        char why[2][SJ_TLS_WHY_MAX];
        sj_tls *server;
};

static int run_server(void *arg)
{
        struct meeting *m = arg;
        m->results[1] = sj_tls_accept(m->server, m->below[1], &m->ends[1], m->why[1], SJ_NEVER);
        return 0;
}

static sj_tls *client_for(const struct meeting *m)
{
        if (m->ca || m->client_alpn)
                return client_of(m->ca ? m->ca : "ca.pem", m->client_alpn);
        if (!usual_client)
                usual_client = client_of("ca.pem", NULL);
        return usual_client;
}

static sj_tls *server_for(const struct meeting *m)
{
        if (m->certificate || m->server_alpn)
                return server_of(m->certificate ? m->certificate : "server.pem", m->server_alpn);
        if (!usual_server)
                usual_server = server_of("server.pem", NULL);
        return usual_server;
}

static void meet_by(struct meeting *m, sj_tls *client, sj_tls *server)
{
        m->server = server;
        if (!m->below[0])
                connect_both(m->kind, m->below);
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                CHECK_INT(sj_spawn(s, run_server, m, NULL), 0);
                m->results[0] = sj_tls_connect(client, m->below[0], m->name ? m->name : "good.test",
                                               &m->ends[0], m->why[0], SJ_NEVER);
                /* A client that has refused lets go, so that the server learns of it. */
                if (m->results[0] < 0)
                        sj_stream_close(m->below[0]);
                CHECK_INT(sj_scope_join(s), 0);
                if (m->results[1] < 0)
                        sj_stream_close(m->below[1]);
        }
}

static void meet(struct meeting *m)
{
        sj_tls *client = client_for(m), *server = server_for(m);
        meet_by(m, client, server);
        /* What was made lives on without its settings. */
        if (client != usual_client)
                sj_tls_free(client);
        if (server != usual_server)
                sj_tls_free(server);
}

static void part(struct meeting *m)
{
        for (size_t i = 0; i < 2; i++)
                if (m->results[i] >= 0)
                        sj_stream_close(m->ends[i]);
}

static struct meeting met(void)
{
        struct meeting m = {.kind = (link_kind)(world_seed % LINK_KINDS)};
        meet(&m);
        CHECK_INT(m.results[0], 0);
        CHECK_INT(m.results[1], 0);
        return m;
}

/* ── Bytes ───────────────────────────────────────────────────────────────────────────────── */

static int flows(void *arg)
{
        (void)arg;
        struct meeting m = met();
        exchange(m.ends, os_simulated ? 100 + world_draw(8000) : 1000 * 1000);
        part(&m);
        return 0;
}

static void bytes_flow_both_ways_at_once_in_order_up_to_the_end(void **state)
{
        (void)state;
        each_world(flows);
}

static int nested(void *arg)
{
        (void)arg;
        struct meeting outer = met();
        struct meeting inner = {.below = {outer.ends[0], outer.ends[1]}};
        meet(&inner);
        CHECK_INT(inner.results[0], 0);
        exchange(inner.ends, os_simulated ? 500 : 100 * 1000);
        part(&inner);
        return 0;
}

static void a_tls_stream_lies_over_any_other(void **state)
{
        (void)state;
        each_world(nested);
}

static int write_parts_to(void *arg)
{
        static char data[50 * 1000];
        struct iovec parts[] = {{data, 3},         {data + 3, 0},     {data + 3, 20000},
                                {data + 20003, 5}, {data + 20008, 5}, {data + 20013, 29987}};
        pattern_fill(data, 0, sizeof(data));
        return sj_writev(arg, parts, 6, SJ_NEVER);
}

static int gathered(void *arg)
{
        static char data[50 * 1000];
        (void)arg;
        struct meeting m = met();
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                CHECK_INT(sj_spawn(s, write_parts_to, m.ends[1], NULL), 0);
                CHECK_INT(sj_read_exactly(m.ends[0], data, sizeof(data), SJ_NEVER), 0);
                CHECK(pattern_is(data, 0, sizeof(data)));
                CHECK_INT(sj_scope_join(s), 0);
        }
        part(&m);
        return 0;
}

static int send_file(void *arg)
{
        void **args = arg;
        uint64_t sent;
        int r = sj_file_send(args[0], args[1], 3, UINT64_MAX, &sent, SJ_NEVER);
        return r < 0 ? r : (int)sent;
}

static int file_sent(void *arg)
{
        (void)arg;
        static const char text[] = "012the file's text";
        char got[sizeof(text)] = "";
        const size_t n = sizeof(text) - 1 - 3;
        const char *path = world_write_file("tls-send", text);
        struct meeting m = met();
        sj_file *f;
        sj_fiber *sender;
        CHECK_INT(sj_file_open(path, O_RDONLY, 0, &f, SJ_NEVER), 0);
        CHECK_INT(os_unlink(path), 0);
        void *args[] = {f, m.ends[0]};
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                CHECK_INT(sj_spawn(s, send_file, args, &sender), 0);
                CHECK_INT(sj_read_exactly(m.ends[1], got, n, SJ_NEVER), 0);
                CHECK_INT(sj_join(sender, SJ_NEVER), n);
        }
        CHECK(memcmp(got, text + 3, n) == 0);
        sj_file_close(f);
        part(&m);
        return 0;
}

static void a_file_is_sent_sealed(void **state)
{
        (void)state;
        each_world(file_sent);
}

static void parts_of_any_size_arrive_in_order(void **state)
{
        (void)state;
        each_quiet_world(gathered);
}

/* ── Ends ────────────────────────────────────────────────────────────────────────────────── */

static int ends_fiber(void *arg)
{
        char byte;
        (void)arg;
        struct meeting m = met();
        CHECK_INT(sj_stream_shutdown(m.ends[0], SJ_NEVER), 0);
        CHECK_INT(sj_write(m.ends[0], "x", 1, SJ_NEVER), -EPIPE);
        CHECK_INT(sj_read(m.ends[1], &byte, 1, SJ_NEVER), 0);
        CHECK_INT(sj_write(m.ends[1], "y", 1, SJ_NEVER), 0);
        CHECK_INT(sj_read(m.ends[0], &byte, 1, SJ_NEVER), 1);
        /* Closing says goodbye too: the end that the peer reads is a clean one. */
        sj_stream_close(m.ends[1]);
        CHECK_INT(sj_read(m.ends[0], &byte, 1, SJ_NEVER), 0);
        CHECK_INT(sj_stream_close_politely(m.ends[0], SJ_NEVER), 0);
        return 0;
}

static void an_end_that_was_said_is_a_clean_one(void **state)
{
        (void)state;
        each_quiet_world(ends_fiber);
}

static int cut(void *arg)
{
        char byte;
        (void)arg;
        struct meeting m = met();
        /* Below the peer's back. */
        CHECK_INT(sj_stream_shutdown(m.below[1], SJ_NEVER), 0);
        CHECK_INT(sj_read(m.ends[0], &byte, 1, SJ_NEVER), -EPROTO);
        part(&m);
        return 0;
}

static void an_end_that_was_not_said_is_an_error(void **state)
{
        (void)state;
        each_world(cut);
}

static int forged(void *arg)
{
        char byte;
        (void)arg;
        struct meeting m = met();
        CHECK_INT(sj_write(m.below[1],
                           "\x17\x03\x03\x00\x15"
                           "forged and not sealed",
                           26, SJ_NEVER),
                  0);
        CHECK_INT(sj_read(m.ends[0], &byte, 1, SJ_NEVER), -EPROTO);
        CHECK_INT(sj_write(m.ends[0], "x", 1, SJ_NEVER), -EPIPE);
        part(&m);
        return 0;
}

static void what_was_not_sealed_by_the_peer_is_never_read(void **state)
{
        (void)state;
        each_quiet_world(forged);
}

/* ── Whom to believe ─────────────────────────────────────────────────────────────────────── */

static int believe(void *arg)
{
        (void)arg;
        static const struct {
                const char *name, *certificate, *ca, *why;
        } cases[] = {
                {"good.test", NULL, NULL, ""},
                {"GOOD.test.", NULL, NULL, ""},
                {"a.wild.test", NULL, NULL, ""},
                {"127.0.0.1", NULL, NULL, ""},
                {"::1", NULL, NULL, ""},
                {"[::1]", NULL, NULL, ""},
                {"bad.test", NULL, NULL, "name mismatch: wanted bad.test"},
                {"server", NULL, NULL, "name mismatch: wanted server"},
                {"a.b.wild.test", NULL, NULL, "name mismatch: wanted a.b.wild.test"},
                {"127.0.0.2", NULL, NULL, "name mismatch: wanted 127.0.0.2"},
                {"good.test", "expired.pem", NULL, "certificate has expired"},
                {"good.test", NULL, "other.pem", "unable to get local issuer certificate"},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct meeting m = {.certificate = cases[i].certificate,
                                    .ca = cases[i].ca,
                                    .name = cases[i].name};
                meet(&m);
                CHECK_INT(m.results[0], *cases[i].why ? -EKEYREJECTED : 0);
                if (strcmp(m.why[0], cases[i].why) != 0) {
                        fprintf(stderr, "%s: %s\n", cases[i].name, m.why[0]);
                        abort();
                }
                part(&m);
        }
        return 0;
}

static void a_certificate_must_be_trusted_in_its_time_and_of_that_name(void **state)
{
        (void)state;
        once_in_each_world(believe);
}

static int believe_system(void *arg)
{
        char why[SJ_TLS_WHY_MAX];
        (void)arg;
        sj_tls *client, *server = server_of("server.pem", NULL);
        struct meeting m = {.server = server};
        CHECK_INT(sj_tls_new(NULL, &client, why), 0);
        connect_both(LINK_PAIR, m.below);
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                CHECK_INT(sj_spawn(s, run_server, &m, NULL), 0);
                CHECK_INT(
                        sj_tls_connect(client, m.below[0], "good.test", &m.ends[0], why, SJ_NEVER),
                        -EKEYREJECTED);
                sj_stream_close(m.below[0]);
                CHECK_INT(sj_scope_join(s), 0);
        }
        if (m.results[1] >= 0)
                sj_stream_close(m.ends[1]);
        else
                sj_stream_close(m.below[1]);
        sj_tls_free(client);
        sj_tls_free(server);
        return 0;
}

static void without_options_the_systems_authorities_alone_are_trusted(void **state)
{
        (void)state;
        once_in_each_world(believe_system);
}

static void count_line(void *arg, sj_log_level level, const char *text)
{
        (void)level;
        *(bool *)arg = strstr(text, "not verified") != NULL;
}

static int insecure(void *arg)
{
        char why[SJ_TLS_WHY_MAX];
        bool said = false;
        (void)arg;
        sj_tls *client;
        struct meeting m = {.server = server_of("expired.pem", NULL)};
        sj_log_set(count_line, &said, SJ_LOG_WARNING);
        CHECK_INT(sj_tls_new(&(sj_tls_options){.insecure = true}, &client, why), 0);
        sj_log_set(NULL, NULL, SJ_LOG_OFF);
        CHECK(said);
        connect_both(LINK_PAIR, m.below);
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                CHECK_INT(sj_spawn(s, run_server, &m, NULL), 0);
                CHECK_INT(sj_tls_connect(client, m.below[0], "bad.test", &m.ends[0], why, SJ_NEVER),
                          0);
                CHECK_INT(sj_scope_join(s), 0);
        }
        CHECK_INT(sj_tls_peer_name(m.ends[0], why, sizeof(why)), -ENODATA);
        part(&m);
        sj_tls_free(client);
        sj_tls_free(m.server);
        return 0;
}

static void insecure_believes_anyone_and_says_so_in_the_log(void **state)
{
        (void)state;
        once_in_each_world(insecure);
}

/* ── ALPN ────────────────────────────────────────────────────────────────────────────────── */

static int alpn(void *arg)
{
        (void)arg;
        static const char *const both[] = {"h2", "http/1.1", NULL},
                                 *const one[] = {"http/1.1", NULL}, *const other[] = {"smtp", NULL};
        struct meeting m = {.client_alpn = both, .server_alpn = one};
        meet(&m);
        CHECK_INT(m.results[0], 0);
        CHECK(strcmp(sj_tls_protocol(m.ends[0]), "http/1.1") == 0);
        CHECK(strcmp(sj_tls_protocol(m.ends[1]), "http/1.1") == 0);
        part(&m);
        m = (struct meeting){.client_alpn = both};
        meet(&m);
        CHECK_INT(m.results[0], 0);
        CHECK(strcmp(sj_tls_protocol(m.ends[0]), "") == 0);
        part(&m);
        m = (struct meeting){.client_alpn = both, .server_alpn = other};
        meet(&m);
        CHECK_INT(m.results[0], -EPROTO);
        CHECK(strstr(m.why[0], "refused by the peer") != NULL);
        part(&m);
        sj_stream *pair[2];
        CHECK_INT(sj_stream_pair(pair), 0);
        CHECK(strcmp(sj_tls_protocol(pair[0]), "") == 0);
        sj_stream_close(pair[0]);
        sj_stream_close(pair[1]);
        return 0;
}

static void both_sides_agree_on_a_protocol_or_part(void **state)
{
        (void)state;
        once_in_each_world(alpn);
}

/* ── Peers that do not play along ────────────────────────────────────────────────────────── */

struct handshake {
        sj_tls *tls;
        sj_stream *below;
        char why[SJ_TLS_WHY_MAX];
        sj_time deadline;
};

static int run_handshake(void *arg)
{
        struct handshake *h = arg;
        sj_stream *s;
        int r = sj_tls_connect(h->tls, h->below, "good.test", &s, h->why, h->deadline);
        if (r >= 0)
                sj_stream_close(s);
        return r;
}

static int odd_peers(void *arg)
{
        (void)arg;
        sj_stream *ends[2];
        struct handshake h = {.tls = client_for(&(struct meeting){0}), .deadline = SJ_NEVER};
        sj_fiber *f;
        /* One that speaks something else. */
        connect_both(LINK_UNIX, ends);
        h.below = ends[0];
        CHECK_INT(sj_write(ends[1], "HTTP/1.0 400 Bad Request\r\n\r\n", 28, SJ_NEVER), 0);
        CHECK_INT(run_handshake(&h), -EPROTO);
        CHECK(strncmp(h.why, "TLS handshake: ", 15) == 0);
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        /* One that goes away. */
        connect_both(LINK_PAIR, ends);
        h.below = ends[0];
        CHECK_INT(sj_stream_shutdown(ends[1], SJ_NEVER), 0);
        CHECK_INT(run_handshake(&h), -EPIPE);
        CHECK(strcmp(h.why, "TLS handshake: closed") == 0);
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        /* One that says nothing. */
        connect_both(LINK_PAIR, ends);
        h.below = ends[0];
        h.deadline = sj_after(50 * SJ_MS);
        CHECK_INT(run_handshake(&h), -ETIMEDOUT);
        CHECK(sj_now() >= h.deadline);
        CHECK(strcmp(h.why, "TLS handshake: timed out") == 0);
        h.deadline = SJ_NEVER;
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                CHECK_INT(sj_spawn(s, run_handshake, &h, &f), 0);
                CHECK_INT(sj_sleep((sj_time)world_draw(50) * SJ_MS), 0);
                sj_cancel(f);
                CHECK_INT(sj_join(f, SJ_NEVER), -ECANCELED);
        }
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        return 0;
}

static void a_peer_that_does_not_play_along_fails_the_handshake_in_time(void **state)
{
        (void)state;
        each_world(odd_peers);
}

static int read_byte(void *arg)
{
        char byte;
        return (int)sj_read(arg, &byte, 1, SJ_NEVER);
}

static int cancelled(void *arg)
{
        char data[4];
        sj_fiber *f;
        (void)arg;
        struct meeting m = met();
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                CHECK_INT(sj_spawn(s, read_byte, m.ends[0], &f), 0);
                CHECK_INT(sj_sleep((sj_time)world_draw(50) * SJ_MS), 0);
                sj_cancel(f);
                CHECK_INT(sj_join(f, SJ_NEVER), -ECANCELED);
        }
        CHECK_INT(sj_read(m.ends[0], data, 1, sj_after(SJ_MS)), -ETIMEDOUT);
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                sj_scope_cancel(s);
                CHECK_INT(sj_write(m.ends[1], "lost", 4, SJ_NEVER), -ECANCELED);
        }
        CHECK_INT(sj_write(m.ends[1], "kept", 4, SJ_NEVER), 0);
        CHECK_INT(sj_read_exactly(m.ends[0], data, 4, SJ_NEVER), 0);
        CHECK(memcmp(data, "kept", 4) == 0);
        part(&m);
        return 0;
}

static void a_cancelled_call_takes_and_gives_nothing(void **state)
{
        (void)state;
        each_quiet_world(cancelled);
}

static int rough_write(void *arg)
{
        struct flow *f = arg;
        char data[400];
        for (size_t at = 0; at < f->n; at += sizeof(data)) {
                pattern_fill(data, at, sizeof(data));
                if (sj_write(f->s, data, sizeof(data), sj_after(SJ_HOUR)) < 0)
                        return 0;
        }
        (void)sj_stream_shutdown(f->s, sj_after(SJ_HOUR));
        return 0;
}

static int rough_read(void *arg)
{
        struct flow *f = arg;
        char data[300];
        size_t at = 0;
        ssize_t n;
        while ((n = sj_read(f->s, data, sizeof(data), sj_after(SJ_HOUR))) > 0) {
                CHECK(pattern_is(data, at, (size_t)n));
                at += (size_t)n;
        }
        CHECK(n < 0 || at == f->n);
        return 0;
}

static int rough_accept(void *arg)
{
        struct meeting *m = arg;
        sj_listener *l = (void *)m->below[1];
        sj_stream *below;
        int r = sj_accept(l, &below, sj_after(SJ_HOUR));
        if (r < 0)
                return 0;
        r = sj_tls_accept(m->server, below, &m->ends[1], NULL, sj_after(SJ_HOUR));
        if (r < 0) {
                sj_stream_close(below);
                return 0;
        }
        struct flow out = {m->ends[1], 4000}, in = out;
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                CHECK_INT(sj_spawn(s, rough_write, &out, NULL), 0);
                (void)rough_read(&in);
                CHECK_INT(sj_scope_join(s), 0);
        }
        sj_stream_close(m->ends[1]);
        return 0;
}

static int rough(void *arg)
{
        (void)arg;
        sj_listener *l;
        sj_stream *below, *end;
        struct meeting m = {0};
        sj_tls *client = client_for(&m);
        m.server = server_for(&m);
        CHECK_INT(sj_tcp_listen("127.0.0.1", 0, 0, &l), 0);
        m.below[1] = (void *)l;
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                CHECK_INT(sj_spawn(s, rough_accept, &m, NULL), 0);
                int r = sj_tcp_connect("127.0.0.1", sj_listener_port(l), &below, sj_after(SJ_HOUR));
                if (r >= 0) {
                        r = sj_tls_connect(client, below, "good.test", &end, NULL,
                                           sj_after(SJ_HOUR));
                        CHECK(r != -EKEYREJECTED);
                        if (r < 0)
                                sj_stream_close(below);
                }
                if (r >= 0) {
                        struct flow out = {end, 4000}, in = out;
                        {
                                SJ_SCOPE(inner, SJ_NEVER, SJ_COLLECT);
                                CHECK_INT(sj_spawn(inner, rough_write, &out, NULL), 0);
                                (void)rough_read(&in);
                                CHECK_INT(sj_scope_join(inner), 0);
                        }
                        sj_stream_close(end);
                }
                CHECK_INT(sj_scope_join(s), 0);
        }
        sj_listener_close(l);
        return 0;
}

static void a_broken_connection_gives_an_error_and_never_a_clean_end(void **state)
{
        (void)state;
        each_rough_world(rough);
}

/* ── Certificates by name, and of clients ────────────────────────────────────────────────── */

static sj_tls *tls_of(const sj_tls_options *o)
{
        sj_tls *tls;
        char why[SJ_TLS_WHY_MAX];
        int r = sj_tls_new(o, &tls, why);
        if (r < 0)
                fprintf(stderr, "%s\n", why);
        CHECK_INT(r, 0);
        return tls;
}

static void ask_for(sj_tls *client, sj_tls *server, const char *name, int expected,
                    const char *told, const char *subject)
{
        struct meeting m = {.kind = LINK_PAIR, .name = name};
        char who[50];
        meet_by(&m, client, server);
        CHECK_INT(m.results[0], expected);
        if (m.results[0] >= 0) {
                CHECK(strcmp(sj_tls_server_name(m.ends[1]), told) == 0);
                CHECK_INT(sj_tls_peer_name(m.ends[0], who, sizeof(who)), 0);
                CHECK(strcmp(who, subject) == 0);
        }
        part(&m);
}

static int by_name(void *arg)
{
        (void)arg;
        const sj_tls_name names[] = {
                {"*.many.test", in_folder("named.pem"), in_folder("named.key")},
                {"other.test", in_folder("named.pem"), in_folder("named.key")},
                /* After what is more exact: the order does not matter. */
                {"*.test", in_folder("server.pem"), in_folder("server.key")},
                {0},
        };
        sj_tls *server = tls_of(&(sj_tls_options){.certificate_file = in_folder("server.pem"),
                                                  .key_file = in_folder("server.key"),
                                                  .names = names,
                                                  .no_resumption = true});
        sj_tls *client = client_of("ca.pem", NULL);
        ask_for(client, server, "other.test", 0, "other.test", "CN=named");
        ask_for(client, server, "Other.Test", 0, "Other.Test", "CN=named");
        ask_for(client, server, "a.many.test", 0, "a.many.test", "CN=named");
        ask_for(client, server, "good.test", 0, "good.test", "CN=server");
        ask_for(client, server, "127.0.0.1", 0, "", "CN=server");
        ask_for(client, server, "many.test", -EKEYREJECTED, NULL, NULL);
        ask_for(client, server, "b.a.many.test", -EKEYREJECTED, NULL, NULL);
        sj_tls_free(client);
        sj_tls_free(server);
        return 0;
}

static void a_server_shows_the_certificate_of_the_name_that_is_asked_for(void **state)
{
        (void)state;
        once_in_each_world(by_name);
}

static sj_tls *alice_of(const char *certificate, bool resumes)
{
        sj_tls_options o = {.ca_file = in_folder("ca.pem"), .no_resumption = !resumes};
        if (certificate) {
                o.certificate_file = in_folder(certificate);
                o.key_file =
                        in_folder(strcmp(certificate, "other.pem") ? "alice.key" : "other.key");
        }
        return tls_of(&o);
}

static sj_tls *asking(sj_tls_ask clients, bool resumes)
{
        return tls_of(&(sj_tls_options){.ca_file = in_folder("ca.pem"),
                                        .certificate_file = in_folder("server.pem"),
                                        .key_file = in_folder("server.key"),
                                        .clients = clients,
                                        .no_resumption = !resumes});
}

/* subject: of the client as the server knows it; NULL: of nobody. */
static void show(const char *certificate, sj_tls_ask clients, int expected, const char *subject)
{
        struct meeting m = {.kind = LINK_PAIR};
        sj_tls *client = alice_of(certificate, false), *server = asking(clients, false);
        char who[50], byte;
        meet_by(&m, client, server);
        CHECK_INT(m.results[1], expected);
        if (expected < 0) {
                /* A client of TLS 1.3 was done before the server was. */
                CHECK(m.why[1][0]);
                if (m.results[0] >= 0) {
                        ssize_t n = sj_read(m.ends[0], &byte, 1, SJ_NEVER);
                        CHECK(n == -EPROTO || n == -ECONNRESET);
                }
        } else {
                CHECK_INT(sj_tls_peer_name(m.ends[1], who, sizeof(who)), subject ? 0 : -ENODATA);
                CHECK(!subject || strcmp(who, subject) == 0);
                if (subject)
                        CHECK_INT(sj_tls_peer_name(m.ends[1], who, strlen(subject)), -EMSGSIZE);
                CHECK_INT(sj_tls_peer_name(m.below[1], who, sizeof(who)), -EOPNOTSUPP);
        }
        part(&m);
        sj_tls_free(client);
        sj_tls_free(server);
}

static int clients(void *arg)
{
        (void)arg;
        show("alice.pem", SJ_TLS_REQUIRE, 0, "CN=alice,O=Example");
        show("alice.pem", SJ_TLS_ASK, 0, "CN=alice,O=Example");
        show("alice.pem", SJ_TLS_ASK_NOBODY, 0, NULL);
        show(NULL, SJ_TLS_ASK, 0, NULL);
        show(NULL, SJ_TLS_REQUIRE, -EKEYREJECTED, NULL);
        show("other.pem", SJ_TLS_ASK, -EKEYREJECTED, NULL);
        show("past-alice.pem", SJ_TLS_REQUIRE, -EKEYREJECTED, NULL);
        return 0;
}

static void a_server_asks_its_clients_for_certificates_and_knows_who_they_are(void **state)
{
        (void)state;
        once_in_each_world(clients);
}

/* ── Sessions ────────────────────────────────────────────────────────────────────────────── */

/* A client reads the tickets with what it reads. */
static void meet_again(sj_tls *client, sj_tls *server, const char *name, bool resumed,
                       const char *subject)
{
        struct meeting m = {.kind = (link_kind)(world_seed % LINK_KINDS), .name = name};
        char who[50];
        meet_by(&m, client, server);
        CHECK_INT(m.results[0], 0);
        CHECK_INT(m.results[1], 0);
        CHECK_INT(sj_tls_resumed(m.ends[0]), resumed);
        CHECK_INT(sj_tls_resumed(m.ends[1]), resumed);
        CHECK_INT(sj_tls_resumed(m.below[0]), false);
        CHECK_INT(sj_tls_peer_name(m.ends[0], who, sizeof(who)), 0);
        CHECK(strcmp(who, "CN=server") == 0);
        CHECK_INT(sj_tls_peer_name(m.ends[1], who, sizeof(who)), subject ? 0 : -ENODATA);
        CHECK(!subject || strcmp(who, subject) == 0);
        exchange(m.ends, 10);
        part(&m);
}

static int again(void *arg)
{
        (void)arg;
        sj_tls *client = alice_of("alice.pem", true), *server = asking(SJ_TLS_REQUIRE, true);
        sj_tls *other = asking(SJ_TLS_REQUIRE, true), *never = asking(SJ_TLS_ASK_NOBODY, false);
        const char *alice = "CN=alice,O=Example";
        meet_again(client, server, "good.test", false, alice);
        meet_again(client, server, "good.test", true, alice);
        meet_again(client, server, "Good.Test", true, alice);
        /* Another name, and another server of that name, whose keys are others. */
        meet_again(client, server, "x.wild.test", false, alice);
        meet_again(client, other, "good.test", false, alice);
        /* Two tickets were there of the first server, and of the other as many. */
        meet_again(client, never, "127.0.0.1", false, NULL);
        meet_again(client, never, "127.0.0.1", false, NULL);
        /* The client's certificate ends in some years, the server's later. */
        if (world_set_wall((sj_wall){INT64_C(2080000000) * 1000000})) {
                struct meeting m = {.kind = LINK_PAIR, .name = "x.wild.test"};
                meet_by(&m, client, server);
                CHECK_INT(m.results[1], -EKEYREJECTED);
                CHECK(strstr(m.why[1], "expired"));
                part(&m);
        }
        sj_tls_free(client);
        sj_tls_free(server);
        sj_tls_free(other);
        sj_tls_free(never);
        return 0;
}

static void a_session_is_resumed_with_its_peer_and_no_longer_than_the_certificates(void **state)
{
        (void)state;
        world_seeds_share = 20;
        each_world(again);
        world_seeds_share = 3;
}

static int client_outlives(void *arg)
{
        (void)arg;
        sj_tls *client = alice_of(NULL, true), *server = asking(SJ_TLS_ASK_NOBODY, true);
        meet_again(client, server, "good.test", false, NULL);
        /* The server's certificate has ended, which a client must see though it need not look. */
        if (world_set_wall((sj_wall){INT64_C(4000000000) * 1000000})) {
                struct meeting m = {.kind = LINK_PAIR};
                meet_by(&m, client, server);
                CHECK_INT(m.results[0], -EKEYREJECTED);
        }
        sj_tls_free(client);
        sj_tls_free(server);
        return 0;
}

static void an_expired_server_is_not_resumed(void **state)
{
        (void)state;
        once_in_each_world(client_outlives);
}

static int many(void *arg)
{
        (void)arg;
        sj_tls *client = alice_of(NULL, true), *server = asking(SJ_TLS_ASK_NOBODY, true);
        char name[30];
        /* Two tickets each: the oldest are forgotten. */
        for (int i = 0; i < 40; i++) {
                snprintf(name, sizeof(name), "n%d.wild.test", i);
                meet_again(client, server, name, false, NULL);
        }
        meet_again(client, server, "n39.wild.test", true, NULL);
        meet_again(client, server, "n0.wild.test", false, NULL);
        sj_tls_free(client);
        sj_tls_free(server);
        return 0;
}

static void only_so_many_sessions_are_kept(void **state)
{
        (void)state;
        once_in_each_world(many);
}

/* ── Settings ────────────────────────────────────────────────────────────────────────────── */

static void refused(const sj_tls_options *o, int error, const char *expected)
{
        sj_tls *tls = NULL;
        char why[SJ_TLS_WHY_MAX] = "";
        CHECK_INT(sj_tls_new(o, &tls, why), error);
        if (!strstr(why, expected)) {
                fprintf(stderr, "%s\n", why);
                abort();
        }
        CHECK(!tls);
        CHECK_INT(sj_tls_new(o, &tls, NULL), error);
}

static void settings_that_cannot_work_are_refused_in_words(void **state)
{
        (void)state;
        static const char *const bad[] = {"", NULL};
        refused(&(sj_tls_options){.ca_file = in_folder("absent.pem")}, -ENOENT,
                "absent.pem: No such");
        refused(&(sj_tls_options){.ca_file = in_folder("nonsense.pem")}, -EBADMSG,
                "nonsense.pem: ");
        refused(&(sj_tls_options){.certificate_file = in_folder("server.pem")}, -EINVAL,
                "needed together");
        refused(&(sj_tls_options){.certificate_file = in_folder("absent.pem"),
                                  .key_file = in_folder("server.key")},
                -ENOENT, "absent.pem: No such");
        refused(&(sj_tls_options){.certificate_file = in_folder("server.pem"),
                                  .key_file = in_folder("nonsense.pem")},
                -EBADMSG, "nonsense.pem: ");
        refused(&(sj_tls_options){.certificate_file = in_folder("server.pem"),
                                  .key_file = in_folder("ca.key")},
                -EBADMSG, "ca.key: ");
        refused(&(sj_tls_options){.alpn = bad}, -EINVAL, "ALPN");
        const sj_tls_name names[] = {{"a", in_folder("absent.pem"), in_folder("named.key")}, {0}};
        refused(&(sj_tls_options){.names = names}, -EINVAL, "usual one");
        refused(&(sj_tls_options){.certificate_file = in_folder("server.pem"),
                                  .key_file = in_folder("server.key"),
                                  .names = names},
                -ENOENT, "absent.pem: No such");
        refused(&(sj_tls_options){.certificate_file = in_folder("server.pem"),
                                  .key_file = in_folder("server.key"),
                                  .clients = SJ_TLS_REQUIRE},
                -EINVAL, "ca_file");
        sj_tls_free(NULL);
}

static int odd_calls(void *arg)
{
        (void)arg;
        sj_stream *ends[2], *s;
        char why[SJ_TLS_WHY_MAX];
        sj_tls *tls = client_of("ca.pem", NULL);
        CHECK_INT(sj_stream_pair(ends), 0);
        CHECK_INT(sj_tls_accept(tls, ends[0], &s, why, SJ_NEVER), -EINVAL);
        CHECK(strcmp(why, "a server needs a certificate") == 0);
        CHECK_INT(sj_tls_connect(tls, ends[0], NULL, &s, why, SJ_NEVER), -EINVAL);
        CHECK_INT(sj_tls_connect(tls, ends[0], "", &s, why, SJ_NEVER), -EINVAL);
        CHECK_INT(sj_tls_connect(tls, ends[0], ".", &s, why, SJ_NEVER), -EINVAL);
        sj_stream_close(ends[0]);
        sj_stream_close(ends[1]);
        sj_tls_free(tls);
        return 0;
}

static void a_server_needs_a_certificate_and_a_client_a_name(void **state)
{
        (void)state;
        once_in_each_world(odd_calls);
}

/* ── Memory ──────────────────────────────────────────────────────────────────────────────── */

static int run_server_or_close(void *arg)
{
        struct meeting *m = arg;
        run_server(m);
        if (m->results[1] < 0) {
                sj_stream_close(m->below[1]);
                m->below[1] = NULL;
        }
        return 0;
}

static int say_and_hear(struct meeting *m)
{
        char bytes[3000] = {0};
        int r = sj_write(m->ends[0], bytes, sizeof(bytes), sj_after(SJ_MIN));
        if (r == 0)
                r = sj_read_exactly(m->ends[1], bytes, sizeof(bytes), sj_after(SJ_MIN));
        if (r == 0)
                r = sj_stream_shutdown(m->ends[0], sj_after(SJ_MIN));
        return r;
}

/* Settings, a handshake and a message, of which the nth allocation fails; whether one did. */
static bool meet_refused(size_t nth, bool for_good)
{
        static const char *const alpn[] = {"one", "two", NULL};
        sj_tls_options client = {.ca_file = in_folder("ca.pem"), .alpn = alpn};
        sj_tls_options server = {.certificate_file = in_folder("server.pem"),
                                 .key_file = in_folder("server.key"),
                                 .alpn = alpn};
        struct meeting m = {.results = {-ENOMEM, -ENOMEM}};
        sj_tls *of_client = NULL;
        connect_both(LINK_PAIR, m.below);
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        memory.left = (long long)nth;
        memory.refused = 0;
        memory.for_good = for_good;
        memory.armed = true;
        int r = sj_tls_new(&client, &of_client, NULL);
        if (r == 0)
                r = sj_tls_new(&server, &m.server, NULL);
        if (r == 0)
                r = sj_spawn(s, run_server_or_close, &m, NULL);
        if (r == 0) {
                r = m.results[0] = sj_tls_connect(of_client, m.below[0], "good.test", &m.ends[0],
                                                  NULL, sj_after(SJ_MIN));
                if (m.results[0] < 0) {
                        sj_stream_close(m.below[0]);
                        m.below[0] = NULL;
                }
                CHECK_INT(sj_scope_join(s), 0);
        }
        if (r == 0 && (r = m.results[1]) == 0)
                r = say_and_hear(&m);
        memory.armed = memory.for_good = false;
        CHECK(memory.refused || r == 0);
        for (size_t i = 0; i < 2; i++)
                sj_stream_close(m.results[i] == 0 ? m.ends[i] : m.below[i]);
        sj_tls_free(of_client);
        sj_tls_free(m.server);
        return memory.refused > 0;
}

static int meetings_refused(void *arg)
{
        (void)arg;
        for (int for_good = 0; for_good < 2; for_good++) {
                size_t nth = 0;
                long long before = memory.live;
                while (meet_refused(nth, for_good))
                        nth++;
                CHECK(nth > 5);
                /* What the runtime keeps for later may have grown, by a little and once. */
                CHECK(memory.live - before < 4);
        }
        return 0;
}

static void any_allocation_of_a_handshake_and_after_may_fail(void **state)
{
        (void)state;
        once_in_each_world(meetings_refused);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(bytes_flow_both_ways_at_once_in_order_up_to_the_end),
                cmocka_unit_test(a_tls_stream_lies_over_any_other),
                cmocka_unit_test(parts_of_any_size_arrive_in_order),
                cmocka_unit_test(a_file_is_sent_sealed),
                cmocka_unit_test(an_end_that_was_said_is_a_clean_one),
                cmocka_unit_test(an_end_that_was_not_said_is_an_error),
                cmocka_unit_test(what_was_not_sealed_by_the_peer_is_never_read),
                cmocka_unit_test(a_certificate_must_be_trusted_in_its_time_and_of_that_name),
                cmocka_unit_test(without_options_the_systems_authorities_alone_are_trusted),
                cmocka_unit_test(insecure_believes_anyone_and_says_so_in_the_log),
                cmocka_unit_test(both_sides_agree_on_a_protocol_or_part),
                cmocka_unit_test(a_peer_that_does_not_play_along_fails_the_handshake_in_time),
                cmocka_unit_test(a_cancelled_call_takes_and_gives_nothing),
                cmocka_unit_test(a_broken_connection_gives_an_error_and_never_a_clean_end),
                cmocka_unit_test(a_server_shows_the_certificate_of_the_name_that_is_asked_for),
                cmocka_unit_test(a_server_asks_its_clients_for_certificates_and_knows_who_they_are),
                cmocka_unit_test(
                        a_session_is_resumed_with_its_peer_and_no_longer_than_the_certificates),
                cmocka_unit_test(an_expired_server_is_not_resumed),
                cmocka_unit_test(only_so_many_sessions_are_kept),
                cmocka_unit_test(settings_that_cannot_work_are_refused_in_words),
                cmocka_unit_test(a_server_needs_a_certificate_and_a_client_a_name),
                cmocka_unit_test(any_allocation_of_a_handshake_and_after_may_fail),
        };
        return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
