/* SPDX-License-Identifier: MIT */
/*
 * Sockets of the simulated world as descriptors: what they are ready for, and what flows. A stream
 * is a side of a link (sim_wire.c). Datagrams travel between sockets that have names, whole, with
 * delay and loss and out of order.
 */
#include "os/sim_socket.h"

#include <stdlib.h>
#include <sys/stat.h>

enum { DATAGRAMS_WAITING = 256, LOCAL_DATAGRAMS_WAITING = 10 };

typedef struct datagram {
        sim_event event;
        list node;
        struct sockaddr_storage from;
        struct sockaddr_storage to;
        size_t n;
        char data[];
} datagram;

/* ── The descriptor ──────────────────────────────────────────────────────────────────────── */

static void drop_waiting(sim_socket *s)
{
        list *node;
        while ((node = list_pop(&s->waiting))) {
                if (s->type == SOCK_DGRAM) {
                        free(container_of(node, datagram, node));
                        continue;
                }
                arrival *a = container_of(node, arrival, node);
                sim_link_abort(a->link, 1);
                free(a);
        }
}

static void socket_close(sim_fd *f)
{
        sim_socket *s = (sim_socket *)f;
        sim_unpost(sim_world_get(), &s->attempt);
        list_remove(&s->name);
        drop_waiting(s);
        if (s->link)
                sim_link_close(s->link, s->side);
        free(s);
}

static unsigned socket_level(const sim_fd *f)
{
        const sim_socket *s = (const sim_socket *)f;
        if (s->type == SOCK_DGRAM)
                return OS_WRITABLE | (s->waiting_count || s->error ? OS_READABLE : 0);
        switch (s->state) {
        case NEW:
                /* As the system: hung up, until it is connected. */
                return OS_READABLE | OS_WRITABLE;
        case LISTENING:
                return s->waiting_count ? OS_READABLE : 0;
        case CONNECTING:
                return 0;
        case CONNECTED:
                break;
        }
        return sim_link_level(s->link, s->side);
}

static ssize_t datagram_recv(sim_socket *s, void *data, size_t n,
                             struct sockaddr_storage *ret_from);
static ssize_t datagram_send(sim_socket *s, const void *data, size_t n,
                             const struct sockaddr_storage *to);

int sim_socket_error(sim_socket *s)
{
        int error = s->error;
        s->error = 0;
        return error;
}

static ssize_t socket_read(sim_fd *f, void *data, size_t n)
{
        sim_socket *s = (sim_socket *)f;
        if (s->error)
                return sim_socket_error(s);
        if (s->type == SOCK_DGRAM)
                return datagram_recv(s, data, n, NULL);
        if (s->state == CONNECTED)
                return sim_link_recv(s->link, s->side, data, n);
        return s->state == CONNECTING ? -EAGAIN : -ENOTCONN;
}

static ssize_t socket_write(sim_fd *f, const void *data, size_t n)
{
        sim_socket *s = (sim_socket *)f;
        if (s->error)
                return sim_socket_error(s);
        if (s->type == SOCK_DGRAM)
                return s->state == CONNECTED ? datagram_send(s, data, n, &s->remote)
                                             : -EDESTADDRREQ;
        if (s->state == CONNECTED)
                return sim_link_send(s->link, s->side, data, n);
        return s->state == CONNECTING ? -EAGAIN : -EPIPE;
}

static const sim_class socket_class = {.name = "socket",
                                       .mode = S_IFSOCK,
                                       .close = socket_close,
                                       .level = socket_level,
                                       .read = socket_read,
                                       .write = socket_write};

sim_socket *sim_socket_of(sim_world *w, int fd)
{
        return (sim_socket *)sim_fd_get(w, fd, &socket_class);
}

int sim_socket_new(sim_world *w, int domain, int type, sim_socket **ret)
{
        sim_socket *s = sim_alloc(sizeof(*s));
        *s = (sim_socket){.base.class = &socket_class,
                          .attempt.fire = sim_socket_attempt,
                          .domain = domain,
                          .type = type};
        list_init(&s->name);
        list_init(&s->waiting);
        int fd = sim_fd_add(w, &s->base);
        if (fd < 0)
                free(s);
        else
                *ret = s;
        return fd;
}

void sim_socket_connected(sim_socket *s, sim_link *link, int side)
{
        s->state = CONNECTED;
        s->link = link;
        s->side = side;
        sim_link_attach(link, side, &s->base);
}

