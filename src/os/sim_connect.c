/* SPDX-License-Identifier: MIT */
/*
 * Listening and connecting in the simulated world.
 *
 *         NEW ──listen──► LISTENING ◄── arrivals wait here ──accept──► CONNECTED
 *          └──connect──► CONNECTING ──(a travel later)──► CONNECTED, or NEW with an error
 *
 * Over the network an attempt that meets a full backlog, a cut, or a void address, is dropped and
 * made again each second, until after 127 seconds it is -ETIMEDOUT. AF_UNIX connects at once, as it
 * does in life.
 */
#include "os/sim_socket.h"

#include <stdlib.h>
#include <sys/un.h>

#define SYN_AGAIN   SJ_SEC
#define SYN_GIVE_UP (127 * SJ_SEC)

int os_listen(int fd, int backlog)
{
        sim_world *w = sim_enter();
        sim_socket *s = sim_socket_of(w, fd);
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
        sim_link *link = sim_link_new(w, s->domain == AF_UNIX ? SIM_LOCAL : SIM_WIRED, &s->local,
                                      &s->remote);
        arrival *a = sim_alloc(sizeof(*a));
        a->link = link;
        a->from = s->local.ss_family == AF_INET && listener->domain == AF_INET6
                          ? sim_address_mapped(&s->local)
                          : s->local;
        list_append(&listener->waiting, &a->node);
        listener->waiting_count++;
        sim_socket_connected(s, link, 0);
        sim_fd_changed(&listener->base);
}

static void fail_connect(sim_socket *s, int error)
{
        s->state = NEW;
        s->error = error;
        sim_fd_changed(&s->base);
}

/* One try over the network: a full backlog and a void drop it, and it is tried again. */
void sim_socket_attempt(sim_event *event, bool happens)
{
        if (!happens)
                return;
        sim_world *w = sim_world_get();
        sim_socket *s = container_of(event, sim_socket, attempt);
        bool lost = sim_address_is_void(&s->remote) || sim_is_cut(w, &s->local, &s->remote) ||
                    sim_is_cut(w, &s->remote, &s->local);
        sim_socket *listener =
                lost ? NULL : sim_name_find(w, SOCK_STREAM, LISTENING, false, &s->remote);
        if (listener && listener->waiting_count >= listener->backlog)
                lost = true;
        if (lost && w->now >= s->give_up)
                fail_connect(s, -ETIMEDOUT);
        else if (lost)
                sim_post(w, event, w->now + SYN_AGAIN);
        else if (!listener || sim_one_in(w, FAULT_REFUSE, w->options.refuse))
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
        sim_socket *listener = sim_name_find(w, SOCK_STREAM, LISTENING, false, &s->remote);
        if (!listener)
                return -ECONNREFUSED;
        if (listener->waiting_count >= listener->backlog)
                return -EAGAIN;
        connect_to(w, s, listener);
        return 0;
}

static int connect_wired(sim_world *w, sim_socket *s)
{
        int error = sim_name_for(w, s, &s->remote);
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
        int error = sim_address_read(address, n, &a);
        if (error)
                return error;
        if (a.ss_family != s->domain)
                return -EAFNOSUPPORT;
        s->remote = a;
        if (s->type == SOCK_STREAM)
                return s->domain == AF_UNIX ? connect_unix(w, s) : connect_wired(w, s);
        sim_socket *peer;
        error = s->domain == AF_UNIX ? sim_name_reach(w, &a, &peer) : sim_name_for(w, s, &a);
        if (!error)
                s->state = CONNECTED;
        return error;
}

int os_connect(int fd, const struct sockaddr *address, socklen_t n)
{
        sim_world *w = sim_enter();
        sim_socket *s = sim_socket_of(w, fd);
        return (int)sim_trace(w, "connect", fd, s ? connect_socket(w, s, address, n) : -ENOTSOCK);
}

int os_connect_result(int fd)
{
        sim_world *w = sim_enter();
        sim_socket *s = sim_socket_of(w, fd);
        int error = s ? sim_socket_error(s) : -ENOTSOCK;
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
        int fd = sim_socket_new(w, listener->domain, SOCK_STREAM, &s);
        if (fd < 0)
                return fd;
        arrival *a = container_of(list_pop(&listener->waiting), arrival, node);
        listener->waiting_count--;
        s->local = listener->local;
        s->remote = a->from;
        sim_socket_connected(s, a->link, 1);
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
        sim_socket *s = sim_socket_of(w, fd);
        return (int)sim_trace(w, "accept", fd, s ? accept_from(w, s, ret_address) : -ENOTSOCK);
}
