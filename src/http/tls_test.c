/* SPDX-License-Identifier: MIT */
/* https, redirects between https and http, and tunnels through proxies. */
#include "http/rig.h"

/* ── Certificates, made by the openssl command ───────────────────────────────────────────── */

static char folder[] = "/tmp/sanjab-https-XXXXXX";

static const char script[] =
        "set -e; cd %s; exec 2>openssl.log\n"
        "key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
        "openssl req -x509 $key -keyout ca.key -out ca.pem -subj /CN=ca -days 9000\n"
        "openssl req -x509 $key -keyout other.key -out other.pem -subj /CN=other -days 9000\n"
        "openssl req $key -keyout server.key -out server.csr -subj /CN=server\n"
        "sign() { echo subjectAltName=DNS:$1 >name; openssl x509 -req -in server.csr -CA ca.pem "
        "\\\n"
        "         -CAkey ca.key -CAcreateserial -extfile name -days $2 -out $3; }\n"
        "sign localhost 9000 good.pem; sign elsewhere.test 9000 name.pem\n"
        "sign localhost -1 expired.pem\n";

/* What trusts our authority, and what trusts another; servers with each certificate. */
static sj_tls *trusting, *strange, *good, *wrong_name, *expired;

static sj_tls *tls_of(const char *ca, const char *certificate)
{
        char files[3][100], why[SJ_TLS_WHY_MAX];
        sj_tls *tls;
        snprintf(files[0], sizeof(files[0]), "%s/%s", folder, ca ? ca : "");
        snprintf(files[1], sizeof(files[1]), "%s/%s", folder, certificate ? certificate : "");
        snprintf(files[2], sizeof(files[2]), "%s/server.key", folder);
        const sj_tls_options o = {.ca_file = ca ? files[0] : NULL,
                                  .certificate_file = certificate ? files[1] : NULL,
                                  .key_file = certificate ? files[2] : NULL};
        if (sj_tls_new(&o, &tls, why) < 0) {
                fprintf(stderr, "%s\n", why);
                abort();
        }
        return tls;
}

static int set_up(void **state)
{
        char command[2000];
        (void)state;
        rig_share *= 3;
        if (!mkdtemp(folder))
                return -1;
        snprintf(command, sizeof(command), script, folder);
        if (system(command) != 0)
                return -1;
        trusting = tls_of("ca.pem", NULL);
        strange = tls_of("other.pem", NULL);
        good = tls_of(NULL, "good.pem");
        wrong_name = tls_of(NULL, "name.pem");
        expired = tls_of(NULL, "expired.pem");
        return 0;
}

static int tear_down(void **state)
{
        char command[100];
        (void)state;
        sj_tls_free(trusting);
        sj_tls_free(strange);
        sj_tls_free(good);
        sj_tls_free(wrong_name);
        sj_tls_free(expired);
        snprintf(command, sizeof(command), "rm -r %s", folder);
        return system(command);
}

/* ── https ───────────────────────────────────────────────────────────────────────────────── */

/* "/go?URL" redirects there; else says what it was asked, and with which credentials. */
static int answer(sj_http_exchange *x, void *arg)
{
        (void)arg;
        char text[300];
        sj_str value = {0}, query = sj_http_exchange_query(x);
        if (sj_str_equal(sj_http_exchange_path(x), SJ_STR("/go"))) {
                snprintf(text, sizeof(text), "%.*s", SJ_STR_ARG(query));
                const sj_http_header to = {"Location", text};
                return sj_http_respond(x, 302, &to, 1, SJ_STR(""), SJ_NEVER);
        }
        sj_http_exchange_header(x, "Authorization", &value);
        int n = snprintf(text, sizeof(text), "%.*s [%.*s]", SJ_STR_ARG(sj_http_exchange_target(x)),
                         SJ_STR_ARG(value));
        return sj_http_respond(x, 200, NULL, 0, (sj_str){text, (size_t)n}, SJ_NEVER);
}

