/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

enum { BUF_FIRST = 256 };

void buf_fini(buf *b)
{
        if (!b)
                return;
        free(b->data);
        b->data = NULL;
        b->begin = b->end = b->capacity = 0;
}

static void buf_compact(buf *b)
{
        size_t n = buf_size(b);
        if (n)
                memmove(b->data, b->data + b->begin, n);
        b->begin = 0;
        b->end = n;
}

int buf_reserve(buf *b, size_t n)
{
        size_t used = buf_size(b);
        if (n > b->limit || used > b->limit - n)
                return -ENOBUFS;
        if (b->data && n <= b->capacity - b->end)
                return 0;
        /* Moving is worth it only when at least half of the memory comes free by it. */
        if (b->data && used + n <= b->capacity && b->begin >= b->capacity / 2) {
                buf_compact(b);
                return 0;
        }
        size_t capacity = b->capacity ? b->capacity : BUF_FIRST;
        while (capacity < used + n)
                capacity = capacity > SIZE_MAX / 4 ? used + n : capacity * 2;
        char *data = malloc(capacity);
        if (!data)
                return -ENOMEM;
        if (used)
                memcpy(data, b->data + b->begin, used);
        free(b->data);
        b->data = data;
        b->begin = 0;
        b->end = used;
        b->capacity = capacity;
        return 0;
}

int buf_append(buf *b, const void *data, size_t n)
{
        int r = buf_reserve(b, n);
        if (r < 0)
                return r;
        if (n)
                memcpy(buf_tail(b), data, n);
        buf_advance(b, n);
        return 0;
}

int buf_append_str(buf *b, sj_str s)
{
        return buf_append(b, s.data, s.n);
}

int buf_append_char(buf *b, char c)
{
        return buf_append(b, &c, 1);
}

int buf_printf(buf *b, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        int n = vsnprintf(NULL, 0, format, args);
        va_end(args);
        if (n < 0)
                return -EINVAL;
        int r = buf_reserve(b, (size_t)n + 1);
        if (r < 0)
                return r;
        va_start(args, format);
        vsnprintf(buf_tail(b), (size_t)n + 1, format, args);
        va_end(args);
        buf_advance(b, (size_t)n);
        return 0;
}

void buf_consume(buf *b, size_t n)
{
        b->begin += n < buf_size(b) ? n : buf_size(b);
        if (b->begin == b->end)
                b->begin = b->end = 0;
}

void buf_clear(buf *b)
{
        b->begin = b->end = 0;
}

int buf_terminate(buf *b)
{
        int r = buf_reserve(b, 1);
        if (r < 0)
                return r;
        *buf_tail(b) = '\0';
        return 0;
}
