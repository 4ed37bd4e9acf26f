/* SPDX-License-Identifier: MIT */
/*
 * Streams of any descriptor. What can say when it is ready (pipes, terminals, devices) is tried
 * first and waited for, as a socket is; but a read that brings less than was asked for says
 * nothing of what is left, since a terminal gives a line at a time. What is always ready (regular
 * files, disks) would hold the loop while the disk moves, so its calls go to a thread.
 *
 * O_NONBLOCK belongs to the open file, not to the descriptor. What a program is started with is
 * often shared: by its own printf, by the shell, by the other end of a pipeline, all of which fail
 * when it no longer blocks. Hence 0, 1 and 2 are opened anew where that can be done.
 */
#include "net/socket.h"
#include "net/stream.h"

#include <sanjab/exec.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { STANDARD = 2 }; /* the last of those that the program keeps */

struct fd_stream {
        sj_stream base;
        struct socket file;
};

static struct fd_stream *of(sj_stream *s)
{
        return (struct fd_stream *)s;
}

/* ── What can be waited for ──────────────────────────────────────────────────────────────── */

static int wait_in(sj_stream *s, unsigned ready, sj_time deadline)
{
        s->streak = 0;
        return socket_wait(&of(s)->file, ready, deadline);
}

static ssize_t ready_read(sj_stream *s, void *ret, size_t n, sj_time deadline)
{
        for (;;) {
                ssize_t got = os_read(of(s)->file.fd, ret, n);
                if (got != -EAGAIN)
                        return got;
                int r = wait_in(s, OS_READABLE, deadline);
                if (r < 0)
                        return r;
        }
}

static int ready_write_one(sj_stream *s, struct iovec part, size_t *sent, sj_time deadline)
{
        const char *at = part.iov_base;
        while (part.iov_len > 0) {
                ssize_t put = os_write(of(s)->file.fd, at, part.iov_len);
                int r = put == -EAGAIN ? wait_in(s, OS_WRITABLE, deadline)
                                       : (int)(put < 0 ? put : 0);
                if (r < 0)
                        return r;
                if (put > 0) {
                        at += put;
                        part.iov_len -= (size_t)put;
                        *sent += (size_t)put;
                }
        }
        return 0;
}

static int ready_write(sj_stream *s, struct iovec *parts, size_t n, size_t *sent, sj_time deadline)
{
        int r = 0;
        for (size_t i = 0; i < n && r >= 0; i++)
                r = ready_write_one(s, parts[i], sent, deadline);
        return r;
}

/* ── What is always ready ────────────────────────────────────────────────────────────────── */

struct job {
        int fd;
        void *data;
        size_t n;
        struct iovec *parts;
        size_t *sent;
};

/* Linux moves no more in one call, and results are ints. */
#define TRANSFER_MAX ((size_t)0x7ffff000)

static int run_read(void *arg)
{
        const struct job *j = arg;
        return (int)os_read(j->fd, j->data, j->n < TRANSFER_MAX ? j->n : TRANSFER_MAX);
}

static ssize_t file_read(sj_stream *s, void *ret, size_t n, sj_time deadline)
{
        struct job j = {.fd = of(s)->file.fd, .data = ret, .n = n};
        return sj_offload(run_read, &j, deadline);
}

static int run_write_one(struct job *j, struct iovec part)
{
        const char *at = part.iov_base;
        while (part.iov_len > 0) {
                ssize_t put = os_write(j->fd, at, part.iov_len);
                if (put < 0)
                        return (int)put;
                at += put;
                part.iov_len -= (size_t)put;
                *j->sent += (size_t)put;
        }
        return 0;
}

static int run_write(void *arg)
{
        struct job *j = arg;
        int r = 0;
        for (size_t i = 0; i < j->n && r >= 0; i++)
                r = run_write_one(j, j->parts[i]);
        return r;
}

static int file_write(sj_stream *s, struct iovec *parts, size_t n, size_t *sent, sj_time deadline)
{
        struct job j = {.fd = of(s)->file.fd, .n = n, .parts = parts, .sent = sent};
        return sj_offload(run_write, &j, deadline);
}

/* ── Both ────────────────────────────────────────────────────────────────────────────────── */

static int refuse_shutdown(sj_stream *s, sj_time deadline)
{
        (void)s;
        (void)deadline;
        return -EOPNOTSUPP;
}

/* Of what can only be written; who reads sees the end when no other has it open. */
static int close_early(sj_stream *s, sj_time deadline)
{
        (void)deadline;
        socket_close(&of(s)->file);
        return 0;
}

static void fd_close(sj_stream *s)
{
        socket_close(&of(s)->file);
        free(s);
}

static int no_address(const sj_stream *s, sj_address *ret)
{
        (void)s;
        (void)ret;
        return -ENOTSOCK;
}

static const struct stream_kind write_only_kind = {
        .name = "descriptor",
        .read = ready_read,
        .write = ready_write,
        .shutdown = close_early,
        .close = fd_close,
        .local = no_address,
        .peer = no_address,
};

static const struct stream_kind ready_kind = {
        .name = "descriptor",
        .read = ready_read,
        .write = ready_write,
        .shutdown = refuse_shutdown,
        .close = fd_close,
        .local = no_address,
        .peer = no_address,
};

static const struct stream_kind file_kind = {
        .name = "file",
        .read = file_read,
        .write = file_write,
        .shutdown = refuse_shutdown,
        .close = fd_close,
        .local = no_address,
        .peer = no_address,
};

static int stream_of_other(int fd, const struct stream_kind *kind, sj_stream **ret)
{
        struct fd_stream *s = malloc(sizeof(*s));
        if (!s)
                return -ENOMEM;
        stream_init(&s->base, kind);
        s->file = (struct socket){.fd = fd};
        *ret = &s->base;
        return 0;
}

/* 0: a stream socket that may be connected; else why not. */
static int check_socket(int fd)
{
        int type = os_get_option(fd, SOL_SOCKET, SO_TYPE);
        int listens = os_get_option(fd, SOL_SOCKET, SO_ACCEPTCONN);
        if (type < 0 || listens < 0)
                return type < 0 ? type : listens;
        return type == SOCK_STREAM && !listens ? 0 : -EPROTOTYPE;
}

static int stream_of_kind(int fd, uint32_t mode, sj_stream **ret)
{
        if (S_ISREG(mode) || S_ISBLK(mode))
                return stream_of_other(fd, &file_kind, ret);
        int r = os_set_nonblocking(fd, true);
        int flags = r < 0 ? r : os_status_flags(fd);
        if (flags < 0)
                return flags;
        if (S_ISSOCK(mode)) {
                r = os_get_option(fd, SOL_SOCKET, SO_DOMAIN);
                return r < 0 ? r : stream_of_socket(fd, r, ret);
        }
        bool write_only = (flags & O_ACCMODE) == O_WRONLY;
        return stream_of_other(fd, write_only ? &write_only_kind : &ready_kind, ret);
}

int sj_stream_of_fd(int fd, sj_stream **ret)
{
        os_stat st;
        int r = os_fstat(fd, &st);
        if (r >= 0 && S_ISDIR(st.mode))
                r = -EISDIR;
        if (r >= 0 && S_ISSOCK(st.mode))
                r = check_socket(fd);
        if (r < 0)
                return r;
        bool standard = fd <= STANDARD;
        int own = standard ? os_duplicate(fd) : fd;
        if (own < 0)
                return own;
        r = stream_of_kind(own, st.mode, ret);
        if (r < 0 && standard)
                os_close(own);
        return r;
}
