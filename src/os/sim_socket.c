/* SPDX-License-Identifier: MIT */
/*
 * Sockets of the simulated world: names, listening, connecting. What flows afterwards is a link.
 *
 *         NEW ──listen──► LISTENING ◄── arrivals wait here ──accept──► CONNECTED
 *          └──connect──► CONNECTING ──(a travel later)──► CONNECTED, or NEW with an error
 *
 * The world is one host that has every address, so that a test can give each of its servers a
 * host of its own. Two networks are void, the ones that the standards set aside for that: what
 * connects to 192.0.2.0/24 (RFC 5737) or 100::/64 (RFC 6666) hears nothing, and after 127 seconds
 * -ETIMEDOUT. AF_UNIX connects at once, as it does in life.
 *
 * Datagrams travel between sockets that are connected to each other's names, whole, with delay
 * and loss and out of order.
 */
#include "os/sim_world.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/un.h>

#define SYN_AGAIN   SJ_SEC
#define SYN_GIVE_UP (127 * SJ_SEC)

enum { PORT_FIRST = 32768, PORT_LAST = 60999, DATAGRAMS_WAITING = 256 };

typedef enum state { NEW, LISTENING, CONNECTING, CONNECTED } state;

typedef struct sim_socket {
        sim_fd base;
        sim_event attempt; /* to connect */
        sj_time give_up;
        int domain;
        int type;
        state state;
        int error;
        struct sockaddr_storage local; /* ss_family 0: none yet */
        struct sockaddr_storage remote;
        list name;    /* in the world's names while it is bound */
        list waiting; /* arrivals, or datagrams */
        size_t waiting_count;
        size_t backlog;
        bool reuse_port;
        bool only_v6;
        sim_link *link;
        int side;
} sim_socket;

/* A connection that waits for accept. */
typedef struct arrival {
        list node;
        sim_link *link;
        struct sockaddr_storage from;
} arrival;

typedef struct datagram {
        sim_event event;
        list node;
        struct sockaddr_storage from;
        struct sockaddr_storage to;
        size_t n;
        char data[];
} datagram;

/* ── Addresses ───────────────────────────────────────────────────────────────────────────── */

static int address_read(const struct sockaddr *address, socklen_t n, struct sockaddr_storage *ret)
{
        socklen_t least = address->sa_family == AF_INET    ? sizeof(struct sockaddr_in)
                          : address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                           : sizeof(sa_family_t) + 1;
        if (n < least || n > sizeof(*ret))
                return -EINVAL;
        memset(ret, 0, sizeof(*ret));
        memcpy(ret, address, n);
        struct sockaddr_un *un = (struct sockaddr_un *)ret;
        if (ret->ss_family == AF_UNIX && un->sun_path[0]) {
                size_t used = strnlen(un->sun_path, sizeof(un->sun_path));
                memset(un->sun_path + used, 0, sizeof(un->sun_path) - used);
        }
        return 0;
}

static in_port_t *port_of(struct sockaddr_storage *a)
{
        if (a->ss_family == AF_INET)
                return &((struct sockaddr_in *)a)->sin_port;
        return &((struct sockaddr_in6 *)a)->sin6_port;
}

static bool is_wildcard(const struct sockaddr_storage *a)
{
        if (a->ss_family == AF_INET)
                return ((const struct sockaddr_in *)a)->sin_addr.s_addr == INADDR_ANY;
        return a->ss_family == AF_INET6 &&
               IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

static bool is_void(const struct sockaddr_storage *a)
{
        static const unsigned char discard[8] = {1};
        if (a->ss_family == AF_INET)
                return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 8 == 0xc00002;
        return a->ss_family == AF_INET6 &&
               memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr, discard, 8) == 0;
}

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
        if (a->ss_family != b->ss_family)
                return false;
        if (a->ss_family == AF_INET) {
                const struct sockaddr_in *x = (const void *)a, *y = (const void *)b;
                return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
        }
        if (a->ss_family == AF_INET6) {
                const struct sockaddr_in6 *x = (const void *)a, *y = (const void *)b;
                return x->sin6_port == y->sin6_port &&
                       memcmp(&x->sin6_addr, &y->sin6_addr, sizeof(x->sin6_addr)) == 0;
        }
        return memcmp(a, b, sizeof(*a)) == 0;
}

