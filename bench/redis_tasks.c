/* SPDX-License-Identifier: MIT */
/* What a worker runs for bench/redis_bench: tasks that cost nothing themselves. */
#include <sanjab/queue.h>

SJ_TASK(noop, void)
{
        return 0;
}
SJ_TASK_OPTIONS(noop, .ignore_result = true);

SJ_TASK(add, int64_t, (int64_t, a), (int64_t, b))
{
        *ret = a + b;
        return 0;
}
