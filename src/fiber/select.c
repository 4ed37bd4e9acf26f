/* SPDX-License-Identifier: MIT */
/*
 * Select: one wait with a clause for each case. Every kind of case gives a row in the table:
 *
 *         try     do it at once, if it can be done: the case's result, else -EAGAIN
 *         enter   put a clause where it will fire: 0, or as try
 *         leave   after the wait: what enter did beyond the clause's link is undone
 *
 * Shared chans must be tried and entered in one step, as otherwise another thread could give to one
 * case while this one takes from another: it is done when all else has been entered, under the
 * mutexes of all of them, which are locked in the order of their addresses. From then on the wait
 * is ended by who takes its grant.
 *
 * All cases are left before anything is waited for again, as news of a future may have to be: a
 * clause that is still in a queue then could be fired for a wait that is no more.
 */
#include "fiber/chan.h"
#include "fiber/fd.h"
#include "fiber/fiber.h"
#include "fiber/future.h"
#include "fiber/shared_chan.h"

#include <sanjab/future.h>
#include <sanjab/select.h>

/* What a case needs beside its clause. */
typedef union slot {
        future_waiter future;
        shared_waiter shared;
} slot;

typedef struct case_kind {
        int (*try)(sj_case *c);
        int (*enter)(sj_case *c, slot *s, clause *waiter);
        void (*leave)(sj_case *c, slot *s, clause *waiter);
} case_kind;

enum { NOT_YET = INT32_MIN, FEW = 6 };

static int never(sj_case *c)
{
        (void)c;
        return NOT_YET;
}

static int enter_nothing(sj_case *c, slot *s, clause *waiter)
{
        (void)c;
        (void)s;
        list_init(&waiter->link);
        return NOT_YET;
}

static void leave_nothing(sj_case *c, slot *s, clause *waiter)
{
        (void)c;
        (void)s;
        (void)waiter;
}

static int try_send(sj_case *c)
{
        int r = chan_try_send(c->chan, c->item);
        return r == -EAGAIN ? NOT_YET : r;
}

static int enter_send(sj_case *c, slot *s, clause *waiter)
{
        (void)s;
        chan_await_send(c->chan, waiter, c->item);
        return NOT_YET;
}

static int try_recv(sj_case *c)
{
        int r = chan_try_recv(c->chan, c->item);
        return r == -EAGAIN ? NOT_YET : r;
}

static int enter_recv(sj_case *c, slot *s, clause *waiter)
{
        (void)s;
        chan_await_recv(c->chan, waiter, c->item);
        return NOT_YET;
}

static int try_fiber(sj_case *c)
{
        if (!c->fiber->has_ended)
                return NOT_YET;
        fiber_seen(c->fiber);
        return c->fiber->result;
}

static int enter_fiber(sj_case *c, slot *s, clause *waiter)
{
        (void)s;
        waiter->data = c->fiber;
        clause_add(&c->fiber->joiners, waiter);
        return NOT_YET;
}

static int enter_fd(sj_case *c, slot *s, clause *waiter)
{
        (void)s;
        int r = fd_enter(c->fd, c->ready, waiter);
        return r == 0 ? NOT_YET : r;
}

static void leave_fd(sj_case *c, slot *s, clause *waiter)
{
        (void)s;
        fd_leave(c->fd, waiter);
}

static int try_future(sj_case *c)
{
        return sj_future_done(c->future) ? c->future->result : NOT_YET;
}

static int enter_future(sj_case *c, slot *s, clause *waiter)
{
        return future_enter(c->future, &s->future, waiter, NULL) ? NOT_YET : c->future->result;
}

static void leave_future(sj_case *c, slot *s, clause *waiter)
{
        (void)waiter;
        future_leave(c->future, &s->future);
}

/* Under the mutex of its chan. */
static int try_shared_locked(sj_case *c, shared_waiter **give)
{
        int r = c->kind == SJ_CASE_SHARED_SEND ? shared_chan_try_send(c->shared, c->item, give)
                                               : shared_chan_try_recv(c->shared, c->item, give);
        return r == -EAGAIN ? NOT_YET : r;
}

