/* SPDX-License-Identifier: MIT */
/* The server against clients that say anything, in the simulated world. */
#include "http/rig.h"

#include "base/buf.h"

typedef struct seen {
        unsigned requests;
        int body_code; /* of reading the last body */
} seen;

/* Paths choose what is done. */
static int answer(sj_http_exchange *x, void *arg)
{
        seen *s = arg;
        sj_str path = sj_http_exchange_path(x), body = {0};
        char text[512];
        s->requests++;
        if (sj_str_equal(path, SJ_STR("/silent")))
                return 0;
        if (sj_str_equal(path, SJ_STR("/fail")))
                return -EIO;
        if (sj_str_equal(path, SJ_STR("/abort")))
                return -ECONNABORTED;
        if (sj_str_equal(path, SJ_STR("/ignore")))
                return sj_http_respond(x, 200, NULL, 0, SJ_STR("ignored"), SJ_NEVER);
        if (sj_str_equal(path, SJ_STR("/half"))) {
                int r = sj_http_respond_begin(x, 200, NULL, 0, 10, SJ_NEVER);
                if (r == 0)
                        r = sj_http_respond_write(x, "12345", 5, SJ_NEVER);
                expect_equal(sj_http_respond_end(x, SJ_NEVER), -EINVAL);
                return r;
        }
        if (sj_str_equal(path, SJ_STR("/over"))) {
                expect_equal(sj_http_respond_begin(x, 200, NULL, 0, 3, SJ_NEVER), 0);
                expect_equal(sj_http_respond_begin(x, 200, NULL, 0, 3, SJ_NEVER), -EINVAL);
                expect_equal(sj_http_respond_write(x, "abcd", 4, SJ_NEVER), -EINVAL);
                expect_equal(sj_http_respond_write(x, "abc", 3, SJ_NEVER), 0);
                expect_equal(sj_http_respond_write(x, "d", 1, SJ_NEVER), -EINVAL);
                expect_equal(sj_http_respond_end(x, SJ_NEVER), 0);
                expect_equal(sj_http_respond(x, 200, NULL, 0, SJ_STR(""), SJ_NEVER), -EINVAL);
                return 0;
        }
        if (sj_str_equal(path, SJ_STR("/headers"))) {
                const sj_http_header bad[] = {{"Content-Length", "1"}, {"A b", "c"},
                                              {"A", "b\r\nC: d"},      {"Connection", "close"},
                                              {"Date", "now"},         {NULL, ""}};
                for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                        expect_equal(sj_http_respond(x, 200, &bad[i], 1, body, SJ_NEVER), -EINVAL);
                expect_equal(sj_http_respond(x, 101, NULL, 0, body, SJ_NEVER), -EINVAL);
                expect_equal(sj_http_respond(x, 1000, NULL, 0, body, SJ_NEVER), -EINVAL);
                const sj_http_header good = {"X-A", "b c"};
                return sj_http_respond(x, 299, &good, 1, body, SJ_NEVER);
        }
        if (sj_str_equal(path, SJ_STR("/none")))
                return sj_http_respond(x, 204, NULL, 0, SJ_STR(""), SJ_NEVER);
        s->body_code = sj_http_exchange_read_all(x, &body, SJ_NEVER);
        if (s->body_code < 0) {
                expect_equal(sj_http_exchange_read_all(x, &body, SJ_NEVER), s->body_code);
                return s->body_code;
        }
        sj_str name, value;
        if (sj_http_exchange_header(x, "host", &value))
                expect(sj_http_exchange_header_at(x, 0, &name, &value) && name.n > 0);
        expect(!sj_http_exchange_header_at(x, 100, &name, &value));
        if (sj_str_equal(path, SJ_STR("/pieces"))) {
                int r = sj_http_respond_begin(x, 200, NULL, 0, SJ_HTTP_UNKNOWN_SIZE, SJ_NEVER);
                for (int i = 0; i < 3 && r == 0; i++)
                        r = sj_http_respond_write(x, "abc", 3, SJ_NEVER);
                return r < 0 ? r : sj_http_respond_end(x, SJ_NEVER);
        }
        int n = snprintf(text, sizeof(text), "%.*s %.*s?%.*s [%.*s]",
                         SJ_STR_ARG(sj_http_exchange_method(x)), SJ_STR_ARG(path),
                         SJ_STR_ARG(sj_http_exchange_query(x)), (int)(body.n < 99 ? body.n : 99),
                         body.data);
        return sj_http_respond(x, 200, NULL, 0, (sj_str){text, (size_t)n}, SJ_NEVER);
}

