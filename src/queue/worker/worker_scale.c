/* SPDX-License-Identifier: MIT */
#include "queue/worker/worker_scale.h"

static unsigned within(unsigned n, const worker_need *need)
{
        n = n < need->min ? need->min : n;
        return n > need->max ? need->max : n;
}

static unsigned shrink(worker_scale *s, const worker_need *need, sj_time now)
{
        if (!s->since) {
                *s = (worker_scale){.since = now};
                return need->places;
        }
        if (now - s->since < (s->shrinks ? WORKER_SCALE_STEP : WORKER_SCALE_KEEP))
                return need->places;
        *s = (worker_scale){.since = now, .shrinks = true};
        return need->places - 1;
}

unsigned worker_scale_decide(worker_scale *s, const worker_need *need, sj_time now)
{
        unsigned n = within(need->places, need);
        if (n != need->places)
                return n;
        if (need->busy < need->places)
                return within(shrink(s, need, now), need);
        *s = (worker_scale){0};
        return need->more ? within(n + (n + 1) / 2, need) : n;
}
