/* SPDX-License-Identifier: MIT */
/*
 * Streams of sockets. Every operation is tried first; only one that would block waits. The
 * descriptor is registered in the loop at the first wait, for both directions and for its whole
 * life, so that a short exchange costs no registration, and a long one exactly one.
 *
 * The registration is edge-triggered: between the try that gave -EAGAIN and the wait, an edge may
 * have come, which the loop remembers, and a remembered edge may be older than the try. So a wait
 * may end for nothing, and is followed by another try, never trusted by itself.
 *
 * One try is known to be vain: after a read that brought less than was asked for there is nothing
 * more, and whatever comes later comes with an edge (epoll(7), question 9). That saves a system
 * call for each message of a conversation. It does not hold for the end of the data, whose edge
 * may have been the same as the data's; therefore the loop keeps the hang-up (OS_HANGUP). And not
 * for Unix sockets, where a read stops behind the bytes that a descriptor came with (unix(7)).
 */
#include "net/socket.h"

#include "fiber/wait.h"
#include "net/address.h"
#include "net/stream.h"

#include <sanjab/exec.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/un.h>

#define PAUSE_FIRST SJ_MS
#define PAUSE_MOST  (50 * SJ_MS)

/* Calls in a row that did not wait, before the others get their turn. */
enum { STREAK_MAX = 64 };

struct socket_stream {
        sj_stream base;
        struct socket socket;
        bool is_unix;
        bool drained; /* the last read has brought all that there was */
        bool reset;   /* the peer has broken it off, and the system has told us so */
};

static struct socket_stream *of(sj_stream *s)
{
        return (struct socket_stream *)s;
}

/* Registers it in this thread's loop, if it is in none. */
static int attach(struct socket *s)
{
        struct sj_loop *loop = fiber_loop_current();
        if (s->loop)
                return s->loop == loop ? 0 : -EXDEV;
        s->watch.notify = fiber_fd_notify;
        int r = loop_fd_add(loop, &s->watch, s->fd);
        if (r >= 0)
                s->loop = loop;
        return r;
}

int socket_wait(struct socket *s, unsigned ready, sj_time deadline)
{
        int r = fiber_check();
        if (r >= 0)
                r = attach(s);
        return r < 0 ? r : fiber_wait_fd(&s->watch, ready, deadline);
}

int socket_turn(unsigned *streak)
{
        int r = fiber_check();
        if (r >= 0 && ++*streak >= STREAK_MAX) {
                *streak = 0;
                r = sj_yield();
        }
        return r == -EPERM ? 0 : r;
}

int socket_pause(sj_time *pause, sj_time deadline)
{
        if (sj_now() >= deadline)
                return -ETIMEDOUT;
        *pause = *pause == 0 ? PAUSE_FIRST : *pause < PAUSE_MOST / 2 ? 2 * *pause : PAUSE_MOST;
        sj_time until = sj_after(*pause);
        return sj_sleep_until(until < deadline ? until : deadline);
}

void socket_close(struct socket *s)
{
        if (s->loop)
                loop_fd_remove(s->loop, &s->watch);
        s->loop = NULL;
        os_close(s->fd);
        s->fd = -1;
}

/* The system does not tell us the length of what it wrote; the family does. */
int socket_address(const struct sockaddr_storage *storage, sj_address *ret)
{
        const struct sockaddr_un *un = (const void *)storage;
        sj_address a = {.storage = *storage};
        switch (storage->ss_family) {
        case AF_INET:
                a.n = sizeof(struct sockaddr_in);
                break;
        case AF_INET6:
                a.n = sizeof(struct sockaddr_in6);
                break;
        case AF_UNIX: {
                /* An abstract name begins with a NUL; ours have no other. */
                size_t skip = un->sun_path[0] == '\0';
                size_t n = strnlen(un->sun_path + skip, sizeof(un->sun_path) - skip);
                a.n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (n ? n + skip : 0));
                break;
        }
        default:
                return -ENOTCONN;
        }
        *ret = a;
        return 0;
}

