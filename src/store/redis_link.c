/* SPDX-License-Identifier: MIT */
#include "store/redis_link.h"

#include <stdlib.h>

int redis_link_new(sj_stream *stream, redis_link **ret)
{
        redis_link *l = malloc(sizeof(*l));
        if (!l)
                return -ENOMEM;
        list_init(&l->node);
        l->era = 0;
        l->unread = (sj_str){0};
        l->out = BUF_INIT(REDIS_REPLY_MAX);
        int r = redis_decoder_init(&l->decoder);
        if (r < 0) {
                free(l);
                return r;
        }
        l->stream = stream;
        *ret = l;
        return 0;
}

void redis_link_free(redis_link *l)
{
        if (!l)
                return;
        sj_stream_close(l->stream);
        redis_decoder_fini(&l->decoder);
        buf_fini(&l->out);
        free(l);
}

void redis_buffer_clear(buf *b)
{
        size_t limit = b->limit;
        if (b->capacity <= REDIS_KEEP_MAX) {
                buf_clear(b);
                return;
        }
        buf_fini(b);
        *b = BUF_INIT(limit);
}

int redis_link_error(int error)
{
        switch (error) {
        case -ECANCELED:
        case -ETIMEDOUT:
        case -ENOMEM:
        case -ENOBUFS:
        case -EMSGSIZE:
        case -EPROTO:
        case -EINVAL:
        case 0:
                return error;
        default:
                return -EPIPE;
        }
}

static sj_time earlier(sj_time a, sj_time b)
{
        return a < b ? a : b;
}

int redis_link_read(redis_link *l, sj_arena *arena, const redis_reply **ret, sj_time silence,
                    sj_time deadline)
{
        for (;;) {
                int r = redis_decode(&l->decoder, &l->unread, arena, ret);
                if (r != 0)
                        return r < 0 ? r : 0;
                sj_time silent = sj_after(silence);
                ssize_t n =
                        sj_read(l->stream, l->buffer, sizeof(l->buffer), earlier(silent, deadline));
                if (n == -ETIMEDOUT && silent < deadline)
                        return -EHOSTDOWN;
                if (n == 0)
                        return -EPIPE;
                if (n < 0)
                        return redis_link_error((int)n);
                l->unread = (sj_str){l->buffer, (size_t)n};
        }
}

int redis_link_call(redis_link *l, sj_arena *arena, const redis_command commands[], size_t n,
                    const redis_reply *ret[], sj_time silence, sj_time deadline)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < n; i++)
                r = redis_encode(&l->out, &commands[i]);
        if (r == 0) {
                sj_time silent = sj_after(silence);
                r = sj_write(l->stream, buf_data(&l->out), buf_size(&l->out),
                             earlier(silent, deadline));
                r = r == -ETIMEDOUT && silent < deadline ? -EHOSTDOWN : redis_link_error(r);
        }
        redis_buffer_clear(&l->out);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = redis_link_read(l, arena, &ret[i], silence, deadline);
        return r;
}

bool redis_link_is_quiet(redis_link *l)
{
        char byte;
        return l->unread.n == 0 && sj_read(l->stream, &byte, 1, SJ_POLL) == -ETIMEDOUT;
}
