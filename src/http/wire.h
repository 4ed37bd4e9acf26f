/* SPDX-License-Identifier: MIT */
/*
 * Messages over a stream: what client and server share. A wire is a stream and the bytes that came
 * over it and were not used yet. Time limits that are not the caller's deadline are held here too.
 */
#ifndef SANJAB_HTTP_WIRE_H
#define SANJAB_HTTP_WIRE_H

#include <sanjab/net.h>

#include "base/buf.h"
#include "codec/http1.h"

/* How long an operation may take. */
typedef struct http_time {
        sj_time call;  /* the deadline of the caller */
        sj_time total; /* of the whole, a deadline */
        sj_time idle;  /* while nothing moves, a duration */
} http_time;

/* Which of the limits has passed, or passes first. */
typedef enum http_late {
        HTTP_LATE_CALL,
        HTTP_LATE_TOTAL,
        HTTP_LATE_IDLE,
} http_late;

sj_time http_time_next(const http_time *t);
/* Which one it was, when an operation that began at `since` has timed out. */
http_late http_time_blame(const http_time *t, sj_time since);

typedef struct http_wire {
        sj_stream *stream;
        buf in;
        http_late late; /* why the last -ETIMEDOUT came */
} http_wire;

/* The wire owns the stream from now on. */
void http_wire_init(http_wire *w, sj_stream *stream);
/* Closes the stream, if there is one. */
void http_wire_fini(http_wire *w);

/* Reads what comes, and returns how much; 0 at the end. Else as sj_read, -ENOBUFS, -ENOMEM. */
ssize_t http_wire_fill(http_wire *w, const http_time *t);

/* Writes all, in pieces, so that the idle limit is one of silence. As sj_write. */
int http_wire_write(http_wire *w, sj_str data, const http_time *t);
/* The same for two parts; one write when both are small. */
int http_wire_write_two(http_wire *w, sj_str first, sj_str second, const http_time *t);

/*
 * Reads until the head is whole. It lies at the front of w->in then, and is consumed by the
 * caller. -EPROTO malformed (h->reason); -EPIPE the end came before the first byte, -ECONNABORTED
 * after it; else as http_wire_fill.
 */
int http_wire_read_head(http_wire *w, http1_head *h, const http_time *t);

/* A body on its way in. */
typedef struct http_inflow {
        http_wire *wire;
        http1_body body;
        sj_str piece; /* what came of it and was not taken yet; lies in wire->in */
        size_t used;  /* bytes of wire->in that are consumed when the piece is */
        bool ended;   /* the piece is the last */
} http_inflow;

void http_inflow_init(http_inflow *f, http_wire *w, const http1_head *h, http1_field *trailers,
                      uint32_t capacity);

/*
 * Makes the piece non-empty, or sets ended. -EPROTO malformed or cut short (body.reason); else as
 * http_wire_fill.
 */
int http_inflow_next(http_inflow *f, const http_time *t);
/* Takes n bytes off the piece. */
void http_inflow_take(http_inflow *f, size_t n);
/* Reads at least 1 and at most n bytes; 0 at the end. */
ssize_t http_inflow_read(http_inflow *f, void *ret, size_t n, const http_time *t);
/* Whether the body has ended, all of it taken. */
static inline bool http_inflow_done(const http_inflow *f)
{
        return f->ended && f->piece.n == 0;
}
/* Drops the rest if it is here already, without reading more. Whether it was. */
bool http_inflow_skip(http_inflow *f);

#endif
