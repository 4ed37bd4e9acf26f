/* SPDX-License-Identifier: MIT */
/*
 * The inside of a worker's controller, for worker*.c.
 *
 *   worker.c           its life: starting, stopping, keeping its name
 *   worker_delivery.c  a delivery's life: leased, decoded, handed out, ended
 *   worker_settle.c    telling the broker, renewing, tending what runs
 *   worker_join.c      telling joins, before that
 *   worker_pool.c      its children: starting, hearing, replacing
 *   worker_crew.c      how many of them there are to be, and which are let go (by need:
 *                      worker_scale.c)
 *   worker_sources.c   the queues that it leases from
 *   worker_revoked.c   ids and stamps that are not to be run
 *   worker_failure.c   who is told of failures
 *   worker_tune.c      limits of tasks that change while it runs
 *   worker_link.c      a child's life, and what is said to it
 *   worker_hear.c      what is heard of it
 *   worker_states.c    states that are no ends: STARTED, custom ones
 *   worker_ward.c      deliveries that may crash, kept apart
 *   worker_turns.c     deliveries that a rate limit holds up (the limit: worker_rate.c)
 *   worker_fleet.c     deliveries that a limit of the whole fleet holds up
 *   worker_solo.c      the pool without children
 *   worker_events.c    what it tells those who watch
 *   worker_control.c   what it is asked and told from afar (worker_inspect.c, worker_steer.c)
 *
 * A delivery is in exactly one list at a time: of its child (to be sent, sent), of the solo pool,
 * or of those that have ended; and always in `held`, until the broker has been told.
 */
#ifndef SANJAB_QUEUE_WORKER_INTERNAL_H
#define SANJAB_QUEUE_WORKER_INTERNAL_H

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "exec/zygote.h"
#include "fiber/wait.h"
#include "queue/control/clock.h"
#include "queue/control/revoked.h"
#include "queue/message/message.h"
#include "queue/outcome/outcome.h"
#include "queue/task/task.h"
#include "queue/worker/worker.h"
#include "queue/worker/worker_rate.h"
#include "queue/worker/worker_wire.h"

#include <sanjab/sync.h>

typedef struct worker_child worker_child;

/* How long a broker that fails is left alone before the next try. */
#define WORKER_RETRY_PAUSE (500 * SJ_MS)
/* How long one call to the broker may take. */
#define WORKER_BROKER_LIMIT (30 * SJ_SEC)
/* How long one that stops waits until the broker has heard that it goes, which time tells, too. */
#define WORKER_FAREWELL (2 * SJ_SEC)
/* How long a child may take to leave: for what tasks have left to be done at exit. */
#define WORKER_QUIT_LIMIT (2 * SJ_SEC)

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
        const broker_join *joins; /* opened, or grown, before that */
        size_t n_joins;
        const broker_result *known; /* and made known */
        size_t n_known;
        broker_published *published;
        sj_time deadline;
        bool once;
        int result;
} worker_reply;

