/* SPDX-License-Identifier: MIT */
/*
 * Waits that other threads may end: of fibers, and of threads without a loop.
 *
 *         waiter's stack                       a thing of several threads, under its mutex
 *         ┌ grant ───────────┐
 *         │ shared_waiter ───┼──── link ────►  its queue of waiters
 *         └──────────────────┘
 *
 * One of all who could end the wait (whoever finds a waiter of it in a queue, its timer, its
 * cancellation, another clause of a select) takes the grant; the others leave the wait alone. Who
 * has taken it ends it by grant_give, which may come later: until then the waiter stays, so that
 * its memory may be used, as to put an item there.
 */
#ifndef SANJAB_FIBER_GRANT_H
#define SANJAB_FIBER_GRANT_H

#include "base/list.h"
#include "fiber/mutex.h"
#include "fiber/wait.h"

enum { GRANT_OPEN, GRANT_TAKEN, GRANT_GIVEN };

typedef struct grant {
        _Atomic uint32_t state; /* a thread sleeps on it */
        int result;             /* once it is given */
        size_t which;           /* likewise: the clause that fires */
        clause *clauses;
        struct sj_loop *loop; /* of the fiber that waits; NULL: it is a thread */
        loop_post post;
} grant;

/* One place in one queue. */
typedef struct shared_waiter {
        list link; /* in the queue, or with those that were taken and are to be given */
        grant *grant;
        size_t which; /* the clause that it stands for */
        void *data;   /* what the thing wants to know of this waiter */
} shared_waiter;

/* For the calling fiber or thread. */
void grant_init(grant *g, clause clauses[]);

/* From any thread: whether the caller is the one who ends the wait. */
static inline bool grant_take(grant *g)
{
        uint32_t open = GRANT_OPEN;
        return atomic_compare_exchange_strong(&g->state, &open, GRANT_TAKEN);
}

/*
 * Waits until it is given, and returns with what; in *ret (may be NULL) for which clause. The
 * deadline is not SJ_POLL. -ETIMEDOUT, -ECANCELED: *ret is as before, and nobody else can take it.
 */
int grant_wait(grant *g, size_t n, sj_time deadline, const char *what, size_t *ret);

/* The mutex that a public struct has as a word. */
static inline mutex *mutex_of(uint32_t *word)
{
        return (mutex *)(void *)word;
}

/* Adds a waiter at the end of a queue, under its mutex. */
void shared_enter(list *queue, shared_waiter *w);

/*
 * Under the mutex: the first whose wait the caller has taken, out of the queue, or NULL. It must be
 * given, better without the mutex, and not be touched after that.
 */
shared_waiter *shared_first(list *queue);
void shared_give(shared_waiter *w, int result);

/* The same with all of a queue: those that were taken are appended to `given`. */
void shared_take_all(list *queue, list *given);
void shared_give_all(list *given, int result);

/*
 * With the mutex held, which is given up: waits in the queue, and returns what was given.
 * -ETIMEDOUT, -ECANCELED: nothing is left in the queue.
 */
int shared_wait(mutex *m, list *queue, void *data, sj_time deadline, const char *what);

/* 0, or -ECANCELED when the caller is a fiber that is cancelled. */
int shared_check(void);

#endif
