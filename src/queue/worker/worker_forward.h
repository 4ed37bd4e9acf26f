/* SPDX-License-Identifier: MIT */
/*
 * worker_forward: the broker as a task in a child sees it. It publishes, and opens joins, through
 * the controller, which confirms; results and groups it reads, and revokes, by a connection of the
 * child's own (worker_reach). A task leases nothing.
 */
#ifndef SANJAB_QUEUE_WORKER_FORWARD_H
#define SANJAB_QUEUE_WORKER_FORWARD_H

#include "queue/broker/broker.h"
#include "queue/worker/worker_wire.h"

#include <sanjab/fiber.h>

typedef struct forward forward;

/* put sends a record to the controller at once; it is called on this thread's loop. */
int forward_new(int (*put)(void *arg, const wire_record *record), void *arg, forward **ret);
void forward_free(forward *f);
broker *forward_broker(forward *f);
sj_loop *forward_loop(forward *f);
/* Where the broker itself is. */
int forward_lead(forward *f, const sj_app_options *options);

/* A REPLY has come. -EPROTO it makes no sense. */
int forward_reply(forward *f, const wire_record *record);

#endif
