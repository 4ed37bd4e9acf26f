/* SPDX-License-Identifier: MIT */
/* app_remote: what a program tells others beside the tasks that it sends. */
#ifndef SANJAB_QUEUE_APP_REMOTE_H
#define SANJAB_QUEUE_APP_REMOTE_H

#include "queue/broker/broker.h"
#include "queue/control/clock.h"

/*
 * The task is not to be run any more by anybody: kept in the broker, if it keeps such, and said to
 * the workers that are there. The broker's errors.
 */
int app_revoke(broker *b, queue_clock *clock, bool packed, sj_str id, sj_time deadline);

#endif
