/* SPDX-License-Identifier: MIT */
/*
 * The inside of fibers and scopes, for this room. Others use <sanjab/fiber.h>, and fiber/wait.h
 * to make things that fibers wait for.
 *
 * Who owns what:
 *
 *         loop ── root scope ── main fiber ── its scopes, innermost first
 *                                                  └─ each: the fibers spawned into it ── ...
 *
 * so that the whole is one tree, which cancellation goes down and failures go up.
 */
#ifndef SANJAB_FIBER_FIBER_H
#define SANJAB_FIBER_FIBER_H

#include <sanjab/fiber.h>
#include <sanjab/future.h>

#include "fiber/context.h"
#include "fiber/stack.h"
#include "fiber/wait.h"
#include "loop/loop.h"

#include <assert.h>
#include <stdatomic.h>

typedef struct scope scope;

/* By cache lines: what a switch touches; what its life touches; the rest. */
struct __attribute__((aligned(64))) sj_fiber {
        loop_task ready;    /* first: what the loop hands out is the fiber */
        context context;    /* its pc is NULL until it runs for the first time */
        struct wait *wait;  /* what it waits for, or waited for when it is not over; else NULL */
        int result;         /* when it has ended */
        int cancelled;      /* why, by sj_cancel or its owner; scopes inside may be shielded */
        bool has_ended;     /* else it runs, if it is the current one; or waits; or is ready */
        bool stop;          /* its blocking calls say -ECANCELED: fiber_is_cancelled */
        bool has_handle;    /* freed when its owner is left, not when it ends */
        bool failed_unseen; /* it failed, and nobody has been told yet */

        stack *stack;
        scope *inner; /* the innermost scope that it has open, or NULL */
        scope *owner; /* the scope it was spawned into */
        list sibling; /* in owner->fibers; its next: in free_fibers */
        list joiners; /* clauses; data: the fiber if it tells the result; NULL; or a tally */
        sj_fn *fn;

        void *arg;
        const char *_Atomic name; /* atomic: the watchdog's thread looks at these two */
        const char *_Atomic where;
        struct sj_fiber *next_ended;     /* in owner->ended, until sj_scope_next gave it */
        struct sj_fiber *next_cancelled; /* worklist of scope_cancel */
        struct local_value *locals;      /* its own values, the newest first; mostly none */

        sj_time trace_since; /* when it began what it does; with a trace only, as the next */
        uint32_t trace_lane;
};

/* What sj_scope holds; may_alias, since it lies in the caller's storage of another type. */
struct __attribute__((may_alias)) scope {
        sj_fiber *opener; /* whose body it encloses; NULL for the root */
        struct fiber_loop *loop;
        scope *outer;    /* the scope around it in the same fiber, or NULL */
        scope *inner;    /* the one inside it in the same fiber, or NULL */
        list fibers;     /* those alive, and those with a handle */
        sj_fiber *ended; /* those with a handle that ended and were not given by sj_scope_next */
        sj_fiber **last_ended; /* where the next goes */
        list joiners;          /* clauses that wait until none is alive; data: set for a join */
        list next_takers;      /* clauses that wait for the next end */
        loop_timer timer;      /* fires at the deadline */
        sj_time deadline;
        unsigned flags;
        unsigned alive;
        unsigned handles_alive; /* of those, the ones with a handle */
        unsigned failed_unseen; /* failures that nobody has been told of */
        int unseen_error;       /* the first of these that nobody can ask a handle for */
        int error;              /* the first failure of a child */
        int cancelled;          /* why: SJ_BY_NONE, if it is not */
        bool from_above;        /* cancelled by what is around it */
        bool timed_out;         /* its own deadline has passed */
};

static_assert(sizeof(scope) <= sizeof(sj_scope), "sj_scope must hold a scope");

typedef struct fiber_loop {
        struct sj_loop loop; /* first: an sj_loop * is a fiber_loop * */
        sj_fiber *_Atomic current;
        context root_context; /* of the thread's own stack, which polls */
        stack_pool stacks;
        loop_timer tidy;   /* fires a while after many fibers ended */
        list *free_fibers; /* their sibling members */
        struct fiber_slab *slabs;
        sj_fiber *leaving; /* has ended, and its stack is still under it: see fiber_bury */
        _Atomic uint64_t switches;
        uint64_t poll_at; /* the loop is polled when so many switches have been; tracing: 0 */
        uint64_t readied; /* how often a fiber was made ready */
        uint64_t turns;   /* how often the thread's own stack came next */
        size_t ready_most, timers_most, fds_most; /* at the end of a turn */
        scope root;
        struct fd_record **fd_table; /* by descriptor */
        size_t fd_table_size;
        struct watchdog *watchdog;
        struct trace *trace; /* or NULL */
        sj_fiber *main;
        sj_future *stop; /* set when the loop is to end; of this loop, or of several */
        sj_then stop_call;
        loop_post stop_post; /* by which stop_call reaches this thread */
        bool stopped;        /* it has */
        list remotes;        /* fibers that other threads have spawned here: remote.c */
} fiber_loop;

/* This thread's loop, or NULL; a function, so that no register keeps its address over a switch. */
extern _Thread_local fiber_loop *fiber_loop_of_thread __attribute__((tls_model("initial-exec")));