/* One leased message, from the lease to the settlement. */
typedef struct delivery {
        list place; /* in child->outbox, child->sent, worker->waiting or worker->ended */
        list held;  /* in worker->held */
        sj_arena *arena;
        broker_lease *lease;
        message m;
        outcome_delivery view; /* of the above, for outcome.h */
        worker_child *child;   /* while it is with one */
        uint32_t slot;
        bool sent;               /* the writing of its RUN has begun */
        bool written;            /* all of its RUN is in the ring */
        sj_time begun;           /* when it was first seen to run; 0 */
        uint64_t renewed;        /* the last round of renewals that it was in */
        bool said_started;       /* STARTED was stored */
        bool acked;              /* settled before it ran */
        bool told_end;           /* and what came of it is told */
        bool tried;              /* a call that told its end has failed, or only seemed to */
        bool lost;               /* its lease is not ours any more */
        bool over_limit;         /* its child was killed for it */
        bool terminated;         /* its child was sent a signal for it */
        int signal;              /* that one; 0: SIGTERM */
        bool interrupted;        /* it ran when the worker was stopped */
        bool told_started;       /* an event has said so */
        sj_time took;            /* its run; 0: not known */
        const task_return *came; /* what it returned, while its end is worked out */
        sj_time hard;            /* its limits, when it was handed out; 0: none */
        sj_time soft;
        sj_time told; /* when its child was last interrupted for it; 0 */
        bool ended;
        bool waits_ward;           /* in worker->suspects */
        bool waits_turn;           /* in worker->turns */
        bool waits_fleet;          /* in worker->seekers, or in worker->booked: */
        sj_time turn;              /* its turn by the whole fleet's limit; 0 */
        bool in_hand;              /* being handed out: in no list, and not to be touched */
        bool refused;              /* the broker did not take its end: it has another now */
        worker_note *note;         /* a state that is still to be stored, or NULL */
        outcome_arrivals arrivals; /* what its end brings to joins */
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
        uint32_t slots;    /* entries of its table */
        uint32_t capacity; /* tasks that it can run at once */
        uint64_t done;     /* tasks that it has returned */
        uint32_t *free;    /* a stack of free slots */
        uint32_t n_free;
        delivery **by_slot;
        bool *recalled;  /* by slot: taken back, and not yet skipped */
        list outbox;     /* deliveries to be written */
        list sent;       /* deliveries that it has */
        list replies;    /* publishes whose answer is to be written */
        size_t n_asked;  /* publishes without an answer */
        size_t load;     /* deliveries of both lists */
        sj_event work;   /* for the writer: there is something to write */
        sj_event room;   /* for the writer: the ring may have room again */
        bool terminates; /* a TERMINATE is to be written */
        bool wants_room;
        bool was_ready;
        bool ward; /* only suspects run in it: */

        bool stuck;      /* what it runs takes long: nothing is to wait behind that */
        bool killed;     /* by us */
        bool retired;    /* let go: what it has it finishes, or others do */
        bool distrusted; /* it said what makes no sense */
        sj_scope *scope; /* of its reader, its writer and its publishes; NULL when they are over */
        sj_event ended;  /* its process is gone */
        char how[64];    /* it ended: "killed by SIGSEGV" */
};

typedef struct worker_sources {
        sj_str *known;
        size_t n_known;
        sj_str *queues;
        size_t n_queues;
        sj_str *claimed;
        size_t n_claimed;
        bool changed; /* `claimed` is not what `queues` is */
} worker_sources;

struct worker {
        worker_options options; /* concurrency: as it is now */
        int pid;
        uint64_t random; /* of the last outcome */
        char error[400];
        int failure; /* why it cannot go on, or 0 */
        bool stopping;
        bool cold;
        bool told_unknown; /* that there are tasks that it does not know */
        sj_event stop;     /* set by worker_stop */
        sj_event ready;
        sj_scope *duties;
        sj_scope *leasing;  /* around the lease fiber, while it leases */
        sj_scope *draining; /* around the wait for what runs */
        sj_fiber *solo;     /* who runs the tasks of the solo pool */
        sj_fiber *lessor;   /* who leases */

        broker_token node;
        sj_arena *manifest_arena;
        task_manifest manifest; /* tasks: those of `tasks` */
        task_info *tasks;       /* as they are now */
        bool has_manifest;
        worker_sources sources;
        revoked_set *revoked;
        sj_wall revoked_unkept; /* since when some of them may not be kept in the broker; 0: none */
        sj_wall revoked_seen;   /* the newest of them that the broker has told of */
        sj_scope *waiting_for_more; /* around the lease fiber's wait for messages */
        sj_app *app;                /* for the routes of follow-ups */
        sj_str origin;              /* of the same: "gen<pid>@<host>" */
        task_registry *registry;    /* of the solo pool */

