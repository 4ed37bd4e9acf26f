/* SPDX-License-Identifier: MIT */
/*
 * What a kind of stream provides, and what codecs use beside the public calls.
 *
 * sj_stream is the first member of each kind. The wrappers of stream.c check for cancellation
 * before every operation, keep a fiber from holding the loop while its data never ends, and
 * remember a broken sending side; a kind does the bytes and the waiting alone.
 */
#ifndef SANJAB_NET_STREAM_H
#define SANJAB_NET_STREAM_H

#include <sanjab/net.h>

#include "base/buf.h"

struct stream_kind {
        const char *name;
        /* As sj_read, n > 0. */
        ssize_t (*read)(sj_stream *s, void *ret, size_t n, sj_time deadline);
        /* Writes all; the parts are the kind's to change. *sent counts what has gone, always. */
        int (*write)(sj_stream *s, struct iovec *parts, size_t n, size_t *sent, sj_time deadline);
        /* Called once. */
        int (*shutdown)(sj_stream *s, sj_time deadline);
        /* Frees s. */
        void (*close)(sj_stream *s);
        int (*local)(const sj_stream *s, sj_address *ret);
        int (*peer)(const sj_stream *s, sj_address *ret);
        /*
         * Sends some of the n > 0 bytes of the file from the offset, and returns how many; 0 at its
         * end. -EOPNOTSUPP not of this file; NULL: of none.
         */
        ssize_t (*send_file)(sj_stream *s, int file, uint64_t offset, size_t n, sj_time deadline);
        /*
         * Sends descriptors with the first of the n > 0 bytes, and returns how many of these have
         * gone; receives both, as sj_read_fds. -EOPNOTSUPP; NULL: always.
         */
        ssize_t (*send_fds)(sj_stream *s, const void *data, size_t n, const int fds[], size_t n_fds,
                            sj_time deadline);
        ssize_t (*recv_fds)(sj_stream *s, void *ret, size_t n, int ret_fds[], size_t *n_fds,
                            sj_time deadline);
};

struct sj_stream {
        const struct stream_kind *kind;
        unsigned streak; /* operations in a row that did not wait */
        bool broken;     /* a part of a write has gone, the rest never will */
        bool shut;       /* the sending side is closed */
        unsigned served; /* requests that it brought: for the server whose stream it is */
};

void stream_init(sj_stream *s, const struct stream_kind *kind);

/*
 * Reads some bytes into the buffer, at most `most`, and returns how many; 0 at the end. -ENOBUFS
 * the buffer is at its limit; else as sj_read. The buffer is unchanged after a failure.
 */
ssize_t stream_fill(sj_stream *s, buf *b, size_t most, sj_time deadline);

/*
 * A stream of a connected, non-blocking socket of that family, which it owns from now on (not after
 * -ENOMEM).
 */
int stream_of_socket(int fd, int family, sj_stream **ret);

#endif