static int a_server_with_a_good_certificate_is_believed(void *arg)
{
        (void)arg;
        rig server = {.handler = answer, .tls = good};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){.tls = trusting});
        for (int i = 0; i < 3; i++) {
                sj_http_response *p =
                        rig_fetch(session, &(sj_http_request){.url = rig_url(&server, "/a")});
                rig_expect_body(p, "/a []");
                sj_http_response_free(p);
        }
        expect_equal(server.accepted, 1);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

static void expect_refused(const sj_tls *server_tls, const sj_tls *client_tls, const char *word)
{
        rig server = {.handler = answer, .tls = server_tls};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){.tls = client_tls});
        sj_http_response *p;
        sj_http_error why = {0};
        expect_equal(sj_http_get(session, server.url, &p, &why, SJ_NEVER), -EKEYREJECTED);
        expect_equal(why.step, SJ_HTTP_STEP_TLS);
        if (!strstr(why.text, word))
                fprintf(stderr, "%s\n", why.text);
        expect(strstr(why.text, word));
        expect(strstr(why.text, "localhost"));
        sj_http_session_free(session);
        rig_stop(&server, scope);
}

static int others_are_not(void *arg)
{
        (void)arg;
        expect_refused(good, strange, "");
        expect_refused(wrong_name, trusting, "name");
        expect_refused(expired, trusting, "expired");
        expect_refused(good, NULL, "");
        return 0;
}

/* Hears the hello out, however slow the wire is, and answers as if it had been HTTP. */
static void say_plainly(sj_stream *s, void *arg)
{
        char bytes[600];
        (void)arg;
        while (sj_read(s, bytes, sizeof(bytes), sj_after(200 * SJ_MS)) > 0)
                ;
        (void)sj_write(s, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, SJ_NEVER);
        (void)sj_stream_close_politely(s, sj_after(SJ_SEC));
}

static int a_server_that_speaks_plainly_fails_at_tls(void *arg)
{
        (void)arg;
        rig server = {.script = say_plainly};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){.tls = trusting});
        char url[80];
        snprintf(url, sizeof(url), "https%s", server.url + 4);
        rig_expect_failure(session, &(sj_http_request){.url = url}, SJ_HTTP_STEP_TLS, -EPROTO);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

static void say_nothing(sj_stream *s, void *arg)
{
        char byte;
        (void)arg;
        while (sj_read(s, &byte, 1, SJ_NEVER) > 0)
                ;
        sj_stream_close(s);
}

static int the_connect_limit_holds_for_the_handshake(void *arg)
{
        (void)arg;
        rig server = {.script = say_nothing};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session =
                rig_session((sj_http_options){.tls = trusting, .connect_limit = 100 * SJ_MS});
        char url[80];
        snprintf(url, sizeof(url), "https%s", server.url + 4);
        rig_expect_failure(session, &(sj_http_request){.url = url}, SJ_HTTP_STEP_TIME, -ETIMEDOUT);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

static int a_redirect_to_http_is_refused_unless_allowed(void *arg)
{
        (void)arg;
        rig safe = {.handler = answer, .tls = good}, plain = {.handler = answer};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&safe, scope);
        rig_start(&plain, scope);
        const sj_http_header secret = {"Authorization", "s"};
        sj_http_request q = {.headers = &secret, .n_headers = 1};
        sj_http_session *session = rig_session((sj_http_options){.tls = trusting});
        q.url = rig_url(&safe, "/go?%s/b", plain.url);
        rig_expect_failure(session, &q, SJ_HTTP_STEP_REDIRECT, -EACCES);
        q.url = rig_url(&plain, "/go?%s/b", safe.url);
        sj_http_response *p = rig_fetch(session, &q);
        rig_expect_body(p, "/b []");
        sj_http_response_free(p);
        sj_http_session_free(session);
        session = rig_session((sj_http_options){.tls = trusting, .allow_downgrade = true});
        q.url = rig_url(&safe, "/go?%s/b", plain.url);
        p = rig_fetch(session, &q);
        rig_expect_body(p, "/b []");
        sj_http_response_free(p);
        sj_http_session_free(session);
        rig_stop(&safe, scope);
        sj_listener_close(plain.listener);
        return 0;
}