/* ::ffff:a.b.c.d, as an IPv6 listener sees an IPv4 peer (RFC 4291 §2.5.5.2). */
static struct sockaddr_storage mapped(const struct sockaddr_storage *v4)
{
        const struct sockaddr_in *from = (const void *)v4;
        struct sockaddr_storage ret = {0};
        struct sockaddr_in6 *to = (void *)&ret;
        to->sin6_family = AF_INET6;
        to->sin6_port = from->sin_port;
        to->sin6_addr.s6_addr[10] = to->sin6_addr.s6_addr[11] = 0xff;
        memcpy(&to->sin6_addr.s6_addr[12], &from->sin_addr, 4);
        return ret;
}

/* Whether what is sent to `to` reaches the socket bound as s is. */
static bool reaches(const sim_socket *s, const struct sockaddr_storage *to)
{
        if (same_address(&s->local, to))
                return true;
        if (s->domain == AF_UNIX || to->ss_family == AF_UNIX || !is_wildcard(&s->local))
                return false;
        struct sockaddr_storage mine = s->local, theirs = *to;
        return *port_of(&mine) == *port_of(&theirs) &&
               (s->domain == to->ss_family || (s->domain == AF_INET6 && !s->only_v6));
}

/* One of the sockets in that state that the address reaches: by lot, if they share a port. */
static sim_socket *find_bound(sim_world *w, int type, state wanted, bool any,
                              const struct sockaddr_storage *to)
{
        sim_socket *found = NULL;
        uint64_t count = 0;
        list_for_each (node, &w->names) {
                sim_socket *s = container_of(node, sim_socket, name);
                if (s->type != type || (!any && s->state != wanted) || !reaches(s, to))
                        continue;
                if (count++ == 0 || sim_draw_from(w, SIM_WIRE, count) == 0)
                        found = s;
        }
        return found;
}

static bool taken(sim_world *w, const sim_socket *mine, const struct sockaddr_storage *a)
{
        list_for_each (node, &w->names) {
                const sim_socket *s = container_of(node, sim_socket, name);
                if (s->type == mine->type && same_address(&s->local, a) &&
                    !(s->reuse_port && mine->reuse_port))
                        return true;
        }
        return false;
}

static int give_port(sim_world *w, const sim_socket *s, struct sockaddr_storage *a)
{
        for (int i = PORT_FIRST; i <= PORT_LAST; i++) {
                w->port = w->port < PORT_FIRST || w->port >= PORT_LAST ? PORT_FIRST
                                                                       : (uint16_t)(w->port + 1);
                *port_of(a) = htons(w->port);
                if (!taken(w, s, a))
                        return 0;
        }
        return -EADDRINUSE;
}

/* The address that a socket which connects to `to` without a name gets. */
static int name_for(sim_world *w, sim_socket *s, const struct sockaddr_storage *to)
{
        if (s->local.ss_family || s->domain == AF_UNIX)
                return 0;
        struct sockaddr_storage own = *to;
        int error = give_port(w, s, &own);
        if (error)
                return error;
        s->local = own;
        /* Only a datagram is ever sent to such a name. */
        if (s->type == SOCK_DGRAM)
                list_append(&w->names, &s->name);
        return 0;
}

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

static ssize_t datagram_recv(sim_socket *s, void *data, size_t n);
static ssize_t datagram_send(sim_socket *s, const void *data, size_t n);

static int take_error(sim_socket *s)
{
        int error = s->error;
        s->error = 0;
        return error;
}

static ssize_t socket_read(sim_fd *f, void *data, size_t n)
{
        sim_socket *s = (sim_socket *)f;
        if (s->error)
                return take_error(s);
        if (s->type == SOCK_DGRAM)
                return datagram_recv(s, data, n);
        if (s->state == CONNECTED)
                return sim_link_recv(s->link, s->side, data, n);
        return s->state == CONNECTING ? -EAGAIN : -ENOTCONN;
}

static ssize_t socket_write(sim_fd *f, const void *data, size_t n)
{
        sim_socket *s = (sim_socket *)f;
        if (s->error)
                return take_error(s);
        if (s->type == SOCK_DGRAM)
                return datagram_send(s, data, n);
        if (s->state == CONNECTED)
                return sim_link_send(s->link, s->side, data, n);
        return s->state == CONNECTING ? -EAGAIN : -EPIPE;
}

