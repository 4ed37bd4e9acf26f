/* SPDX-License-Identifier: MIT */
/*
 * Barriers. Each time that all have come is a round. Who leaves a round before it is complete, by
 * his deadline or cancelled, breaks the barrier; but he runs only after that moment, and the last
 * one may come in between. So the last one counts those who still wait: `waiting` says how many
 * came, the queue who of them is still there.
 */
#include "fiber/fiber.h"

#include <sanjab/sync.h>

static void end_round(sj_barrier *b, int result)
{
        b->round++;
        b->waiting = 0;
        clause_fire_all(&b->waiters, result);
}

void sj_barrier_break(sj_barrier *b)
{
        b->broken = true;
        end_round(b, -EPIPE);
}

void sj_barrier_reset(sj_barrier *b)
{
        b->broken = false;
        end_round(b, -EPIPE);
}

static bool all_are_there(const sj_barrier *b)
{
        unsigned n = 1; /* the caller, who comes last */
        if (b->waiters.next)
                list_for_each (node, &b->waiters)
                        n++;
        return n == b->parties;
}

static int pass(sj_barrier *b)
{
        if (!all_are_there(b)) {
                sj_barrier_break(b);
                return -EPIPE;
        }
        int place = (int)b->waiting;
        end_round(b, 0);
        return place;
}

int sj_barrier_wait(sj_barrier *b, sj_time deadline)
{
        if (!fiber_current())
                return -EPERM;
        if (b->parties == 0 || b->parties > INT32_MAX)
                return -EINVAL;
        if (b->broken)
                return -EPIPE;
        int r = fiber_check_of(fiber_current());
        if (r < 0) {
                sj_barrier_break(b);
                return r;
        }
        if (b->waiting + 1 == b->parties)
                return pass(b);
        if (deadline == SJ_POLL)
                return -ETIMEDOUT;
        unsigned round = b->round;
        int place = (int)b->waiting++;
        clause c;
        clause_add(&b->waiters, &c);
        r = fiber_wait(&c, 1, deadline, "barrier", NULL);
        if (r < 0 && round == b->round)
                sj_barrier_break(b);
        return r < 0 ? r : place;
}
