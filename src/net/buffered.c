/* SPDX-License-Identifier: MIT */
/*
 * A reader takes from its stream what is there, and gives it out in the pieces that are asked for.
 *
 *         buffer   |■■■■■■■ given out ■■■■■■■|□□□□ not yet □□□□|         |
 *                                             ▲ begin           ▲ end     ▲ limit
 *
 * A piece is a view: the buffer moves its bytes only to make room, which is in the next call. When
 * a call fails, what it had looked at stays in the buffer; therefore none of them, unlike
 * sj_read_exactly, loses anything by a deadline.
 *
 * A writer's buffer is written whole or not at all: if a part of it goes and the rest does not, its
 * stream is broken, and says so from then on.
 */
#include "net/stream.h"

#include <stdlib.h>

enum { READER_LIMIT = 64 * 1024, WRITER_SIZE = 16 * 1024, FILL_MOST = 16 * 1024 };

struct sj_reader {
        sj_stream *stream;
        buf in;
};

struct sj_writer {
        sj_stream *stream;
        size_t size;
        buf out;
};

/* ── Reading ─────────────────────────────────────────────────────────────────────────────── */

int sj_reader_new(sj_stream *stream, size_t limit, sj_reader **ret)
{
        sj_reader *r = malloc(sizeof(*r));
        if (!r)
                return -ENOMEM;
        if (limit == 0)
                limit = READER_LIMIT;
        *r = (sj_reader){stream, BUF_INIT(limit)};
        *ret = r;
        return 0;
}

void sj_reader_free(sj_reader *r)
{
        if (!r)
                return;
        buf_fini(&r->in);
        free(r);
}

/* Gets more. 0: it has; -EMSGSIZE: there is no room; -EPIPE: nothing more will come. */
static int more(sj_reader *r, sj_time deadline)
{
        if (buf_size(&r->in) >= r->in.limit)
                return -EMSGSIZE;
        ssize_t n = stream_fill(r->stream, &r->in, FILL_MOST, deadline);
        return n > 0 ? 0 : n == 0 ? -EPIPE : (int)n;
}

static int give(sj_reader *r, size_t n, sj_str *ret)
{
        *ret = (sj_str){buf_data(&r->in), n};
        buf_consume(&r->in, n);
        return 0;
}

/* The end has come where more was expected. */
static int too_soon(const sj_reader *r, int error)
{
        return error == -EPIPE && buf_size(&r->in) > 0 ? -EPROTO : error;
}

ssize_t sj_reader_read(sj_reader *r, void *ret, size_t n, sj_time deadline)
{
        if (n == 0)
                return -EINVAL;
        size_t here = buf_size(&r->in);
        if (here == 0 && n >= FILL_MOST)
                return sj_read(r->stream, ret, n, deadline);
        int error = here == 0 ? more(r, deadline) : 0;
        if (error < 0)
                return error == -EPIPE ? 0 : error;
        here = buf_size(&r->in);
        n = n < here ? n : here;
        memcpy(ret, buf_data(&r->in), n);
        buf_consume(&r->in, n);
        return (ssize_t)n;
}

int sj_reader_exactly(sj_reader *r, size_t n, sj_str *ret, sj_time deadline)
{
        if (n > r->in.limit)
                return -EMSGSIZE;
        while (buf_size(&r->in) < n) {
                int error = more(r, deadline);
                if (error < 0)
                        return too_soon(r, error);
        }
        return give(r, n, ret);
}

/* Where the delimiter ends within the first bytes, looked for from *at on; 0 if it is not there. */
static size_t find(const sj_reader *r, sj_str delimiter, size_t *at)
{
        const char *data = buf_data(&r->in);
        size_t n = buf_size(&r->in);
        if (n < delimiter.n)
                return 0;
        const char *found = memmem(data + *at, n - *at, delimiter.data, delimiter.n);
        *at = n - delimiter.n + 1;
        return found ? (size_t)(found - data) + delimiter.n : 0;
}

int sj_reader_until(sj_reader *r, sj_str delimiter, sj_str *ret, sj_time deadline)
{
        size_t at = 0, n;
        if (delimiter.n == 0)
                return -EINVAL;
        while ((n = find(r, delimiter, &at)) == 0) {
                int error = more(r, deadline);
                if (error < 0)
                        return too_soon(r, error);
        }
        return give(r, n, ret);
}

int sj_reader_line(sj_reader *r, sj_str *ret, sj_time deadline)
{
        sj_str line;
        int error = sj_reader_until(r, SJ_STR("\n"), &line, deadline);
        if (error == -EPROTO && buf_size(&r->in) > 0)
                return give(r, buf_size(&r->in), ret); /* the last, without its end */
        if (error < 0)
                return error;
        line.n--;
        if (line.n > 0 && line.data[line.n - 1] == '\r')
                line.n--;
        *ret = line;
        return 0;
}

/* ── Writing ─────────────────────────────────────────────────────────────────────────────── */

int sj_writer_new(sj_stream *stream, size_t size, sj_writer **ret)
{
        sj_writer *w = malloc(sizeof(*w));
        if (!w)
                return -ENOMEM;
        if (size == 0)
                size = WRITER_SIZE;
        *w = (sj_writer){stream, size, BUF_INIT(size)};
        *ret = w;
        return 0;
}

void sj_writer_free(sj_writer *w)
{
        if (!w)
                return;
        buf_fini(&w->out);
        free(w);
}

int sj_writer_write(sj_writer *w, const void *data, size_t n, sj_time deadline)
{
        if (n <= w->size - buf_size(&w->out))
                return n ? buf_append(&w->out, data, n) : 0;
        const struct iovec parts[] = {{buf_data(&w->out), buf_size(&w->out)},
                                      {(void *)(uintptr_t)data, n}};
        int r = sj_writev(w->stream, parts, 2, deadline);
        if (r >= 0)
                buf_clear(&w->out);
        return r;
}

int sj_writer_flush(sj_writer *w, sj_time deadline)
{
        if (buf_size(&w->out) == 0)
                return 0;
        int r = sj_write(w->stream, buf_data(&w->out), buf_size(&w->out), deadline);
        if (r >= 0)
                buf_clear(&w->out);
        return r;
}
