/* SPDX-License-Identifier: MIT */
/*
 * clock: Lamport's logical clock, by which what the programs of one broker say to each other can
 * be put in an order (protocol §6): a step before each thing said, and beyond whatever is heard.
 * From any thread.
 */
#ifndef SANJAB_QUEUE_CLOCK_H
#define SANJAB_QUEUE_CLOCK_H

#include <sanjab/base.h>

#include <stdatomic.h>

/* What is heard beyond this was not counted by anybody: it would bring the clock near its end. */
#define QUEUE_CLOCK_MAX ((int64_t)1 << 53)

typedef struct queue_clock {
        _Atomic int64_t value;
} queue_clock;

static inline int64_t queue_clock_value(const queue_clock *c)
{
        return atomic_load(&c->value);
}

/* For something that is said now. */
static inline int64_t queue_clock_forward(queue_clock *c)
{
        return atomic_fetch_add(&c->value, 1) + 1;
}

/* After something was heard that was said at `other`; what cannot be a clock is left out. */
int64_t queue_clock_adjust(queue_clock *c, int64_t other);

#endif