int socket_local(const struct socket *s, sj_address *ret)
{
        struct sockaddr_storage storage;
        int r = os_socket_name(s->fd, &storage);
        return r < 0 ? r : socket_address(&storage, ret);
}

static int socket_peer(const struct socket *s, sj_address *ret)
{
        struct sockaddr_storage storage;
        int r = os_peer_name(s->fd, &storage);
        return r < 0 ? r : socket_address(&storage, ret);
}

/*
 * What the system says of a connection that is over. That the network's patience has run out is
 * not a deadline of ours. And it tells of a reset once, to the first who asks: a writer that has
 * heard of it would leave to the reader what looks like a clean end.
 */
static ssize_t verdict(sj_stream *s, ssize_t r)
{
        if (r == -ETIMEDOUT)
                r = -ECONNRESET;
        if (r == -ECONNRESET)
                of(s)->reset = true;
        return r;
}

static int wait_in(sj_stream *s, unsigned ready, sj_time deadline)
{
        s->streak = 0;
        return socket_wait(&of(s)->socket, ready, deadline);
}

/* Whether a read would bring nothing as long as no edge has come. */
static bool is_vain(const struct socket_stream *s)
{
        return s->drained && s->socket.loop && !(s->socket.watch.ready & (OS_READABLE | OS_HANGUP));
}

static ssize_t socket_read(sj_stream *s, void *ret, size_t n, sj_time deadline)
{
        /* Who does not wait still gets what has come since the loop last looked. */
        int waited = is_vain(of(s)) ? wait_in(s, OS_READABLE, deadline) : 0;
        if (waited < 0 && waited != -ETIMEDOUT && waited != -EPERM)
                return waited;
        for (;;) {
                ssize_t got = os_recv(of(s)->socket.fd, ret, n);
                of(s)->drained = got > 0 && (size_t)got < n && !of(s)->is_unix;
                if (got == 0 && of(s)->reset)
                        return -ECONNRESET;
                if (got != -EAGAIN)
                        return verdict(s, got);
                if (waited < 0)
                        return waited;
                waited = wait_in(s, OS_READABLE, deadline);
                if (waited < 0)
                        return waited;
        }
}

/* Drops the first `sent` bytes of the parts. */
static void parts_consume(struct iovec **parts, size_t *n, size_t sent)
{
        while (*n > 0 && sent >= (*parts)->iov_len) {
                sent -= (*parts)->iov_len;
                (*parts)++;
                (*n)--;
        }
        if (*n > 0) {
                (*parts)->iov_base = (char *)(*parts)->iov_base + sent;
                (*parts)->iov_len -= sent;
        }
}

static int socket_write(sj_stream *s, struct iovec *parts, size_t n, size_t *sent, sj_time deadline)
{
        int fd = of(s)->socket.fd;
        parts_consume(&parts, &n, 0);
        while (n > 0) {
                ssize_t put = n == 1 ? os_send(fd, parts->iov_base, parts->iov_len)
                                     : os_sendv(fd, parts, (int)n);
                if (put >= 0) {
                        *sent += (size_t)put;
                        parts_consume(&parts, &n, (size_t)put);
                        continue;
                }
                if (put != -EAGAIN)
                        return (int)verdict(s, put);
                int r = wait_in(s, OS_WRITABLE, deadline);
                if (r < 0)
                        return r;
        }
        return 0;
}

static ssize_t socket_send_fds(sj_stream *s, const void *data, size_t n, const int fds[],
                               size_t n_fds, sj_time deadline)
{
        const struct iovec part = {(void *)(uintptr_t)data, n};
        if (!of(s)->is_unix)
                return -EOPNOTSUPP;
        for (;;) {
                ssize_t put = os_message_send(of(s)->socket.fd, &part, 1, fds, n_fds);
                if (put != -EAGAIN)
                        return verdict(s, put);
                int r = wait_in(s, OS_WRITABLE, deadline);
                if (r < 0)
                        return r;
        }
}

