/* SPDX-License-Identifier: MIT */
/* The squirrel's one task, as its producer sees it. */
#ifndef SQUIRREL_TASKS_H
#define SQUIRREL_TASKS_H

#include <sanjab/queue.h>

/*
 * Checks a site within timeout seconds. The result is an object: "up" (boolean), "status",
 * "took_us" (integers), "why" (string).
 */
SJ_TASK_DECLARE(squirrel_check, const sj_json *, (const char *, url), (double, timeout));
SJ_TASK_OPTIONS(squirrel_check, .name = "squirrel.check");

#endif
