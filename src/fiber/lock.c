/* SPDX-License-Identifier: MIT */
/*
 * Locks between the fibers of one loop, plain and re-entrant. A lock is handed over, not just
 * opened: who has waited longest owns it from the moment of the release, so that nobody can slip
 * in, and who is cancelled after that moment has it nevertheless.
 */
#include "fiber/lock.h"

#include "fiber/fiber.h"

#include <sanjab/sync.h>

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

void lock_take_shielded(sj_lock *l)
{
        sj_fiber *f = fiber_current();
        if (!l->owner) {
                l->owner = f;
                return;
        }
        clause c = {.data = f};
        clause_add(&l->waiters, &c);
        fiber_wait_shielded(&c, 1, "lock");
}

int sj_reentrant_acquire(sj_reentrant *l, sj_time deadline)
{
        int r = sj_lock_acquire(&l->lock, deadline);
        if (r < 0 && r != -EDEADLK)
                return r;
        l->depth++; /* -EDEADLK: the caller holds it already */
        return 0;
}

int sj_reentrant_release(sj_reentrant *l)
{
        if (!l->lock.owner || l->lock.owner != fiber_current())
                return -EPERM;
        return --l->depth > 0 ? 0 : sj_lock_release(&l->lock);
}
