/* SPDX-License-Identifier: MIT */
/*
 * Datagrams. Every call is tried first, and waits only for an edge, as those of a stream; only who
 * sends to a Unix socket that is full is told by nothing, and tries again. A UDP socket
 * of all addresses is one of IPv6 that takes IPv4 too, whose addresses it knows in their mapped
 * form (RFC 4291 §2.5.5.2); they are mapped on the way out, so that an answer goes to what was
 * received as well as to what was resolved.
 */
#include "net/address.h"
#include "net/socket.h"
#include "net/unix_name.h"

#include <netinet/in.h>
#include <stdlib.h>

struct sj_udp {
        struct socket socket;
        int family;
        unsigned streak;
        struct unix_name name;
};

static int open_at(const sj_address *address, sj_udp **ret)
{
        int family = address_family(address);
        sj_udp *u = malloc(sizeof(*u));
        if (!u)
                return -ENOMEM;
        *u = (sj_udp){.socket.fd = os_socket(family, SOCK_DGRAM), .family = family};
        int r = u->socket.fd;
        if (r >= 0 && family == AF_INET6)
                (void)os_set_option(u->socket.fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
        if (r >= 0 && family == AF_UNIX)
                r = os_set_option(u->socket.fd, SOL_SOCKET, SO_PASSCRED, 1);
        if (r >= 0)
                r = os_bind(u->socket.fd, address_any(address), address->n);
        if (r < 0) {
                sj_udp_close(u);
                return r;
        }
        *ret = u;
        return 0;
}

static int open_everywhere(uint16_t port, sj_udp **ret)
{
        sj_address all = address_of_bytes(AF_INET6, &in6addr_any, port);
        int r = open_at(&all, ret);
        if (r != -EAFNOSUPPORT && r != -EADDRNOTAVAIL)
                return r;
        /* A machine without IPv6. */
        all = address_of_bytes(AF_INET, &(struct in_addr){htonl(INADDR_ANY)}, port);
        return open_at(&all, ret);
}

int sj_udp_open(const char *host, uint16_t port, sj_udp **ret)
{
        sj_address address;
        if (!host)
                return open_everywhere(port, ret);
        if (strcmp(host, "localhost") == 0)
                host = "127.0.0.1";
        int r = sj_address_parse(host, port, &address);
        return r < 0 ? r : open_at(&address, ret);
}

int sj_unix_open(const char *path, sj_udp **ret)
{
        /* As long as its family alone: the system makes a name up (unix(7), autobind). */
        sj_address address = {.storage.ss_family = AF_UNIX, .n = sizeof(sa_family_t)};
        sj_udp *u;
        int r = path ? sj_address_unix(path, &address) : 0;
        if (r < 0)
                return r;
        r = open_at(&address, &u);
        if (r < 0 && path) {
                r = unix_name_clear(path, &address, SOCK_DGRAM, r);
                if (r >= 0)
                        r = open_at(&address, &u);
        }
        if (r < 0)
                return r;
        r = path ? unix_name_keep(&u->name, path) : 0;
        if (r < 0) {
                sj_udp_close(u);
                return r;
        }
        *ret = u;
        return 0;
}

void sj_udp_close(sj_udp *u)
{
        if (!u)
                return;
        unix_name_drop(&u->name);
        socket_close(&u->socket);
        free(u);
}

/* The address in the socket's own family. */
static int translate(const sj_udp *u, const sj_address *address, sj_address *ret)
{
        if (address_family(address) == u->family) {
                *ret = *address;
                return 0;
        }
        if (address_family(address) != AF_INET || u->family != AF_INET6)
                return -EAFNOSUPPORT;
        const struct sockaddr_in *v4 = (const void *)&address->storage;
        unsigned char mapped[16] = {[10] = 0xff, [11] = 0xff};
        memcpy(mapped + 12, &v4->sin_addr, 4);
        *ret = address_of_bytes(AF_INET6, mapped, ntohs(v4->sin_port));
        return 0;
}

int sj_udp_connect(sj_udp *u, const sj_address *peer)
{
        sj_address to;
        int r = translate(u, peer, &to);
        return r < 0 ? r : os_connect(u->socket.fd, address_any(&to), to.n);
}

static int wait_for(sj_udp *u, unsigned ready, sj_time deadline)
{
        u->streak = 0;
        return socket_wait(&u->socket, ready, deadline);
}

/* to: NULL for the one it is connected to. */
static int send_one(sj_udp *u, const sj_address *to, const void *data, size_t n, sj_time deadline)
{
        int fd = u->socket.fd;
        sj_time pause = 0;
        int r = socket_turn(&u->streak);
        while (r >= 0) {
                ssize_t put =
                        to ? os_send_to(fd, data, n, address_any(to), to->n) : os_send(fd, data, n);
                if (put != -EAGAIN)
                        return put < 0 ? (int)put : 0;
                r = u->family == AF_UNIX ? socket_pause(&pause, deadline)
                                         : wait_for(u, OS_WRITABLE, deadline);
        }
        return r;
}

int sj_udp_send(sj_udp *u, const void *data, size_t n, sj_time deadline)
{
        return send_one(u, NULL, data, n, deadline);
}

int sj_udp_send_to(sj_udp *u, const sj_address *to, const void *data, size_t n, sj_time deadline)
{
        sj_address own;
        int r = translate(u, to, &own);
        return r < 0 ? r : send_one(u, &own, data, n, deadline);
}

/* process: NULL, or of whom it shall be. */
static ssize_t recv_one(sj_udp *u, void *ret, size_t n, sj_address *ret_from,
                        sj_peer_process *process, sj_time deadline)
{
        int fd = u->socket.fd;
        int r = socket_turn(&u->streak);
        while (r >= 0) {
                struct sockaddr_storage from;
                ssize_t got = process ? os_recv_from_process(fd, ret, n, &from, &process->pid,
                                                             &process->user, &process->group)
                                      : os_recv_from(fd, ret, n, &from);
                if (got >= 0 && (size_t)got > n)
                        return -EMSGSIZE;
                /* A Unix socket that sends need not have a name. */
                if (got >= 0 && ret_from && socket_address(&from, ret_from) < 0)
                        *ret_from = (sj_address){0};
                if (got != -EAGAIN)
                        return got;
                r = wait_for(u, OS_READABLE, deadline);
        }
        return r;
}

ssize_t sj_udp_recv(sj_udp *u, void *ret, size_t n, sj_address *ret_from, sj_time deadline)
{
        return recv_one(u, ret, n, ret_from, NULL, deadline);
}

ssize_t sj_udp_recv_process(sj_udp *u, void *ret, size_t n, sj_address *ret_from,
                            sj_peer_process *ret_process, sj_time deadline)
{
        sj_peer_process process;
        if (u->family != AF_UNIX)
                return -EOPNOTSUPP;
        ssize_t got = recv_one(u, ret, n, ret_from, &process, deadline);
        if (got >= 0)
                *ret_process = process;
        return got;
}

int sj_udp_address(const sj_udp *u, sj_address *ret)
{
        return socket_local(&u->socket, ret);
}
