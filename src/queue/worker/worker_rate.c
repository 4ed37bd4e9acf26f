/* SPDX-License-Identifier: MIT */
#include "queue/worker/worker_rate.h"

/* Beyond that the sums would leave the numbers' range. */
#define INTERVAL_MAX (365 * 24 * SJ_HOUR)
#define PROMISE_MAX  (10 * INTERVAL_MAX)

static sj_time interval_of(double a_second)
{
        double interval = (double)SJ_SEC / a_second;
        return interval < (double)INTERVAL_MAX ? (sj_time)interval : INTERVAL_MAX;
}

sj_time worker_rate_wait(const worker_rate *r, sj_time now)
{
        return r->free > now ? r->free - now : 0;
}

void worker_rate_take(worker_rate *r, double a_second, sj_time now)
{
        r->free = now + interval_of(a_second);
}

sj_time worker_rate_ahead(const worker_rate *r, double a_second, sj_time now)
{
        sj_time interval = interval_of(a_second);
        size_t most = (size_t)(PROMISE_MAX / (interval + 1));
        size_t waiting = r->waiting < most ? r->waiting : most;
        return worker_rate_wait(r, now) + (sj_time)waiting * interval;
}

sj_time worker_rate_promise(worker_rate *r, double a_second, sj_time now)
{
        sj_time turn = now + worker_rate_ahead(r, a_second, now);
        sj_time after = r->last + interval_of(a_second);
        if (r->last && after > turn)
                turn = after;
        r->last = turn < now + PROMISE_MAX ? turn : now + PROMISE_MAX;
        return r->last - now;
}
