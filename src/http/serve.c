/* SPDX-License-Identifier: MIT */
/*
 * A server: one fiber for each connection, one request after the other.
 *
 *         wait for a byte ──► head ──► handler ──► [rest of the body] ──► wait for a byte
 *               │ end, time      │ malformed: 4xx       │ not here: close
 *               ▼                ▼                      ▼
 *             close          close politely       close politely
 *
 * "Politely": what the client still sends is read and dropped for a while, lest its kernel throws
 * our answer away.
 */
#include "http/exchange.h"

#include "base/list.h"

#include <stdlib.h>

#define HEAD_LIMIT (10 * SJ_SEC)
#define WAIT_LIMIT (60 * SJ_SEC)
#define IDLE_LIMIT (30 * SJ_SEC)
#define BODY_MAX   ((uint64_t)1 << 20)
#define POLITELY   (2 * SJ_SEC)

enum { CONNECTIONS = 1000 };

static sj_time or_usual(sj_time given, sj_time usual)
{
        return given ? given : usual;
}

static sj_http_serve_options complete(const sj_http_serve_options *options)
{
        sj_http_serve_options o = options ? *options : (sj_http_serve_options){0};
        o.head_limit = or_usual(o.head_limit, HEAD_LIMIT);
        o.wait_limit = or_usual(o.wait_limit, WAIT_LIMIT);
        o.idle_limit = or_usual(o.idle_limit, IDLE_LIMIT);
        if (o.body_max == 0)
                o.body_max = BODY_MAX;
        if (o.requests == 0)
                o.requests = UINT32_MAX;
        if (o.connections == 0)
                o.connections = CONNECTIONS;
        return o;
}

static sj_time in(sj_time duration)
{
        return duration == SJ_NEVER ? SJ_NEVER : sj_after(duration);
}

typedef enum next {
        NEXT_REQUEST,
        NEXT_CLOSE,    /* nothing is left to say */
        NEXT_POLITELY, /* an answer was sent, and the client may still be sending */
} next;

/* Waits for the first byte of a request. 1: it is there; 0: none will come. */
static int wait_for_request(sj_http_exchange *x)
{
        if (buf_size(&x->wire->in))
                return 1;
        const http_time t = {in(x->options->wait_limit), SJ_NEVER, SJ_NEVER};
        ssize_t r = http_wire_fill(x->wire, &t);
        if (r == -ETIMEDOUT || r == -ECONNRESET)
                return 0;
        return r > 0 ? 1 : (int)r;
}

/* Answers a request whose head could not be read, as far as there is one to answer. */
static next refuse_head(sj_http_exchange *x, int r)
{
        http1_reason reason = x->head.reason;
        buf_clear(&x->head_bytes);
        x->head = (http1_head){.base = "", .minor = 1, .reason = reason};
        x->body = (http_inflow){.wire = x->wire, .ended = true};
        x->answer = HTTP_ANSWER_NONE;
        x->keep_alive = false;
        x->send_error = x->body_error = 0;
        if (reason != HTTP1_OK)
                r = http_exchange_refuse(x, http1_reason_status(reason), http1_reason_text(reason));
        else if (r == -ETIMEDOUT)
                r = http_exchange_refuse(x, 408, "the request did not come in time");
        else
                return NEXT_CLOSE;
        return r < 0 ? NEXT_CLOSE : NEXT_POLITELY;
}

static next read_request(sj_http_exchange *x, bool may_keep, int *ret_result)
{
        *ret_result = 0;
        int r = wait_for_request(x);
        if (r <= 0) {
                *ret_result = r;
                return NEXT_CLOSE;
        }
        const http_time t = {in(x->options->head_limit), SJ_NEVER, SJ_NEVER};
        http1_head_init_request(&x->head, x->fields, HTTP1_FIELDS_MAX);
        r = http_wire_read_head(x->wire, &x->head, &t);
        if (r == 0)
                r = http_exchange_begin(x, may_keep);
        if (r == 0)
                return NEXT_REQUEST;
        *ret_result = r == -ECONNABORTED ? -EPROTO : r;
        return r == -ECANCELED ? NEXT_CLOSE : refuse_head(x, r);
}

/* Refuses what no handler needs to see. Whether it did. */
static bool refuse_early(sj_http_exchange *x)
{
        sj_str expect;
        bool keep_alive = x->keep_alive;
        x->keep_alive = false; /* whoever errs this far may err further */
        if (x->head.has_length && x->head.length > x->options->body_max)
                (void)http_exchange_refuse(x, 413, "the body is larger than the limit");
        else if (x->head.framing == HTTP1_TUNNEL)
                (void)http_exchange_refuse(x, 501, "this is no proxy");
        else if (!x->head.expect_continue &&
                 http1_head_find(&x->head, SJ_STR("Expect"), 0, &expect))
                (void)http_exchange_refuse(x, 417, "only 100-continue can be expected");
        else
                x->keep_alive = keep_alive;
        return x->answer != HTTP_ANSWER_NONE;
}

