/* SPDX-License-Identifier: MIT */
/*
 * Descriptors, pipes and sockets: thin on purpose. What each adds to its system call is the
 * house's rule: close-on-exec and non-blocking from birth, no EINTR, no SIGPIPE, -errno.
 */
#include "os/os.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Repeats a call while signals interrupt it. */
#define RETRY(ret, call)        \
        do                      \
                (ret) = (call); \
        while ((ret) < 0 && errno == EINTR)

static ssize_t result(ssize_t n)
{
        return n < 0 ? -errno : n;
}

void os_close(int fd)
{
        /* Linux has closed it even when it says EINTR: trying again would close another's. */
        if (fd >= 0)
                close(fd);
}

ssize_t os_read(int fd, void *data, size_t n)
{
        ssize_t got;
        RETRY(got, read(fd, data, n));
        return result(got);
}

/*
 * write(2) and sendfile(2) have no MSG_NOSIGNAL, and the handlers belong to the program: SIGPIPE is
 * held back meanwhile, and taken back if it was this call that has raised it.
 */
struct held_back {
        sigset_t sigpipe, pending, before;
};

static void hold_back(struct held_back *h)
{
        sigemptyset(&h->sigpipe);
        sigaddset(&h->sigpipe, SIGPIPE);
        sigpending(&h->pending);
        pthread_sigmask(SIG_BLOCK, &h->sigpipe, &h->before);
}

static void let_go(struct held_back *h, ssize_t put)
{
        struct timespec now = {0};
        if (put == -EPIPE && !sigismember(&h->pending, SIGPIPE))
                while (sigtimedwait(&h->sigpipe, NULL, &now) < 0 && errno == EINTR)
                        continue;
        pthread_sigmask(SIG_SETMASK, &h->before, NULL);
}

ssize_t os_write(int fd, const void *data, size_t n)
{
        struct held_back h;
        ssize_t put;
        hold_back(&h);
        RETRY(put, write(fd, data, n));
        put = result(put);
        let_go(&h, put);
        return put;
}

ssize_t os_send_file(int to, int from, uint64_t offset, size_t n)
{
        struct held_back h;
        off_t at = (off_t)offset;
        ssize_t put;
        hold_back(&h);
        RETRY(put, sendfile(to, from, &at, n));
        put = result(put);
        let_go(&h, put);
        return put == -EINVAL || put == -ENOSYS ? -EOPNOTSUPP : put;
}

