/* SPDX-License-Identifier: MIT */
/*
 * Semaphores. What is free is free only while nobody waits: a release goes to who has waited
 * longest, and is counted only if there is none.
 */
#include "fiber/fiber.h"

#include <sanjab/sync.h>

int sj_semaphore_acquire(sj_semaphore *s, sj_time deadline)
{
        int r = fiber_check_of(fiber_current());
        if (r < 0)
                return r;
        if (s->free > 0) {
                s->free--;
                return 0;
        }
        clause c;
        clause_add(&s->waiters, &c);
        return fiber_wait(&c, 1, deadline, "semaphore", NULL);
}

int sj_semaphore_release(sj_semaphore *s)
{
        if (s->free == s->limit)
                return -EOVERFLOW;
        if (!clause_fire_first(&s->waiters, 0))
                s->free++;
        return 0;
}
