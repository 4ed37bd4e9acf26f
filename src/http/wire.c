/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a body are handed on as views of the input buffer: a piece stays where it is until
 * it is taken whole, and only then are its bytes, with the framing around them, consumed.
 *
 *         wire->in   │ framing │ piece (taken │ not yet) │ framing │ not looked at │
 *                    └────────────── used ───────────────┘
 */
#include "http/wire.h"

#include "net/stream.h"

enum {
        FILL_MOST = 16 * 1024,
        /*
         * What is written in one go, under one idle limit: at first what a link of a few hundred
         * bytes a second manages, then more as long as it goes fast.
         */
        WRITE_LEAST = 16 * 1024,
        WRITE_MOST = 256 * 1024,
};

static sj_time idle_from(const http_time *t, sj_time since)
{
        return t->idle >= SJ_NEVER - since ? SJ_NEVER : since + t->idle;
}

static sj_time least(sj_time a, sj_time b)
{
        return a < b ? a : b;
}

sj_time http_time_next(const http_time *t)
{
        return least(least(t->call, t->total), idle_from(t, sj_now()));
}

http_late http_time_blame(const http_time *t, sj_time since)
{
        sj_time idle = idle_from(t, since);
        if (t->call <= t->total && t->call <= idle)
                return HTTP_LATE_CALL;
        return t->total <= idle ? HTTP_LATE_TOTAL : HTTP_LATE_IDLE;
}

void http_wire_init(http_wire *w, sj_stream *stream)
{
        *w = (http_wire){.stream = stream, .in = BUF_INIT(HTTP1_HEAD_MAX + 2 * FILL_MOST)};
}

void http_wire_fini(http_wire *w)
{
        if (!w)
                return;
        sj_stream_close(w->stream);
        w->stream = NULL;
        buf_fini(&w->in);
}

/* Notes which limit it was when r is a timeout; returns r. */
static ssize_t note_late(http_wire *w, const http_time *t, sj_time since, ssize_t r)
{
        if (r == -ETIMEDOUT)
                w->late = http_time_blame(t, since);
        return r;
}

ssize_t http_wire_fill(http_wire *w, const http_time *t)
{
        sj_time since = sj_now();
        ssize_t r = stream_fill(w->stream, &w->in, FILL_MOST, http_time_next(t));
        return note_late(w, t, since, r);
}

int http_wire_write(http_wire *w, sj_str data, const http_time *t)
{
        size_t most = WRITE_LEAST;
        while (data.n) {
                sj_time since = sj_now();
                size_t n = data.n < most ? data.n : most;
                int r = sj_write(w->stream, data.data, n, http_time_next(t));
                if (r < 0)
                        return (int)note_late(w, t, since, r);
                data.data += n;
                data.n -= n;
                if (most < WRITE_MOST && sj_now() - since < t->idle / 8)
                        most *= 2;
        }
        return 0;
}

int http_wire_write_two(http_wire *w, sj_str first, sj_str second, const http_time *t)
{
        sj_str head = {second.data, second.n < WRITE_LEAST ? second.n : WRITE_LEAST};
        struct iovec parts[2] = {{(void *)(uintptr_t)first.data, first.n},
                                 {(void *)(uintptr_t)head.data, head.n}};
        sj_time since = sj_now();
        int r = sj_writev(w->stream, parts, head.n ? 2 : 1, http_time_next(t));
        if (r < 0)
                return (int)note_late(w, t, since, r);
        if (head.n == second.n)
                return 0;
        return http_wire_write(w, (sj_str){second.data + head.n, second.n - head.n}, t);
}

int http_wire_read_head(http_wire *w, http1_head *h, const http_time *t)
{
        for (;;) {
                size_t n = buf_size(&w->in);
                if (n) {
                        http1_outcome outcome = http1_head_parse(h, buf_data(&w->in), n);
                        if (outcome == HTTP1_WRONG)
                                return -EPROTO;
                        if (outcome == HTTP1_DONE)
                                return 0;
                }
                ssize_t r = http_wire_fill(w, t);
                if (r < 0)
                        return (int)r;
                if (r == 0)
                        return n ? -ECONNABORTED : -EPIPE;
        }
}

