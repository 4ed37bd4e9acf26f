/* SPDX-License-Identifier: MIT */
#include "queue/control/clock.h"

int64_t queue_clock_adjust(queue_clock *c, int64_t other)
{
        if (other < 0 || other > QUEUE_CLOCK_MAX)
                other = 0;
        int64_t mine = atomic_load(&c->value), next;
        do
                next = (mine > other ? mine : other) + 1;
        while (!atomic_compare_exchange_weak(&c->value, &mine, next));
        return next;
}