/* None of what could not be handed over whole is kept: half of it would be mistaken for all. */
static ssize_t refuse_rest(const int fds[], size_t n, size_t room)
{
        for (size_t i = 0; i < n; i++)
                os_close(fds[i]);
        return n < room ? -EMFILE : -EMSGSIZE;
}

static ssize_t socket_recv_fds(sj_stream *s, void *ret, size_t n, int ret_fds[], size_t *n_fds,
                               sj_time deadline)
{
        const struct iovec part = {ret, n};
        if (!of(s)->is_unix)
                return -EOPNOTSUPP;
        for (;;) {
                size_t count = *n_fds;
                bool lost;
                ssize_t got = os_message_recv(of(s)->socket.fd, &part, 1, ret_fds, &count, &lost);
                if (got >= 0 && lost)
                        return refuse_rest(ret_fds, count, *n_fds);
                if (got >= 0)
                        *n_fds = count;
                if (got != -EAGAIN)
                        return got == 0 && of(s)->reset ? -ECONNRESET : verdict(s, got);
                int r = wait_in(s, OS_READABLE, deadline);
                if (r < 0)
                        return r;
        }
}

struct file_job {
        int to, from;
        uint64_t offset;
        size_t n;
        ssize_t put;
};

static int run_send_file(void *arg)
{
        struct file_job *j = arg;
        j->put = os_send_file(j->to, j->from, j->offset, j->n);
        return 0;
}

static ssize_t socket_send_file(sj_stream *s, int file, uint64_t offset, size_t n, sj_time deadline)
{
        struct file_job j = {.to = of(s)->socket.fd, .from = file, .offset = offset, .n = n};
        for (;;) {
                int r = sj_offload(run_send_file, &j, deadline);
                if (r >= 0 && j.put != -EAGAIN)
                        return verdict(s, j.put);
                if (r >= 0)
                        r = wait_in(s, OS_WRITABLE, deadline);
                if (r < 0)
                        return r;
        }
}

static int socket_shutdown(sj_stream *s, sj_time deadline)
{
        (void)deadline;
        int r = os_shutdown(of(s)->socket.fd, SHUT_WR);
        /* The peer has broken it off already: what it reads is its own matter. */
        return r == -ENOTCONN ? -ECONNRESET : r;
}

static void socket_free(sj_stream *s)
{
        socket_close(&of(s)->socket);
        free(s);
}

static int local_of(const sj_stream *s, sj_address *ret)
{
        return socket_local(&((const struct socket_stream *)s)->socket, ret);
}

static int peer_of(const sj_stream *s, sj_address *ret)
{
        return socket_peer(&((const struct socket_stream *)s)->socket, ret);
}

static const struct stream_kind kind = {
        .name = "socket",
        .read = socket_read,
        .write = socket_write,
        .shutdown = socket_shutdown,
        .close = socket_free,
        .local = local_of,
        .peer = peer_of,
        .send_file = socket_send_file,
        .send_fds = socket_send_fds,
        .recv_fds = socket_recv_fds,
};

int sj_stream_peer_process(const sj_stream *s, sj_peer_process *ret)
{
        sj_peer_process p;
        if (s->kind != &kind)
                return -EOPNOTSUPP;
        int fd = ((const struct socket_stream *)s)->socket.fd;
        int r = os_peer_process(fd, &p.pid, &p.user, &p.group);
        if (r >= 0)
                *ret = p;
        return r;
}

static bool has_news(const loop_fd *watch)
{
        return watch->ready & (OS_READABLE | OS_HANGUP);
}

