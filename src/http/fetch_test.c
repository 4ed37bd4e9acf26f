/* SPDX-License-Identifier: MIT */
/* The client against our own server. */
#include "http/rig.h"

/* ── A server that tells what it was asked ───────────────────────────────────────────────── */

static int echo(sj_http_exchange *x, void *arg)
{
        (void)arg;
        sj_str body, value, path = sj_http_exchange_path(x);
        char text[512];
        int r = sj_http_exchange_read_all(x, &body, SJ_NEVER);
        if (r < 0)
                return r;
        int n = snprintf(text, sizeof(text), "%.*s %.*s", SJ_STR_ARG(sj_http_exchange_method(x)),
                         SJ_STR_ARG(sj_http_exchange_target(x)));
        const char *const names[] = {"Authorization", "Cookie", "Content-Type", "X-Own",
                                     "Content-Length"};
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (sj_http_exchange_header(x, names[i], &value))
                        n += snprintf(text + n, sizeof(text) - (size_t)n, " %s=%.*s", names[i],
                                      SJ_STR_ARG(value));
        n += snprintf(text + n, sizeof(text) - (size_t)n, " [%.*s]",
                      (int)(body.n < 100 ? body.n : 100), body.data);
        const sj_http_header headers[] = {{"X-Path", "p"}, {"X-Path", "q"}};
        int status = sj_str_equal(path, SJ_STR("/missing")) ? 404 : 200;
        return sj_http_respond(x, status, headers, 2, (sj_str){text, (size_t)n}, SJ_NEVER);
}

static int gets_status_headers_and_body(void *arg)
{
        (void)arg;
        rig server = {.handler = echo};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){0});
        sj_http_response *p =
                rig_fetch(session, &(sj_http_request){.url = rig_url(&server, "/a/../b?c#d")});
        expect_equal(sj_http_response_status(p), 200);
        expect_str(sj_http_response_phrase(p), "OK");
        expect_str(sj_str_of(sj_http_response_url(p)), rig_url(&server, "/b?c"));
        expect_equal(sj_http_response_redirects(p), 0);
        sj_str name, value;
        expect(sj_http_response_header(p, "x-path", &value));
        expect_str(value, "p");
        expect(!sj_http_response_header(p, "x-other", &value));
        expect(sj_http_response_header_at(p, 2, &name, &value));
        expect_str(name, "X-Path");
        expect_str(value, "q");
        expect(!sj_http_response_header_at(p, 4, &name, &value));
        rig_expect_body(p, "GET /b?c []");
        rig_expect_body(p, "GET /b?c []");
        sj_http_response_free(p);
        p = rig_fetch(session, &(sj_http_request){.url = rig_url(&server, "/missing")});
        expect_equal(sj_http_response_status(p), 404);
        sj_http_response_free(p);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

static int sends_bodies_headers_and_credentials(void *arg)
{
        (void)arg;
        rig server = {.handler = echo};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        const sj_http_header always[] = {{"X-Own", "session"}, {"Cookie", "a=b"}};
        sj_http_session *session =
                rig_session((sj_http_options){.headers = always, .n_headers = 2});
        const sj_http_header own = {"x-own", "request"};
        char url[128];
        snprintf(url, sizeof(url), "http://me:p%%40ss@%s/", server.url + 7);
        sj_http_response *p = rig_fetch(session, &(sj_http_request){.method = "PUT",
                                                                    .url = url,
                                                                    .headers = &own,
                                                                    .n_headers = 1,
                                                                    .body = SJ_STR("some body")});
        rig_expect_body(p, "PUT / Authorization=Basic bWU6cEBzcw== Cookie=a=b X-Own=request "
                           "Content-Length=9 [some body]");
        expect(!strstr(sj_http_response_url(p), "ss@"));
        sj_http_response_free(p);
        /* A name alone has an empty password. */
        snprintf(url, sizeof(url), "http://me@%s/", server.url + 7);
        p = rig_fetch(session, &(sj_http_request){.url = url});
        rig_expect_body(p, "GET / Authorization=Basic bWU6 Cookie=a=b X-Own=session []");
        sj_http_response_free(p);
        sj_http_error why;
        expect_equal(sj_http_post(session, rig_url(&server, "/p"), "text/plain", SJ_STR(""), &p,
                                  &why, SJ_NEVER),
                     0);
        rig_expect_body(p,
                        "POST /p Cookie=a=b Content-Type=text/plain X-Own=session Content-Length=0 "
                        "[]");
        sj_http_response_free(p);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

static int a_head_gives_its_connection_back_at_once(void *arg)
{
        (void)arg;
        rig server = {.handler = echo};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){.connections = 1});
        sj_http_response *p[3];
        for (int i = 0; i < 3; i++) {
                expect_equal(sj_http_head(session, rig_url(&server, "/"), &p[i], NULL, SJ_NEVER),
                             0);
                sj_str length;
                expect(sj_http_response_header(p[i], "Content-Length", &length));
                expect_str(length, "9");
        }
        expect_equal(server.accepted, 1);
        for (int i = 0; i < 3; i++) {
                rig_expect_body(p[i], "");
                sj_http_response_free(p[i]);
        }
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

