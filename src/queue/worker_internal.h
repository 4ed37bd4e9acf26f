/* SPDX-License-Identifier: MIT */
/*
 * The inside of a worker's controller, for worker*.c.
 *
 *   worker.c           its life: starting, stopping, keeping its name
 *   worker_delivery.c  a delivery's life: leased, decoded, handed out, ended
 *   worker_settle.c    telling the broker, renewing, tending what runs
 *   worker_pool.c      its children: starting, hearing, replacing
 *   worker_link.c      a child's life, and what is said to it
 *   worker_hear.c      what is heard of it
 *   worker_states.c    states that are no ends: STARTED, custom ones
 *   worker_turns.c     deliveries that a rate limit holds up (the limit: worker_rate.c)
 *   worker_solo.c      the pool without children
 *
 * A delivery is in exactly one list at a time: of its child (to be sent, sent), of the solo pool,
 * or of those that have ended; and always in `held`, until the broker has been told.
 */
#ifndef SANJAB_QUEUE_WORKER_INTERNAL_H
#define SANJAB_QUEUE_WORKER_INTERNAL_H

#include "base/list.h"
#include "exec/zygote.h"
#include "fiber/wait.h"
#include "queue/message.h"
#include "queue/outcome.h"
#include "queue/task.h"
#include "queue/worker.h"
#include "queue/worker_rate.h"
#include "queue/worker_wire.h"

typedef struct worker_child worker_child;

/* How long a broker that fails is left alone before the next try. */
#define WORKER_RETRY_PAUSE (500 * SJ_MS)
/* How long one call to the broker may take. */
#define WORKER_BROKER_LIMIT (30 * SJ_SEC)

/* A state that is no end, on its way to the broker: of a delivery, the last one only. */
typedef struct worker_note {
        list place; /* in worker->notes, until it is being stored */
        sj_arena *arena;
        struct delivery *of; /* NULL while it is being stored */
        broker_result result;
} worker_note;

/* A task's own publish, until its answer is written. All of it in the arena. */
typedef struct worker_reply {
        list place;
        worker_child *c;
        sj_arena *arena;
        uint32_t number;
        const broker_message *messages;
        size_t n;
        broker_published *published;
        int result;
} worker_reply;

/* One leased message, from the lease to the settlement. */
typedef struct delivery {
        list place; /* in child->outbox, child->sent, worker->waiting or worker->ended */
        list held;  /* in worker->held */
        sj_arena *arena;
        broker_lease *lease;
        message m;
        message_error error;
        outcome_delivery view; /* of the above, for outcome.h */
        worker_child *child;   /* while it is with one */
        uint32_t slot;
        bool sent;         /* the writing of its RUN has begun */
        bool written;      /* all of its RUN is in the ring */
        sj_time begun;     /* when it was first seen to run; 0 */
        uint64_t renewed;  /* the last round of renewals that it was in */
        bool said_started; /* STARTED was stored */
        bool acked;        /* settled before it ran */
        bool lost;         /* its lease is not ours any more */
        bool over_limit;   /* its child was killed for it */
        bool ended;
        bool waits_turn;   /* in worker->turns */
        bool in_hand;      /* being handed out: in no list, and not to be touched */
        bool refused;      /* the broker did not take its end: it has another now */
        worker_note *note; /* a state that is still to be stored, or NULL */
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
        uint32_t slots; /* entries of its table */
        uint32_t *free; /* a stack of free slots */
        uint32_t n_free;
        delivery **by_slot;
        bool *recalled; /* by slot: taken back, and not yet skipped */
        list outbox;    /* deliveries to be written */
        list sent;      /* deliveries that it has */
        list replies;   /* publishes whose answer is to be written */
        size_t n_asked; /* publishes without an answer */
        size_t load;    /* deliveries of both lists */
        sj_event work;  /* for the writer: there is something to write */
        sj_event room;  /* for the writer: the ring may have room again */
        bool wants_room;
        bool was_ready;
        bool stuck;      /* what it runs takes long: nothing is to wait behind that */
        bool killed;     /* by us */
        bool distrusted; /* it said what makes no sense */
        sj_scope *scope; /* of its reader, its writer and its publishes; NULL when they are over */
        sj_event ended;  /* its process is gone */
        char how[64];    /* it ended: "killed by SIGSEGV" */
};

struct worker {
        worker_options options;
        char error[400];
        int failure; /* why it cannot go on, or 0 */
        bool stopping;
        bool cold;
        sj_event stop; /* set by worker_stop */
        sj_event ready;
        sj_scope *duties;
        sj_scope *leasing;  /* around the lease fiber, while it leases */
        sj_scope *draining; /* around the wait for what runs */
        sj_fiber *solo;     /* who runs the tasks of the solo pool */
        sj_fiber *lessor;   /* who leases */

        broker_token node;
        sj_arena *manifest_arena;
        task_manifest manifest;
        bool has_manifest;
        sj_app *app;             /* for the routes of follow-ups */
        task_registry *registry; /* of the solo pool */