static int try_shared(sj_case *c)
{
        shared_waiter *give;
        mutex_lock(&c->shared->mutex);
        int r = try_shared_locked(c, &give);
        mutex_unlock(&c->shared->mutex);
        if (give)
                shared_give(give, 0);
        return r;
}

static int enter_no_shared_yet(sj_case *c, slot *s, clause *waiter)
{
        list_init(&s->shared.link);
        return enter_nothing(c, s, waiter);
}

static void leave_shared(sj_case *c, slot *s, clause *waiter)
{
        (void)waiter;
        mutex_lock(&c->shared->mutex);
        list_remove(&s->shared.link);
        mutex_unlock(&c->shared->mutex);
}

static const case_kind kinds[] = {
        [SJ_CASE_NONE] = {never, enter_nothing, leave_nothing},
        [SJ_CASE_SEND] = {try_send, enter_send, leave_nothing},
        [SJ_CASE_RECV] = {try_recv, enter_recv, leave_nothing},
        [SJ_CASE_FIBER] = {try_fiber, enter_fiber, leave_nothing},
        [SJ_CASE_FD] = {never, enter_fd, leave_fd},
        [SJ_CASE_FUTURE] = {try_future, enter_future, leave_future},
        [SJ_CASE_SHARED_SEND] = {try_shared, enter_no_shared_yet, leave_shared},
        [SJ_CASE_SHARED_RECV] = {try_shared, enter_no_shared_yet, leave_shared},
};

static int check(const sj_case cases[], size_t n)
{
        if (n > SJ_SELECT_MAX)
                return -EINVAL;
        for (size_t i = 0; i < n; i++) {
                if ((unsigned)cases[i].kind >= sizeof(kinds) / sizeof(kinds[0]))
                        return -EINVAL;
                if (cases[i].kind == SJ_CASE_FIBER && cases[i].fiber == fiber_current())
                        return -EDEADLK;
        }
        return fiber_check();
}

static void leave_all(sj_case cases[], size_t n, slot slots[], clause clauses[])
{
        for (size_t i = 0; i < n; i++) {
                list_remove(&clauses[i].link);
                kinds[cases[i].kind].leave(&cases[i], &slots[i], &clauses[i]);
        }
        for (size_t i = 0; i < n; i++)
                if (cases[i].kind == SJ_CASE_FUTURE)
                        future_await_news(&slots[i].future);
}

/* Enters all cases, unless one turns out to be ready: its index then, else n. */
static size_t enter_all(sj_case cases[], size_t n, slot slots[], clause clauses[])
{
        for (size_t i = 0; i < n; i++) {
                int r = kinds[cases[i].kind].enter(&cases[i], &slots[i], &clauses[i]);
                if (r == NOT_YET)
                        continue;
                leave_all(cases, i, slots, clauses);
                cases[i].result = r;
                return i;
        }
        return n;
}

/* ── Shared chans ────────────────────────────────────────────────────────────────────────── */

static bool is_shared(const sj_case *c)
{
        return c->kind == SJ_CASE_SHARED_SEND || c->kind == SJ_CASE_SHARED_RECV;
}

static bool has_shared(const sj_case cases[], size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (is_shared(&cases[i]))
                        return true;
        return false;
}

/* The mutexes of all of them, each once, in the order of their addresses; how many. */
static size_t mutexes_of(const sj_case cases[], size_t n, mutex *ret[])
{
        size_t count = 0;
        for (size_t i = 0; i < n; i++) {
                if (!is_shared(&cases[i]))
                        continue;
                mutex *m = &cases[i].shared->mutex;
                size_t at = count;
                while (at > 0 && (uintptr_t)ret[at - 1] > (uintptr_t)m)
                        at--;
                if (at > 0 && ret[at - 1] == m)
                        continue;
                memmove(&ret[at + 1], &ret[at], (count - at) * sizeof(mutex *));
                ret[at] = m;
                count++;
        }
        return count;
}