int os_pipe(int ret_fds[2])
{
        return pipe2(ret_fds, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
}

int os_status_flags(int fd)
{
        int flags = fcntl(fd, F_GETFL);
        return flags < 0 ? -errno : flags;
}

int os_set_nonblocking(int fd, bool on)
{
        int flags = os_status_flags(fd);
        if (flags < 0)
                return flags;
        int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
        return wanted != flags && fcntl(fd, F_SETFL, wanted) < 0 ? -errno : 0;
}

/* Opening the controlling side of a terminal would make another terminal. */
static bool can_open_anew(int fd)
{
        struct stat s;
        int number;
        if (fstat(fd, &s) < 0)
                return false;
        return S_ISFIFO(s.st_mode) || (isatty(fd) && ioctl(fd, TIOCGPTN, &number) < 0);
}

static int open_anew(int fd, int flags)
{
        char path[32];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        return os_open(path, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY, 0);
}

int os_duplicate(int fd)
{
        int flags = os_status_flags(fd);
        if (flags < 0)
                return flags;
        int own = can_open_anew(fd) ? open_anew(fd, flags) : -EOPNOTSUPP;
        if (own >= 0)
                return own;
        /* Among others it may be somebody else's pipe, which he alone may open. */
        own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (own < 0)
                return -errno;
        int r = os_set_nonblocking(own, true);
        if (r >= 0)
                return own;
        close(own);
        return r;
}

int os_socket(int domain, int type)
{
        int fd = socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        return fd < 0 ? -errno : fd;
}

int os_socket_pair(int ret_fds[2])
{
        int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
        return socketpair(AF_UNIX, type, 0, ret_fds) < 0 ? -errno : 0;
}

int os_bind(int fd, const struct sockaddr *address, socklen_t n)
{
        return bind(fd, address, n) < 0 ? -errno : 0;
}

int os_listen(int fd, int backlog)
{
        return listen(fd, backlog) < 0 ? -errno : 0;
}

int os_connect(int fd, const struct sockaddr *address, socklen_t n)
{
        if (connect(fd, address, n) == 0)
                return 0;
        /* An interrupted connect goes on by itself (POSIX connect). */
        return errno == EINTR ? -EINPROGRESS : -errno;
}

int os_connect_result(int fd)
{
        int error = 0;
        socklen_t n = sizeof(error);
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
                return -errno;
        return -error;
}

int os_accept(int fd, struct sockaddr_storage *ret_address)
{
        struct sockaddr_storage address = {0};
        socklen_t n = sizeof(address);
        int got;
        /* A connection that broke while it waited is nobody's news: take the next. */
        do
                got = accept4(fd, (struct sockaddr *)&address, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
        while (got < 0 && (errno == EINTR || errno == ECONNABORTED));
        if (got < 0)
                return -errno;
        if (ret_address)
                *ret_address = address;
        return got;
}

ssize_t os_recv(int fd, void *data, size_t n)
{
        ssize_t got;
        RETRY(got, recv(fd, data, n, 0));
        return result(got);
}

ssize_t os_send(int fd, const void *data, size_t n)
{
        ssize_t put;
        RETRY(put, send(fd, data, n, MSG_NOSIGNAL));
        return result(put);
}

ssize_t os_sendv(int fd, const struct iovec parts[], int n)
{
        if (n < 0)
                return -EINVAL;
        struct msghdr message = {
                .msg_iov = (struct iovec *)(uintptr_t)parts,
                .msg_iovlen = (size_t)(n < IOV_MAX ? n : IOV_MAX),
        };
        ssize_t put;
        RETRY(put, sendmsg(fd, &message, MSG_NOSIGNAL));
        return result(put);
}

ssize_t os_send_to(int fd, const void *data, size_t n, const struct sockaddr *to, socklen_t to_n)
{
        ssize_t put;
        RETRY(put, sendto(fd, data, n, MSG_NOSIGNAL, to, to_n));
        return result(put);
}

ssize_t os_recv_from(int fd, void *data, size_t n, struct sockaddr_storage *ret_from)
{
        struct sockaddr_storage from = {0};
        socklen_t from_n = sizeof(from);
        ssize_t got;
        RETRY(got, recvfrom(fd, data, n, MSG_TRUNC, (struct sockaddr *)&from, &from_n));
        if (got >= 0)
                *ret_from = from;
        return result(got);
}

int os_shutdown(int fd, int how)
{
        return shutdown(fd, how) < 0 ? -errno : 0;
}

typedef int name_fn(int fd, struct sockaddr *address, socklen_t *n);

static int name_by(name_fn *ask, int fd, struct sockaddr_storage *ret)
{
        struct sockaddr_storage address = {0};
        socklen_t n = sizeof(address);
        if (ask(fd, (struct sockaddr *)&address, &n) < 0)
                return -errno;
        *ret = address;
        return 0;
}

int os_socket_name(int fd, struct sockaddr_storage *ret)
{
        return name_by(getsockname, fd, ret);
}

int os_peer_name(int fd, struct sockaddr_storage *ret)
{
        return name_by(getpeername, fd, ret);
}

int os_peer_process(int fd, int *ret_pid, uint32_t *ret_user, uint32_t *ret_group)
{
        struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
        struct ucred c;
        socklen_t n = sizeof(c);
        int r = os_peer_name(fd, &peer);
        if (r < 0)
                return r;
        if (peer.ss_family != AF_UNIX)
                return -EOPNOTSUPP;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n) < 0)
                return -errno;
        *ret_pid = c.pid;
        *ret_user = c.uid;
        *ret_group = c.gid;
        return 0;
}

int os_set_option(int fd, int level, int option, int value)
{
        return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

int os_get_option(int fd, int level, int option)
{
        int value = 0;
        socklen_t n = sizeof(value);
        return getsockopt(fd, level, option, &value, &n) < 0 ? -errno : value;
}
