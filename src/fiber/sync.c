/* SPDX-License-Identifier: MIT */
/*
 * Locks and events between the fibers of one loop. A lock is handed over, not just opened: who
 * has waited longest owns it from the moment of the release, so that nobody can slip in.
 */
#include "fiber/fiber.h"

int sj_lock_acquire(sj_lock *l, sj_time deadline)
{
        int r = fiber_check_of(fiber_current());
        if (r < 0)
                return r;
        sj_fiber *f = fiber_current();
        if (!l->owner) {
                l->owner = f;
                return 0;
        }
        if (l->owner == f)
                return -EDEADLK;
        clause c = {.data = f};
        clause_add(&l->waiters, &c);
        return fiber_wait(&c, 1, deadline, "lock", NULL);
}

int sj_lock_release(sj_lock *l)
{
        if (!l->owner || l->owner != fiber_current())
                return -EPERM;
        clause *c = clause_first(&l->waiters);
        l->owner = c ? c->data : NULL;
        if (c)
                clause_fire(c, 0);
        return 0;
}

void sj_event_set(sj_event *e)
{
        e->is_set = true;
        clause_fire_all(&e->waiters, 0);
}

void sj_event_clear(sj_event *e)
{
        e->is_set = false;
}

int sj_event_wait(sj_event *e, sj_time deadline)
{
        int r = fiber_check_of(fiber_current());
        if (r < 0 || e->is_set)
                return r;
        clause c;
        clause_add(&e->waiters, &c);
        return fiber_wait(&c, 1, deadline, "event", NULL);
}
