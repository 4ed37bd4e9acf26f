/* SPDX-License-Identifier: MIT */
/*
 * Select: one wait with a clause for each case. Every kind of case gives a row in the table:
 *
 *         try     do it at once, if it can be done: the case's result, else -EAGAIN
 *         enter   put a clause where it will fire: 0, or as try
 *         leave   after the wait: what enter did beyond the clause's link is undone
 *
 * All cases are left before anything is waited for again, as news of a future may have to be: a
 * clause that is still in a queue then could be fired for a wait that is no more.
 */
#include "fiber/chan.h"
#include "fiber/fd.h"
#include "fiber/fiber.h"
#include "fiber/future.h"

#include <sanjab/future.h>
#include <sanjab/select.h>

typedef future_waiter slot; /* what a case needs beside its clause */

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
        return future_enter(c->future, s, waiter, NULL) ? NOT_YET : c->future->result;
}

static void leave_future(sj_case *c, slot *s, clause *waiter)
{
        (void)waiter;
        future_leave(c->future, s);
}

static const case_kind kinds[] = {
        [SJ_CASE_NONE] = {never, enter_nothing, leave_nothing},
        [SJ_CASE_SEND] = {try_send, enter_send, leave_nothing},
        [SJ_CASE_RECV] = {try_recv, enter_recv, leave_nothing},
        [SJ_CASE_FIBER] = {try_fiber, enter_fiber, leave_nothing},
        [SJ_CASE_FD] = {never, enter_fd, leave_fd},
        [SJ_CASE_FUTURE] = {try_future, enter_future, leave_future},
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
                        future_await_news(&slots[i]);
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

static int wait_for_case(sj_case cases[], size_t n, slot slots[], clause clauses[],
                         sj_time deadline)
{
        size_t i = enter_all(cases, n, slots, clauses);
        if (i < n)
                return (int)i;
        size_t fired = n;
        int r = fiber_wait(clauses, n, deadline, "select", &fired);
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
