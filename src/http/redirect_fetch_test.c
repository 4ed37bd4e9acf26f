/* SPDX-License-Identifier: MIT */
/* Redirects, as the client follows them. */
#include "http/rig.h"

/*
 * "/go?STATUS LOCATION" (with + for the space) redirects there; anything else says how it was
 * asked: method, body and the headers that must or must not travel.
 */
static int guide(sj_http_exchange *x, void *arg)
{
        (void)arg;
        sj_str body, query = sj_http_exchange_query(x), value;
        char text[512];
        int r = sj_http_exchange_read_all(x, &body, SJ_NEVER);
        if (r < 0)
                return r;
        if (sj_str_equal(sj_http_exchange_path(x), SJ_STR("/go"))) {
                snprintf(text, sizeof(text), "%.*s", (int)query.n - 4, query.data + 4);
                const sj_http_header to = {"Location", text};
                int status = (query.data[0] - '0') * 100 + (query.data[1] - '0') * 10 +
                             query.data[2] - '0';
                return sj_http_respond(x, status, &to, query.n > 4, SJ_STR("moved"), SJ_NEVER);
        }
        if (sj_str_equal(sj_http_exchange_path(x), SJ_STR("/loop"))) {
                const sj_http_header here = {"Location", "loop"};
                return sj_http_respond(x, 302, &here, 1, SJ_STR(""), SJ_NEVER);
        }
        int n = snprintf(text, sizeof(text), "%.*s[%.*s]", SJ_STR_ARG(sj_http_exchange_method(x)),
                         SJ_STR_ARG(body));
        const char *const names[] = {"Authorization", "Cookie", "Content-Type", "X-Own"};
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (sj_http_exchange_header(x, names[i], &value))
                        n += snprintf(text + n, sizeof(text) - (size_t)n, " %s=%.*s", names[i],
                                      SJ_STR_ARG(value));
        const sj_http_header told = {"X-Told", text};
        return sj_http_respond(x, 200, &told, 1, (sj_str){text, (size_t)n}, SJ_NEVER);
}

static void expect_told(sj_http_response *p, const char *text)
{
        sj_str told;
        expect_equal(sj_http_response_status(p), 200);
        expect(sj_http_response_header(p, "X-Told", &told));
        expect_str(told, text);
        sj_http_response_free(p);
}

static int changes_the_method_as_the_standard_says(void *arg)
{
        (void)arg;
        static const struct {
                int status;
                const char *method, *told;
        } cases[] = {
                {301, "GET", "GET[]"},
                {301, "HEAD", "HEAD[]"},
                {301, "POST", "GET[]"},
                {301, "PUT", "PUT[b] Content-Type=t"},
                {302, "POST", "GET[]"},
                {302, "DELETE", "DELETE[b] Content-Type=t"},
                {303, "POST", "GET[]"},
                {303, "PUT", "GET[]"},
                {303, "HEAD", "HEAD[]"},
                {307, "POST", "POST[b] Content-Type=t"},
                {307, "HEAD", "HEAD[]"},
                {308, "POST", "POST[b] Content-Type=t"},
                {308, "PATCH", "PATCH[b] Content-Type=t"},
        };
        rig server = {.handler = guide};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){0});
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                bool body = !strstr("GET HEAD", cases[i].method);
                const sj_http_header type = {"Content-Type", "t"};
                sj_http_response *p = rig_fetch(
                        session,
                        &(sj_http_request){.method = cases[i].method,
                                           .url = rig_url(&server, "/go?%d+/x", cases[i].status),
                                           .headers = &type,
                                           .n_headers = body,
                                           .body = body ? SJ_STR("b") : SJ_STR("")});
                expect_str(sj_str_of(sj_http_response_url(p)), rig_url(&server, "/x"));
                expect_equal(sj_http_response_redirects(p), 1);
                expect_told(p, cases[i].told);
        }
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

static int does_not_follow_what_is_no_redirect(void *arg)
{
        (void)arg;
        rig server = {.handler = guide};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){0});
        const char *const targets[] = {"/go?302+", "/go?300+/x", "/go?305+/x", "/go?201+/x"};
        for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
                sj_http_response *p = rig_fetch(
                        session, &(sj_http_request){.url = rig_url(&server, "%s", targets[i])});
                expect_equal(sj_http_response_redirects(p), 0);
                rig_expect_body(p, "moved");
                sj_http_response_free(p);
        }
        sj_http_response *p =
                rig_fetch(session, &(sj_http_request){.url = rig_url(&server, "/go?301+/x"),
                                                      .keep_redirects = true});
        expect_equal(sj_http_response_status(p), 301);
        sj_http_response_free(p);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

