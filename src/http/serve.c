/* SPDX-License-Identifier: MIT */
/*
 * A server: one request of a connection after the other. Between two of them the connection of
 * sj_http_serve rests in sj_serve, without a fiber; that of sj_http_serve_connection waits.
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

#include "net/stream.h"

#define HEAD_LIMIT (10 * SJ_SEC)
#define WAIT_LIMIT (60 * SJ_SEC)
#define IDLE_LIMIT (30 * SJ_SEC)
#define BODY_MAX   ((uint64_t)1 << 20)
#define POLITELY   (2 * SJ_SEC)

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
        NEXT_REST,     /* nothing is here yet, and the connection can wait by itself */
} next;

/* Waits for the first byte of a request. 1: it is there; 0: none will come, or not yet. */
static int wait_for_request(sj_http_exchange *x)
{
        if (buf_size(&x->wire->in))
                return 1;
        const http_time t = {x->may_rest ? SJ_POLL : in(x->options->wait_limit), SJ_NEVER,
                             SJ_NEVER};
        ssize_t r = http_wire_fill(x->wire, &t);
        x->rests = x->may_rest && r == -ETIMEDOUT;
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
                return x->rests ? NEXT_REST : NEXT_CLOSE;
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

typedef struct server {
        sj_http_handler *handler;
        void *arg;
        sj_http_serve_options options; /* complete */
} server;

/*
 * Serves until either side ends it, and closes it; or, if it may rest, until nothing is there, and
 * leaves it open: *ret_rests then.
 */
static int serve_stream(const server *s, sj_stream *stream, bool *ret_rests)
{
        http_wire wire;
        sj_http_exchange x = {.wire = &wire,
                              .options = &s->options,
                              .may_rest = ret_rests,
                              .head_bytes = BUF_INIT(0),
                              .whole = BUF_INIT(0),
                              .out = BUF_INIT(0)};
        next n = NEXT_REQUEST;
        int r = 0;
        http_wire_init(&wire, stream);
        while (n == NEXT_REQUEST) {
                n = read_request(&x, ++stream->served < s->options.requests, &r);
                if (n == NEXT_REQUEST)
                        n = handle(&x, s->handler, s->arg, &r);
        }
        if (n == NEXT_POLITELY)
                (void)sj_stream_close_politely(wire.stream, sj_after(POLITELY));
        if (n == NEXT_REST) {
                stream->served--;
                *ret_rests = true;
        }
        if (n != NEXT_CLOSE)
                wire.stream = NULL;
        http_wire_fini(&wire);
        buf_fini(&x.head_bytes);
        buf_fini(&x.whole);
        buf_fini(&x.out);
        return r;
}

int sj_http_serve_connection(sj_stream *stream, sj_http_handler *handler, void *arg,
                             const sj_http_serve_options *options)
{
        const server s = {handler, arg, complete(options)};
        return serve_stream(&s, stream, NULL);
}

static int serve_guest(sj_stream *stream, void *arg)
{
        bool rests = false;
        int r = serve_stream(arg, stream, &rests);
        return rests ? SJ_SERVE_AGAIN : r;
}

int sj_http_serve(sj_listener *listener, sj_http_handler *handler, void *arg,
                  const sj_http_serve_options *options)
{
        server s = {handler, arg, complete(options)};
        const sj_serve_options serve = {.connections = s.options.connections,
                                        .at_first_byte = true,
                                        .idle_limit = s.options.wait_limit,
                                        .drain_limit = s.options.drain_limit};
        return sj_serve(listener, serve_guest, &s, &serve, SJ_NEVER);
}