int os_socket(int domain, int type)
{
        sim_world *w = sim_enter();
        int fd = -EAFNOSUPPORT;
        sim_socket *s;
        if (type != SOCK_STREAM && type != SOCK_DGRAM)
                fd = -EPROTONOSUPPORT;
        else if (domain == AF_INET || domain == AF_INET6 || domain == AF_UNIX)
                fd = sim_socket_new(w, domain, type, &s);
        return (int)sim_trace(w, "socket", fd, fd);
}

int os_socket_pair(int ret_fds[2])
{
        sim_world *w = sim_enter();
        sim_socket *a, *b;
        int first = sim_socket_new(w, AF_UNIX, SOCK_STREAM, &a);
        if (first < 0)
                return (int)sim_trace(w, "socket_pair", -1, first);
        int second = sim_socket_new(w, AF_UNIX, SOCK_STREAM, &b);
        if (second < 0) {
                sim_fd_close(w, &a->base);
                return (int)sim_trace(w, "socket_pair", -1, second);
        }
        sim_link *link = sim_link_new(w, SIM_LOCAL, NULL, NULL);
        sim_socket_connected(a, link, 0);
        sim_socket_connected(b, link, 1);
        ret_fds[0] = first;
        ret_fds[1] = second;
        return (int)sim_trace(w, "socket_pair", first, 0);
}

int os_peer_process(int fd, int *ret_pid, uint32_t *ret_user, uint32_t *ret_group)
{
        const sim_socket *s = sim_socket_of(sim_enter(), fd);
        if (!s)
                return -ENOTSOCK;
        if (s->state != CONNECTED)
                return -ENOTCONN;
        if (s->domain != AF_UNIX)
                return -EOPNOTSUPP;
        /* All who live in this world are one process. */
        *ret_pid = os_pid();
        *ret_user = *ret_group = SIM_USER;
        return 0;
}

/* ── Bytes ───────────────────────────────────────────────────────────────────────────────── */

ssize_t os_recv(int fd, void *data, size_t n)
{
        sim_world *w = sim_enter();
        sim_socket *s = sim_socket_of(w, fd);
        return sim_trace(w, "recv", fd, s ? socket_read(&s->base, data, n) : -ENOTSOCK);
}

ssize_t os_send(int fd, const void *data, size_t n)
{
        sim_world *w = sim_enter();
        sim_socket *s = sim_socket_of(w, fd);
        return sim_trace(w, "send", fd, s ? socket_write(&s->base, data, n) : -ENOTSOCK);
}

static ssize_t send_parts(sim_socket *s, const struct iovec parts[], int n)
{
        buf all = BUF_INIT(0);
        for (int i = 0; i < n; i++)
                sim_append(&all, parts[i].iov_base, parts[i].iov_len);
        ssize_t put = socket_write(&s->base, buf_data(&all), buf_size(&all));
        buf_fini(&all);
        return put;
}

ssize_t os_sendv(int fd, const struct iovec parts[], int n)
{
        sim_world *w = sim_enter();
        sim_socket *s = sim_socket_of(w, fd);
        return sim_trace(w, "sendv", fd, s ? send_parts(s, parts, n) : -ENOTSOCK);
}

int os_shutdown(int fd, int how)
{
        sim_world *w = sim_enter();
        sim_socket *s = sim_socket_of(w, fd);
        int error = !s ? -ENOTSOCK : !s->link ? -ENOTCONN : 0;
        if (!error)
                error = sim_link_shutdown(s->link, s->side, how);
        return (int)sim_trace(w, "shutdown", fd, error);
}

/* ── Datagrams ───────────────────────────────────────────────────────────────────────────── */

static void datagram_fire(sim_event *event, bool happens)
{
        datagram *d = container_of(event, datagram, event);
        sim_world *w = sim_world_get();
        sim_socket *s = happens ? sim_name_find(w, SOCK_DGRAM, NEW, true, &d->to) : NULL;
        bool stranger = s && s->state == CONNECTED && !sim_address_same_place(&s->remote, &d->from);
        if (!s || stranger || s->waiting_count >= DATAGRAMS_WAITING) {
                free(d);
                return;
        }
        list_append(&s->waiting, &d->node);
        s->waiting_count++;
        sim_fd_changed(&s->base);
}

static datagram *datagram_new(const struct sockaddr_storage *from,
                              const struct sockaddr_storage *to, const void *data, size_t n)
{
        datagram *d = sim_alloc(sizeof(*d) + n);
        *d = (datagram){.event.fire = datagram_fire, .from = *from, .to = *to, .n = n};
        if (n)
                memcpy(d->data, data, n);
        return d;
}

