/* SPDX-License-Identifier: MIT */
/*
 * The inside of a process pool, shared by its public side (process_pool.c), which queues calls,
 * and its manager (process_manager.c), a thread that hands them to workers and settles them.
 *
 *     submit ──► incoming ──► pending ──► on its way to a worker ──► settled
 *                 │ lock       │ the manager's own, as all of the workers
 */
#ifndef SANJAB_EXEC_PROCESS_POOL_H
#define SANJAB_EXEC_PROCESS_POOL_H

#include "base/list.h"
#include "exec/await.h"
#include "exec/process_wire.h"
#include "exec/zygote.h"

#include <sanjab/future.h>

/* The calls of one map: settled together. */
typedef struct process_group {
        sj_process_result *results;
        _Atomic size_t left; /* calls, and 1 for the submitter while it submits */
        mutex lock;          /* of the two below */
        size_t failed_at;
        int failure;
        sj_future done;
} process_group;

typedef struct process_item {
        list node; /* in free, incoming or pending */
        uint64_t function;
        const void *input;
        size_t n;
        void *output;
        size_t capacity;
        sj_future *future;    /* set when it is settled; or */
        process_group *group; /* this one is told, with the index */
        size_t index;
        bool used;           /* lock: between submit and settling */
        _Atomic bool cancel; /* asked for */
        unsigned attempts;   /* workers that ended before they began it */
} process_item;

typedef enum worker_state {
        WORKER_NONE,     /* to be started at start_at */
        WORKER_STARTING, /* asked for */
        WORKER_LIVE,
} worker_state;

typedef struct process_worker {
        worker_state state;
        uint64_t id; /* at the zygote */
        int pid;
        int pidfd;
        duplex link;
        process_shared *shared;
        process_item *slots[PROCESS_DEPTH]; /* NULL: free, or taken back */
        bool taken[PROCESS_DEPTH];          /* not free: the worker has yet to skip it */
        uint64_t order[PROCESS_DEPTH];      /* the number of its handing over */
        uint64_t handed;
        unsigned busy;         /* slots that are not free */
        process_item *sending; /* a long input, in part in the ring */
        uint32_t sending_slot;
        bool killed; /* by us: its end is awaited */
        bool quitting;
        bool useful;      /* has replied once */
        unsigned barren;  /* ends in a row without a reply */
        sj_time progress; /* when it last replied, or got something while idle */
        sj_time start_at;
} process_worker;

/* A settled call whose future is still to be set. */
typedef struct process_outcome {
        process_item *item; /* given back before the future is set */
        sj_future *future;
        process_group *group;
        size_t index;
        int result;
        int status;
} process_outcome;

enum { PROCESS_OUTCOMES = 64 };

struct sj_process_pool {
        mutex lock; /* of these: */
        list free;
        list incoming;
        process_item *items;
        size_t n_items;
        turnstile room;
        turnstile done;
        bool closing;
        bool cancel_pending;
        bool kill_running;
        bool broken;            /* no more workers can be started */
        bool ended;             /* the manager has */
        bool cancels;           /* some item is to be cancelled */
        int *pids;              /* of n workers, 0 where there is none */
        sj_process_fn *last_fn; /* and its offset, since the search takes long */
        uint64_t last_offset;

        /* The manager's sleep: a raise of news is seen before it sleeps, or wakes it. */
        _Atomic uint32_t news;
        _Atomic uint32_t asleep;
        os_poller *poller;

        /* The manager's own. */
        os_thread *thread;
        zygote *zygote;
        list pending;
        process_worker *workers;
        size_t n;
        uint64_t next_id;
        sj_time now;
        sj_time quit_by; /* workers that have not ended by then are killed; 0: not yet */
        bool leaving;    /* as closing, when last looked at */
        process_outcome outcomes[PROCESS_OUTCOMES];
        size_t n_outcomes;
        size_t ring;
        char name[ZYGOTE_NAME_MAX + 1];
};

/* A worker that has not replied for so long is slow. */
#define PROCESS_PATIENCE SJ_MS

/* ── process_calls.c: the calls on their way; by the manager's thread ────────────────────── */

/* The call has ended; its item is in no list and no slot. The future is set by the flush. */
void process_calls_settle(sj_process_pool *p, process_item *item, int result, int status);
void process_calls_settle_all(sj_process_pool *p, int result);
void process_calls_flush(sj_process_pool *p);

void process_calls_kill(process_worker *w);
/* Takes back what the worker has not begun: one call, or NULL; or all, to the head of pending. */
process_item *process_calls_take_back(process_worker *w, uint32_t slot);
size_t process_calls_take_back_all(sj_process_pool *p, process_worker *w);
/* The same from all that are slow. */
void process_calls_relieve(sj_process_pool *p);
bool process_calls_is_slow(const sj_process_pool *p, const process_worker *w);

void process_calls_read(sj_process_pool *p, process_worker *w);
/* Goes on with a long input. */
void process_calls_continue(process_worker *w);
void process_calls_hand_out(sj_process_pool *p);

/* Settles or takes back all that a worker had which has ended. */
void process_calls_worker_ended(sj_process_pool *p, process_worker *w, int status);

/* ── process_fleet.c: the workers; by the manager's thread ───────────────────────────────── */

/* Starts those that are not there and may be. */
void process_fleet_start(sj_process_pool *p);
/* Takes what the zygote says. */
void process_fleet_events(sj_process_pool *p);
/* Asks all to end. True when none is left, or their time is over. */
bool process_fleet_farewell(sj_process_pool *p);
/* Gives back what belongs to the worker; it may be started again from that moment on. */
void process_fleet_clear(sj_process_pool *p, process_worker *w, sj_time start_at);

/* ── process_manager.c ───────────────────────────────────────────────────────────────────── */

/* The manager's thread. */
void *process_manager(void *pool);

/* Tells a group of one settled call; the last one sets its future. */
void process_group_settle(process_group *g, size_t index, int result, int status);

#endif
