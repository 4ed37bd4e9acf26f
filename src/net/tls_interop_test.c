/* SPDX-License-Identifier: MIT */
/* TLS with somebody else: the openssl command as server, and as client of ours. */
#include "base/buf.h"
#include "base/unit.h"
#include "net/net_test.h"
#include "net/stream.h"
#include "os/os.h"

#include <sanjab/process.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/sanjab-interop-XXXXXX";

static int make_certificate(void **state)
{
        char command[1000];
        (void)state;
        if (!mkdtemp(folder) || chdir(folder) < 0)
                return -1;
        snprintf(command, sizeof(command),
                 "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem "
                 "-subj /CN=test -addext subjectAltName=DNS:good.test -days 2 2>openssl.log");
        return system(command);
}

static int remove_certificate(void **state)
{
        (void)state;
        return system("rm cert.pem key.pem openssl.log") || chdir("/") < 0 || rmdir(folder) < 0;
}

/* ── A program at the other end of a socket ──────────────────────────────────────────────── */

struct program {
        sj_child *child;
        sj_stream *in_out; /* what it reads and writes */
        buf said;
};

static void start(struct program *p, const char *const argv[])
{
        int fds[2];
        CHECK_INT(os_socket_pair(fds), 0);
        CHECK_INT(os_set_nonblocking(fds[1], false), 0);
        sj_child_options o = {.in = fds[1], .out = fds[1], .err = fds[1], .die_with_parent = true};
        CHECK_INT(sj_child_start((char *const *)(uintptr_t)argv, &o, &p->child), 0);
        os_close(fds[1]);
        CHECK_INT(stream_of_socket(fds[0], AF_UNIX, &p->in_out), 0);
        p->said = BUF_INIT(0);
}

/* Waits until it has said the text; what stands behind it. */
static const char *wait_for(struct program *p, const char *text)
{
        for (;;) {
                CHECK_INT(buf_terminate(&p->said), 0);
                const char *at = strstr(buf_data(&p->said), text);
                if (at && strchr(at, '\n'))
                        return at + strlen(text);
                ssize_t n = stream_fill(p->in_out, &p->said, 4096, sj_after(20 * SJ_SEC));
                if (n <= 0)
                        fprintf(stderr, "%.*s\n", SJ_STR_ARG(buf_str(&p->said)));
                CHECK(n > 0);
        }
}

static void stop(struct program *p)
{
        sj_child_free(p->child);
        sj_stream_close(p->in_out);
        buf_fini(&p->said);
}

/* ── Their server ────────────────────────────────────────────────────────────────────────── */

static int connect_to(uint16_t port, sj_stream **ret, sj_stream **ret_below, char *why)
{
        char protocol[] = "http/1.1";
        const char *const alpn[] = {protocol, NULL};
        sj_tls *tls;
        CHECK_INT(sj_tls_new(&(sj_tls_options){.ca_file = "cert.pem", .alpn = alpn}, &tls, why), 0);
        CHECK_INT(sj_tcp_connect("127.0.0.1", port, ret_below, SJ_NEVER), 0);
        int r = sj_tls_connect(tls, *ret_below, "good.test", ret, why, sj_after(20 * SJ_SEC));
        sj_tls_free(tls);
        return r;
}

/* It says much, and stops when nobody listens. */
static int listen_to(void *arg)
{
        char data[4096];
        ssize_t n;
        while ((n = sj_read(arg, data, sizeof(data), SJ_NEVER)) > 0)
                continue;
        return (int)n;
}

