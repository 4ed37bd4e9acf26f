/* SPDX-License-Identifier: MIT */
/* A socket of the simulated world; what sim_name.c, sim_connect.c and sim_socket.c share. */
#ifndef SANJAB_OS_SIM_SOCKET_H
#define SANJAB_OS_SIM_SOCKET_H

#include "os/sim_world.h"

typedef enum socket_state { NEW, LISTENING, CONNECTING, CONNECTED } socket_state;

typedef struct sim_socket {
        sim_fd base;
        sim_event attempt; /* to connect */
        sj_time give_up;
        int domain;
        int type;
        socket_state state;
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

/* ── sim_name.c ──────────────────────────────────────────────────────────────────────────── */

/* A copy with nothing behind its end. -EINVAL: too short or too long for its family. */
int sim_address_read(const struct sockaddr *address, socklen_t n, struct sockaddr_storage *ret);
bool sim_address_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b);
/* Whether it lies in one of the two networks that never answer. */
bool sim_address_is_void(const struct sockaddr_storage *a);
/* ::ffff:a.b.c.d, as an IPv6 listener sees an IPv4 peer (RFC 4291 §2.5.5.2). */
struct sockaddr_storage sim_address_mapped(const struct sockaddr_storage *v4);

/* The IPv4 address that a mapped one stands for; any other as it is. */
struct sockaddr_storage sim_address_bare(const struct sockaddr_storage *a);
/* The same place, one of them perhaps mapped. */
bool sim_address_same_place(const struct sockaddr_storage *a, const struct sockaddr_storage *b);
/* Where what is sent from `own` to `to` seems to come from: a wildcard is the loopback's address.
 */
struct sockaddr_storage sim_address_towards(const struct sockaddr_storage *own,
                                            const struct sockaddr_storage *to);

/* One of the sockets in that state (or any) that the address reaches: by lot, if they share it. */
sim_socket *sim_name_find(sim_world *w, int type, socket_state wanted, bool any,
                          const struct sockaddr_storage *to);
/* The Unix datagram socket of that name. -ENOENT no file; -ECONNREFUSED nobody has it. */
int sim_name_reach(sim_world *w, const struct sockaddr_storage *to, sim_socket **ret);
/* Gives a socket that connects to `to` without a name of its own one. -EADDRINUSE */
int sim_name_for(sim_world *w, sim_socket *s, const struct sockaddr_storage *to);

/* ── sim_socket.c ────────────────────────────────────────────────────────────────────────── */

sim_socket *sim_socket_of(sim_world *w, int fd);
/* The descriptor, or -EMFILE. */
int sim_socket_new(sim_world *w, int domain, int type, sim_socket **ret);
/* From now on it is that side of the link. */
void sim_socket_connected(sim_socket *s, sim_link *link, int side);
/* The error that waits, taken; 0: none. */
int sim_socket_error(sim_socket *s);

/* ── sim_connect.c ───────────────────────────────────────────────────────────────────────── */

/* The event of a socket's attempt to connect. */
void sim_socket_attempt(sim_event *event, bool happens);

#endif