/* The answer when the handler has given none. */
static void answer_for(sj_http_exchange *x)
{
        int r = x->body_error;
        http1_reason reason = x->body.body.reason;
        if (r == -EMSGSIZE)
                (void)http_exchange_refuse(x, 413, "the body is larger than the limit");
        else if (r == -EPROTO && reason != HTTP1_OK)
                (void)http_exchange_refuse(x, http1_reason_status(reason),
                                           http1_reason_text(reason));
        else if (r == -ETIMEDOUT)
                (void)http_exchange_refuse(x, 408, "the body did not come in time");
        else
                (void)http_exchange_refuse(x, 500, "the request could not be answered");
}

static next handle(sj_http_exchange *x, sj_http_handler *handler, void *arg, int *ret_result)
{
        if (!refuse_early(x)) {
                int r = handler(x, arg);
                if (sj_cancelled()) {
                        *ret_result = -ECANCELED;
                        return NEXT_CLOSE;
                }
                if (r == -ECONNABORTED)
                        x->send_error = r;
                else if (x->answer == HTTP_ANSWER_NONE)
                        answer_for(x);
                else if (r < 0 && !x->send_error)
                        x->send_error = r;
        }
        *ret_result = x->send_error ? x->send_error : x->body_error;
        /* An answer that was begun and not ended: the client must see that it is cut. */
        if (x->send_error || x->answer != HTTP_ANSWER_ENDED)
                return NEXT_CLOSE;
        if (x->body_error || !http_inflow_skip(&x->body))
                return NEXT_POLITELY;
        return x->keep_alive ? NEXT_REQUEST : NEXT_CLOSE;
}

static next serve_one(sj_http_exchange *x, sj_http_handler *handler, void *arg, bool may_keep,
                      int *ret_result)
{
        next n = read_request(x, may_keep, ret_result);
        return n == NEXT_REQUEST ? handle(x, handler, arg, ret_result) : n;
}

int sj_http_serve_connection(sj_stream *stream, sj_http_handler *handler, void *arg,
                             const sj_http_serve_options *options)
{
        const sj_http_serve_options o = complete(options);
        http_wire wire;
        sj_http_exchange x = {.wire = &wire,
                              .options = &o,
                              .head_bytes = BUF_INIT(0),
                              .whole = BUF_INIT(0),
                              .out = BUF_INIT(0)};
        next n = NEXT_REQUEST;
        int r = 0;
        http_wire_init(&wire, stream);
        for (unsigned i = 1; n == NEXT_REQUEST; i++)
                n = serve_one(&x, handler, arg, i < o.requests, &r);
        if (n == NEXT_POLITELY) {
                (void)sj_stream_close_politely(wire.stream, sj_after(POLITELY));
                wire.stream = NULL;
        }
        http_wire_fini(&wire);
        buf_fini(&x.head_bytes);
        buf_fini(&x.whole);
        buf_fini(&x.out);
        return r;
}

/* ── Many connections ────────────────────────────────────────────────────────────────────── */

typedef struct server {
        sj_http_handler *handler;
        void *arg;
        sj_http_serve_options options;
        unsigned open;
        sj_event room; /* set while open is below the limit */
} server;

typedef struct guest {
        server *server;
        sj_stream *stream;
} guest;

/* What becomes of one connection is no failure of the server's. */
static int serve_guest(void *arg)
{
        guest *g = arg;
        server *s = g->server;
        (void)sj_http_serve_connection(g->stream, s->handler, s->arg, &s->options);
        free(g);
        s->open--;
        sj_event_set(&s->room);
        return 0;
}

static void welcome(server *s, sj_scope *scope, sj_stream *stream)
{
        guest *g = malloc(sizeof(*g));
        int r = -ENOMEM;
        if (g) {
                *g = (guest){s, stream};
                r = sj_spawn(scope, serve_guest, g, NULL);
        }
        if (r < 0) {
                sj_log(SJ_LOG_WARNING, "http: a connection is not served: %s", sj_strerror(r));
                sj_stream_close(stream);
                free(g);
                return;
        }
        s->open++;
        if (s->open >= s->options.connections)
                sj_event_clear(&s->room);
}

int sj_http_serve(sj_listener *listener, sj_http_handler *handler, void *arg,
                  const sj_http_serve_options *options)
{
        server s = {.handler = handler,
                    .arg = arg,
                    .options = complete(options),
                    .room = SJ_EVENT_INIT};
        SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
        sj_event_set(&s.room);
        for (;;) {
                sj_stream *stream;
                int r = sj_event_wait(&s.room, SJ_NEVER);
                if (r == 0)
                        r = sj_accept(listener, &stream, SJ_NEVER);
                if (r < 0)
                        return r;
                welcome(&s, scope, stream);
        }
}
