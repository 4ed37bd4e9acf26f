/* SPDX-License-Identifier: MIT */
/*
 * How a fiber waits. A wait is a few clauses on the fiber's own stack, each of them in the queue
 * of the thing that it is about; one fires, and all are withdrawn at that moment, so that no
 * second one can fire. Nothing is allocated.
 *
 *         fiber's stack                        the things
 *         ┌ wait ────────────┐
 *         │ clause ──────────┼──── link ────►  a chan's queue of receivers
 *         │ clause ──────────┼──── link ────►  a fiber's joiners
 *         │ timer ───────────┼──── node ────►  the loop's timers
 *         └──────────────────┘
 *
 * A thing that fibers wait for does this:
 *
 *         int r = fiber_check();                        is the fiber cancelled?
 *         if (r < 0) return r;
 *         if (can do it at once) return ...;
 *         struct clause c = {0};
 *         clause_add(&thing->waiters, &c);
 *         return fiber_wait(&c, 1, deadline, "thing", NULL);
 *
 * and later, from the loop's thread, clause_fire(clause, result).
 */
#ifndef SANJAB_FIBER_WAIT_H
#define SANJAB_FIBER_WAIT_H

#include <sanjab/fiber.h>

#include "base/list.h"
#include "loop/loop.h"

struct wait;

/* Holds no array that could be overrun, and is called too often to be guarded against it. */
#define FIBER_HOT __attribute__((no_stack_protector))
/* What a hot path calls seldom: inlined, it would have each pass save its registers. */
#define FIBER_RARE __attribute__((noinline))

typedef struct clause {
        list link; /* in the queue of what it is about; withdrawn by list_remove */
        struct wait *wait;
        void *data; /* what the thing wants to know of this waiter */
} clause;

/* Who may end a wait beside what it is for. */
enum wait_kind {
        WAIT_OPEN,     /* cancellation */
        WAIT_SHIELDED, /* nobody */
        WAIT_GRANTED,  /* cancellation, and other threads: see grant.h */
};

typedef struct wait {
        sj_fiber *fiber;
        clause *clauses;
        size_t n;
        clause *fired; /* the one that fired, or NULL */
        int result;
        bool over;
        unsigned char kind;
        struct grant *grant; /* of a wait of that kind */
        const char *what;
        sj_time since; /* the loop's turn in which it began */
        loop_timer timer;
} wait;

/* What of several things a wait still has to see: each tells by tally_seen. */
typedef struct tally {
        size_t pending; /* so many ends more */
        bool until_failure;
} tally;

static inline tally tally_of(size_t n, sj_until until)
{
        return (tally){.pending = until == SJ_FIRST ? 1 : n,
                       .until_failure = until == SJ_FIRST_FAILURE};
}

/* One has ended, and failed or not: whether there is nothing more to wait for. */
static inline bool tally_seen(tally *t, bool failed)
{
        if (t->pending > 0)
                t->pending--;
        if (failed && t->until_failure)
                t->pending = 0;
        return t->pending == 0;
}

/* 0, -ECANCELED when the calling fiber is cancelled, -EPERM when there is no fiber. */
int fiber_check(void);

/*
 * Waits until one of the n clauses fires, which the caller has put into queues already: returns
 * its result, and in *ret (may be NULL) its index. -ETIMEDOUT; -ECANCELED. In any case no clause
 * is in a queue afterwards. what: for the dump, a literal.
 */
int fiber_wait(clause clauses[], size_t n, sj_time deadline, const char *what, size_t *ret);

/* As fiber_wait, when other threads may end the wait by the grant; the deadline is not SJ_POLL. */
int fiber_wait_granted(struct grant *g, clause clauses[], size_t n, sj_time deadline,
                       const char *what, size_t *ret);

/* As fiber_wait with no deadline, and cancellation does not end it. */
int fiber_wait_shielded(clause clauses[], size_t n, const char *what);

/* Ends the clause's wait with the result. False: the wait was over already, nothing has happened.
 */
bool clause_fire(clause *c, int result);

/*
 * clause_fire in two steps, for one of a queue, with which something must be done between them.
 * False, and the clause has left its queue: another thread is ending the wait.
 */
static inline bool clause_claim(clause *c);
void clause_end(clause *c, int result);

/* Fires the oldest clause of the queue, if there is one. */
bool clause_fire_first(list *queue, int result);
/* Fires all of them, oldest first. */
void clause_fire_all(list *queue, int result);

/* grant.c */
bool clause_claim_granted(clause *c);

static inline bool clause_claim(clause *c)
{
        return __builtin_expect(c->wait->kind != WAIT_GRANTED, 1) || clause_claim_granted(c);
}

/* Puts the clause at the end of a queue. One of zeros is empty. */
static inline void clause_add(list *queue, clause *c)
{
        if (!queue->next)
                list_init(queue);
        list_append(queue, &c->link);
}

/* The oldest clause of a queue, which stays in, or NULL. */
static inline clause *clause_first(const list *queue)
{
        if (!queue->next || list_empty(queue))
                return NULL;
        return container_of(queue->next, clause, link);
}

/*
 * Waits until lfd is ready for one of `ready` (OS_READABLE | OS_WRITABLE) and takes that edge:
 * returns what it is ready for, which may have been so for long; so try, and wait after -EAGAIN.
 * lfd->notify must be fiber_fd_notify. -ETIMEDOUT; -ECANCELED; -EBUSY another fiber waits for the
 * same direction.
 */
int fiber_wait_fd(loop_fd *lfd, unsigned ready, sj_time deadline);
void fiber_fd_notify(loop_fd *lfd, unsigned ready);
/*
 * The parts of fiber_wait_fd, for a wait with other clauses: enter returns what it is ready for
 * already, -EBUSY, or 0 and then the clause fires with what it is ready for, and fiber_fd_leave
 * must follow the wait, unless c->data is NULL: then lfd may be gone.
 */
int fiber_fd_enter(loop_fd *lfd, unsigned ready, clause *c);
void fiber_fd_leave(loop_fd *lfd, const clause *c);
/* What somebody waits for: OS_READABLE | OS_WRITABLE. Who has been woken waits no more. */
unsigned fiber_fd_wanted(const loop_fd *lfd);
/*
 * Ends the waits for lfd with the result (as -EPIPE when it is closed under them), who do not
 * touch it again: it may be freed at once.
 */
void fiber_fd_abort(loop_fd *lfd, int result);

/* This thread's loop. NULL when none runs. */
struct sj_loop *fiber_loop_current(void);

/*
 * The scope of this thread's loop, which all others are in; NULL when none runs. For fibers of an
 * object that is opened and closed by hand: it must end them when it is closed, and they must not
 * fail, since nobody joins them. Without a handle, which would be kept until the loop's end.
 */
sj_scope *fiber_root_scope(void);

#endif