        size_t n_held; /* leased, not settled */
        list held;
        sj_event capacity; /* for the lease fibers: there may be room */
        size_t n_asked;    /* messages that the broker is being asked for */
        unsigned asking;   /* calls that do so */
        sj_event plenty;   /* the broker gave all that it was asked for */
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
        sj_scope *running_scope; /* around its body */
        sj_time mean_run;        /* of the last runs */
        list notes;              /* states to be stored */
        sj_event notes_event;
        list suspects; /* deliveries that wait for the ward */
        size_t n_suspects;
        sj_event ward_event; /* one may be let in, or the ward closed */
        list turns;          /* deliveries that a rate limit holds up */
        size_t n_turns;
        sj_event turns_event; /* one may go on */
        list seekers;         /* deliveries that ask the broker for their turn */
        list booked;          /* those that have one, which is to come */
        size_t n_booked;
        sj_event fleet_event;
        worker_rate *rates; /* one for each task of the manifest */
        bool *told_limits;  /* likewise: that a message's limit cannot be enforced */

        zygote *zygote;
        sj_scope *waiting_for_news; /* around the pool fiber's wait for the zygote */
        worker_child **children;    /* places, some of them empty */
        size_t n_children;
        size_t n_busy; /* children that have deliveries */
        size_t load;   /* deliveries that children have */
        uint64_t next_child;
        unsigned failed_starts; /* in a row */
        sj_event child_gone;    /* for who waits for the last of them */

        worker_counts counts;

