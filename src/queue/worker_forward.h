/* SPDX-License-Identifier: MIT */
/*
 * worker_forward: the broker as a task in a child sees it. It publishes, through the controller,
 * which confirms; nothing else of a broker can be asked for from inside of a task.
 */
#ifndef SANJAB_QUEUE_WORKER_FORWARD_H
#define SANJAB_QUEUE_WORKER_FORWARD_H

#include "queue/broker.h"
#include "queue/worker_wire.h"

#include <sanjab/fiber.h>

typedef struct forward forward;

/* put sends a record to the controller at once; it is called on this thread's loop. */
int forward_new(int (*put)(void *arg, const wire_record *record), void *arg, forward **ret);
void forward_free(forward *f);
broker *forward_broker(forward *f);
sj_loop *forward_loop(forward *f);

/* A REPLY has come. -EPROTO it makes no sense. */
int forward_reply(forward *f, const wire_record *record);

#endif
