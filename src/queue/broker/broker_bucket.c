/* SPDX-License-Identifier: MIT */
#include "queue/broker/broker_bucket.h"

/* Beyond that the sums would leave the numbers' range: microseconds. */
#define INTERVAL_MAX ((int64_t)365 * 24 * 3600 * 1000000)
#define PROMISE_MAX  (10 * INTERVAL_MAX)

int64_t broker_bucket_interval(const broker_rate *rate)
{
        double interval = 1e6 / rate->a_second;
        return interval < (double)INTERVAL_MAX ? (int64_t)interval : INTERVAL_MAX;
}

static int64_t later(int64_t a, int64_t b)
{
        return a > b ? a : b;
}

void broker_bucket_take(broker_bucket buckets[], broker_turn *turn, sj_wall now, sj_time horizon)
{
        int64_t when = now.us;
        for (size_t i = 0; i < turn->n; i++)
                when = later(when, buckets[i].free);
        turn->taken = when - now.us <= horizon / SJ_US;
        for (size_t i = 0; i < turn->n && !turn->taken; i++)
                when = later(when, buckets[i].last + broker_bucket_interval(&turn->rates[i]));
        if (when > now.us + PROMISE_MAX)
                when = now.us + PROMISE_MAX;
        for (size_t i = 0; i < turn->n; i++) {
                if (turn->taken)
                        buckets[i].free = when + broker_bucket_interval(&turn->rates[i]);
                else
                        buckets[i].last = when;
        }
        turn->wait = (when - now.us) * SJ_US;
}