/* Between Unix sockets: there at once, or not sent. */
static ssize_t local_send(sim_world *w, sim_socket *s, const void *data, size_t n,
                          const struct sockaddr_storage *to)
{
        sim_socket *peer;
        int error = sim_name_reach(w, to, &peer);
        if (error)
                return error;
        if (n > UINT16_MAX)
                return -EMSGSIZE;
        if (peer->state == CONNECTED && !sim_address_same(&peer->remote, &s->local))
                return -EPERM;
        if (peer->waiting_count >= LOCAL_DATAGRAMS_WAITING ||
            sim_one_in(w, FAULT_AGAIN, w->options.again))
                return -EAGAIN;
        datagram *d = datagram_new(&s->local, to, data, n);
        list_append(&peer->waiting, &d->node);
        peer->waiting_count++;
        sim_fd_changed(&peer->base);
        return (ssize_t)n;
}

static ssize_t datagram_send(sim_socket *s, const void *data, size_t n,
                             const struct sockaddr_storage *to)
{
        sim_world *w = sim_world_get();
        if (s->domain == AF_UNIX)
                return local_send(w, s, data, n, to);
        int error = sim_name_for(w, s, to);
        if (error < 0)
                return error;
        if (n > UINT16_MAX)
                return -EMSGSIZE;
        const struct sockaddr_storage bare = sim_address_bare(to);
        const struct sockaddr_storage from = sim_address_towards(&s->local, &bare);
        if (sim_address_is_void(to) || sim_is_cut(w, &from, &bare) ||
            sim_one_in(w, FAULT_LOSS, w->options.loss))
                return (ssize_t)n;
        datagram *d = datagram_new(&from, &bare, data, n);
        sim_post(w, &d->event, w->now + sim_travel_time(w));
        return (ssize_t)n;
}

/* As long as it was, as MSG_TRUNC has it, when somebody wants to know where it is from. */
static ssize_t datagram_recv(sim_socket *s, void *data, size_t n, struct sockaddr_storage *ret_from)
{
        list *node = list_pop(&s->waiting);
        if (!node)
                return -EAGAIN;
        s->waiting_count--;
        datagram *d = container_of(node, datagram, node);
        size_t taken = d->n < n ? d->n : n;
        if (taken)
                memcpy(data, d->data, taken);
        if (ret_from) {
                taken = d->n;
                *ret_from = s->domain == AF_INET6 && d->from.ss_family == AF_INET
                                    ? sim_address_mapped(&d->from)
                                    : d->from;
        }
        free(d);
        return (ssize_t)taken;
}

static ssize_t send_to(sim_socket *s, const void *data, size_t n, const struct sockaddr *to,
                       socklen_t to_n)
{
        struct sockaddr_storage a;
        int error = s->type != SOCK_DGRAM ? -EOPNOTSUPP : sim_address_read(to, to_n, &a);
        if (!error && a.ss_family != s->domain)
                error = -EAFNOSUPPORT;
        if (!error && s->error)
                error = sim_socket_error(s);
        return error ? error : datagram_send(s, data, n, &a);
}

ssize_t os_send_to(int fd, const void *data, size_t n, const struct sockaddr *to, socklen_t to_n)
{
        sim_world *w = sim_enter();
        sim_socket *s = sim_socket_of(w, fd);
        return sim_trace(w, "send_to", fd, s ? send_to(s, data, n, to, to_n) : -ENOTSOCK);
}

ssize_t os_recv_from(int fd, void *data, size_t n, struct sockaddr_storage *ret_from)
{
        sim_world *w = sim_enter();
        sim_socket *s = sim_socket_of(w, fd);
        ssize_t got = !s ? -ENOTSOCK : s->type != SOCK_DGRAM ? -EOPNOTSUPP : 0;
        if (got == 0)
                got = s->error ? sim_socket_error(s) : datagram_recv(s, data, n, ret_from);
        return sim_trace(w, "recv_from", fd, got);
}

ssize_t os_recv_from_process(int fd, void *data, size_t n, struct sockaddr_storage *ret_from,
                             int *ret_pid, uint32_t *ret_user, uint32_t *ret_group)
{
        /* All who live in this world are one process. */
        *ret_pid = os_pid();
        *ret_user = *ret_group = SIM_USER;
        return os_recv_from(fd, data, n, ret_from);
}