static int ends_loops_at_the_limit(void *arg)
{
        (void)arg;
        rig server = {.handler = guide};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){.redirects = 3});
        rig_expect_failure(session, &(sj_http_request){.url = rig_url(&server, "/loop")},
                           SJ_HTTP_STEP_REDIRECT, -ELOOP);
        rig_expect_failure(session,
                           &(sj_http_request){.url = rig_url(&server, "/go?302+?302+?302+?302+/x")},
                           SJ_HTTP_STEP_REDIRECT, -ELOOP);
        sj_http_response *p = rig_fetch(
                session, &(sj_http_request){.url = rig_url(&server, "/go?302+?302+?302+/x")});
        expect_equal(sj_http_response_redirects(p), 3);
        sj_http_response_free(p);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

static int keeps_credentials_at_their_origin(void *arg)
{
        (void)arg;
        rig server = {.handler = guide}, other = {.handler = guide};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        rig_start(&other, scope);
        sj_http_session *session = rig_session((sj_http_options){0});
        const sj_http_header secret[] = {{"Authorization", "s"}, {"Cookie", "c"}, {"X-Own", "o"}};
        sj_http_request q = {.headers = secret, .n_headers = 3};
        q.url = rig_url(&server, "/go?302+/x");
        expect_told(rig_fetch(session, &q), "GET[] Authorization=s Cookie=c X-Own=o");
        q.url = rig_url(&server, "/go?302+%s/x", other.url);
        expect_told(rig_fetch(session, &q), "GET[] X-Own=o");
        /* There and back: what was left behind stays behind. */
        q.url = rig_url(&server, "/go?302+%s/go?302+%s/x", other.url, server.url);
        expect_told(rig_fetch(session, &q), "GET[] X-Own=o");
        char url[256];
        snprintf(url, sizeof(url), "http://u:p@%s/go?302+/x", server.url + 7);
        expect_told(rig_fetch(session, &(sj_http_request){.url = url}),
                    "GET[] Authorization=Basic dTpw");
        snprintf(url, sizeof(url), "http://u:p@%s/go?302+%s/x", server.url + 7, other.url);
        expect_told(rig_fetch(session, &(sj_http_request){.url = url}), "GET[]");
        /* Credentials that a redirect names are not ours to send. */
        expect_told(rig_fetch(session,
                              &(sj_http_request){.url = rig_url(&server, "/go?302+http://v:w@%s/x",
                                                                other.url + 7)}),
                    "GET[]");
        sj_http_session_free(session);
        rig_stop(&server, scope);
        sj_listener_close(other.listener);
        return 0;
}

static int refuses_redirects_to_nonsense(void *arg)
{
        (void)arg;
        rig server = {.handler = guide};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){0});
        const char *const to[] = {"ftp://a/", "javascript:x", "http://", "//a..b/", "http://[::1/"};
        for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++)
                rig_expect_failure(session,
                                   &(sj_http_request){.url = rig_url(&server, "/go?302+%s", to[i])},
                                   SJ_HTTP_STEP_REDIRECT, -EPROTO);
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

static ssize_t give_b(void *arg, void *ret, size_t n, sj_time deadline)
{
        (void)n;
        (void)deadline;
        bool *given = arg;
        if (*given)
                return 0;
        *given = true;
        memcpy(ret, "b", 1);
        return 1;
}

static int a_body_from_a_source_is_not_sent_twice(void *arg)
{
        (void)arg;
        rig server = {.handler = guide};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        rig_start(&server, scope);
        sj_http_session *session = rig_session((sj_http_options){0});
        bool given = false;
        sj_http_request q = {.method = "POST",
                             .url = rig_url(&server, "/go?307+/x"),
                             .source = give_b,
                             .source_arg = &given};
        rig_expect_failure(session, &q, SJ_HTTP_STEP_REDIRECT, -EACCES);
        given = false;
        q.url = rig_url(&server, "/go?303+/x");
        expect_told(rig_fetch(session, &q), "GET[]");
        sj_http_session_free(session);
        rig_stop(&server, scope);
        return 0;
}

#define TESTS(X)                                   \
        X(changes_the_method_as_the_standard_says) \
        X(does_not_follow_what_is_no_redirect)     \
        X(ends_loops_at_the_limit)                 \
        X(keeps_credentials_at_their_origin)       \
        X(refuses_redirects_to_nonsense)           \
        X(a_body_from_a_source_is_not_sent_twice)

TESTS(RIG_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {TESTS(RIG_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
