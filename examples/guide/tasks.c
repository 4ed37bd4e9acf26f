/* SPDX-License-Identifier: MIT */
#include "tasks.h"

SJ_TASK_DEFINE(multiply, int64_t, (int64_t, a), (int64_t, b))
{
        *ret = a * b;
        return 0;
}

SJ_TASK_DEFINE(charge, const char *, (const char *, customer), (double, amount))
{
        if (amount <= 0)
                return sj_raise(self, "ValueError", "%s owes nothing", customer);
        if (self->retries < 2) { /* as if the gateway were down at first */
                sj_raise(self, "GatewayError", "no answer");
                return sj_retry(self, NULL);
        }
        *ret = customer;
        return 0;
}
