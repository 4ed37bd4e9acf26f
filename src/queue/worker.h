/* SPDX-License-Identifier: MIT */
/*
 * worker: takes messages from a broker and has them run.
 *
 * The controller is one process with a loop, and a fiber for each duty:
 *
 *   lease    leases as many messages as there is room for, decodes them, hands them to children
 *   settle   tells the broker in groups how deliveries have ended
 *   renew    renews what is held, hears of revocations
 *   tend     time limits, STARTED, deliveries stuck behind a long one
 *   states   stores states that are no ends, the last of each delivery
 *   turns    hands out what a rate limit has held up
 *   beat     keeps the worker's name
 *   pool     hears the zygote: children that start and end
 *   and for each child a reader and a writer of its rings
 *
 * It never loads the user's tasks and never waits for a child. Children are forked by a zygote,
 * load the tasks, and say by a manifest what they have. With the pool SOLO, the stated exception,
 * there is no child: the controller loads the tasks and runs one at a time.
 *
 *   delivery:  leased ─► decoded ─► its turn ─► queued at a child ─► running ─► ended ─► settled
 *                           │          └─ later ──┐  └─ recalled ─┐               ▲
 *                           └─ not to be run ─────┴───────────────┴───────────────┘
 */
#ifndef SANJAB_QUEUE_WORKER_H
#define SANJAB_QUEUE_WORKER_H

#include "queue/broker.h"

#include <sanjab/fiber.h>

/* Defaults. */
#define WORKER_FIBERS          1000          /* concurrency of the fibers pool */
#define WORKER_WARM_LIMIT      (60 * SJ_SEC) /* that a warm stop waits for what runs */
#define WORKER_NODE_TTL        (15 * SJ_SEC) /* that a worker's name outlives it */
#define WORKER_CONCURRENCY_MAX 4096

typedef enum worker_pool_kind {
        WORKER_PREFORK,     /* n children, one task at a time each */
        WORKER_THREADS,     /* one child with n threads */
        WORKER_FIBERS_POOL, /* one child, n tasks at a time, each in a fiber */
        WORKER_SOLO,        /* the controller itself, one task at a time */
} worker_pool_kind;

typedef struct worker_options {
        broker *broker;       /* open; stays the caller's */
        const char *name;     /* the node's, "worker1@host" */
        const sj_str *queues; /* at least one */
        size_t n_queues;
        const char *tasks; /* a shared object; NULL: the tasks of this program itself */
        worker_pool_kind pool;
        unsigned concurrency;      /* 0: by the pool */
        sj_time lease;             /* 0: BROKER_LEASE_DEFAULT */
        sj_time warm_limit;        /* 0: WORKER_WARM_LIMIT */
        bool shared;               /* others know names that we do not: see outcome.h */
        const sj_app_options *app; /* routes and default queue of what tasks send; or NULL */
        /* Called once when it is ready to take messages, and for its end. May be NULL. */
        void (*ready)(void *arg, size_t tasks);
        void *arg;
} worker_options;

typedef struct worker worker;

/*
 * Makes a worker; it does nothing yet. Options are copied, what they point to must outlive it.
 * -EINVAL, -ENOMEM.
 */
int worker_new(const worker_options *options, worker **ret);
void worker_free(worker *w);

/*
 * Works until it is stopped. In a fiber. If another worker has its name it waits, at most for
 * WORKER_NODE_TTL, to see whether that one lives: one that was killed leaves its name behind. 0: it
 * was stopped, and nothing is left with it. Errors, with a sentence by worker_error: -EEXIST
 * another worker has the name; -EBADMSG the tasks cannot be loaded; -EPERM no sj_boot in main;
 * those of the broker.
 */
int worker_run(worker *w);
const char *worker_error(const worker *w);

typedef enum worker_stop_kind {
        WORKER_STOP_WARM, /* takes nothing new, gives back what has not begun, waits for the rest */
        WORKER_STOP_COLD, /* does not wait: what runs is given back, too */
} worker_stop_kind;

/* From the loop's fibers. Again with COLD to hurry a warm stop. */
void worker_stop(worker *w, worker_stop_kind kind);

typedef struct worker_counts {
        uint64_t succeeded, failed, retried, revoked, dead, returned, crashed;
        size_t held;     /* deliveries */
        size_t children; /* alive */
} worker_counts;
worker_counts worker_count(const worker *w);

#endif
