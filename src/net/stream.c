/* SPDX-License-Identifier: MIT */
/*
 * What all kinds of streams have in common.
 *
 * Cancellation is looked at before the bytes, so that a fiber whose peer never stops sending can
 * be cancelled. For the same reason it lets the others run now and then: an operation that waits
 * ends the streak, and one that would be the last of a long streak yields first (before any byte
 * has moved, because yielding can fail).
 *
 * A write that fails in the middle leaves the peer with half a message, after which any other byte
 * would be taken for the rest of it. So the sending side is broken for good then.
 */
#include "net/stream.h"

#include "net/socket.h"

enum {
        PARTS_MAX = 64, /* parts given to a kind at once; they are copied to the stack */
        DRAIN_BYTES = 16 * 1024,
};

/* How long a polite end may take at most, since cancellation does not shorten it. */
#define POLITE_MAX (5 * SJ_SEC)

void stream_init(sj_stream *s, const struct stream_kind *kind)
{
        *s = (sj_stream){.kind = kind};
}

ssize_t sj_read(sj_stream *s, void *ret, size_t n, sj_time deadline)
{
        if (n == 0)
                return -EINVAL;
        int r = socket_turn(&s->streak);
        return r < 0 ? r : s->kind->read(s, ret, n, deadline);
}

int sj_read_exactly(sj_stream *s, void *ret, size_t n, sj_time deadline)
{
        char *at = ret;
        for (size_t got = 0; got < n;) {
                ssize_t k = sj_read(s, at + got, n - got, deadline);
                if (k < 0)
                        return (int)k;
                if (k == 0)
                        return got == 0 ? -EPIPE : -EPROTO;
                got += (size_t)k;
        }
        return 0;
}

ssize_t stream_fill(sj_stream *s, buf *b, size_t most, sj_time deadline)
{
        int r = buf_reserve(b, 1);
        if (r < 0)
                return r;
        /* As much as the limit allows; when memory is short, what there is will do. */
        size_t allowed = b->limit - buf_size(b);
        size_t wanted = most < allowed ? most : allowed;
        if (buf_room(b) < wanted)
                (void)buf_reserve(b, wanted);
        size_t room = buf_room(b) < wanted ? buf_room(b) : wanted;
        ssize_t n = sj_read(s, buf_tail(b), room, deadline);
        if (n > 0)
                buf_advance(b, (size_t)n);
        return n;
}

static int write_parts(sj_stream *s, struct iovec *parts, size_t n, size_t *sent, sj_time deadline)
{
        int r = socket_turn(&s->streak);
        if (r < 0)
                return r;
        if (s->broken || s->shut)
                return -EPIPE;
        return s->kind->write(s, parts, n, sent, deadline);
}

int sj_write(sj_stream *s, const void *data, size_t n, sj_time deadline)
{
        struct iovec part = {(void *)(uintptr_t)data, n};
        size_t sent = 0;
        int r = write_parts(s, &part, 1, &sent, deadline);
        if (r < 0 && sent > 0)
                s->broken = true;
        return r;
}

int sj_writev(sj_stream *s, const struct iovec parts[], size_t n, sj_time deadline)
{
        struct iovec some[PARTS_MAX];
        size_t sent = 0;
        int r = 0;
        do {
                size_t k = n < PARTS_MAX ? n : PARTS_MAX;
                if (k)
                        memcpy(some, parts, k * sizeof(some[0]));
                r = write_parts(s, some, k, &sent, deadline);
                parts += k;
                n -= k;
        } while (r >= 0 && n > 0);
        if (r < 0 && sent > 0)
                s->broken = true;
        return r;
}

int sj_write_fds(sj_stream *s, const void *data, size_t n, const int fds[], size_t n_fds,
                 sj_time deadline)
{
        if (n == 0)
                return -EINVAL;
        int r = socket_turn(&s->streak);
        if (r < 0)
                return r;
        if (!s->kind->send_fds)
                return -EOPNOTSUPP;
        if (s->broken || s->shut)
                return -EPIPE;
        ssize_t put = s->kind->send_fds(s, data, n, fds, n_fds, deadline);
        if (put < 0 || (size_t)put == n)
                return put < 0 ? (int)put : 0;
        r = sj_write(s, (const char *)data + put, n - (size_t)put, deadline);
        if (r < 0)
                s->broken = true;
        return r;
}

ssize_t sj_read_fds(sj_stream *s, void *ret, size_t n, int ret_fds[], size_t *n_fds,
                    sj_time deadline)
{
        if (n == 0)
                return -EINVAL;
        int r = socket_turn(&s->streak);
        if (r < 0)
                return r;
        return s->kind->recv_fds ? s->kind->recv_fds(s, ret, n, ret_fds, n_fds, deadline)
                                 : -EOPNOTSUPP;
}

int sj_stream_shutdown(sj_stream *s, sj_time deadline)
{
        int r = socket_turn(&s->streak);
        if (r < 0)
                return r;
        if (s->broken)
                return -EPIPE;
        if (s->shut)
                return 0;
        r = s->kind->shutdown(s, deadline);
        if (r >= 0)
                s->shut = true;
        return r;
}

void sj_stream_close(sj_stream *s)
{
        if (s)
                s->kind->close(s);
}

static int end(sj_stream *s, sj_time deadline)
{
        char dropped[DRAIN_BYTES];
        SJ_SCOPE(scope, deadline, SJ_SHIELD);
        (void)scope;
        int r = sj_stream_shutdown(s, deadline);
        ssize_t n = r;
        if (r >= 0)
                do
                        n = sj_read(s, dropped, sizeof(dropped), deadline);
                while (n > 0);
        /* The scope and the call have the same deadline: whichever was first, it was the time. */
        return n == -ECANCELED ? -ETIMEDOUT : (int)n;
}

int sj_stream_close_politely(sj_stream *s, sj_time deadline)
{
        if (!s)
                return 0;
        sj_time most = sj_after(POLITE_MAX);
        int r = sj_fiber_self() ? end(s, deadline < most ? deadline : most) : -EPERM;
        sj_stream_close(s);
        return r;
}

int sj_stream_local(const sj_stream *s, sj_address *ret)
{
        return s->kind->local(s, ret);
}

int sj_stream_peer(const sj_stream *s, sj_address *ret)
{
        return s->kind->peer(s, ret);
}