typedef struct sending {
        sj_stream *stream;
        sj_str text;
} sending;

static int send_all(void *arg)
{
        sending *s = arg;
        int r = sj_write(s->stream, s->text.data, s->text.n, SJ_NEVER);
        expect(r == 0 || r == -EPIPE || r == -ECONNRESET || r == -ECANCELED);
        return 0;
}

/*
 * Sends the bytes, and meanwhile reads all that comes until the end; takes the dates out of it.
 */
static sj_str converse(rig *server, sj_str text, buf *ret)
{
        sending out = {.text = text};
        expect_equal(sj_tcp_connect("127.0.0.1", sj_listener_port(server->listener), &out.stream,
                                    SJ_NEVER),
                     0);
        buf_clear(ret);
        {
                SJ_SCOPE(scope, SJ_NEVER, 0);
                expect_equal(sj_spawn(scope, send_all, &out, NULL), 0);
                char bytes[512];
                ssize_t n;
                while ((n = sj_read(out.stream, bytes, sizeof(bytes), SJ_NEVER)) > 0)
                        expect_equal(buf_append(ret, bytes, (size_t)n), 0);
        }
        sj_stream_close(out.stream);
        expect_equal(buf_terminate(ret), 0);
        char *date;
        while ((date = strstr(buf_data(ret), "Date: "))) {
                memmove(date, date + 37, strlen(date + 37) + 1);
                ret->end -= 37;
        }
        return buf_str(ret);
}

/* What the server says to these bytes, sent all at once on one connection. */
static void expect_said(sj_http_serve_options options, sj_str text, const char *said)
{
        seen s = {0};
        rig server = {.handler = answer, .arg = &s, .options = options};
        buf got = BUF_INIT(0);
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        expect_str(converse(&server, text, &got), said);
        buf_fini(&got);
        rig_stop(&server, scope);
}

#define OK_HEAD(n) "HTTP/1.1 200 OK\r\nContent-Length: " #n "\r\n"
#define CLOSE      "Connection: close\r\n"
#define HOST       "Host: a\r\n"

static int answers_requests_in_a_row(void *arg)
{
        (void)arg;
        expect_said(
                (sj_http_serve_options){0},
                SJ_STR("GET /a?b=c HTTP/1.1\r\n" HOST "\r\n"
                       "POST /p HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nbody"
                       "PUT http://a/q HTTP/1.1\r\n" HOST
                       "Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"
                       "HEAD /h HTTP/1.1\r\n" HOST "\r\n"
                       "OPTIONS * HTTP/1.1\r\n" HOST "\r\n"
                       "GET /none HTTP/1.1\r\n" HOST "\r\n"
                       "GET /last HTTP/1.1\r\n" HOST CLOSE "\r\n"),
                OK_HEAD(13) "\r\nGET /a?b=c []" OK_HEAD(15) "\r\nPOST /p? [body]" OK_HEAD(
                        14) "\r\nPUT /q? [body]" OK_HEAD(11) "\r\n" OK_HEAD(12) "\r\nOPTIONS ? []"
                                                                                "HTTP/1.1 204 No "
                                                                                "Content\r\n\r"
                                                                                "\n" OK_HEAD(13)
                                                                                        CLOSE
                "\r\nGET /last? []");
        return 0;
}

