/* SPDX-License-Identifier: MIT */
/*
 * Locks and events between the fibers of one loop. A lock is handed over, not just opened: who
 * has waited longest owns it from the moment of the release, so that nobody can slip in.
 *
 * They may be made by zeroing, so that an empty queue may still be one of NULLs.
 */
#include "fiber/fiber.h"

static list *queue_of(struct sj_list *waiters)
{
        if (!waiters->next)
                list_init(waiters);
        return waiters;
}

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
        list_append(queue_of(&l->waiters), &c.link);
        return fiber_wait(&c, 1, deadline, "lock", NULL);
}

int sj_lock_release(sj_lock *l)
{
        if (!l->owner || l->owner != fiber_current())
                return -EPERM;
        clause *c = clause_first(queue_of(&l->waiters));
        l->owner = c ? c->data : NULL;
        if (c)
                clause_fire(c, 0);
        return 0;
}

void sj_event_set(sj_event *e)
{
        e->is_set = true;
        clause_fire_all(queue_of(&e->waiters), 0);
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
        list_append(queue_of(&e->waiters), &c.link);
        return fiber_wait(&c, 1, deadline, "event", NULL);
}
