/* SPDX-License-Identifier: MIT */
#include <sanjab/queue.h>

SJ_TASK(count_primes, int64_t, (int64_t, limit))
{
        int64_t count = 0;
        if (limit < 0)
                return sj_raise(self, "ValueError", "%lld is below zero", (long long)limit);
        for (int64_t n = 2; n < limit; n++) {
                int64_t d = 2;
                while (d * d <= n && n % d != 0)
                        d++;
                count += d * d > n;
        }
        *ret = count;
        return 0;
}
SJ_TASK_OPTIONS(count_primes, .name = "shop.tasks.count_primes", .time_limit = 60);
