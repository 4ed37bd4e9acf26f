/* SPDX-License-Identifier: MIT */
/*
 * A turnstile's waiter lies on the stack of the one who waits, and is taken off the list by
 * whoever comes first: the one who lets it through (which sets its future before the mutex is
 * given up, so that nobody touches the waiter afterwards) or its own giving up.
 */
#include "exec/await.h"

#include <sanjab/future.h>

typedef struct waiter {
        list node;
        sj_future future;
        bool passed;
} waiter;

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
