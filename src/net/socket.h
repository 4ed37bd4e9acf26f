/* SPDX-License-Identifier: MIT */
/* A socket of ours and the waits for it: what streams of sockets and listeners share. */
#ifndef SANJAB_NET_SOCKET_H
#define SANJAB_NET_SOCKET_H

#include <sanjab/net.h>

#include "loop/loop.h"
#include "os/os.h"

struct socket {
        loop_fd watch;
        struct sj_loop *loop; /* where it is registered, from the first wait on; or NULL */
        int fd;
};

/*
 * Waits until fd is ready for one of `ready`, which is worth it only after a try has given
 * -EAGAIN: an edge that was reported before that try ends the wait too. As fiber_wait_fd;
 * -EXDEV registered with another thread's loop; -EPERM no fiber.
 */
int socket_wait(struct socket *s, unsigned ready, sj_time deadline);

/* Who is told, outside of any fiber, that a stream which rested has something to read. */
struct socket_sleeper {
        void (*wake)(struct socket_sleeper *sleeper);
};

/*
 * Leaves a stream that no fiber waits for until something comes over it, or its end: sleeper->wake
 * is called then, once, unless it is closed before. 1: something may be there already, and nobody
 * will be told. -EOPNOTSUPP not the stream of a socket; -EXDEV; -ENOMEM, -ENOSPC.
 */
int socket_rest(sj_stream *s, struct socket_sleeper *sleeper);

/*
 * Before a call that may not block: lets the others run, when it is the last of a long streak of
 * such calls. Which works without a fiber too. -ECANCELED.
 */
int socket_turn(unsigned *streak);

/*
 * What is full at a Unix socket's other end gives no event here when it has room again: sleeps for
 * a moment, each time longer; *pause begins with 0. -ETIMEDOUT, and as sj_sleep_until.
 */
int socket_pause(sj_time *pause, sj_time deadline);

/* Closes fd, and forgets it in the loop. */
void socket_close(struct socket *s);

/* What the system wrote, with its length. -ENOTCONN nothing. */
int socket_address(const struct sockaddr_storage *storage, sj_address *ret);

/* The address of this end. */
int socket_local(const struct socket *s, sj_address *ret);

/* A new stream socket for the address's family, connected to it: a stream that the caller owns. */
int socket_connect(const sj_address *address, sj_stream **ret, sj_time deadline);

/* The settings of every TCP connection. */
void socket_tune(int fd, int family);

#endif
