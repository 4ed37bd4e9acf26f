/* SPDX-License-Identifier: MIT */
/*
 * duplex: messages both ways between this process and one that it starts: two rings and an area
 * for the user's own words in one piece of shared memory, and a bell for each side.
 *
 *         owner (duplex_new)                 peer (duplex_open, from the descriptors it was given)
 *           out ───────────────────────────────► in
 *           in  ◄─────────────────────────────── out
 *         bell: rung by the peer             bell: rung by the owner
 */
#ifndef SANJAB_EXEC_DUPLEX_H
#define SANJAB_EXEC_DUPLEX_H

#include "exec/ring.h"

/* What the peer is given: the memory, its own bell, the owner's bell. */
enum { DUPLEX_FDS = 3 };

/* Both sides must say the same. */
typedef struct duplex_shape {
        size_t capacity; /* of each ring */
        size_t limit;    /* the longest message */
        size_t extra;    /* bytes of the user's own, at the least */
} duplex_shape;

typedef struct duplex {
        ring out;
        ring in;
        void *extra; /* zero at first, aligned to 64 */
        void *memory;
        size_t size;
        int fd;
        int bell;
        int peer_bell;
} duplex;

/* A duplex that duplex_fini accepts. */
#define DUPLEX_INIT ((duplex){.fd = -1, .bell = -1, .peer_bell = -1})

/* -EINVAL the shape; -ENOMEM, -EMFILE and so on. */
int duplex_new(const char *name, const duplex_shape *shape, duplex *ret);

/* The descriptors for the peer, in the order of duplex_open; they stay this side's to close. */
void duplex_fds(const duplex *d, int ret[DUPLEX_FDS]);

/* The peer's side, in the process that inherited the descriptors; it owns them from now on. */
int duplex_open(const int fds[DUPLEX_FDS], const duplex_shape *shape, duplex *ret);

/* Gives all back. The other side keeps its own. */
void duplex_fini(duplex *d);

/*
 * Both rings at once, for a side that waits by its bell: as ring_announce for the reading side,
 * and with `writing` for the writing side too. False: something is ready.
 */
bool duplex_announce(duplex *d, bool writing);
/* After the bell rang: clears it, and takes back what was announced. */
void duplex_woken(duplex *d);

/*
 * The two above for a fiber, with the wait between them: 0 something may be ready; -ETIMEDOUT,
 * -ECANCELED. sj_fd_forget(d->bell) must be called before duplex_fini then.
 */
int duplex_wait(duplex *d, bool writing, sj_time deadline);

#endif
