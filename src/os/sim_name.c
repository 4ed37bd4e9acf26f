/* SPDX-License-Identifier: MIT */
/*
 * Names of sockets in the simulated world.
 *
 * The world is one host that has every address, so that a test can give each of its servers a
 * host of its own. Two networks are void, the ones that the standards set aside for that:
 * 192.0.2.0/24 (RFC 5737) and 100::/64 (RFC 6666). A name of AF_UNIX is a node of the disk too,
 * which stays when the socket goes, as in life.
 */
#include "os/sim_socket.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

enum { PORT_FIRST = 32768, PORT_LAST = 60999 };

/* ── Addresses ───────────────────────────────────────────────────────────────────────────── */

int sim_address_read(const struct sockaddr *address, socklen_t n, struct sockaddr_storage *ret)
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

bool sim_address_is_void(const struct sockaddr_storage *a)
{
        static const unsigned char discard[8] = {1};
        if (a->ss_family == AF_INET)
                return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 8 == 0xc00002;
        return a->ss_family == AF_INET6 &&
               memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr, discard, 8) == 0;
}

bool sim_address_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
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

struct sockaddr_storage sim_address_mapped(const struct sockaddr_storage *v4)
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

struct sockaddr_storage sim_address_bare(const struct sockaddr_storage *a)
{
        const struct sockaddr_in6 *from = (const void *)a;
        struct sockaddr_storage ret = {0};
        struct sockaddr_in *to = (void *)&ret;
        if (a->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&from->sin6_addr))
                return *a;
        to->sin_family = AF_INET;
        to->sin_port = from->sin6_port;
        memcpy(&to->sin_addr, &from->sin6_addr.s6_addr[12], 4);
        return ret;
}

bool sim_address_same_place(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
        struct sockaddr_storage x = sim_address_bare(a), y = sim_address_bare(b);
        return sim_address_same(&x, &y);
}

struct sockaddr_storage sim_address_towards(const struct sockaddr_storage *own,
                                            const struct sockaddr_storage *to)
{
        struct sockaddr_storage mine = *own, ret = {.ss_family = to->ss_family};
        if (!is_wildcard(own))
                return sim_address_bare(own);
        if (to->ss_family == AF_INET)
                ((struct sockaddr_in *)&ret)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        else
                ((struct sockaddr_in6 *)&ret)->sin6_addr = in6addr_loopback;
        *port_of(&ret) = *port_of(&mine);
        return ret;
}

/* Whether what is sent to `to` reaches the socket bound as s is. */
static bool reaches(const sim_socket *s, const struct sockaddr_storage *to)
{
        if (sim_address_same(&s->local, to))
                return true;
        if (s->domain == AF_UNIX || to->ss_family == AF_UNIX || !is_wildcard(&s->local))
                return false;
        struct sockaddr_storage mine = s->local, theirs = *to;
        return *port_of(&mine) == *port_of(&theirs) &&
               (s->domain == to->ss_family || (s->domain == AF_INET6 && !s->only_v6));
}

sim_socket *sim_name_find(sim_world *w, int type, socket_state wanted, bool any,
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
                if (s->type == mine->type && sim_address_same(&s->local, a) &&
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

int sim_name_for(sim_world *w, sim_socket *s, const struct sockaddr_storage *to)
{
        if (s->local.ss_family || s->domain == AF_UNIX)
                return 0;
        const struct sockaddr_storage *host = sim_host_of(w, s->domain);
        struct sockaddr_storage own = host ? *host : *to;
        int error = give_port(w, s, &own);
        if (error)
                return error;
        s->local = own;
        /* Only a datagram is ever sent to such a name. */
        if (s->type == SOCK_DGRAM)
                list_append(&w->names, &s->name);
        return 0;
}

int sim_name_reach(sim_world *w, const struct sockaddr_storage *to, sim_socket **ret)
{
        const struct sockaddr_un *un = (const void *)to;
        int error = un->sun_path[0] ? sim_disk_find_socket(w, un->sun_path) : 0;
        if (error)
                return error;
        sim_socket *s = sim_name_find(w, SOCK_DGRAM, NEW, true, to);
        if (!s)
                return -ECONNREFUSED;
        *ret = s;
        return 0;
}

/* ── Names ───────────────────────────────────────────────────────────────────────────────── */

static int bind_unix(sim_world *w, const sim_socket *s, const struct sockaddr_storage *a)
{
        const struct sockaddr_un *un = (const void *)a;
        if (un->sun_path[0])
                return sim_disk_bind(w, un->sun_path);
        /* An abstract name leaves nothing in the folder tree. */
        return taken(w, s, a) ? -EADDRINUSE : 0;
}

/* For who binds to a family alone, as the system does (unix(7), autobind). */
static void make_name_up(sim_world *w, struct sockaddr_storage *ret)
{
        struct sockaddr_un *un = (void *)ret;
        *un = (struct sockaddr_un){.sun_family = AF_UNIX};
        snprintf(un->sun_path + 1, sizeof(un->sun_path) - 1, "%05x", ++w->unix_name);
}

static int bind_socket(sim_world *w, sim_socket *s, const struct sockaddr *address, socklen_t n)
{
        struct sockaddr_storage a = {0};
        int error = 0;
        if (address->sa_family == AF_UNIX && n == sizeof(sa_family_t))
                make_name_up(w, &a);
        else
                error = sim_address_read(address, n, &a);
        if (error)
                return error;
        if (s->local.ss_family || a.ss_family != s->domain)
                return -EINVAL;
        if (s->domain != AF_UNIX && *port_of(&a) == 0)
                error = give_port(w, s, &a);
        else if (s->domain == AF_UNIX)
                error = bind_unix(w, s, &a);
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
        sim_socket *s = sim_socket_of(w, fd);
        return (int)sim_trace(w, "bind", fd, s ? bind_socket(w, s, address, n) : -ENOTSOCK);
}

int os_socket_name(int fd, struct sockaddr_storage *ret)
{
        const sim_socket *s = sim_socket_of(sim_enter(), fd);
        if (!s)
                return -ENOTSOCK;
        *ret = s->local;
        ret->ss_family = (sa_family_t)s->domain;
        return 0;
}

int os_peer_name(int fd, struct sockaddr_storage *ret)
{
        const sim_socket *s = sim_socket_of(sim_enter(), fd);
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
        sim_socket *s = sim_socket_of(w, fd);
        if (!s)
                return (int)sim_trace(w, "set_option", fd, -ENOTSOCK);
        if (level == SOL_SOCKET && option == SO_REUSEPORT)
                s->reuse_port = value;
        if (level == IPPROTO_IPV6 && option == IPV6_V6ONLY)
                s->only_v6 = value;
        /* The rest tunes what is not modelled (Nagle, keep-alive, sizes), and is taken. */
        return (int)sim_trace(w, "set_option", fd, 0);
}

int os_get_option(int fd, int level, int option)
{
        sim_world *w = sim_enter();
        const sim_socket *s = sim_socket_of(w, fd);
        int value = s ? -ENOPROTOOPT : -ENOTSOCK;
        if (s && level == SOL_SOCKET && option == SO_TYPE)
                value = s->type;
        if (s && level == SOL_SOCKET && option == SO_DOMAIN)
                value = s->domain;
        if (s && level == SOL_SOCKET && option == SO_ACCEPTCONN)
                value = s->state == LISTENING;
        return (int)sim_trace(w, "get_option", fd, value);
}
