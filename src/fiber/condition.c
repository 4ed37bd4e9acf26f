/* SPDX-License-Identifier: MIT */
/*
 * Conditions. Who is woken takes the lock before he returns, whatever happens to him meanwhile, and
 * says that he was woken: so no wake-up goes to one who then gives up, and is lost.
 */
#include "fiber/fiber.h"
#include "fiber/lock.h"

#include <sanjab/sync.h>

int sj_condition_wait(sj_condition *c, sj_lock *l, sj_time deadline)
{
        const sj_fiber *f = fiber_current();
        if (!f || l->owner != f)
                return -EPERM;
        int r = fiber_check_of(f);
        if (r < 0)
                return r;
        clause waiter;
        clause_add(&c->waiters, &waiter);
        sj_lock_release(l);
        r = fiber_wait(&waiter, 1, deadline, "condition", NULL);
        lock_take_shielded(l);
        return r;
}

void sj_condition_wake_one(sj_condition *c)
{
        clause_fire_first(&c->waiters, 0);
}

void sj_condition_wake_all(sj_condition *c)
{
        clause_fire_all(&c->waiters, 0);
}
