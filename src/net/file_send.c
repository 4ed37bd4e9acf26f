/* SPDX-License-Identifier: MIT */
/*
 * A file over a stream: by the kernel where the kind of the stream can have it so, else through
 * memory. Both read the file on a thread, since a page that is not in memory would hold the loop;
 * the kernel's way goes there for each piece, which is also where cancellation and the deadline are
 * looked at while the peer never makes it wait.
 */
#include "net/file.h"
#include "net/socket.h"
#include "net/stream.h"

#include <stdlib.h>

enum { PIECE = 1 << 20, COPIED_PIECE = 64 * 1024 };

struct sending {
        sj_file *f;
        sj_stream *s;
        uint64_t offset;
        uint64_t left;
        sj_time deadline;
        char *copy;
};

static size_t piece_of(const struct sending *x, size_t most)
{
        return x->left < most ? (size_t)x->left : most;
}

/* How many bytes have gone, 0 at the end of the file; -EOPNOTSUPP the kernel cannot. */
static ssize_t send_piece(struct sending *x)
{
        const struct stream_kind *kind = x->s->kind;
        if (!kind->send_file)
                return -EOPNOTSUPP;
        return kind->send_file(x->s, x->f->fd, x->offset, piece_of(x, PIECE), x->deadline);
}

static ssize_t copy_piece(struct sending *x)
{
        if (!x->copy)
                x->copy = malloc(COPIED_PIECE);
        if (!x->copy)
                return -ENOMEM;
        ssize_t n =
                sj_file_read_at(x->f, x->copy, piece_of(x, COPIED_PIECE), x->offset, x->deadline);
        int r = n > 0 ? sj_write(x->s, x->copy, (size_t)n, x->deadline) : 0;
        return r < 0 ? r : n;
}

static int send_all(struct sending *x)
{
        bool by_kernel = true;
        while (x->left > 0) {
                int r = socket_turn(&x->s->streak);
                if (r < 0)
                        return r;
                if (x->s->broken || x->s->shut)
                        return -EPIPE;
                ssize_t n = by_kernel ? send_piece(x) : copy_piece(x);
                if (n == -EOPNOTSUPP && by_kernel) {
                        by_kernel = false;
                        continue;
                }
                if (n <= 0)
                        return (int)n;
                x->offset += (uint64_t)n;
                x->left -= (uint64_t)n;
        }
        return 0;
}

int sj_file_send(sj_file *f, sj_stream *s, uint64_t offset, uint64_t n, uint64_t *ret,
                 sj_time deadline)
{
        struct sending x = {.f = f, .s = s, .offset = offset, .left = n, .deadline = deadline};
        int r = send_all(&x);
        free(x.copy);
        if (r < 0 && x.left < n)
                s->broken = true;
        if (r >= 0 && ret)
                *ret = n - x.left;
        return r;
}