static const sim_class socket_class = {.name = "socket",
                                       .close = socket_close,
                                       .level = socket_level,
                                       .read = socket_read,
                                       .write = socket_write};

static sim_socket *socket_of(sim_world *w, int fd)
{
        return (sim_socket *)sim_fd_get(w, fd, &socket_class);
}

static void attempt_fire(sim_event *event, bool happens);

static int socket_new(sim_world *w, int domain, int type, sim_socket **ret)
{
        sim_socket *s = sim_alloc(sizeof(*s));
        *s = (sim_socket){.base.class = &socket_class,
                          .attempt.fire = attempt_fire,
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

static void become_connected(sim_socket *s, sim_link *link, int side)
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
                fd = socket_new(w, domain, type, &s);
        return (int)sim_trace(w, "socket", fd, fd);
}

int os_socket_pair(int ret_fds[2])
{
        sim_world *w = sim_enter();
        sim_socket *a, *b;
        int first = socket_new(w, AF_UNIX, SOCK_STREAM, &a);
        if (first < 0)
                return (int)sim_trace(w, "socket_pair", -1, first);
        int second = socket_new(w, AF_UNIX, SOCK_STREAM, &b);
        if (second < 0) {
                sim_fd_close(w, &a->base);
                return (int)sim_trace(w, "socket_pair", -1, second);
        }
        sim_link *link = sim_link_new(w, SIM_LOCAL);
        become_connected(a, link, 0);
        become_connected(b, link, 1);
        ret_fds[0] = first;
        ret_fds[1] = second;
        return (int)sim_trace(w, "socket_pair", first, 0);
}

/* ── Names ───────────────────────────────────────────────────────────────────────────────── */

static int bind_unix(sim_world *w, const struct sockaddr_storage *a)
{
        const struct sockaddr_un *un = (const void *)a;
        /* An abstract name leaves nothing in the folder tree. */
        return un->sun_path[0] ? sim_disk_bind(w, un->sun_path) : 0;
}

static int bind_socket(sim_world *w, sim_socket *s, const struct sockaddr *address, socklen_t n)
{
        struct sockaddr_storage a;
        int error = address_read(address, n, &a);
        if (error)
                return error;
        if (s->local.ss_family || a.ss_family != s->domain)
                return -EINVAL;
        if (s->domain != AF_UNIX && *port_of(&a) == 0)
                error = give_port(w, s, &a);
        else if (s->domain == AF_UNIX)
                error = bind_unix(w, &a);
        else if (taken(w, s, &a))
                error = -EADDRINUSE;
        if (error)
                return error;
        s->local = a;
        list_append(&w->names, &s->name);
        return 0;
}

int os_bind(int fd, const struct sockaddr *address, socklen_t n)
{
        sim_world *w = sim_enter();
        sim_socket *s = socket_of(w, fd);
        return (int)sim_trace(w, "bind", fd, s ? bind_socket(w, s, address, n) : -ENOTSOCK);
}

int os_socket_name(int fd, struct sockaddr_storage *ret)
{
        const sim_socket *s = socket_of(sim_enter(), fd);
        if (!s)
                return -ENOTSOCK;
        *ret = s->local;
        ret->ss_family = (sa_family_t)s->domain;
        return 0;
}

int os_peer_name(int fd, struct sockaddr_storage *ret)
{
        const sim_socket *s = socket_of(sim_enter(), fd);
        if (!s)
                return -ENOTSOCK;
        if (s->state != CONNECTED)
                return -ENOTCONN;
        *ret = s->remote;
        ret->ss_family = (sa_family_t)s->domain;
        return 0;
}

int os_set_option(int fd, int level, int option, int value)
{
        sim_world *w = sim_enter();
        sim_socket *s = socket_of(w, fd);
        if (!s)
                return (int)sim_trace(w, "set_option", fd, -ENOTSOCK);
        if (level == SOL_SOCKET && option == SO_REUSEPORT)
                s->reuse_port = value;
        if (level == IPPROTO_IPV6 && option == IPV6_V6ONLY)
                s->only_v6 = value;
        /* The rest tunes what is not modelled (Nagle, keep-alive, sizes), and is taken. */
        return (int)sim_trace(w, "set_option", fd, 0);
}

/* ── Listening and connecting ────────────────────────────────────────────────────────────── */

int os_listen(int fd, int backlog)
{
        sim_world *w = sim_enter();
        sim_socket *s = socket_of(w, fd);
        int error = !s ? -ENOTSOCK : s->type != SOCK_STREAM ? -EOPNOTSUPP : 0;
        if (!error && s->state != NEW && s->state != LISTENING)
                error = -EINVAL;
        if (!error && !s->local.ss_family)
                error = -EDESTADDRREQ;
        if (!error) {
                s->state = LISTENING;
                /* The system's own queue holds one more than was asked for. */
                s->backlog = (size_t)(backlog < 0 ? 0 : backlog) + 1;
                sim_fd_changed(&s->base);
        }
        return (int)sim_trace(w, "listen", fd, error);
}

static void connect_to(sim_world *w, sim_socket *s, sim_socket *listener)
{
        sim_link *link = sim_link_new(w, s->domain == AF_UNIX ? SIM_LOCAL : SIM_WIRED);
        arrival *a = sim_alloc(sizeof(*a));
        a->link = link;
        a->from = s->local.ss_family == AF_INET && listener->domain == AF_INET6 ? mapped(&s->local)
                                                                                : s->local;
        list_append(&listener->waiting, &a->node);
        listener->waiting_count++;
        become_connected(s, link, 0);
        sim_fd_changed(&listener->base);
}

static void fail_connect(sim_socket *s, int error)
{
        s->state = NEW;
        s->error = error;
        sim_fd_changed(&s->base);
}

/* One try over the network: a full backlog and a void drop it, and it is tried again. */
static void attempt_fire(sim_event *event, bool happens)
{
        if (!happens)
                return;
        sim_world *w = sim_world_get();
        sim_socket *s = container_of(event, sim_socket, attempt);
        bool lost = is_void(&s->remote);
        sim_socket *listener =
                lost ? NULL : find_bound(w, SOCK_STREAM, LISTENING, false, &s->remote);
        if (listener && listener->waiting_count >= listener->backlog)
                lost = true;
        if (lost && w->now >= s->give_up)
                fail_connect(s, -ETIMEDOUT);
        else if (lost)
                sim_post(w, event, w->now + SYN_AGAIN);
        else if (!listener || sim_one_in(w, SIM_WIRE, w->options.refuse))
                fail_connect(s, -ECONNREFUSED);
        else
                connect_to(w, s, listener);
}

static int connect_unix(sim_world *w, sim_socket *s)
{
        const struct sockaddr_un *un = (const void *)&s->remote;
        int error = un->sun_path[0] ? sim_disk_find_socket(w, un->sun_path) : 0;
        if (error)
                return error;
        sim_socket *listener = find_bound(w, SOCK_STREAM, LISTENING, false, &s->remote);
        if (!listener)
                return -ECONNREFUSED;
        if (listener->waiting_count >= listener->backlog)
                return -EAGAIN;
        connect_to(w, s, listener);
        return 0;
}

static int connect_wired(sim_world *w, sim_socket *s)
{
        int error = name_for(w, s, &s->remote);
        if (error)
                return error;
        s->state = CONNECTING;
        s->give_up = w->now + SYN_GIVE_UP;
        sim_post(w, &s->attempt, w->now + sim_travel_time(w));
        return -EINPROGRESS;
}

static int connect_socket(sim_world *w, sim_socket *s, const struct sockaddr *address, socklen_t n)
{
        if (s->state != NEW && s->type == SOCK_STREAM)
                return s->state == CONNECTING  ? -EALREADY
                       : s->state == CONNECTED ? -EISCONN
                                               : -EINVAL;
        struct sockaddr_storage a;
        int error = address_read(address, n, &a);
        if (error)
                return error;
        if (a.ss_family != s->domain)
                return -EAFNOSUPPORT;
        s->remote = a;
        if (s->type == SOCK_STREAM)
                return s->domain == AF_UNIX ? connect_unix(w, s) : connect_wired(w, s);
        error = name_for(w, s, &a);
        if (!error)
                s->state = CONNECTED;
        return error;
}

int os_connect(int fd, const struct sockaddr *address, socklen_t n)
{
        sim_world *w = sim_enter();
        sim_socket *s = socket_of(w, fd);
        return (int)sim_trace(w, "connect", fd, s ? connect_socket(w, s, address, n) : -ENOTSOCK);
}

int os_connect_result(int fd)
{
        sim_world *w = sim_enter();
        sim_socket *s = socket_of(w, fd);
        int error = s ? take_error(s) : -ENOTSOCK;
        if (s && !error && s->link)
                error = sim_link_error(s->link, s->side);
        return (int)sim_trace(w, "connect_result", fd, error);
}

static int accept_from(sim_world *w, sim_socket *listener, struct sockaddr_storage *ret_address)
{
        if (listener->state != LISTENING)
                return -EINVAL;
        if (list_empty(&listener->waiting))
                return -EAGAIN;
        sim_socket *s;
        int fd = socket_new(w, listener->domain, SOCK_STREAM, &s);
        if (fd < 0)
                return fd;
        arrival *a = container_of(list_pop(&listener->waiting), arrival, node);
        listener->waiting_count--;
        s->local = listener->local;
        s->remote = a->from;
        become_connected(s, a->link, 1);
        free(a);
        if (ret_address) {
                *ret_address = s->remote;
                ret_address->ss_family = (sa_family_t)s->domain;
        }
        return fd;
}

int os_accept(int fd, struct sockaddr_storage *ret_address)
{
        sim_world *w = sim_enter();
        sim_socket *s = socket_of(w, fd);
        return (int)sim_trace(w, "accept", fd, s ? accept_from(w, s, ret_address) : -ENOTSOCK);
}

/* ── Bytes ───────────────────────────────────────────────────────────────────────────────── */

ssize_t os_recv(int fd, void *data, size_t n)
{
        sim_world *w = sim_enter();
        sim_socket *s = socket_of(w, fd);
        return sim_trace(w, "recv", fd, s ? socket_read(&s->base, data, n) : -ENOTSOCK);
}

ssize_t os_send(int fd, const void *data, size_t n)
{
        sim_world *w = sim_enter();
        sim_socket *s = socket_of(w, fd);
        return sim_trace(w, "send", fd, s ? socket_write(&s->base, data, n) : -ENOTSOCK);
}

static ssize_t send_parts(sim_socket *s, const struct iovec parts[], int n)
{
        buf all = BUF_INIT(0);
        for (int i = 0; i < n; i++)
                if (buf_append(&all, parts[i].iov_base, parts[i].iov_len) < 0)
                        abort();
        ssize_t put = socket_write(&s->base, buf_data(&all), buf_size(&all));
        buf_fini(&all);
        return put;
}

ssize_t os_sendv(int fd, const struct iovec parts[], int n)
{
        sim_world *w = sim_enter();
        sim_socket *s = socket_of(w, fd);
        return sim_trace(w, "sendv", fd, s ? send_parts(s, parts, n) : -ENOTSOCK);
}

int os_shutdown(int fd, int how)
{
        sim_world *w = sim_enter();
        sim_socket *s = socket_of(w, fd);
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
        sim_socket *s = happens ? find_bound(w, SOCK_DGRAM, NEW, true, &d->to) : NULL;
        bool stranger = s && s->state == CONNECTED && !same_address(&s->remote, &d->from);
        if (!s || stranger || s->waiting_count >= DATAGRAMS_WAITING) {
                free(d);
                return;
        }
        list_append(&s->waiting, &d->node);
        s->waiting_count++;
        sim_fd_changed(&s->base);
}

static ssize_t datagram_send(sim_socket *s, const void *data, size_t n)
{
        if (s->state != CONNECTED)
                return -EDESTADDRREQ;
        if (n > UINT16_MAX)
                return -EMSGSIZE;
        sim_world *w = sim_world_get();
        if (is_void(&s->remote) || sim_one_in(w, SIM_WIRE, w->options.loss))
                return (ssize_t)n;
        datagram *d = sim_alloc(sizeof(*d) + n);
        *d = (datagram){.event.fire = datagram_fire, .from = s->local, .to = s->remote, .n = n};
        if (n)
                memcpy(d->data, data, n);
        sim_post(w, &d->event, w->now + sim_travel_time(w));
        return (ssize_t)n;
}

static ssize_t datagram_recv(sim_socket *s, void *data, size_t n)
{
        list *node = list_pop(&s->waiting);
        if (!node)
                return -EAGAIN;
        s->waiting_count--;
        datagram *d = container_of(node, datagram, node);
        size_t taken = d->n < n ? d->n : n;
        if (taken)
                memcpy(data, d->data, taken);
        free(d);
        return (ssize_t)taken;
}
