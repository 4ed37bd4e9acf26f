/* SPDX-License-Identifier: MIT */
/*
 * ring: messages from one process (or thread) to another through shared memory, one writer and
 * one reader. No system call while both are busy.
 *
 *         writer                               reader
 *         ring_put(r, parts, n); ...           while (ring_get(r, &message) == 0) ...
 *         ring_flush(r);                       ring_block(r, deadline);
 *
 * The two sides do not trust each other: whatever the peer writes into the shared memory, no byte
 * outside of it is touched, and a ring that makes no sense answers -EPROTO from then on.
 *
 * Blocking. A side that finds nothing to do says how it will sleep (ring_announce), and the peer
 * wakes it when that has changed: a plain thread sleeps on a word of the shared memory, a loop
 * waits for its bell's descriptor (os_bell_new). A peer that dies wakes nobody: watch its pidfd.
 */
#ifndef SANJAB_EXEC_RING_H
#define SANJAB_EXEC_RING_H

#include "base/buf.h"

#include <sanjab/time.h>

#include <sys/uio.h>

enum {
        RING_HEADER = 192,        /* bytes of the shared memory before the data */
        RING_CAPACITY_MIN = 4096, /* of the data; a power of two */
        RING_CAPACITY_MAX = 1 << 30,
};

/* How a side sleeps, and so how its peer wakes it. */
typedef enum ring_sleep {
        RING_AWAKE,
        RING_FUTEX,
        RING_BELL,
} ring_sleep;

typedef struct ring_shared ring_shared;

/* One side of a ring; private memory of that side. */
typedef struct ring {
        ring_shared *shared;
        unsigned char *data;
        uint64_t capacity;
        uint64_t position;  /* own: where the next byte is written or read, ever increasing */
        uint64_t published; /* own position as the peer can see it */
        uint64_t seen;      /* the peer's position, when last looked at and checked */
        uint64_t need;      /* writer: the room that the refused message waits for */
        size_t progress;    /* writer: bytes of a long message that are in already */
        size_t total;       /* writer: of how many */
        buf message;        /* reader: the message that was got, or the pieces so far */
        bool partial;       /* reader: message holds pieces of a longer one */
        bool writer;
        int spins;     /* of ring_block, before it sleeps */
        int error;     /* -EPROTO, -EMSGSIZE or -ENOMEM, for good; or 0 */
        int peer_bell; /* rung when the peer sleeps by bell; not owned */
} ring;

/* The shared memory that a ring of that capacity needs; it must be zeroed and aligned to 64. */
static inline size_t ring_size(size_t capacity)
{
        return RING_HEADER + capacity;
}

/*
 * Makes *r the writer's or the reader's side of the ring in that memory. limit is the longest
 * message, in bytes. -EINVAL capacity is not a power of two within the bounds above.
 */
int ring_open(ring *r, void *memory, size_t capacity, size_t limit, bool writer, int peer_bell);
void ring_close(ring *r);

/* ── Writer ──────────────────────────────────────────────────────────────────────────────── */

/*
 * Appends a message made of n parts (n may be 0). It is seen by the reader after ring_flush.
 * -EAGAIN: no room; what could be written of a long message (one that is longer than half of the
 * ring) is written and flushed: call it again with the same message when there is room. Until
 * then no other message can be put (-EBUSY, if its length tells).
 * -EMSGSIZE over the limit, nothing written; -EPROTO.
 */
int ring_put(ring *r, const struct iovec parts[], size_t n);

/* Lets the reader see what was put, and wakes it if it sleeps. */
void ring_flush(ring *r);

/* Whether a long message is written in part. */
static inline bool ring_in_part(const ring *r)
{
        return r->progress != 0;
}

/* ── Reader ──────────────────────────────────────────────────────────────────────────────── */

/*
 * The next message: a private copy, valid until the next ring_get. -EAGAIN none is whole yet;
 * -EPROTO the ring is corrupt; -EMSGSIZE the message is over the limit; -ENOMEM. The last three
 * are for good: the place in the stream is lost.
 */
int ring_get(ring *r, sj_str *ret);

/* ── Both ────────────────────────────────────────────────────────────────────────────────── */

/*
 * Whether it makes sense to try again: for the reader, something (a piece, or a corruption) is
 * there; for the writer, room for the message that was refused.
 */
bool ring_ready(ring *r);

/*
 * Says how this side will sleep. False: it is ready already, and was withdrawn. True: the peer
 * will wake it once, and withdraws it thereby.
 */
bool ring_announce(ring *r, ring_sleep how);
/* Takes the announcement back; for one who was woken by something else. */
void ring_withdraw(ring *r);

/* Blocks the thread until the ring is ready, spinning a little first. 0 or -ETIMEDOUT. */
int ring_block(ring *r, sj_time deadline);

#endif
