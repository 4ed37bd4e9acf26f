/* SPDX-License-Identifier: MIT */
/* The inside of a worker's controller, for worker*.c. */
#ifndef SANJAB_QUEUE_WORKER_INTERNAL_H
#define SANJAB_QUEUE_WORKER_INTERNAL_H

#include "base/list.h"
#include "exec/zygote.h"
#include "fiber/wait.h"
#include "queue/message.h"
#include "queue/outcome.h"
#include "queue/task.h"
#include "queue/worker.h"
#include "queue/worker_wire.h"

typedef struct worker_child worker_child;

/* One leased message, from the lease to the settlement. */
typedef struct delivery {
        list place; /* in child->outbox, child->sent, or worker->ended */
        sj_arena *arena;
        broker_lease *lease;
        message m;
        message_error error;
        outcome_delivery view; /* of the above, for outcome.h */
        worker_child *child;   /* while it is with one */
        uint32_t slot;
        sj_time begun;     /* when it was first seen to run; 0 */
        bool queued;       /* its RUN was written into the ring */
        bool said_started; /* STARTED was stored */
        bool acked;        /* settled before it ran */
        bool lost;         /* its lease is not ours any more */
        bool over_limit;   /* its child was killed for it */
        broker_settlement settlement;
} delivery;

typedef enum child_state {
        CHILD_STARTING, /* asked for, or loading its tasks */
        CHILD_READY,
        CHILD_ENDING, /* told to quit, or killed */
        CHILD_ENDED,
} child_state;

struct worker_child {
        worker *w;
        uint64_t id;
        child_state state;
        int pid;
        int pidfd;
        duplex duplex;
        loop_fd bell;
        size_t slots;      /* entries of its table */
        size_t free_slots; /* in free_list */
        uint32_t *free_list;
        delivery **by_slot;
        list outbox; /* deliveries to be written */
        list sent;   /* deliveries that it has */
        size_t load; /* of both */
        buf replies; /* REPLY records to be written: see worker_publish */
        list publishes;
        sj_event work; /* for the writer: outbox or replies are not empty */
        sj_event room; /* for the writer: the ring may have room again */
        bool wants_room;
        sj_fiber *reader;
        sj_fiber *writer;
};

struct worker {
        worker_options options;
        char error[400];
        int failure; /* why it cannot go on, or 0 */
        bool stopping;
        worker_stop_kind stop_kind;
        sj_event stop_event; /* set anew by each worker_stop */

        broker_token node;
        sj_arena *manifest_arena;
        task_manifest manifest;
        bool has_manifest;
        sj_app *app; /* for the routes of follow-ups */

        /* deliveries */
        size_t held;       /* leased, not settled */
        sj_event capacity; /* for the lease fiber: there may be room */
        list ended;        /* deliveries to be settled */
        sj_event ended_event;
        sj_event idle; /* nothing is held */
        list all;      /* every lease held: see worker_settle.c */
        struct delivery_node *free_deliveries;
        double mean_run; /* seconds, of the last runs */

        /* children */
        zygote *zygote;
        loop_fd zygote_fd;
        worker_child **children;
        size_t n_children;
        uint64_t next_child;
        unsigned failed_starts; /* in a row */
        sj_scope *scope;        /* of all duties */
        sj_event ready;

        worker_counts counts;
};

#endif