/* Thrice, the later times from where the one before ended. */
static int talk_again(const char *const argv[])
{
        struct program p;
        char line[8] = "", why[SJ_TLS_WHY_MAX];
        sj_tls *tls;
        start(&p, argv);
        uint16_t port = (uint16_t)atoi(strchr(wait_for(&p, "ACCEPT "), ':') + 1);
        CHECK_INT(sj_tls_new(&(sj_tls_options){.ca_file = "cert.pem"}, &tls, why), 0);
        SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
        CHECK_INT(sj_spawn(scope, listen_to, p.in_out, NULL), 0);
        for (int i = 0; i < 3; i++) {
                sj_stream *s, *below;
                CHECK_INT(sj_tcp_connect("127.0.0.1", port, &below, SJ_NEVER), 0);
                CHECK_INT(sj_tls_connect(tls, below, "good.test", &s, why, sj_after(20 * SJ_SEC)),
                          0);
                CHECK_INT(sj_tls_resumed(s), i > 0);
                CHECK_INT(sj_write(s, "abcdef\n", 7, SJ_NEVER), 0);
                CHECK_INT(sj_read_exactly(s, line, 7, sj_after(20 * SJ_SEC)), 0);
                sj_stream_close(s);
        }
        sj_scope_cancel(scope);
        CHECK_INT(sj_scope_join(scope), 0);
        sj_tls_free(tls);
        stop(&p);
        return 0;
}

static int talk(const char *const argv[], bool accepted)
{
        struct program p;
        sj_stream *s, *below;
        char line[8] = "", why[SJ_TLS_WHY_MAX];
        start(&p, argv);
        uint16_t port = (uint16_t)atoi(strchr(wait_for(&p, "ACCEPT "), ':') + 1);
        int r = connect_to(port, &s, &below, why);
        if (accepted) {
                CHECK_INT(r, 0);
                CHECK(strcmp(sj_tls_protocol(s), "http/1.1") == 0);
                CHECK_INT(sj_write(s, "abcdef\n", 7, SJ_NEVER), 0);
                CHECK_INT(sj_read_exactly(s, line, 7, sj_after(20 * SJ_SEC)), 0);
                CHECK(strcmp(line, "fedcba\n") == 0);
                sj_stream_close(s);
        } else {
                CHECK_INT(r, -EPROTO);
                CHECK(strstr(why, "protocol version") || strstr(why, "unsupported protocol"));
                sj_stream_close(below);
        }
        stop(&p);
        return 0;
}

#define SERVER                                                                                   \
        "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", "cert.pem", "-key", "key.pem", \
                "-rev", "-alpn", "http/1.1"

static int again_13(void *arg)
{
        (void)arg;
        const char *const argv[] = {SERVER, "-tls1_3", NULL};
        return talk_again(argv);
}

static int again_12(void *arg)
{
        (void)arg;
        const char *const argv[] = {SERVER, "-tls1_2", NULL};
        return talk_again(argv);
}

static void a_session_of_their_server_is_resumed_again_and_again(void **state)
{
        (void)state;
        each_world(again_13);
        each_world(again_12);
}

static int their_server_13(void *arg)
{
        (void)arg;
        const char *const argv[] = {SERVER, "-tls1_3", NULL};
        return talk(argv, true);
}

static int their_server_12(void *arg)
{
        (void)arg;
        const char *const argv[] = {SERVER, "-tls1_2", NULL};
        return talk(argv, true);
}