        queue_clock clock; /* of what is said and heard beside tasks */
        sj_time since;     /* when it began */
        uint64_t *totals;  /* runs, ended, of each task of the manifest, then of the built-in ones;
                              or NULL */
        struct events *events; /* NULL: it cannot tell any */
        sj_event events_event; /* one was gathered */
        bool tells_tasks;      /* events of tasks, too */
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
/* Asks while the other one does, and there is plenty. */
int worker_lease_more_duty(void *worker);
/* It has ended by itself, with the task's return. */
void worker_returned(worker *w, delivery *d, const task_return *result);
/* It was not begun, and goes back; not before the eta of next (which lasts as long as it; or NULL).
 */
void worker_give_back(worker *w, delivery *d);
void worker_give_back_until(worker *w, delivery *d, const broker_message *next);
/* It is to be run now: acknowledges it if that is done early, and gives it to who runs it. */
void worker_hand_out(worker *w, delivery *d);
/* The same of one that is trusted, or for which the ward has room. */
void worker_hand_now(worker *w, delivery *d);
/* How many more tasks may run at once than children or tasks do; the leaving ones count, too. */
size_t worker_places_left(const worker *w);
/* How many more the child may have, but for what it has. */
size_t worker_child_strength(const worker *w, const worker_child *c);
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

/* worker_failure.c: tells of it to whom the options name. */
void worker_tell_failure(worker *w, const delivery *d);

/* worker_log.c: the lines of the log that say that it has come, and how it has ended. */
void worker_log_received(const delivery *d);
void worker_log_end(const delivery *d);

/* worker_settle.c */
int worker_settle_duty(void *worker);
int worker_renew_duty(void *worker);
int worker_tend_duty(void *worker);
/* Whether its task has begun, and not ended. */
bool worker_is_running(const worker *w, const delivery *d);
/* Settles these few now. */
int worker_settle_now(worker *w, delivery *const deliveries[], size_t n);
/* This one, until it is known whether that was done: 0, or why not. */
int worker_settle_surely(worker *w, delivery *d);

/* worker_join.c */
/* Tells joins of the ends of these, and adds to their settlements what follows. The broker's. */
int worker_tell_joins(worker *w, delivery *const deliveries[], size_t n);
/* What a member of a chord must know to send another: [its place or null, the body]; or nothing. */
sj_str worker_chord_text(const delivery *d);

/* worker_states.c */
int worker_states_duty(void *worker);
/* To be stored soon, unless another follows or it ends: texts are copied. */
void worker_note_state(worker *w, delivery *d, sj_str state, sj_str meta);
void worker_note_started(worker *w, delivery *d);
/* It has ended: what was noted of it does not matter any more. */
void worker_note_forget(delivery *d);

/* worker_ward.c */
int worker_ward_duty(void *worker);
/* Whether it has been delivered before, so that it may be what has felled a child. */
bool worker_is_suspect(const worker *w, const delivery *d);
/* Whether it may run among others; if not it has been taken care of. */
bool worker_is_trusted(worker *w, delivery *d);
/* The ward's child if that has room for it, or NULL. */
worker_child *worker_ward_choose(const worker *w, const delivery *d);
/* Whether a child is to be started for what waits. */
bool worker_ward_lacks_child(const worker *w);
/* Out of the list of those that wait. */
void worker_ward_forget(worker *w, delivery *d);
/* Gives back all that wait. */
void worker_ward_recall(worker *w);

/* worker_turns.c */
int worker_turns_duty(void *worker);
/* Whether its rate limit lets it run now; if not it has been taken care of. */
bool worker_turn_has_come(worker *w, delivery *d);
/* Out of the list of those that wait, if it is in that. */
void worker_turn_forget(worker *w, delivery *d);
/* Gives back all that wait. */
void worker_turns_recall(worker *w);

/* worker_fleet.c: as of worker_turns.c, of limits that the whole fleet shares. */
int worker_fleet_duty(void *worker);
bool worker_fleet_lets(worker *w, delivery *d);
void worker_fleet_forget(worker *w, delivery *d);
void worker_fleet_recall(worker *w);

/* worker_sources.c */
int worker_sources_init(worker_sources *s, const sj_str queues[], size_t n);
void worker_sources_fini(worker_sources *s);
/* Brings `claimed` up to date. */
int worker_sources_claim(worker_sources *s);

/* worker_revoked.c */
/* Takes over what the broker keeps; a broker that keeps nothing is no error. -ECANCELED. */
int worker_revoked_load(worker *w);
/* Not to be run from now on, neither here nor by those that the broker tells. */
int worker_revoked_keep(worker *w, const sj_str ids[], size_t n);
/* The ids that are members of the object, which another worker has said. */
int worker_revoked_take(worker *w, const sj_json *ids);
/* Whether its id or a stamp of it is revoked. */
bool worker_must_not_run(worker *w, const delivery *d);

/* worker_tune.c */
/* The tasks of the manifest with the worker's own limits where they have none. */
int worker_tune_tasks(worker *w);
/* Once of each task, if the delivery, which is to be run, has a limit that nobody can enforce. */
void worker_tune_warn(worker *w, const delivery *d);

/* worker_crew.c */
/* How many children there are to be. */
size_t worker_crew_size(const worker *w);
/* How many there are that will stay. */
size_t worker_crew_count(const worker *w);
/* How many tasks one child is to be able to run at once. */
unsigned worker_crew_capacity(const worker *w);
/* Lets one go: what has not begun goes to others. */
void worker_child_retire(worker_child *c);
/* It is ready: those whose place it takes are let go. */
void worker_crew_ready(worker_child *c);
/* It has returned a task: it may have to be replaced. */
void worker_crew_after_task(worker_child *c);
/* A child has one delivery more, or one less. */
void worker_crew_load(worker_child *c);
void worker_crew_unload(worker_child *c);
int worker_scale_duty(void *worker);

/* worker_pool.c */
/* There may be children to be started. */
void worker_pool_poke(worker *w);
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
/* Ends a system call that the task it runs may be blocked in. */
void worker_child_interrupt(worker_child *c);
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

/* worker_control.c */
int worker_control_duty(void *worker);
/* How many runs have begun, as Celery counts: those that go on, too. */
uint64_t worker_processed(const worker *w);
/* The same as worker->totals is; to be freed. -ENOMEM. */
int worker_totals(const worker *w, uint64_t **ret);
/* The place of a task in those. */
size_t worker_total_at(const worker *w, const task_info *info);

/* worker_solo.c */
int worker_solo_open(worker *w);
int worker_solo_duty(void *worker);
/* Asks the one that runs to end; if it is to be terminated, its body is cancelled. */
void worker_solo_cancel(worker *w, const delivery *d);
void worker_solo_hand(worker *w, delivery *d);
void worker_solo_close(worker *w);

#endif