static int answers_http_1_0(void *arg)
{
        (void)arg;
        expect_said((sj_http_serve_options){0}, SJ_STR("GET /a HTTP/1.0\r\n\r\n"),
                    OK_HEAD(10) CLOSE "\r\nGET /a? []");
        expect_said((sj_http_serve_options){0},
                    SJ_STR("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                           "GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
                    OK_HEAD(10) "Connection: keep-alive\r\n\r\nGET /a? []"
                                "HTTP/1.1 200 OK\r\n" CLOSE "\r\nabcabcabc");
        return 0;
}

static int answers_in_pieces(void *arg)
{
        (void)arg;
        expect_said((sj_http_serve_options){0},
                    SJ_STR("GET /pieces HTTP/1.1\r\n" HOST "\r\n"
                           "HEAD /pieces HTTP/1.1\r\n" HOST CLOSE "\r\n"),
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3\r\nabc\r\n3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n"
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" CLOSE "\r\n");
        return 0;
}

static int refuses_answers_that_are_malformed(void *arg)
{
        (void)arg;
        expect_said((sj_http_serve_options){.server = "us"},
                    SJ_STR("GET /over HTTP/1.1\r\n" HOST "\r\n"
                           "GET /headers HTTP/1.1\r\n" HOST CLOSE "\r\n"),
                    "HTTP/1.1 200 OK\r\nServer: us\r\nContent-Length: 3\r\n\r\nabc"
                    "HTTP/1.1 299 \r\nServer: us\r\nX-A: b c\r\nContent-Length: 0\r\n" CLOSE
                    "\r\n");
        return 0;
}

static int ends_a_connection_after_so_many_requests(void *arg)
{
        (void)arg;
        expect_said((sj_http_serve_options){.requests = 2},
                    SJ_STR("HEAD /a HTTP/1.1\r\n" HOST "\r\nHEAD /b HTTP/1.1\r\n" HOST "\r\n"
                           "HEAD /c HTTP/1.1\r\n" HOST "\r\n"),
                    OK_HEAD(11) "\r\n" OK_HEAD(11) CLOSE "\r\n");
        return 0;
}

static void expect_refusal(sj_http_serve_options options, sj_str text, int status)
{
        seen s = {0};
        rig server = {.handler = answer, .arg = &s, .options = options};
        buf got = BUF_INIT(0);
        char start[32];
        snprintf(start, sizeof(start), "HTTP/1.1 %d ", status);
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_str said = converse(&server, text, &got);
        if (said.n < 13 || memcmp(said.data, start, 13) != 0)
                fprintf(stderr, "%.99s\n%.*s\n", text.data, SJ_STR_ARG(said));
        expect(said.n >= 13 && memcmp(said.data, start, 13) == 0);
        expect(strstr(said.data, "\r\nConnection: close\r\n"));
        /* Nothing behind the first answer is taken for a request. */
        expect(!strstr(said.data + 1, "HTTP/1.1 200"));
        expect(s.requests <= 1);
        buf_fini(&got);
        rig_stop(&server, scope);
}

#define SMUGGLED "GET /smuggled HTTP/1.1\r\n" HOST "\r\n"

static int refuses_and_closes(void *arg)
{
        (void)arg;
        const sj_http_serve_options usual = {0};
        expect_refusal(usual, SJ_STR("GET / HTTP/1.1\r\n\r\n" SMUGGLED), 400);
        expect_refusal(usual, SJ_STR("GET / HTTP/1.1\n" HOST "\r\n" SMUGGLED), 400);
        expect_refusal(usual, SJ_STR("GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n" SMUGGLED), 400);
        expect_refusal(usual, SJ_STR("GET / HTTP/3.0\r\n" HOST "\r\n" SMUGGLED), 505);
        expect_refusal(usual,
                       SJ_STR("POST / HTTP/1.1\r\n" HOST "Content-Length: 4\r\n"
                              "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
                       400);
        expect_refusal(usual,
                       SJ_STR("POST / HTTP/1.1\r\n" HOST
                              "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" SMUGGLED),
                       501);
        expect_refusal(
                usual,
                SJ_STR("POST / HTTP/1.1\r\n" HOST
                       "Transfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n" SMUGGLED),
                400);
        expect_refusal(usual,
                       SJ_STR("GET / HTTP/1.1\r\n" HOST
                              "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Content-Length: 40\r\n\r\n" SMUGGLED),
                       400);
        expect_refusal(usual, SJ_STR("GET / HTTP/1.1\r\n" HOST "Expect: miracles\r\n" CLOSE "\r\n"),
                       417);
        expect_refusal(usual, SJ_STR("CONNECT a:1 HTTP/1.1\r\n" HOST CLOSE "\r\n"), 501);
        return 0;
}

static int limits_bodies(void *arg)
{
        (void)arg;
        const sj_http_serve_options small = {.body_max = 4};
        expect_refusal(small, SJ_STR("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n12345"),
                       413);
        expect_refusal(small,
                       SJ_STR("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                              "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" SMUGGLED),
                       413);
        /* Also when the handler would not read it. */
        expect_refusal(small,
                       SJ_STR("POST /ignore HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n12345"),
                       413);
        expect_said(small, SJ_STR("POST / HTTP/1.1\r\n" HOST CLOSE "Content-Length: 4\r\n\r\n1234"),
                    OK_HEAD(14) CLOSE "\r\nPOST /? [1234]");
        return 0;
}

static int limits_heads(void *arg)
{
        (void)arg;
        static char text[80 * 1024];
        int n = snprintf(text, sizeof(text), "GET /%09000d HTTP/1.1\r\n" HOST "\r\n", 0);
        expect_refusal((sj_http_serve_options){.head_limit = SJ_NEVER}, (sj_str){text, (size_t)n},
                       414);
        n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" HOST "A: %070000d\r\n\r\n", 0);
        expect_refusal((sj_http_serve_options){.head_limit = SJ_NEVER}, (sj_str){text, (size_t)n},
                       431);
        return 0;
}

static int a_handler_that_fails_or_is_silent_is_a_500(void *arg)
{
        (void)arg;
        expect_refusal((sj_http_serve_options){0},
                       SJ_STR("GET /fail HTTP/1.1\r\n" HOST CLOSE "\r\n"), 500);
        expect_refusal((sj_http_serve_options){0},
                       SJ_STR("GET /silent HTTP/1.1\r\n" HOST CLOSE "\r\n"), 500);
        expect_said((sj_http_serve_options){0},
                    SJ_STR("GET /abort HTTP/1.1\r\n" HOST "\r\n" SMUGGLED), "");
        /* Half an answer: the client sees that it is cut, and no second one. */
        expect_said((sj_http_serve_options){0},
                    SJ_STR("GET /half HTTP/1.1\r\n" HOST "\r\n" SMUGGLED), OK_HEAD(10) "\r\n12345");
        return 0;
}

static int a_body_that_the_handler_did_not_read_is_no_request(void *arg)
{
        (void)arg;
        /* It is here already: it is passed over. */
        expect_said((sj_http_serve_options){0},
                    SJ_STR("POST /ignore HTTP/1.1\r\n" HOST CLOSE
                           "Content-Length: 43\r\n\r\n" SMUGGLED "xx"),
                    OK_HEAD(7) CLOSE "\r\nignored");
        /* It is not: the connection ends. */
        seen s = {0};
        rig server = {.handler = answer, .arg = &s};
        buf got = BUF_INIT(0);
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_str said = converse(&server,
                               SJ_STR("POST /ignore HTTP/1.1\r\n" HOST
                                      "Content-Length: 9000\r\n\r\n" SMUGGLED SMUGGLED),
                               &got);
        expect_str(said, OK_HEAD(7) CLOSE "\r\nignored");
        expect_equal(s.requests, 1);
        buf_fini(&got);
        rig_stop(&server, scope);
        return 0;
}

static int says_continue_to_whom_waits_for_it(void *arg)
{
        (void)arg;
        seen s = {0};
        rig server = {.handler = answer, .arg = &s};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_stream *stream;
        buf got = BUF_INIT(0);
        /* Whose body is here already, waits for nothing. */
        sj_str said = converse(&server,
                               SJ_STR("POST /x HTTP/1.1\r\n" HOST CLOSE "Expect: 100-continue\r\n"
                                      "Content-Length: 2\r\n\r\nok"),
                               &got);
        expect(sim_unit_seed % 2 == 0 || !strstr(said.data, "HTTP/1.1 100"));
        expect(strstr(said.data, "HTTP/1.1 200 OK\r\n"));
        buf_fini(&got);
        char text[512];
        expect_equal(
                sj_tcp_connect("127.0.0.1", sj_listener_port(server.listener), &stream, SJ_NEVER),
                0);
        const char head[] =
                "POST /x HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n";
        expect_equal(sj_write(stream, head, sizeof(head) - 1, SJ_NEVER), 0);
        expect_equal(rig_read_head(stream, text, sizeof(text)), 25);
        expect(strcmp(text, "HTTP/1.1 100 Continue\r\n\r\n") == 0);
        expect_equal(sj_write(stream, "ok", 2, SJ_NEVER), 0);
        expect(rig_read_head(stream, text, sizeof(text)) > 25);
        expect(strstr(text, "HTTP/1.1 200 OK\r\n") == text);
        sj_stream_close(stream);
        rig_stop(&server, scope);
        return 0;
}

/* Sends so much, then nothing more; what the server says until it closes, and when that is. */
static sj_time go_silent(sj_http_serve_options options, sj_str text, const char *start)
{
        seen s = {0};
        rig server = {.handler = answer, .arg = &s, .options = options};
        buf got = BUF_INIT(0);
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_time begun = sj_now();
        sj_str said = converse(&server, text, &got);
        expect(said.n >= strlen(start) && memcmp(said.data, start, strlen(start)) == 0);
        expect(start[0] || said.n == 0);
        buf_fini(&got);
        rig_stop(&server, scope);
        return sj_now() - begun;
}

static int silence_is_ended(void *arg)
{
        (void)arg;
        const sj_http_serve_options o = {
                .wait_limit = 3 * SJ_SEC, .head_limit = 5 * SJ_SEC, .idle_limit = 7 * SJ_SEC};
        sj_time took = go_silent(o, SJ_STR(""), "");
        expect(took >= 3 * SJ_SEC && took < SJ_MIN);
        took = go_silent(o, SJ_STR("GET / HTT"), "HTTP/1.1 408 ");
        expect(took >= 5 * SJ_SEC && took < SJ_MIN);
        took = go_silent(o, SJ_STR("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n12"),
                         "HTTP/1.1 408 ");
        expect(took >= 7 * SJ_SEC && took < SJ_MIN);
        return 0;
}

static int a_slow_head_is_ended_though_never_silent(void *arg)
{
        (void)arg;
        seen s = {0};
        rig server = {
                .handler = answer,
                .arg = &s,
                .options = {.head_limit = 5 * SJ_SEC, .wait_limit = SJ_MIN, .idle_limit = SJ_SEC}};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_stream *stream;
        expect_equal(
                sj_tcp_connect("127.0.0.1", sj_listener_port(server.listener), &stream, SJ_NEVER),
                0);
        sj_time begun = sj_now();
        const char *text = "GET / HTTP/1.1\r\nHost: a-host-with-quite-a-long-name\r\n\r\n";
        int r = 0;
        for (size_t i = 0; text[i] && r == 0; i++) {
                r = sj_write(stream, text + i, 1, SJ_NEVER);
                sj_sleep(900 * SJ_MS);
        }
        expect(r == -EPIPE || r == -ECONNRESET || sj_now() - begun < SJ_MIN);
        expect_equal(s.requests, 0);
        sj_stream_close(stream);
        rig_stop(&server, scope);
        return 0;
}

/* Cut at any byte, a request is answered wholly or not at all, and the server goes on. */
static int a_request_may_be_cut_anywhere(void *arg)
{
        (void)arg;
        static const char text[] = "POST /x HTTP/1.1\r\n" HOST CLOSE
                                   "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        seen s = {0};
        rig server = {.handler = answer, .arg = &s};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        for (size_t cut = 0; cut < sizeof(text); cut++) {
                sj_stream *stream;
                char got[512];
                expect_equal(sj_tcp_connect("127.0.0.1", sj_listener_port(server.listener), &stream,
                                            SJ_NEVER),
                             0);
                expect_equal(sj_write(stream, text, cut, SJ_NEVER), 0);
                expect_equal(sj_stream_shutdown(stream, SJ_NEVER), 0);
                size_t n = rig_read_head(stream, got, sizeof(got));
                bool whole = cut == sizeof(text) - 1;
                if (n >= 12)
                        expect_equal(memcmp(got, whole ? "HTTP/1.1 200" : "HTTP/1.1 400", 12), 0);
                expect(n >= 12 || !whole);
                sj_stream_close(stream);
        }
        rig_stop(&server, scope);
        return 0;
}

static int serve_it(void *arg)
{
        rig *server = arg;
        return sj_http_serve(server->listener, server->handler, server->arg, &server->options);
}

static int hold(sj_http_exchange *x, void *arg)
{
        unsigned *most = arg;
        most[0]++;
        if (most[0] > most[1])
                most[1] = most[0];
        int r = sj_sleep(SJ_SEC);
        most[0]--;
        return r < 0 ? r : sj_http_respond(x, 200, NULL, 0, SJ_STR("done"), SJ_NEVER);
}

static int get_done(void *arg)
{
        rig *server = arg;
        sj_http_session *session = rig_session((sj_http_options){0});
        sj_http_response *p = rig_fetch(session, &(sj_http_request){.url = server->url});
        rig_expect_body(p, "done");
        sj_http_response_free(p);
        sj_http_session_free(session);
        return 0;
}

static int serves_so_many_connections_at_once_and_ends_when_cancelled(void *arg)
{
        (void)arg;
        unsigned most[2] = {0};
        rig server = {.handler = hold, .arg = most, .options = {.connections = 2}};
        expect_equal(sj_tcp_listen("127.0.0.1", 0, 0, &server.listener), 0);
        snprintf(server.url, sizeof(server.url), "http://127.0.0.1:%u",
                 (unsigned)sj_listener_port(server.listener));
        SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
        sj_fiber *serving;
        expect_equal(sj_spawn(scope, serve_it, &server, &serving), 0);
        {
                SJ_SCOPE(clients, SJ_NEVER, 0);
                for (int i = 0; i < 6; i++)
                        expect_equal(sj_spawn(clients, get_done, &server, NULL), 0);
                expect_equal(sj_scope_join(clients), 0);
        }
        expect_equal(most[1], 2);
        sj_cancel(serving);
        expect_equal(sj_join(serving, SJ_NEVER), -ECANCELED);
        sj_listener_close(server.listener);
        return 0;
}

static int a_connection_between_requests_does_not_hold_up_the_end(void *arg)
{
        (void)arg;
        unsigned most[2] = {0};
        rig server = {.handler = hold, .arg = most};
        expect_equal(sj_tcp_listen("127.0.0.1", 0, 0, &server.listener), 0);
        snprintf(server.url, sizeof(server.url), "http://127.0.0.1:%u",
                 (unsigned)sj_listener_port(server.listener));
        SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
        sj_fiber *serving, *asking;
        expect_equal(sj_spawn(scope, serve_it, &server, &serving), 0);
        sj_http_session *session = rig_session((sj_http_options){0});
        for (int i = 0; i < 2; i++) {
                sj_http_response *p = rig_fetch(session, &(sj_http_request){.url = server.url});
                rig_expect_body(p, "done");
                sj_http_response_free(p);
        }
        /* The one that is being answered gets its answer; the idle one gets nothing more. */
        expect_equal(sj_spawn(scope, get_done, &server, &asking), 0);
        expect_equal(sj_sleep(SJ_SEC / 2), 0);
        sj_cancel(serving);
        expect_equal(sj_join(asking, SJ_NEVER), 0);
        sj_time answered = sj_now();
        expect_equal(sj_join(serving, SJ_NEVER), -ECANCELED);
        expect(sj_now() - answered < SJ_SEC);
        sj_http_session_free(session);
        sj_listener_close(server.listener);
        return 0;
}

#define TESTS(X)                                                  \
        X(a_connection_between_requests_does_not_hold_up_the_end) \
        X(answers_requests_in_a_row)                              \
        X(answers_http_1_0)                                       \
        X(answers_in_pieces)                                      \
        X(refuses_answers_that_are_malformed)                     \
        X(ends_a_connection_after_so_many_requests)               \
        X(refuses_and_closes)                                     \
        X(limits_bodies)                                          \
        X(limits_heads)                                           \
        X(a_handler_that_fails_or_is_silent_is_a_500)             \
        X(a_body_that_the_handler_did_not_read_is_no_request)     \
        X(says_continue_to_whom_waits_for_it)                     \
        X(silence_is_ended)                                       \
        X(a_slow_head_is_ended_though_never_silent)               \
        X(a_request_may_be_cut_anywhere)                          \
        X(serves_so_many_connections_at_once_and_ends_when_cancelled)

TESTS(RIG_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {TESTS(RIG_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