static size_t try_each_shared(sj_case cases[], size_t n, shared_waiter **give)
{
        for (size_t i = 0; i < n; i++) {
                int r = is_shared(&cases[i]) ? try_shared_locked(&cases[i], give) : NOT_YET;
                if (r == NOT_YET)
                        continue;
                cases[i].result = r;
                return i;
        }
        return n;
}

static void enter_each_shared(sj_case cases[], size_t n, slot slots[], grant *g)
{
        for (size_t i = 0; i < n; i++) {
                sj_case *c = &cases[i];
                if (!is_shared(c))
                        continue;
                slots[i].shared = (shared_waiter){.grant = g, .which = i, .data = c->item};
                shared_enter(c->kind == SJ_CASE_SHARED_SEND ? &c->shared->senders
                                                            : &c->shared->receivers,
                             &slots[i].shared);
        }
}

/* Enters all of them, unless one can go on, and has: its index then, else n. */
static __attribute__((noinline)) size_t enter_shared(sj_case cases[], size_t n, slot slots[],
                                                     grant *g)
{
        mutex *mutexes[SJ_SELECT_MAX];
        shared_waiter *give = NULL;
        size_t count = mutexes_of(cases, n, mutexes);
        for (size_t i = 0; i < count; i++)
                mutex_lock(mutexes[i]);
        size_t done = try_each_shared(cases, n, &give);
        if (done == n)
                enter_each_shared(cases, n, slots, g);
        for (size_t i = count; i-- > 0;)
                mutex_unlock(mutexes[i]);
        if (give)
                shared_give(give, 0);
        return done;
}

/* Others look at the grant until the cases are left. */
static int wait_with_shared(sj_case cases[], size_t n, slot slots[], clause clauses[], grant *g,
                            sj_time deadline, size_t *ret)
{
        grant_init(g, clauses);
        size_t done = enter_shared(cases, n, slots, g);
        if (done < n) {
                *ret = done;
                return cases[done].result;
        }
        return grant_wait(g, n, deadline, "select", ret);
}

/* ── Waiting ─────────────────────────────────────────────────────────────────────────────── */

static int wait_for_case(sj_case cases[], size_t n, slot slots[], clause clauses[],
                         sj_time deadline)
{
        size_t i = enter_all(cases, n, slots, clauses);
        if (i < n)
                return (int)i;
        grant g;
        size_t fired = n;
        int r = has_shared(cases, n)
                        ? wait_with_shared(cases, n, slots, clauses, &g, deadline, &fired)
                        : fiber_wait(clauses, n, deadline, "select", &fired);
        leave_all(cases, n, slots, clauses);
        if (fired == n)
                return r;
        sj_case *c = &cases[fired];
        c->result = c->kind == SJ_CASE_FUTURE ? c->future->result : r;
        return (int)fired;
}

/* Two sizes, so that the common select does not make a fiber's stack a page deeper. */
static __attribute__((noinline)) int wait_for_few(sj_case cases[], size_t n, sj_time deadline)
{
        slot slots[FEW];
        clause clauses[FEW];
        return wait_for_case(cases, n, slots, clauses, deadline);
}

static __attribute__((noinline)) int wait_for_many(sj_case cases[], size_t n, sj_time deadline)
{
        slot slots[SJ_SELECT_MAX];
        clause clauses[SJ_SELECT_MAX];
        return wait_for_case(cases, n, slots, clauses, deadline);
}

static bool has_descriptor(const sj_case cases[], size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (cases[i].kind == SJ_CASE_FD)
                        return true;
        return false;
}

int sj_select(sj_case cases[], size_t n, sj_time deadline)
{
        int r = check(cases, n);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                r = kinds[cases[i].kind].try(&cases[i]);
                if (r != NOT_YET) {
                        cases[i].result = r;
                        return (int)i;
                }
        }
        /* Only the poller knows of descriptors: see sj_fd_wait. */
        if (deadline == SJ_POLL && !has_descriptor(cases, n))
                return -ETIMEDOUT;
        if (deadline == SJ_POLL)
                deadline = SJ_POLL + 1;
        return n <= FEW ? wait_for_few(cases, n, deadline) : wait_for_many(cases, n, deadline);
}
