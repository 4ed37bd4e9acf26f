/* SPDX-License-Identifier: MIT */
#include <sanjab/http.h>
#include <stdio.h>

static int answer(sj_http_exchange *exchange, void *arg)
{
        (void)arg;
        sj_str path = sj_http_exchange_path(exchange);
        if (sj_str_equal(path, SJ_STR("/slow"))) {
                int r = sj_sleep(10 * SJ_SEC);
                if (r < 0)
                        return r;
        }
        bool found = sj_str_equal(path, SJ_STR("/hello"));
        return sj_http_respond(exchange, found ? 200 : 404, NULL, 0,
                               found ? SJ_STR("hello from a fiber") : SJ_STR("nothing here"),
                               sj_after(5 * SJ_SEC));
}

static int serve(void *arg)
{
        return sj_http_serve(arg, answer, NULL, NULL);
}

struct visit {
        sj_http_session *session;
        unsigned port;
        const char *path;
        char said[80];
};

static int visit(void *arg)
{
        struct visit *v = arg;
        char url[64];
        snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", v->port, v->path);
        sj_http_response *response;
        sj_http_error why;
        int r = sj_http_get(v->session, url, &response, &why, sj_after(2 * SJ_SEC));
        if (r < 0) {
                snprintf(v->said, sizeof(v->said), "%s failed", sj_http_step_name(why.step));
                return 0;
        }
        sj_str body = {0};
        r = sj_http_response_read_all(response, 0, &body, sj_after(SJ_SEC));
        snprintf(v->said, sizeof(v->said), "%d %.*s", sj_http_response_status(response),
                 SJ_STR_ARG(body));
        sj_http_response_free(response);
        return r;
}

static int visit_all(sj_http_session *session, unsigned port)
{
        struct visit visits[] = {{session, port, "/hello", ""},
                                 {session, port, "/missing", ""},
                                 {session, port, "/slow", ""}};
        SJ_SCOPE(s, sj_after(20 * SJ_SEC), 0); /* the three at once */
        for (int i = 0; i < 3; i++)
                sj_spawn(s, visit, &visits[i], NULL);
        int r = sj_scope_join(s);
        for (int i = 0; i < 3 && r >= 0; i++)
                printf("%s: %s\n", visits[i].path, visits[i].said);
        return r;
}

static int main_fiber(void *arg)
{
        (void)arg;
        sj_http_session *session = NULL;
        sj_listener *listener;
        int r = sj_tcp_listen("127.0.0.1", 0, 0, &listener); /* any port that is free */
        if (r < 0)
                return r;
        r = sj_http_session_new(NULL, &session);
        if (r >= 0) {
                SJ_SCOPE(server, SJ_NEVER, 0);
                sj_spawn(server, serve, listener, NULL);
                r = visit_all(session, sj_listener_port(listener));
        } /* the end of its scope ends the server */
        sj_http_session_free(session);
        sj_listener_close(listener);
        return r;
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
