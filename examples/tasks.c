/* SPDX-License-Identifier: MIT */
#include <sanjab/queue.h>

SJ_TASK(multiply, int64_t, (int64_t, a), (int64_t, b))
{
        *ret = a * b;
        return 0;
}
SJ_TASK_OPTIONS(multiply, .name = "proj.tasks.multiply");

SJ_TASK(charge, const char *, (double, amount)) /* the gateway answers at the third attempt */
{
        if (self->retries < 2)
                return sj_raise(self, "GatewayError", "busy, %g was not taken", amount);
        *ret = "charged";
        return 0;
}
SJ_TASK_OPTIONS(charge, .name = "proj.tasks.charge", .autoretry = "GatewayError",
                .retry_backoff = 0.1, .max_retries = 5);
