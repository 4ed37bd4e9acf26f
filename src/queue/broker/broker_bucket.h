/* SPDX-License-Identifier: MIT */
/*
 * broker_bucket: the state of a rate (broker_rate_take), in brokers that keep it in C; lua/rate.lua
 * does the same. No I/O and no clock.
 */
#ifndef SANJAB_QUEUE_BROKER_BUCKET_H
#define SANJAB_QUEUE_BROKER_BUCKET_H

#include "queue/broker/broker.h"

/* Moments of wall time in us. Zero at first. */
typedef struct broker_bucket {
        int64_t free; /* the first turn that nobody has */
        int64_t last; /* the last that was promised */
} broker_bucket;

/* When it can be forgotten. */
static inline int64_t broker_bucket_until(const broker_bucket *b)
{
        return b->free > b->last ? b->free : b->last;
}

/* Between two turns, in us. */
int64_t broker_bucket_interval(const broker_rate *rate);
/* One turn, of the buckets of its rates. */
void broker_bucket_take(broker_bucket buckets[], broker_turn *turn, sj_wall now, sj_time horizon);

#endif
