/* SPDX-License-Identifier: MIT */
/*
 * Locks, semaphores and events that threads share with fibers. As those of one loop they are handed
 * over: who has waited longest has it from the moment of the release, even if his time runs out
 * before he knows.
 *
 * Each has a mutex, held for a few instructions, and a queue of waiters, who are told when it has
 * been let go of. After that the thing is not touched any more, so that who got it may free it.
 */
#include "fiber/grant.h"

#include "fiber/fiber.h"

#include <sanjab/shared.h>

/* Who calls: a fiber, or the thread. */
static const void *caller(void)
{
        static _Thread_local char thread;
        const sj_fiber *f = fiber_current();
        return f ? (const void *)f : &thread;
}

/* ── Locks ───────────────────────────────────────────────────────────────────────────────── */

int sj_shared_lock_acquire(sj_shared_lock *l, sj_time deadline)
{
        int r = shared_check();
        if (r < 0)
                return r;
        const void *me = caller();
        mutex *m = mutex_of(&l->mutex);
        mutex_lock(m);
        if (l->owner && l->owner != me)
                return shared_wait(m, &l->waiters, (void *)(uintptr_t)me, deadline, "shared lock");
        if (l->owner)
                r = -EDEADLK;
        l->owner = me;
        mutex_unlock(m);
        return r;
}

int sj_shared_lock_release(sj_shared_lock *l)
{
        mutex *m = mutex_of(&l->mutex);
        mutex_lock(m);
        if (l->owner != caller()) {
                mutex_unlock(m);
                return -EPERM;
        }
        shared_waiter *w = shared_first(&l->waiters);
        l->owner = w ? w->data : NULL;
        mutex_unlock(m);
        if (w)
                shared_give(w, 0);
        return 0;
}

/* ── Semaphores ──────────────────────────────────────────────────────────────────────────── */

int sj_shared_semaphore_acquire(sj_shared_semaphore *s, sj_time deadline)
{
        int r = shared_check();
        if (r < 0)
                return r;
        mutex *m = mutex_of(&s->mutex);
        mutex_lock(m);
        if (s->free == 0)
                return shared_wait(m, &s->waiters, NULL, deadline, "shared semaphore");
        s->free--;
        mutex_unlock(m);
        return 0;
}

int sj_shared_semaphore_release(sj_shared_semaphore *s)
{
        mutex *m = mutex_of(&s->mutex);
        mutex_lock(m);
        if (s->free == s->limit) {
                mutex_unlock(m);
                return -EOVERFLOW;
        }
        shared_waiter *w = shared_first(&s->waiters);
        if (!w)
                s->free++;
        mutex_unlock(m);
        if (w)
                shared_give(w, 0);
        return 0;
}

/* ── Events ──────────────────────────────────────────────────────────────────────────────── */

void sj_shared_event_set(sj_shared_event *e)
{
        mutex *m = mutex_of(&e->mutex);
        list given;
        list_init(&given);
        mutex_lock(m);
        e->is_set = true;
        shared_take_all(&e->waiters, &given);
        mutex_unlock(m);
        shared_give_all(&given, 0);
}

void sj_shared_event_clear(sj_shared_event *e)
{
        mutex *m = mutex_of(&e->mutex);
        mutex_lock(m);
        e->is_set = false;
        mutex_unlock(m);
}

int sj_shared_event_wait(sj_shared_event *e, sj_time deadline)
{
        int r = shared_check();
        if (r < 0)
                return r;
        mutex *m = mutex_of(&e->mutex);
        mutex_lock(m);
        if (!e->is_set)
                return shared_wait(m, &e->waiters, NULL, deadline, "shared event");
        mutex_unlock(m);
        return 0;
}
