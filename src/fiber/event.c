/* SPDX-License-Identifier: MIT */
/* Events: a flag, and all who wait for it. */
#include "fiber/fiber.h"

#include <sanjab/sync.h>

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