/* ── A proxy that makes tunnels ──────────────────────────────────────────────────────────── */

typedef struct pump {
        sj_stream *from, *to;
        size_t most; /* bytes, then it is cut */
} pump;

static int run_pump(void *arg)
{
        pump *p = arg;
        char bytes[700];
        ssize_t n = 0;
        while (p->most && (n = sj_read(p->from, bytes, sizeof(bytes), SJ_NEVER)) > 0) {
                if ((size_t)n > p->most)
                        n = (ssize_t)p->most;
                p->most -= (size_t)n;
                if (sj_write(p->to, bytes, (size_t)n, SJ_NEVER) < 0)
                        break;
        }
        if (p->most && n == 0)
                (void)sj_stream_shutdown(p->to, SJ_NEVER);
        return 0;
}

typedef struct proxy {
        uint16_t port; /* where tunnels really go */
        size_t most;   /* bytes from the target */
        unsigned tunnels;
        char request[1024];
} proxy;

static void make_tunnel(sj_stream *s, void *arg)
{
        proxy *p = arg;
        sj_stream *target = NULL;
        if (rig_read_head(s, p->request, sizeof(p->request)) > 4 &&
            sj_tcp_connect("127.0.0.1", p->port, &target, SJ_NEVER) == 0 &&
            sj_write(s, "HTTP/1.1 200 Yes\r\n\r\n", 20, SJ_NEVER) == 0) {
                pump there = {s, target, SIZE_MAX}, back = {target, s, p->most};
                SJ_SCOPE(scope, SJ_NEVER, 0);
                p->tunnels++;
                sj_spawn(scope, run_pump, &there, NULL);
                (void)run_pump(&back);
                if (back.most)
                        (void)sj_scope_join(scope);
        }
        sj_stream_close(target);
        sj_stream_close(s);
}

/* Gets "/a" from an https server through a proxy, which itself may be reached by TLS. */
static int fetch_by_proxy(const sj_tls *proxy_tls, size_t most, sj_http_error *why)
{
        proxy relay = {.most = most};
        rig server = {.handler = answer, .tls = good},
            by = {.script = make_tunnel, .arg = &relay, .tls = proxy_tls};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        rig_start(&by, scope);
        relay.port = sj_listener_port(server.listener);
        char url[100];
        const char *rest = strstr(by.url, "//") + 2;
        snprintf(url, sizeof(url), "%s://user:pass@%s", proxy_tls ? "https" : "http", rest);
        sj_http_session *session = rig_session((sj_http_options){.tls = trusting, .proxy = url});
        int r = 0;
        for (int i = 0; i < 2 && r == 0; i++) {
                sj_http_response *p;
                sj_str body;
                r = sj_http_get(session, rig_url(&server, "/a"), &p, why, SJ_NEVER);
                if (r < 0)
                        break;
                r = sj_http_response_read_all(p, 0, &body, SJ_NEVER);
                *why = *sj_http_response_error(p);
                if (r == 0)
                        expect_str(body, "/a []");
                sj_http_response_free(p);
        }
        char expected[200];
        snprintf(expected, sizeof(expected),
                 "CONNECT localhost:%u HTTP/1.1\r\nHost: localhost:%u\r\n"
                 "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n",
                 (unsigned)relay.port, (unsigned)relay.port);
        expect(strcmp(relay.request, expected) == 0);
        expect_equal(relay.tunnels, 1);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        sj_listener_close(by.listener);
        return r;
}

static int https_goes_through_a_proxys_tunnel(void *arg)
{
        (void)arg;
        sj_http_error why;
        int r = fetch_by_proxy(NULL, SIZE_MAX, &why);
        if (r < 0)
                fprintf(stderr, "%s\n", why.text);
        expect_equal(r, 0);
        r = fetch_by_proxy(good, SIZE_MAX, &why);
        if (r < 0)
                fprintf(stderr, "%s\n", why.text);
        expect_equal(r, 0);
        return 0;
}