static inline sj_fiber *fiber_current(void)
{
        fiber_loop *fl = fiber_loop_of_thread;
        return fl ? atomic_load_explicit(&fl->current, memory_order_relaxed) : NULL;
}

/* As fiber_check: for this room's hot paths. */
static inline int fiber_check_of(const sj_fiber *f)
{
        if (__builtin_expect(!f, 0))
                return -EPERM;
        return __builtin_expect(f->stop, 0) ? -ECANCELED : 0;
}

static inline scope *scope_of(sj_scope *s)
{
        return (scope *)s;
}

/* The loop that the scope's fibers run on is that of the thread: a scope never crosses threads. */
/* Why, or SJ_BY_NONE; kept, whether, in f->stop, which is set anew whenever one of these changes.
 */
static inline int fiber_is_cancelled(const sj_fiber *f)
{
        return f->inner ? f->inner->cancelled : f->cancelled;
}

/* Of one that has ended: to have been cancelled is no failure. */
static inline bool fiber_failed(const sj_fiber *f)
{
        return f->result < 0 && !(f->result == -ECANCELED && f->cancelled);
}

static inline void fiber_make_ready_in(fiber_loop *fl, sj_fiber *f)
{
        fl->readied++;
        loop_ready(&fl->loop, &f->ready);
}

static inline void fiber_make_ready(sj_fiber *f)
{
        fiber_make_ready_in(fiber_loop_of_thread, f);
}

/* trace.c: the next that is ready, or NULL for the thread's own stack, and writes it down. */
loop_task *trace_next(fiber_loop *fl) __attribute__((cold));

/*
 * Who runs now, taken from those that are ready: NULL for the thread's own stack. `switches`
 * changes first, so that the watchdog, if it reads a new current, finds that they have moved.
 */
static inline sj_fiber *fiber_next(fiber_loop *fl)
{
        uint64_t switches = atomic_load_explicit(&fl->switches, memory_order_relaxed) + 1;
        atomic_store_explicit(&fl->switches, switches, memory_order_relaxed);
        loop_task *task = NULL;
        if (__builtin_expect(switches < fl->poll_at, 1))
                task = loop_next(&fl->loop);
        else if (fl->trace)
                task = trace_next(fl);
        sj_fiber *next = task ? container_of(task, sj_fiber, ready) : NULL;
        atomic_store_explicit(&fl->current, next, memory_order_release);
        return next;
}

/* fiber.c: the function that each fiber's stack begins with. */
void fiber_body(void *arg);

/* Where to go for it. A fiber that has not run yet gets its first frame now: see fiber_body. */
static inline context *fiber_context(fiber_loop *fl, sj_fiber *next)
{
        if (!next)
                return &fl->root_context;
        if (__builtin_expect(!next->context.pc, 0))
                context_make(&next->context, next->stack->low, next->stack->size, fiber_body, next);
        return &next->context;
}

/* fiber.c: gives up an ended fiber's stack, and its struct unless it has a handle. */
void fiber_bury(fiber_loop *fl, sj_fiber *f);

/* What the one that runs next does first. */
static inline void fiber_after_switch(fiber_loop *fl)
{
        sj_fiber *f = SANITIZE_ANY ? fl->leaving : NULL;
        if (f)
                fiber_bury(fl, f);
}

/* Gives up the processor; returns when somebody has made the fiber ready and it is its turn. */
static inline __attribute__((always_inline)) void fiber_switch_away(sj_fiber *f)
{
        fiber_loop *fl = fiber_loop_of_thread;
        sj_fiber *next = fiber_next(fl);
        if (next != f) {
                context_switch(&f->context, fiber_context(fl, next));
                fiber_after_switch(fl);
        }
}

/* As sj_run_named; the loop ends in good order when stop is set. */
int fiber_run(sj_future *stop, sj_fn *main, void *arg, const char *name, const char *where);

/* Frees an ended fiber's struct. */
void fiber_free(fiber_loop *fl, sj_fiber *f);
/* Frees the structs of a list of siblings, none of which is alive. */
void fiber_free_all(fiber_loop *fl, list *siblings);
/* Tells that somebody has been told of the fiber's failure. */
void fiber_seen(sj_fiber *f);

/* wait.c: ends the wait with -ECANCELED, unless it is over or shielded. */
void wait_cancel(wait *w);

/* local.c: the values that a fiber spawned by one with these begins with. */
int local_inherit(const struct local_value *from, struct local_value **ret) FIBER_RARE;
/* Drops them, in the fiber, which ends. */
void local_end(sj_fiber *f) FIBER_RARE;

/*
 * dump.c: all fibers of the loop, also those that ended and have a handle, each before those of
 * its scopes. *depth is raised for a child.
 */
sj_fiber *fiber_tree_first(const fiber_loop *fl);
sj_fiber *fiber_tree_next(const sj_fiber *f, int *depth);

/* counters.c: at the end of a turn. */
void counters_turn(fiber_loop *fl);

/* fd.c */
void fd_table_free(fiber_loop *fl);

/* scope.c */
void scope_init(scope *s, sj_fiber *opener, sj_time deadline, unsigned flags);
/* What has no handle failed: keeps the error, and cancels the scope unless it only collects. */
void scope_fail(scope *s, int error);
/* A child has ended. */
void scope_child_ended(scope *s, sj_fiber *f);
/* Cancels one fiber and all that it owns. */
void scope_cancel_fiber(sj_fiber *f, int reason);

#endif