void http_inflow_init(http_inflow *f, http_wire *w, const http1_head *h, http1_field *trailers,
                      uint32_t capacity)
{
        *f = (http_inflow){.wire = w, .ended = h->framing == HTTP1_NO_BODY};
        http1_body_init(&f->body, h, trailers, capacity);
}

static void consume(http_inflow *f)
{
        buf_consume(&f->wire->in, f->used);
        f->used = 0;
}

void http_inflow_take(http_inflow *f, size_t n)
{
        f->piece.n -= n;
        if (f->piece.n)
                f->piece.data += n;
        else
                consume(f);
}

/* Takes one more step through what is here already. */
static http1_outcome step(http_inflow *f)
{
        buf *in = &f->wire->in;
        http1_outcome outcome = http1_body_feed(&f->body, buf_str(in), &f->used, &f->piece);
        f->ended = outcome == HTTP1_DONE;
        if (f->piece.n == 0 && outcome != HTTP1_DONE)
                consume(f);
        return outcome;
}

/* The trailers lie in the buffer: the bytes stay until the wire is used again. */
int http_inflow_next(http_inflow *f, const http_time *t)
{
        while (f->piece.n == 0 && !f->ended) {
                size_t before = buf_size(&f->wire->in);
                if (step(f) == HTTP1_WRONG)
                        return -EPROTO;
                if (f->piece.n || f->ended || buf_size(&f->wire->in) != before)
                        continue;
                ssize_t r = http_wire_fill(f->wire, t);
                if (r < 0)
                        return (int)r;
                if (r == 0) {
                        if (http1_body_end(&f->body) != HTTP1_DONE)
                                return -EPROTO;
                        f->ended = true;
                }
        }
        if (f->piece.n == 0)
                consume(f);
        return 0;
}

/* A body whose bytes are all data needs no buffer of ours in between. */
static ssize_t read_straight(http_inflow *f, void *ret, size_t n, const http_time *t)
{
        if (f->body.framing == HTTP1_LENGTH && n > f->body.left)
                n = (size_t)f->body.left;
        sj_time since = sj_now();
        ssize_t r = sj_read(f->wire->stream, ret, n, http_time_next(t));
        if (r < 0)
                return note_late(f->wire, t, since, r);
        if (r == 0) {
                f->ended = http1_body_end(&f->body) == HTTP1_DONE;
                return f->ended ? 0 : -EPROTO;
        }
        size_t used;
        sj_str data;
        f->ended = http1_body_feed(&f->body, (sj_str){ret, (size_t)r}, &used, &data) == HTTP1_DONE;
        return r;
}

ssize_t http_inflow_read(http_inflow *f, void *ret, size_t n, const http_time *t)
{
        bool plain = f->body.framing == HTTP1_LENGTH || f->body.framing == HTTP1_UNTIL_CLOSE;
        if (plain && !f->ended && f->piece.n == 0 && buf_size(&f->wire->in) == 0)
                return read_straight(f, ret, n, t);
        int r = http_inflow_next(f, t);
        if (r < 0)
                return r;
        if (n > f->piece.n)
                n = f->piece.n;
        if (n)
                memcpy(ret, f->piece.data, n);
        http_inflow_take(f, n);
        return (ssize_t)n;
}

bool http_inflow_skip(http_inflow *f)
{
        http_inflow_take(f, f->piece.n);
        while (!f->ended) {
                size_t before = buf_size(&f->wire->in);
                if (step(f) == HTTP1_WRONG)
                        return false;
                http_inflow_take(f, f->piece.n);
                if (!f->ended && buf_size(&f->wire->in) == before)
                        return false;
        }
        consume(f);
        return true;
}