static int a_connection_is_used_again_when_its_response_was_read(void *arg)
{
        (void)arg;
        rig server = {.handler = echo};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){0});
        for (int i = 0; i < 4; i++) {
                sj_http_response *p =
                        rig_fetch(session, &(sj_http_request){.url = rig_url(&server, "/%d", i)});
                sj_str body;
                expect_equal(sj_http_response_read_all(p, 0, &body, SJ_NEVER), 0);
                sj_http_response_free(p);
        }
        expect_equal(server.accepted, 1);
        sj_http_session_close_idle(session);
        sj_http_response_free(rig_fetch(session, &(sj_http_request){.url = rig_url(&server, "/")}));
        expect_equal(server.accepted, 2);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

/* ── Streams of bytes both ways ──────────────────────────────────────────────────────────── */

enum { STREAMED = 150 * 1000 };

static char nth(size_t i)
{
        return (char)('a' + i * 7 % 26 + i / 1000 % 2);
}

/* Takes all of the body, then sends it back in pieces. */
static int mirror(sj_http_exchange *x, void *arg)
{
        (void)arg;
        sj_str body;
        bool sized = sj_str_equal(sj_http_exchange_query(x), SJ_STR("sized"));
        int r = sj_http_exchange_read_all(x, &body, SJ_NEVER);
        if (r == 0)
                r = sj_http_respond_begin(x, 200, NULL, 0, sized ? body.n : SJ_HTTP_UNKNOWN_SIZE,
                                          SJ_NEVER);
        for (size_t at = 0, n; r == 0 && at < body.n; at += n) {
                n = body.n - at < 7777 ? body.n - at : 1 + at % 7777;
                r = sj_http_respond_write(x, body.data + at, n, SJ_NEVER);
        }
        return r < 0 ? r : sj_http_respond_end(x, SJ_NEVER);
}

static ssize_t give(void *arg, void *ret, size_t n, sj_time deadline)
{
        (void)deadline;
        size_t *at = arg, i = 0;
        if (n > 1 + *at % 5000)
                n = 1 + *at % 5000;
        for (; i < n && *at < STREAMED; i++)
                ((char *)ret)[i] = nth((*at)++);
        return (ssize_t)i;
}

/* Reads a body of nth(), in pieces of an odd size. */
static void expect_stream(sj_http_response *p, size_t from)
{
        char piece[1000];
        ssize_t n;
        while ((n = sj_http_response_read(p, piece, sizeof(piece), SJ_NEVER)) > 0)
                for (ssize_t i = 0; i < n; i++)
                        expect(piece[i] == nth(from++));
        if (n < 0)
                fprintf(stderr, "%s\n", sj_http_response_error(p)->text);
        expect_equal(n, 0);
        expect_equal(from, STREAMED);
}

static void expect_mirrored(sj_http_session *session, const char *url, uint64_t size)
{
        size_t given = 0;
        sj_http_response *p = rig_fetch(session, &(sj_http_request){.method = "POST",
                                                                    .url = url,
                                                                    .source = give,
                                                                    .source_arg = &given,
                                                                    .source_size = size});
        expect_equal(given, STREAMED);
        expect_stream(p, 0);
        sj_http_response_free(p);
}

