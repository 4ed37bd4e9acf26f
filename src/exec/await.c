/* SPDX-License-Identifier: MIT */
/*
 * A turnstile's waiter lies on the stack of the one who waits, and is taken off the list by
 * whoever comes first: the one who lets it through (which sets its future before the mutex is
 * given up, so that nobody touches the waiter afterwards) or its own giving up.
 */
#include "exec/await.h"

#include <sanjab/future.h>

/* A shield must have a finite deadline; this one is a lifetime, and is entered anew after it. */
static const sj_time LIFETIME = 10 * 365 * 24 * SJ_HOUR;

typedef struct waiter {
        list node;
        sj_future future;
        bool passed;
} waiter;

static int await_shielded(sj_future *future, void **ret)
{
        for (;;) {
                SJ_SCOPE(shield, sj_after(LIFETIME), SJ_SHIELD);
                int result = sj_future_get(future, ret, SJ_NEVER);
                if (sj_future_done(future))
                        return result;
        }
}

int await_surely(sj_future *future, void **ret)
{
        if (sj_fiber_self())
                return await_shielded(future, ret);
        return sj_future_get(future, ret, SJ_NEVER);
}

int turnstile_wait(turnstile *t, mutex *lock, sj_time deadline)
{
        waiter w = {.future = SJ_FUTURE_INIT};
        list_append(&t->waiting, &w.node);
        mutex_unlock(lock);
        int result = sj_future_get(&w.future, NULL, deadline);
        mutex_lock(lock);
        if (!w.passed) {
                list_remove(&w.node);
                return result;
        }
        /* Let through, and yet leaving: the next one may have what it was let through for. */
        if (result < 0)
                turnstile_let_one(t);
        return result;
}

void turnstile_let_one(turnstile *t)
{
        list *node = list_pop(&t->waiting);
        if (!node)
                return;
        waiter *w = container_of(node, waiter, node);
        w->passed = true;
        sj_future_set(&w->future, 0, NULL);
}

void turnstile_let_all(turnstile *t)
{
        while (!list_empty(&t->waiting))
                turnstile_let_one(t);
}
