/* SPDX-License-Identifier: MIT */
/*
 * For tests of HTTP: servers on the loopback of the world that the test is linked with. "script"
 * servers say what a function says; the others are our own server with a handler.
 */
#ifndef SANJAB_HTTP_RIG_H
#define SANJAB_HTTP_RIG_H

#include "fiber/sim_unit.h"

#include <sanjab/http.h>

#include <stdarg.h>

/*
 * The body in a world: under the simulator over seeds in which nothing breaks, gentle and slow by
 * turns (rig_sim.c); on the real system once (rig_real.c). Nothing may be left open.
 */
void rig_run_in(sj_fn *body, uint64_t *ret_seed);
/* Of the usual number of seeds, the part that a test takes: for what is slow in itself. */
extern unsigned rig_share;

static inline void rig_run(sj_fn *body)
{
        rig_run_in(body, &sim_unit_seed);
}

#define RIG_DEFINE(fn)                     \
        static void run_##fn(void **state) \
        {                                  \
                (void)state;               \
                rig_run(fn);               \
        }
#define RIG_ROW(fn) {#fn, run_##fn, NULL, NULL, NULL},

#define expect_str(got, text)                                                     \
        do {                                                                      \
                sj_str expect_got = (got);                                        \
                if (!sj_str_equal(expect_got, sj_str_of(text))) {                 \
                        fprintf(stderr,                                           \
                                "%s: %s is \"%.*s\", not \"%s\"\nreplay it with " \
                                "SANJAB_SEED=%llu\n",                             \
                                SJ_WHERE, #got, SJ_STR_ARG(expect_got), (text),   \
                                (unsigned long long)sim_unit_seed);               \
                        abort();                                                  \
                }                                                                 \
        } while (0)

/* What one connection of a script server does; it closes the stream. */
typedef void rig_script(sj_stream *s, void *arg);

typedef struct rig {
        sj_listener *listener;
        const sj_tls *tls; /* NULL: plain */
        rig_script *script;
        sj_http_handler *handler;
        void *arg;
        sj_http_serve_options options;
        unsigned accepted; /* connections */
        unsigned open;     /* of them, now */
        char url[64];      /* http://127.0.0.1:port */
} rig;

typedef struct rig_guest {
        rig *rig;
        sj_stream *stream;
} rig_guest;

static inline int rig_guest_fiber(void *arg)
{
        rig_guest *g = arg;
        rig *r = g->rig;
        sj_stream *stream = g->stream;
        r->open++;
        if (r->tls && sj_tls_accept(r->tls, g->stream, &stream, NULL, SJ_NEVER) < 0)
                sj_stream_close(g->stream);
        else if (r->script)
                r->script(stream, r->arg);
        else
                (void)sj_http_serve_connection(stream, r->handler, r->arg, &r->options);
        r->open--;
        free(g);
        return 0;
}

static inline int rig_fiber(void *arg)
{
        rig *r = arg;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        for (;;) {
                sj_stream *stream;
                int k = sj_accept(r->listener, &stream, SJ_NEVER);
                if (k == -ENOMEM)
                        continue;
                if (k < 0)
                        return 0;
                r->accepted++;
                rig_guest *g = malloc(sizeof(*g));
                if (g)
                        *g = (rig_guest){r, stream};
                if (!g || sj_spawn(s, rig_guest_fiber, g, NULL) < 0) {
                        sj_stream_close(stream);
                        free(g);
                }
        }
}

/* Starts it in the scope; it ends with the scope, and rig_fini must follow. */
static inline void rig_start(rig *r, sj_scope *scope)
{
        if (!r->options.head_limit)
                r->options.head_limit = SJ_NEVER;
        if (!r->options.idle_limit)
                r->options.idle_limit = SJ_NEVER;
        expect_equal(sj_tcp_listen("127.0.0.1", 0, 0, &r->listener), 0);
        snprintf(r->url, sizeof(r->url), r->tls ? "https://localhost:%u" : "http://127.0.0.1:%u",
                 (unsigned)sj_listener_port(r->listener));
        expect_equal(sj_spawn(scope, rig_fiber, r, NULL), 0);
}

/* Ends the server and all its connections. */
static inline void rig_stop(rig *r, sj_scope *scope)
{
        sj_scope_cancel(scope);
        (void)sj_scope_join(scope);
        sj_listener_close(r->listener);
}

/* A whole URL on the rig, in static memory that the next call but 8 overwrites. */
SJ_PRINTF(2, 3) static inline const char *rig_url(const rig *r, const char *format, ...)
{
        static char urls[8][256];
        static unsigned next;
        char *url = urls[next++ % 8];
        int n = snprintf(url, 256, "%s", r->url);
        va_list args;
        va_start(args, format);
        vsnprintf(url + n, 256 - (size_t)n, format, args);
        va_end(args);
        return url;
}

/* Reads a request up to the end of its head; its bytes, or less if the peer closes. */
static inline size_t rig_read_head(sj_stream *s, char *ret, size_t size)
{
        size_t n = 0;
        while (n + 1 < size) {
                if (sj_read(s, ret + n, 1, SJ_NEVER) <= 0)
                        break;
                ret[++n] = '\0';
                if (n >= 4 && memcmp(ret + n - 4, "\r\n\r\n", 4) == 0)
                        break;
        }
        return n;
}

/*
 * A session that uses no proxy, whatever the environment says, and has no time limit that the test
 * does not set: a wire of the simulator may carry a few bytes a second.
 */
static inline sj_http_session *rig_session(sj_http_options options)
{
        sj_http_session *session;
        if (!options.proxy)
                options.proxy = "";
        if (!options.total_limit)
                options.total_limit = SJ_NEVER;
        if (!options.connect_limit)
                options.connect_limit = SJ_NEVER;
        if (!options.idle_limit)
                options.idle_limit = SJ_NEVER;
        expect_equal(sj_http_session_new(&options, &session), 0);
        return session;
}

/* The fetch must succeed. */
static inline sj_http_response *rig_fetch(sj_http_session *session, const sj_http_request *request)
{
        sj_http_response *p = NULL;
        sj_http_error why;
        int r = sj_http_fetch(session, request, &p, &why, SJ_NEVER);
        if (r < 0)
                fprintf(stderr, "%s: %s\n", sj_http_step_name(why.step), why.text);
        expect_equal(r, 0);
        return p;
}

/* The rest of the body must be that. */
static inline void rig_expect_body(sj_http_response *p, const char *text)
{
        sj_str body;
        expect_equal(sj_http_response_read_all(p, 0, &body, SJ_NEVER), 0);
        expect_str(body, text);
        expect(body.data[body.n] == '\0');
}

/* The fetch must fail at that step with that code. */
static inline void rig_expect_failure(sj_http_session *session, const sj_http_request *request,
                                      sj_http_step step, int code)
{
        sj_http_response *p = NULL;
        sj_http_error why = {0};
        int r = sj_http_fetch(session, request, &p, &why, SJ_NEVER);
        if (r != code || why.step != step)
                fprintf(stderr, "%d at %s: %s\n", r, sj_http_step_name(why.step), why.text);
        expect_equal(r, code);
        expect_equal(why.step, step);
        expect_equal(why.code, code);
        expect(why.text[0]);
        expect(!p);
}

#endif