/* From here on it is a stream like any other, which nobody has read from yet. */
static void wake_sleeper(loop_fd *watch, unsigned ready)
{
        (void)ready;
        if (!has_news(watch))
                return;
        struct socket_stream *s = container_of(watch, struct socket_stream, socket.watch);
        struct socket_sleeper *sleeper = watch->waiting[0];
        watch->waiting[0] = NULL;
        watch->notify = fiber_fd_notify;
        watch->ready &= ~(unsigned)OS_READABLE;
        s->drained = false;
        sleeper->wake(sleeper);
}

int socket_rest(sj_stream *s, struct socket_sleeper *sleeper)
{
        struct socket *socket = &of(s)->socket;
        if (s->kind != &kind)
                return -EOPNOTSUPP;
        int r = attach(socket);
        if (r < 0)
                return r;
        if (has_news(&socket->watch)) {
                socket->watch.ready &= ~(unsigned)OS_READABLE;
                of(s)->drained = false;
                return 1;
        }
        socket->watch.waiting[0] = sleeper;
        socket->watch.notify = wake_sleeper;
        return 0;
}

int stream_of_socket(int fd, int family, sj_stream **ret)
{
        struct socket_stream *s = malloc(sizeof(*s));
        if (!s)
                return -ENOMEM;
        stream_init(&s->base, &kind);
        s->socket = (struct socket){.fd = fd};
        s->is_unix = family == AF_UNIX;
        s->reset = s->drained = false;
        *ret = &s->base;
        return 0;
}

int sj_stream_pair(sj_stream *ret[2])
{
        int fds[2];
        sj_stream *first, *second;
        int r = os_socket_pair(fds);
        if (r < 0)
                return r;
        r = stream_of_socket(fds[0], AF_UNIX, &first);
        if (r < 0) {
                os_close(fds[0]);
                os_close(fds[1]);
                return r;
        }
        r = stream_of_socket(fds[1], AF_UNIX, &second);
        if (r < 0) {
                sj_stream_close(first);
                os_close(fds[1]);
                return r;
        }
        ret[0] = first;
        ret[1] = second;
        return 0;
}

void socket_tune(int fd, int family)
{
        /* Without it the connection works as well, only later. */
        if (family != AF_UNIX)
                (void)os_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* Waits for the outcome of a connect that is under way. */
static int connect_finish(struct socket *s, sj_time deadline)
{
        for (;;) {
                int r = socket_wait(s, OS_WRITABLE, deadline);
                if (r < 0)
                        return r;
                r = os_connect_result(s->fd);
                if (r < 0)
                        return r == -ETIMEDOUT ? -EHOSTDOWN : r;
                /* No error may also mean no outcome yet. */
                struct sockaddr_storage peer;
                r = os_peer_name(s->fd, &peer);
                if (r != -ENOTCONN)
                        return r;
        }
}

static int connect_start(struct socket *s, const sj_address *address, sj_time deadline)
{
        for (sj_time pause = 0;;) {
                int r = os_connect(s->fd, address_any(address), address->n);
                if (r == -EINPROGRESS)
                        return connect_finish(s, deadline);
                if (r != -EAGAIN || address_family(address) != AF_UNIX)
                        return r == -ETIMEDOUT ? -EHOSTDOWN : r;
                r = socket_pause(&pause, deadline);
                if (r < 0)
                        return r;
        }
}

int socket_connect(const sj_address *address, sj_stream **ret, sj_time deadline)
{
        sj_stream *s;
        int r = fiber_check();
        if (r < 0)
                return r;
        int fd = os_socket(address_family(address), SOCK_STREAM);
        if (fd < 0)
                return fd;
        socket_tune(fd, address_family(address));
        r = stream_of_socket(fd, address_family(address), &s);
        if (r < 0) {
                os_close(fd);
                return r;
        }
        r = connect_start(&of(s)->socket, address, deadline);
        if (r < 0) {
                sj_stream_close(s);
                return r;
        }
        *ret = s;
        return 0;
}