static int a_tunnel_that_is_cut_is_an_error(void *arg)
{
        (void)arg;
        for (size_t most = 1; most < 1100; most += 151) {
                sj_http_error why = {0};
                int r = fetch_by_proxy(NULL, most, &why);
                expect(r < 0);
                /* Where it is when the cut reaches it: that is up to the wire. */
                expect(why.step == SJ_HTTP_STEP_TLS || why.step == SJ_HTTP_STEP_SEND ||
                       why.step == SJ_HTTP_STEP_RECEIVE);
        }
        return 0;
}

/* A proxy that answers CONNECT with these bytes. */
typedef struct refusal {
        sj_str answer;
        char request[1024];
} refusal;

static void refuse(sj_stream *s, void *arg)
{
        refusal *r = arg;
        if (rig_read_head(s, r->request, sizeof(r->request)) > 4)
                (void)sj_write(s, r->answer.data, r->answer.n, SJ_NEVER);
        (void)sj_stream_close_politely(s, sj_after(SJ_SEC));
}

static void refuse_tunnel(sj_str answer, int code)
{
        refusal said = {.answer = answer};
        rig by = {.script = refuse, .arg = &said};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&by, scope);
        sj_http_session *session = rig_session(
                (sj_http_options){.proxy = by.url, .tls = trusting, .connect_limit = SJ_MIN});
        sj_http_response *p;
        sj_http_error why = {0};
        int r = sj_http_get(session, "https://nowhere.invalid/secret", &p, &why, SJ_NEVER);
        if (strstr(answer.data, "unasked") && why.step != SJ_HTTP_STEP_PROXY) {
                /* Bytes in the tunnel that come late are TLS's to refuse, or hold it up. */
                expect((r == -EPROTO && why.step == SJ_HTTP_STEP_TLS) ||
                       (r == -ETIMEDOUT && why.step == SJ_HTTP_STEP_TIME));
        } else {
                expect_equal(r, code);
                expect_equal(why.step, SJ_HTTP_STEP_PROXY);
        }
        expect(!strstr(why.text, "secret"));
        expect(strcmp(said.request, "CONNECT nowhere.invalid:443 HTTP/1.1\r\n"
                                    "Host: nowhere.invalid:443\r\n\r\n") == 0);
        sj_http_session_free(session);
        rig_stop(&by, scope);
}

static int a_proxy_may_refuse_a_tunnel(void *arg)
{
        (void)arg;
        refuse_tunnel(SJ_STR("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), -EACCES);
        refuse_tunnel(SJ_STR("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"), -EACCES);
        refuse_tunnel(SJ_STR("HTTP/1.1 200 OK\r\n\r\nunasked"), -EPROTO);
        refuse_tunnel(SJ_STR("nonsense\r\n\r\n"), -EPROTO);
        refuse_tunnel(SJ_STR(""), -EPIPE);
        return 0;
}

static int the_connect_limit_holds_for_the_proxys_tunnel(void *arg)
{
        (void)arg;
        rig by = {.script = say_nothing};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&by, scope);
        sj_http_session *session = rig_session(
                (sj_http_options){.proxy = by.url, .tls = trusting, .connect_limit = 100 * SJ_MS});
        sj_http_response *p;
        sj_http_error why = {0};
        expect_equal(sj_http_get(session, "https://nowhere.invalid/", &p, &why, SJ_NEVER),
                     -ETIMEDOUT);
        expect_equal(why.step, SJ_HTTP_STEP_TIME);
        expect(strstr(why.text, "the connect limit of 0.1 s"));
        sj_http_session_free(session);
        rig_stop(&by, scope);
        return 0;
}

#define TESTS(X)                                        \
        X(a_server_with_a_good_certificate_is_believed) \
        X(others_are_not)                               \
        X(a_server_that_speaks_plainly_fails_at_tls)    \
        X(the_connect_limit_holds_for_the_handshake)    \
        X(a_redirect_to_http_is_refused_unless_allowed) \
        X(https_goes_through_a_proxys_tunnel)           \
        X(a_tunnel_that_is_cut_is_an_error)             \
        X(a_proxy_may_refuse_a_tunnel)                  \
        X(the_connect_limit_holds_for_the_proxys_tunnel)

TESTS(RIG_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {TESTS(RIG_ROW)};
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
