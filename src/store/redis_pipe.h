/* SPDX-License-Identifier: MIT */
/*
 * A pipe: requests of many fibers on one wire. A request lies on its caller's stack; the replies
 * come in the order in which the requests stand.
 *
 *         requests   ─► A, 2 replies ─► B, 1 ─► (C was here, 3) ─► D, skip 3, 1      tail: skip
 *
 * Who gives up leaves behind how many replies nobody waits for any more, with the next in the line.
 */
#ifndef SANJAB_STORE_REDIS_PIPE_H
#define SANJAB_STORE_REDIS_PIPE_H

#include "store/redis_wire.h"

typedef struct redis_request {
        list node; /* in requests, or in the client's pending; alone when it is done */
        const redis_command *commands;
        size_t n;
        sj_arena *arena;
        const redis_reply **ret;
        size_t got;     /* replies that have come */
        size_t skip;    /* replies before them that nobody wants */
        uint64_t batch; /* of the wire in which it is queued; 0: in none yet */
        bool once;      /* it waits for one attempt to connect at most */
        bool done;
        int result;
        list waiter;
} redis_request;

typedef struct redis_pipe {
        redis_wire wire;
        list requests;
        size_t skip; /* replies after those of the last request that nobody wants */
        bool up;
} redis_pipe;

void redis_pipe_init(redis_pipe *p, sj_time silence);
void redis_pipe_fini(redis_pipe *p);
/* Queues its commands. As redis_encode; nothing was queued then. */
int redis_pipe_put(redis_pipe *p, redis_request *q);
/* The caller goes before it was done. */
void redis_pipe_abandon(redis_pipe *p, redis_request *q);
/*
 * The wire has broken: those whose commands have begun to leave are done with the error, the
 * others are put in front of `pending`.
 */
void redis_pipe_broken(redis_pipe *p, int error, list *pending);
/* Ends the wait of its caller. */
void redis_request_finish(redis_request *q, int result);

#endif
