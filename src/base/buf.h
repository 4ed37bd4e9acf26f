/* SPDX-License-Identifier: MIT */
/*
 * A growing buffer of bytes with a limit. Bytes are appended at the end and consumed at the
 * front; what is consumed is moved away only when room is needed.
 *
 *         data + begin ──► the bytes ◄── data + end          capacity
 */
#ifndef SANJAB_BASE_BUF_H
#define SANJAB_BASE_BUF_H

#include <sanjab/base.h>

typedef struct buf {
        char *data;
        size_t begin;
        size_t end;
        size_t capacity;
        size_t limit; /* the most bytes it may hold */
} buf;

/* limit 0: as much as there is memory. */
#define BUF_INIT(limit_) ((buf){.limit = (limit_) ? (limit_) : SIZE_MAX / 2})

void buf_fini(buf *b);

static inline size_t buf_size(const buf *b)
{
        return b->end - b->begin;
}
static inline char *buf_data(const buf *b)
{
        return b->data ? b->data + b->begin : NULL;
}
static inline sj_str buf_str(const buf *b)
{
        return (sj_str){buf_data(b), buf_size(b)};
}

/*
 * Makes room for n more bytes at the end (buf_tail). -ENOBUFS over the limit, -ENOMEM; the
 * buffer is unchanged then.
 */
int buf_reserve(buf *b, size_t n);
/* Where the next byte goes; room for buf_room bytes. */
static inline char *buf_tail(buf *b)
{
        return b->data + b->end;
}
static inline size_t buf_room(const buf *b)
{
        return b->capacity - b->end;
}
/* n bytes were put at the tail by the caller, within what was reserved. */
static inline void buf_advance(buf *b, size_t n)
{
        b->end += n;
}

/* Each appends, or fails as buf_reserve with the buffer unchanged. */
int buf_append(buf *b, const void *data, size_t n);
int buf_append_str(buf *b, sj_str s);
int buf_append_char(buf *b, char c);
int buf_printf(buf *b, const char *format, ...) SJ_PRINTF(2, 3);

/* Drops n bytes (at most all) at the front. */
void buf_consume(buf *b, size_t n);
/* Drops all bytes and keeps the memory. */
void buf_clear(buf *b);
/* A NUL after the bytes, not counted. Fails as buf_reserve. */
int buf_terminate(buf *b);

#endif
