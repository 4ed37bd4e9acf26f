/* SPDX-License-Identifier: MIT */
#include "http/session.h"

#include "codec/http1.h"

#include <stdio.h>
#include <stdlib.h>

#define TOTAL_LIMIT   (5 * SJ_MIN)
#define CONNECT_LIMIT (30 * SJ_SEC)
#define IDLE_LIMIT    (60 * SJ_SEC)
#define KEEP_ALIVE    (15 * SJ_SEC)
#define DECODED_MAX   ((uint64_t)256 << 20)
#define USER_AGENT    "sanjab/" SANJAB_VERSION

enum { CONNECTIONS = 100, REDIRECTS = 10, RATIO_MAX = 100 };

static const char *environment(const char *name)
{
        return getenv(name);
}

static int copy_headers(sj_http_session *s, const sj_http_header headers[], size_t n)
{
        s->headers = sj_arena_alloc(s->arena, n * sizeof(*headers));
        if (!s->headers)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                const char *name = headers[i].name, *value = headers[i].value;
                if (!http1_is_token(sj_str_of(name)) || !http1_is_value(sj_str_of(value)))
                        return -EINVAL;
                s->headers[i].name = sj_arena_strndup(s->arena, name, strlen(name));
                s->headers[i].value = sj_arena_strndup(s->arena, value, strlen(value));
                if (!s->headers[i].name || !s->headers[i].value)
                        return -ENOMEM;
        }
        s->n_headers = n;
        return 0;
}

static sj_time or_usual(sj_time given, sj_time usual)
{
        return given ? given : usual;
}

static int configure(sj_http_session *s, const sj_http_options *o)
{
        if (o->total_limit < 0 || o->connect_limit < 0 || o->idle_limit < 0 || o->keep_alive < 0)
                return -EINVAL;
        s->limits.total = or_usual(o->total_limit, TOTAL_LIMIT);
        s->limits.connect = or_usual(o->connect_limit, CONNECT_LIMIT);
        s->limits.idle = or_usual(o->idle_limit, IDLE_LIMIT);
        s->redirects = o->redirects ? o->redirects : REDIRECTS;
        s->allow_downgrade = o->allow_downgrade;
        s->decoded_max = o->decoded_max ? o->decoded_max : DECODED_MAX;
        s->ratio_max = o->ratio_max ? o->ratio_max : RATIO_MAX;
        s->tls = o->tls;
        const char *agent = o->user_agent ? o->user_agent : USER_AGENT;
        if (!http1_is_value(sj_str_of(agent)))
                return -EINVAL;
        s->user_agent = sj_arena_strndup(s->arena, agent, strlen(agent));
        int r = s->user_agent ? copy_headers(s, o->headers, o->n_headers) : -ENOMEM;
        return r < 0 ? r : http_proxy_init(&s->proxies, s->arena, o->proxy, environment);
}

int sj_http_session_new(const sj_http_options *options, sj_http_session **ret)
{
        static const sj_http_options usual;
        const sj_http_options *o = options ? options : &usual;
        sj_http_session *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        http_pool_init(&s->pool, o->connections ? o->connections : CONNECTIONS,
                       o->host_connections ? o->host_connections : UINT32_MAX,
                       or_usual(o->keep_alive, KEEP_ALIVE));
        int r = sj_arena_new(&s->arena);
        if (r == 0)
                r = configure(s, o);
        if (r < 0) {
                sj_http_session_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

void sj_http_session_free(sj_http_session *s)
{
        if (!s)
                return;
        http_pool_fini(&s->pool);
        sj_tls_free(s->own_tls);
        sj_arena_free(s->arena);
        free(s);
}

void sj_http_session_close_idle(sj_http_session *s)
{
        http_pool_close_idle(&s->pool);
}

int http_session_tls(sj_http_session *s, const sj_tls **ret, sj_http_error *why)
{
        char reason[SJ_TLS_WHY_MAX] = "";
        if (!s->tls) {
                int r = sj_tls_new(NULL, &s->own_tls, reason);
                if (r < 0)
                        return http_error_set(why, SJ_HTTP_STEP_TLS, r, "TLS is not usable: %s",
                                              reason[0] ? reason : sj_strerror(r));
                s->tls = s->own_tls;
        }
        *ret = s->tls;
        return 0;
}

const char *http_limit_text(const http_limits *limits, http_late late, char ret[HTTP_LIMIT_TEXT])
{
        if (late == HTTP_LATE_CALL)
                snprintf(ret, HTTP_LIMIT_TEXT, "the caller's deadline");
        else if (late == HTTP_LATE_TOTAL)
                snprintf(ret, HTTP_LIMIT_TEXT, "the total limit of %g s",
                         (double)limits->total / (double)SJ_SEC);
        else
                snprintf(ret, HTTP_LIMIT_TEXT, "the idle limit of %g s",
                         (double)limits->idle / (double)SJ_SEC);
        return ret;
}
