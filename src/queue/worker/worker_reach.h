/* SPDX-License-Identifier: MIT */
/*
 * worker_reach: a child's own connection to the broker, for what its tasks read there: results,
 * groups, and revokes. What they publish goes through the controller (worker_forward).
 */
#ifndef SANJAB_QUEUE_WORKER_REACH_H
#define SANJAB_QUEUE_WORKER_REACH_H

#include "queue/broker/broker.h"

#include <sanjab/fiber.h>

typedef struct reach reach;

/* Of this thread's loop, in which it is closed, too, by a fiber. */
int reach_new(reach **ret);
void reach_free(reach *r);

/* Where the broker is: what the controller has said. The options are copied. */
int reach_lead(reach *r, const sj_app_options *options);

/*
 * The broker, opened by who asks first. In a fiber of any loop. -EOPNOTSUPP no other process can
 * reach it; -ETIMEDOUT, -ECANCELED; those of opening it.
 */
int reach_get(reach *r, broker **ret, sj_time deadline);

#endif
