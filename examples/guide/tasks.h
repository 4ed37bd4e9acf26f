/* SPDX-License-Identifier: MIT */
#include <sanjab/queue.h>

SJ_TASK_DECLARE(multiply, int64_t, (int64_t, a), (int64_t, b));
SJ_TASK_DECLARE(charge, const char *, (const char *, customer), (double, amount));
SJ_TASK_OPTIONS(charge, .max_retries = 5, .retry_backoff = 0.1);
