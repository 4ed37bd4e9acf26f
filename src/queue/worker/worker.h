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
 *   fleet    asks the broker for turns by limits that all workers share
 *   beat     keeps the worker's name
 *   scale    concurrency by need, when that is asked for
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

#include "queue/broker/broker.h"
#include "queue/task/task_annotation.h"

#include <sanjab/fiber.h>

#include <limits.h>

/* Defaults. */
#define WORKER_FIBERS          1000 /* concurrency of the fibers pool */
#define WORKER_NO_RECONNECT    UINT_MAX
#define WORKER_WARM_LIMIT      (60 * SJ_SEC) /* that a warm stop waits for what runs */
#define WORKER_WARM_LIMIT_MAX  (100 * 365 * 24 * SJ_HOUR)
#define WORKER_NODE_TTL        (15 * SJ_SEC) /* that a worker's name outlives it */
#define WORKER_CONCURRENCY_MAX 4096

typedef enum worker_pool_kind {
        WORKER_PREFORK,     /* n children, one task at a time each */
        WORKER_THREADS,     /* one child with n threads */
        WORKER_FIBERS_POOL, /* one child, n tasks at a time, each in a fiber */
        WORKER_SOLO,        /* the controller itself, one task at a time */
} worker_pool_kind;

/* One task that has failed for good. Texts may be empty. */
typedef struct worker_failure {
        sj_str id;
        sj_str task;
        sj_str queue;
        sj_str node;
        sj_str args; /* as Python shows them */
        sj_str kwargs;
        sj_str type;  /* of the exception: "ValueError" */
        sj_str error; /* "ValueError('bang')" */
        sj_str traceback;
        sj_str reason; /* why it is dead */
        int64_t retries;
        uint32_t deliveries;
        sj_wall when;
        bool dead; /* its message is kept as a dead letter */
} worker_failure;

/* Of all tasks of a queue over the whole fleet. */
typedef struct worker_queue_rate {
        const char *pattern; /* of queues' names, as a route's: the first that matches */
        double a_second;
} worker_queue_rate;

typedef struct worker_options {
        broker *broker;      /* open; stays the caller's */
        const char *address; /* of the broker, without secrets, for who asks; or NULL */
        /* All settings, {name: {"value": ..., "from": ...}}, without secrets, for who asks; NULL */
        const sj_json *settings;
        const char *name;     /* the node's, "worker1@host" */
        const sj_str *queues; /* at least one */
        size_t n_queues;
        const char *tasks; /* a shared object; NULL: the tasks of this program itself */
        worker_pool_kind pool;
        unsigned concurrency;         /* 0: by the pool */
        sj_time lease;                /* 0: BROKER_LEASE_DEFAULT */
        sj_time warm_limit;           /* at most _MAX; 0: WORKER_WARM_LIMIT */
        bool shared;                  /* others know names that we do not: see outcome.h */
        const sj_app_options *app;    /* routes and default queue of what tasks send; or NULL */
        bool events;                  /* of tasks, too (-E); those of workers are always sent */
        bool deaf;                    /* heeds no remote control */
        unsigned autoscale_min;       /* with _max: concurrency between the two, by need; 0: 1 */
        unsigned autoscale_max;       /* 0: no autoscaling */
        unsigned max_tasks_per_child; /* then it is replaced; 0: never */
        size_t max_memory_per_child;  /* bytes resident; likewise */
        double time_limit;            /* of tasks that have none; 0: none */
        double soft_time_limit;
        const char *rate_limit; /* likewise, for each task; or NULL */
        const worker_queue_rate *queue_rates;
        size_t n_queue_rates;
        const task_annotation *annotations; /* options of tasks over those of the code */
        size_t n_annotations;
        /*
         * Of a broker that was lost: attempts to reach it again, after which the worker gives up;
         * 0: none is the last; WORKER_NO_RECONNECT: it gives up at once.
         */
        unsigned reconnects;
        unsigned accept; /* what arguments may be written in: message_accept; 0: JSON */
        /* Called once when it is ready to take messages, and for its end. May be NULL. */
        void (*ready)(void *arg, size_t tasks);
        void *arg;
        /*
         * Called for each FAILURE, before it is stored; may be called again if that did not
         * succeed and the task runs once more. Must not block. The texts last as long as the call.
         */
        void (*failed)(void *failed_arg, const worker_failure *failure);
        void *failed_arg;
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

/* ── While it runs: from the loop's fibers ───────────────────────────────────────────────── */

/*
 * Children (or threads, or tasks at once in fibers). Fewer: those that are idle go first, others
 * when they have ended what they run; nothing is killed. With autoscaling the bounds are widened
 * to it. -EINVAL out of range; -EOPNOTSUPP solo.
 */
int worker_set_concurrency(worker *w, unsigned n);
unsigned worker_concurrency(const worker *w);
/* New bounds. -EINVAL; -EOPNOTSUPP it was not started with autoscaling. */
int worker_set_autoscale(worker *w, unsigned min, unsigned max);
/*
 * Leases from this queue, too (no error if it does; -EINVAL not a name; -ENOSPC too many); not any
 * more (-ENOENT if it does not; what is held of it is run).
 */
int worker_add_queue(worker *w, sj_str queue);
int worker_cancel_queue(worker *w, sj_str queue);
/* Valid until they change. */
size_t worker_queues(const worker *w, const sj_str **ret);
/*
 * Of the task of that name: NULL no limit. -ENOENT unknown (as all are before it is ready);
 * -EINVAL the rate's form.
 */
int worker_set_rate(worker *w, sj_str task, const char *rate);
/* Seconds; 0: none. Of what is handed out from now on. -ENOENT. */
int worker_set_limits(worker *w, sj_str task, double soft, double hard);
/*
 * The ids are not to be run here from now on; those that wait with us end as REVOKED. What runs is
 * left alone, unless terminate: then its child gets the signal (0: SIGTERM), and in other pools
 * than prefork the task is told (sj_task_cancelled). Returns how many of them ran and were
 * terminated; -EINVAL not an id; -ENOMEM.
 */
int worker_revoke(worker *w, const sj_str ids[], size_t n, bool terminate, int signal);
bool worker_is_revoked(worker *w, sj_str id);

typedef struct worker_counts {
        uint64_t succeeded, failed, retried, revoked, dead, returned, crashed;
        size_t held;     /* deliveries */
        size_t children; /* alive */
} worker_counts;
worker_counts worker_count(const worker *w);

#endif