static int their_server_11(void *arg)
{
        (void)arg;
        const char *const argv[] = {SERVER, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", NULL};
        return talk(argv, false);
}

static void it_speaks_tls_1_2_and_1_3_with_their_server_and_nothing_older(void **state)
{
        (void)state;
        each_world(their_server_13);
        each_world(their_server_12);
        each_world(their_server_11);
}

/* ── Their client ────────────────────────────────────────────────────────────────────────── */

static int their_client(void *arg)
{
        (void)arg;
        struct program p;
        sj_listener *l;
        sj_stream *below, *s;
        sj_tls *tls;
        char address[40], line[9] = "", why[SJ_TLS_WHY_MAX];
        sj_tls_options o = {.certificate_file = "cert.pem", .key_file = "key.pem"};
        CHECK_INT(sj_tls_new(&o, &tls, why), 0);
        CHECK_INT(sj_tcp_listen("127.0.0.1", 0, 0, &l), 0);
        snprintf(address, sizeof(address), "127.0.0.1:%u", sj_listener_port(l));
        const char *const argv[] = {"openssl",
                                    "s_client",
                                    "-connect",
                                    address,
                                    "-CAfile",
                                    "cert.pem",
                                    "-verify_hostname",
                                    "good.test",
                                    "-verify_return_error",
                                    NULL};
        start(&p, argv);
        CHECK_INT(sj_accept(l, &below, sj_after(20 * SJ_SEC)), 0);
        CHECK_INT(sj_tls_accept(tls, below, &s, why, sj_after(20 * SJ_SEC)), 0);
        CHECK_INT(sj_write(p.in_out, "from you\n", 9, SJ_NEVER), 0);
        CHECK_INT(sj_read_exactly(s, line, 8, sj_after(20 * SJ_SEC)), 0);
        CHECK(strcmp(line, "from you") == 0);
        CHECK_INT(sj_write(s, "from me\n", 8, SJ_NEVER), 0);
        wait_for(&p, "from me");
        sj_stream_close(s);
        stop(&p);
        sj_listener_close(l);
        sj_tls_free(tls);
        return 0;
}

static void their_client_believes_our_server(void **state)
{
        (void)state;
        each_world(their_client);
}

/* One session of theirs with our server, which asks who they are. */
static void serve_them(sj_tls *tls, const char *version, const char *option, bool resumed)
{
        struct program p;
        sj_listener *l;
        sj_stream *below, *s;
        char address[40], line[9] = "", who[20], why[SJ_TLS_WHY_MAX];
        CHECK_INT(sj_tcp_listen("127.0.0.1", 0, 0, &l), 0);
        snprintf(address, sizeof(address), "127.0.0.1:%u", sj_listener_port(l));
        const char *const argv[] = {"openssl",   "s_client", "-connect",    address,
                                    version,     "-cert",    "cert.pem",    "-key",
                                    "key.pem",   "-CAfile",  "cert.pem",    "-servername",
                                    "good.test", option,     "session.pem", NULL};
        start(&p, argv);
        CHECK_INT(sj_accept(l, &below, sj_after(20 * SJ_SEC)), 0);
        CHECK_INT(sj_tls_accept(tls, below, &s, why, sj_after(20 * SJ_SEC)), 0);
        CHECK_INT(sj_tls_resumed(s), resumed);
        CHECK(strcmp(sj_tls_server_name(s), "good.test") == 0);
        CHECK_INT(sj_tls_peer_name(s, who, sizeof(who)), 0);
        CHECK(strcmp(who, "CN=test") == 0);
        CHECK_INT(sj_write(s, "from me\n", 8, SJ_NEVER), 0);
        wait_for(&p, "from me");
        CHECK_INT(sj_write(p.in_out, "from you\n", 9, SJ_NEVER), 0);
        CHECK_INT(sj_read_exactly(s, line, 8, sj_after(20 * SJ_SEC)), 0);
        sj_stream_close(s);
        stop(&p);
        sj_listener_close(l);
}

static int their_client_again(void *arg)
{
        const char *version = *(const char **)arg;
        char why[SJ_TLS_WHY_MAX];
        sj_tls *tls;
        sj_tls_options o = {.ca_file = "cert.pem",
                            .certificate_file = "cert.pem",
                            .key_file = "key.pem",
                            .clients = SJ_TLS_REQUIRE};
        CHECK_INT(sj_tls_new(&o, &tls, why), 0);
        serve_them(tls, version, "-sess_out", false);
        serve_them(tls, version, "-sess_in", true);
        sj_tls_free(tls);
        CHECK_INT(unlink("session.pem"), 0);
        return 0;
}

static void their_client_shows_its_certificate_once_and_resumes(void **state)
{
        (void)state;
        const char *versions[] = {"-tls1_3", "-tls1_2"};
        for (size_t i = 0; i < 2; i++)
                assert_int_equal(sj_run(their_client_again, &versions[i]), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(it_speaks_tls_1_2_and_1_3_with_their_server_and_nothing_older),
                cmocka_unit_test(a_session_of_their_server_is_resumed_again_and_again),
                cmocka_unit_test(their_client_believes_our_server),
                cmocka_unit_test(their_client_shows_its_certificate_once_and_resumes),
        };
        return cmocka_run_group_tests(tests, make_certificate, remove_certificate);
}