        size_t n_held; /* leased, not settled */
        list held;
        sj_event capacity; /* for the lease fiber: there may be room */
        list ended;        /* deliveries to be settled */
        sj_event ended_event;
        sj_event idle;     /* nothing is held */
        sj_event busy;     /* something is held */
        uint64_t renewals; /* rounds of them */
        bool renewing;     /* the leases are in the broker's hands */
        list settled;      /* deliveries to be freed when they are not */
        list spare;        /* delivery structs */
        list waiting;      /* of the solo pool: deliveries that wait for their turn */
        sj_event waiting_event;
        delivery *running;
        bool running_cancelled;
        sj_time mean_run; /* of the last runs */
        list notes;       /* states to be stored */
        sj_event notes_event;
        list turns; /* deliveries that a rate limit holds up */
        size_t n_turns;
        sj_event turns_event; /* one may go on */
        worker_rate *rates;   /* one for each task of the manifest */

        zygote *zygote;
        worker_child **children;
        size_t n_children;
        uint64_t next_child;
        unsigned failed_starts; /* in a row */
        sj_event child_gone;    /* for who waits for the last of them */

        worker_counts counts;
};

/* A limit of a task in nanoseconds, 0 for none; what a message asks for may be any number. */
static inline sj_time worker_limit(double seconds)
{
        return seconds > 0 && seconds < 1e9 ? (sj_time)(seconds * (double)SJ_SEC) : 0;
}

/* worker.c: the worker cannot go on; the first reason is kept. */
void worker_fail(worker *w, int error, const char *format, ...) SJ_PRINTF(3, 4);

/* worker_delivery.c */
/* How many more deliveries may be leased now. */
size_t worker_room(const worker *w);
int worker_lease_duty(void *worker);
/* It has ended by itself, with the task's return. */
void worker_returned(worker *w, delivery *d, const task_return *result);
/* It was not begun, and goes back; not before the eta of next (which lasts as long as it; or NULL).
 */
void worker_give_back(worker *w, delivery *d);
void worker_give_back_until(worker *w, delivery *d, const broker_message *next);
/* It is to be run now: acknowledges it if that is done early, and gives it to who runs it. */
void worker_hand_out(worker *w, delivery *d);
/* Whether there is somebody to give one to. */
bool worker_can_hand(const worker *w);
/* There may be room for another. */
void worker_has_room(worker *w);
/* Who ran it has died. */
void worker_crashed(worker *w, delivery *d, const char *how);
/* It was interrupted by a stop. */
void worker_interrupted(worker *w, delivery *d);
/* It is settled: frees it, or leaves that to worker_delivery_sweep while leases are renewed. */
void worker_delivery_free(worker *w, delivery *d);
void worker_delivery_sweep(worker *w);
outcome_context worker_context(worker *w);
/* Somebody asks for its end: what has not begun is ended, what runs is told. */
void worker_cancel_delivery(worker *w, delivery *d);
/* It waited for its turn, and something has changed: it ends, or goes back. */
void worker_judge_again(worker *w, delivery *d);
/* A run has taken so long. */
void worker_note_time(worker *w, sj_time took);

/* worker_settle.c */
int worker_settle_duty(void *worker);
int worker_renew_duty(void *worker);
int worker_tend_duty(void *worker);
/* Settles these few now. */
int worker_settle_now(worker *w, delivery *const deliveries[], size_t n);
/* This one, until it is known whether that was done: 0, or why not. */
int worker_settle_surely(worker *w, delivery *d);

/* worker_states.c */
int worker_states_duty(void *worker);
/* To be stored soon, unless another follows or it ends: texts are copied. */
void worker_note_state(worker *w, delivery *d, sj_str state, sj_str meta);
void worker_note_started(worker *w, delivery *d);
/* It has ended: what was noted of it does not matter any more. */
void worker_note_forget(delivery *d);

/* worker_turns.c */
int worker_turns_duty(void *worker);
/* Whether its rate limit lets it run now; if not it has been taken care of. */
bool worker_turn_has_come(worker *w, delivery *d);
/* Out of the list of those that wait, if it is in that. */
void worker_turn_forget(worker *w, delivery *d);
/* Gives back all that wait. */
void worker_turns_recall(worker *w);

/* worker_pool.c */
int worker_pool_open(worker *w);
int worker_pool_duty(void *worker);
void worker_pool_close(worker *w);
/* Tells all children to finish, and waits until they are gone, at most for a moment. */
void worker_pool_quit(worker *w);
/* How many more one child can take. */
size_t worker_child_room(const worker *w, const worker_child *c);
/* The child with the least to do that can take another, or NULL. */
worker_child *worker_pool_choose(worker *w);
void worker_child_kill(worker_child *c);
/* The last that is heard of a child: frees it, and has it replaced. */
void worker_child_gone(worker_child *c);
/* The manifest has come. */
int worker_take_manifest(worker *w, sj_str text);

/* worker_link.c */
/* A fiber for as long as the child lives. */
int worker_link_life(void *child);
void worker_link_hand(worker_child *c, delivery *d);
/* The delivery is out of the child's hands. */
void worker_link_release(worker_child *c, delivery *d);
/* Takes it back if it has not begun; false: it has. */
bool worker_link_take_back(worker_child *c, delivery *d);
/* Gives back those that have not begun. */
void worker_link_recall(worker_child *c);
/* Ends a child whose words make no sense, or whose ring is broken; 0, or -ECANCELED if it is. */
int worker_link_distrust(worker_child *c, int error);

/* worker_hear.c */
/* A fiber that reads what the child says. */
int worker_hear(void *child);
/* All that it has said. -EAGAIN: no more at the moment. */
int worker_hear_all(worker_child *c);

/* worker_solo.c */
int worker_solo_open(worker *w);
int worker_solo_duty(void *worker);
void worker_solo_hand(worker *w, delivery *d);
void worker_solo_close(worker *w);

#endif
