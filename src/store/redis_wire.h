/* SPDX-License-Identifier: MIT */
/*
 * A wire: a link that many fibers use, with a fiber of its own to write and one to read.
 *
 *         who has something to say ──► queued ──► writer ──► server
 *         user->take, for each reply  ◄───────── reader ◄──┘
 *
 * What is appended to `queued` while a write is under way leaves in the next one. The reader is
 * the watchdog, too: when an answer is due and nothing has come or gone for `silence`, the wire is
 * broken; when none is due, it has the user send a PING.
 */
#ifndef SANJAB_STORE_REDIS_WIRE_H
#define SANJAB_STORE_REDIS_WIRE_H

#include "fiber/wait.h"
#include "store/redis_link.h"

typedef struct redis_wire redis_wire;

typedef struct redis_wire_user {
        /* Where the next reply goes; NULL: it is dropped. */
        sj_arena *(*arena)(redis_wire *w);
        /* A whole reply (NULL if it was dropped). A negative value breaks the wire. */
        int (*take)(redis_wire *w, const redis_reply *reply);
        /* All that has come was taken. */
        void (*drained)(redis_wire *w);
        /* Whether an answer is due. */
        bool (*due)(const redis_wire *w);
        /* Queues a PING. */
        int (*ping)(redis_wire *w);
} redis_wire_user;

struct redis_wire {
        const redis_wire_user *user;
        redis_link *link;
        sj_fiber *reader;
        buf queued;       /* what the writer takes next */
        uint64_t batch;   /* the number of what is being queued, from 1 */
        uint64_t begun;   /* batches up to this one have begun to leave */
        uint64_t replies; /* that have come */
        list idle_writer; /* its clause, while there is nothing to write */
        sj_time silence;
        sj_time progress; /* when something last came or went, or became due */
        bool retiring;    /* ends as soon as nothing is due */
        bool distrusted;  /* ends at once: -EPROTO */
};

void redis_wire_init(redis_wire *w, const redis_wire_user *user, sj_time silence);
void redis_wire_fini(redis_wire *w);
/* Runs it on the link until it breaks: why. The link is freed. */
int redis_wire_run(redis_wire *w, redis_link *link);
/* Something was queued; was_due: whether an answer was due before. */
void redis_wire_queued(redis_wire *w, bool was_due);
/* Lets it end as soon as nothing is due. */
void redis_wire_retire(redis_wire *w);
/* Ends it at once, since what was said on it makes no sense. */
void redis_wire_distrust(redis_wire *w);

#endif