static int streams_bodies_both_ways(void *arg)
{
        (void)arg;
        rig server = {.handler = mirror, .options = {.idle_limit = SJ_NEVER}};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session =
                rig_session((sj_http_options){.total_limit = SJ_NEVER, .idle_limit = SJ_NEVER});
        expect_mirrored(session, rig_url(&server, "/"), 0);
        expect_mirrored(session, rig_url(&server, "/?sized"), STREAMED);
        expect_mirrored(session, rig_url(&server, "/"), STREAMED);
        expect_equal(server.accepted, 1);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

/* Sends back what comes as it comes. */
static int mirror_at_once(sj_http_exchange *x, void *arg)
{
        (void)arg;
        char piece[777];
        ssize_t n = 0;
        int r = sj_http_respond_begin(x, 200, NULL, 0, SJ_HTTP_UNKNOWN_SIZE, SJ_NEVER);
        while (r == 0 && (n = sj_http_exchange_read(x, piece, sizeof(piece), SJ_NEVER)) > 0)
                r = sj_http_respond_write(x, piece, (size_t)n, SJ_NEVER);
        if (r < 0 || n < 0)
                return r < 0 ? r : (int)n;
        return sj_http_respond_end(x, SJ_NEVER);
}

/* Slowly enough that an answer comes meanwhile. */
static ssize_t give_slowly(void *arg, void *ret, size_t n, sj_time deadline)
{
        int r = sj_sleep(SJ_MS);
        return r < 0 ? r : give(arg, ret, n, deadline);
}

static int reads_an_answer_that_begins_while_the_body_is_sent(void *arg)
{
        (void)arg;
        rig server = {.handler = mirror_at_once, .options = {.idle_limit = SJ_NEVER}};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session =
                rig_session((sj_http_options){.total_limit = SJ_NEVER, .idle_limit = SJ_NEVER});
        /* In chunks of a single byte it is six times as much, and must fit into our buffer. */
        size_t given = STREAMED - 12000;
        sj_http_response *p = rig_fetch(session, &(sj_http_request){.method = "POST",
                                                                    .url = rig_url(&server, "/"),
                                                                    .source = give_slowly,
                                                                    .source_arg = &given});
        expect_stream(p, STREAMED - 12000);
        sj_http_response_free(p);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

/* Sends the whole body back, in one piece or as one chunk. */
static int mirror_whole(sj_http_exchange *x, void *arg)
{
        (void)arg;
        sj_str body;
        int r = sj_http_exchange_read_all(x, &body, SJ_NEVER);
        if (r < 0)
                return r;
        if (!sj_str_equal(sj_http_exchange_query(x), SJ_STR("chunk")))
                return sj_http_respond(x, 200, NULL, 0, body, SJ_NEVER);
        r = sj_http_respond_begin(x, 200, NULL, 0, SJ_HTTP_UNKNOWN_SIZE, SJ_NEVER);
        if (r == 0)
                r = sj_http_respond_write(x, body.data, body.n, SJ_NEVER);
        return r < 0 ? r : sj_http_respond_end(x, SJ_NEVER);
}

static int sends_and_receives_large_bodies(void *arg)
{
        (void)arg;
        static char large[STREAMED];
        for (size_t i = 0; i < STREAMED; i++)
                large[i] = nth(i);
        /* A wire of the simulator may carry a few bytes a second. */
        rig server = {.handler = mirror_whole, .options = {.idle_limit = SJ_NEVER}};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session =
                rig_session((sj_http_options){.total_limit = SJ_NEVER, .idle_limit = SJ_NEVER});
        const char *const targets[] = {"/", "/?chunk"};
        for (int i = 0; i < 2; i++) {
                sj_http_response *p = rig_fetch(
                        session, &(sj_http_request){.method = "PUT",
                                                    .url = rig_url(&server, "%s", targets[i]),
                                                    .body = {large, STREAMED}});
                expect_stream(p, 0);
                sj_http_response_free(p);
        }
        expect_equal(server.accepted, 1);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

static int refuses_options_that_are_malformed(void *arg)
{
        (void)arg;
        const sj_http_header bad = {"A", "b\r\nC: d"};
        const sj_http_options options[] = {
                {.total_limit = -1},
                {.keep_alive = -1},
                {.proxy = "", .user_agent = "a\nb"},
                {.proxy = "socks5://a"},
                {.proxy = "http://a b"},
                {.proxy = "", .headers = &bad, .n_headers = 1},
        };
        sj_http_session *session = NULL;
        for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
                expect_equal(sj_http_session_new(&options[i], &session), -EINVAL);
        expect(!session);
        sj_http_session_free(NULL);
        sj_http_response_free(NULL);
        return 0;
}

static int every_step_has_a_name(void *arg)
{
        (void)arg;
        for (int i = SJ_HTTP_NO_STEP; i <= SJ_HTTP_STEP_CANCEL; i++)
                expect(sj_http_step_name((sj_http_step)i)[0]);
        expect_str(sj_str_of(sj_http_step_name(SJ_HTTP_STEP_NAME)), "name");
        expect_str(sj_str_of(sj_http_step_name((sj_http_step)99)), "unknown");
        return 0;
}

static ssize_t give_up(void *arg, void *ret, size_t n, sj_time deadline)
{
        size_t *at = arg;
        return *at ? -EIO : give(arg, ret, n, deadline);
}

static int a_source_that_fails_ends_the_request(void *arg)
{
        (void)arg;
        rig server = {.handler = echo};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){0});
        size_t given = 0;
        sj_http_request q = {.method = "POST",
                             .url = rig_url(&server, "/"),
                             .source = give_up,
                             .source_arg = &given};
        rig_expect_failure(session, &q, SJ_HTTP_STEP_SEND, -EIO);
        given = STREAMED - 5;
        q.source = give;
        q.source_size = 6; /* one more than there will be */
        rig_expect_failure(session, &q, SJ_HTTP_STEP_SEND, -EINVAL);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

static int refuses_requests_that_are_malformed(void *arg)
{
        (void)arg;
        sj_http_session *session = rig_session((sj_http_options){0});
        const sj_http_header bad[] = {{"Host", "a"},
                                      {"Content-Length", "1"},
                                      {"transfer-encoding", "chunked"},
                                      {"Connection", "close"},
                                      {"A b", "c"},
                                      {"A", "b\r\nC: d"},
                                      {NULL, "b"}};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                sj_http_request q = {.url = "http://a/", .headers = &bad[i], .n_headers = 1};
                rig_expect_failure(session, &q, SJ_HTTP_STEP_REQUEST, -EINVAL);
        }
        const char *const urls[] = {NULL, "", "a", "ftp://a/", "http://a b/", "http://a/\r\nX: y"};
        for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
                rig_expect_failure(session, &(sj_http_request){.url = urls[i]},
                                   SJ_HTTP_STEP_REQUEST, -EINVAL);
        const char *const methods[] = {"", "CONNECT", "GET /", "A\r\n"};
        for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
                rig_expect_failure(session,
                                   &(sj_http_request){.method = methods[i], .url = "http://a/"},
                                   SJ_HTTP_STEP_REQUEST, -EINVAL);
        sj_http_session_free(session);
        return 0;
}

static int names_the_step_that_failed(void *arg)
{
        (void)arg;
        rig server = {.handler = echo};
        sj_http_session *session = rig_session((sj_http_options){0});
        {
                SJ_SCOPE(scope, SJ_NEVER, 0);
                rig_start(&server, scope);
                rig_stop(&server, scope);
        }
        rig_expect_failure(session, &(sj_http_request){.url = rig_url(&server, "/")},
                           SJ_HTTP_STEP_CONNECT, -ECONNREFUSED);
        rig_expect_failure(session, &(sj_http_request){.url = "http://name.invalid/"},
                           SJ_HTTP_STEP_NAME, -ENOENT);
        sj_http_session_free(session);
        return 0;
}

#define TESTS(X)                                                 \
        X(gets_status_headers_and_body)                          \
        X(sends_bodies_headers_and_credentials)                  \
        X(a_head_gives_its_connection_back_at_once)              \
        X(a_connection_is_used_again_when_its_response_was_read) \
        X(streams_bodies_both_ways)                              \
        X(reads_an_answer_that_begins_while_the_body_is_sent)    \
        X(sends_and_receives_large_bodies)                       \
        X(refuses_options_that_are_malformed)                    \
        X(every_step_has_a_name)                                 \
        X(a_source_that_fails_ends_the_request)                  \
        X(refuses_requests_that_are_malformed)                   \
        X(names_the_step_that_failed)

TESTS(RIG_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {TESTS(RIG_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
