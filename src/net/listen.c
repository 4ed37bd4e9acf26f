/* SPDX-License-Identifier: MIT */
/*
 * Listeners.
 *
 * Out of descriptors. A connection that cannot be accepted stays in the queue, where its peer waits
 * for nothing, and a loop that tries again at once burns the processor. So each listener keeps one
 * descriptor in reserve: it is given up for the connection, which is closed (the peer learns that
 * it is refused), and taken again. When even that is impossible, accepting pauses.
 */
#include "fiber/wait.h"
#include "net/address.h"
#include "net/socket.h"
#include "net/stream.h"
#include "net/unix_name.h"

#include <netinet/in.h>
#include <stdlib.h>

/* Connections taken in a row before the fibers that serve them get their turn. */
enum { STREAK_MAX = 16 };

#define PAUSE_FIRST (5 * SJ_MS)
#define PAUSE_MOST  SJ_SEC

struct sj_listener {
        struct socket socket;
        int family;
        unsigned streak; /* connections in a row that were there already */
        int reserve;     /* a descriptor to give up, or -1 */
        bool starved;    /* out of descriptors, and the log knows */
        sj_time pause;   /* until the next try when there is nothing to give up */
        struct unix_name name;
};

static int open_listener(const sj_address *address, int backlog, bool shared, sj_listener *l)
{
        int r = os_socket(address_family(address), SOCK_STREAM);
        if (r < 0)
                return r;
        l->socket.fd = r;
        l->family = address_family(address);
        if (l->family != AF_UNIX) {
                r = os_set_option(l->socket.fd, SOL_SOCKET, SO_REUSEADDR, 1);
                if (r < 0)
                        return r;
        }
        if (shared) {
                r = os_set_option(l->socket.fd, SOL_SOCKET, SO_REUSEPORT, 1);
                if (r < 0)
                        return r;
        }
        if (l->family == AF_INET6)
                (void)os_set_option(l->socket.fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
        r = os_bind(l->socket.fd, address_any(address), address->n);
        if (r < 0)
                return r;
        return os_listen(l->socket.fd, backlog > 0 ? backlog : SOMAXCONN);
}

static int listen_at(const sj_address *address, int backlog, bool shared, sj_listener **ret)
{
        sj_listener *l = malloc(sizeof(*l));
        if (!l)
                return -ENOMEM;
        *l = (sj_listener){.socket.fd = -1, .reserve = -1};
        int r = open_listener(address, backlog, shared, l);
        if (r < 0) {
                sj_listener_close(l);
                return r;
        }
        l->reserve = os_bell_new();
        *ret = l;
        return 0;
}

static int listen_everywhere(uint16_t port, int backlog, bool shared, sj_listener **ret)
{
        sj_address all = address_of_bytes(AF_INET6, &in6addr_any, port);
        int r = listen_at(&all, backlog, shared, ret);
        if (r != -EAFNOSUPPORT && r != -EADDRNOTAVAIL)
                return r;
        /* A machine without IPv6. */
        all = address_of_bytes(AF_INET, &(struct in_addr){htonl(INADDR_ANY)}, port);
        return listen_at(&all, backlog, shared, ret);
}

static int tcp_listen(const char *host, uint16_t port, int backlog, bool shared, sj_listener **ret)
{
        sj_address address;
        if (!host)
                return listen_everywhere(port, backlog, shared, ret);
        if (strcmp(host, "localhost") == 0)
                host = "127.0.0.1";
        int r = sj_address_parse(host, port, &address);
        return r < 0 ? r : listen_at(&address, backlog, shared, ret);
}

int sj_tcp_listen(const char *host, uint16_t port, int backlog, sj_listener **ret)
{
        return tcp_listen(host, port, backlog, false, ret);
}

int sj_tcp_listen_shared(const char *host, uint16_t port, int backlog, sj_listener **ret)
{
        return tcp_listen(host, port, backlog, true, ret);
}

int sj_unix_listen(const char *path, int backlog, sj_listener **ret)
{
        sj_address address;
        int r = sj_address_unix(path, &address);
        if (r < 0)
                return r;
        sj_listener *l;
        r = listen_at(&address, backlog, false, &l);
        if (r < 0) {
                r = unix_name_clear(path, &address, SOCK_STREAM, r);
                if (r >= 0)
                        r = listen_at(&address, backlog, false, &l);
        }
        if (r < 0)
                return r;
        r = unix_name_keep(&l->name, path);
        if (r < 0) {
                sj_listener_close(l);
                return r;
        }
        *ret = l;
        return 0;
}

void sj_listener_close(sj_listener *l)
{
        if (!l)
                return;
        unix_name_drop(&l->name);
        socket_close(&l->socket);
        os_close(l->reserve);
        free(l);
}

/* Errors that concern the connection at the head of the queue, not the listener (accept(2)). */
static bool concerns_one(int error)
{
        switch (-error) {
        case ECONNABORTED:
        case EPROTO:
        case EPERM: /* a firewall's word */
        case ENETDOWN:
        case ENOPROTOOPT:
        case EHOSTDOWN:
        case ENONET:
        case EHOSTUNREACH:
        case EOPNOTSUPP:
        case ENETUNREACH:
        case ETIMEDOUT:
        case ECONNRESET:
                return true;
        default:
                return false;
        }
}

static bool out_of_resources(int error)
{
        return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

/* Accepts and closes one connection in the place of the reserve. Whether there was one. */
static bool refuse_one(sj_listener *l)
{
        if (l->reserve < 0)
                return false;
        os_close(l->reserve);
        int fd = os_accept(l->socket.fd, NULL);
        os_close(fd);
        l->reserve = os_bell_new();
        return fd >= 0;
}

/* Makes room or waits for it. Called after accepting has failed with error. */
static int starve(sj_listener *l, int error, sj_time deadline)
{
        if (!l->starved)
                sj_log(SJ_LOG_WARNING, "cannot accept connections: %s", sj_strerror(error));
        if (!l->starved || l->pause == 0)
                l->pause = PAUSE_FIRST;
        l->starved = true;
        if (refuse_one(l))
                l->pause = PAUSE_FIRST;
        else if (l->pause < PAUSE_MOST)
                l->pause *= 2;
        sj_time until = sj_after(l->pause);
        if (until < deadline)
                return sj_sleep_until(until);
        int r = sj_sleep_until(deadline);
        return r < 0 ? r : -ETIMEDOUT;
}

static int accept_fd(sj_listener *l, sj_time deadline)
{
        for (;;) {
                int fd = os_accept(l->socket.fd, NULL);
                int r = 0;
                if (fd >= 0)
                        return fd;
                l->streak = fd == -EAGAIN ? 0 : l->streak;
                if (fd == -EAGAIN)
                        r = socket_wait(&l->socket, OS_READABLE, deadline);
                else if (out_of_resources(fd))
                        r = starve(l, fd, deadline);
                else if (!concerns_one(fd))
                        r = fd;
                if (r < 0)
                        return r;
        }
}

int sj_accept(sj_listener *l, sj_stream **ret, sj_time deadline)
{
        int r = fiber_check();
        if (r >= 0 && ++l->streak >= STREAK_MAX) {
                l->streak = 0;
                r = sj_yield();
        }
        if (r < 0 && r != -EPERM)
                return r;
        int fd = accept_fd(l, deadline);
        if (fd < 0)
                return fd;
        if (l->starved)
                sj_log(SJ_LOG_WARNING, "connections are accepted again");
        l->starved = false;
        socket_tune(fd, l->family);
        r = stream_of_socket(fd, l->family, ret);
        if (r < 0)
                os_close(fd);
        return r;
}

int sj_listener_address(const sj_listener *l, sj_address *ret)
{
        return socket_local(&l->socket, ret);
}

uint16_t sj_listener_port(const sj_listener *l)
{
        sj_address address;
        return socket_local(&l->socket, &address) < 0 ? 0 : sj_address_port(&address);
}
