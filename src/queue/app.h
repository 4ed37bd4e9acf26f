/* SPDX-License-Identifier: MIT */
/* app: what the rest of the queue needs to know of a program's sj_app. */
#ifndef SANJAB_QUEUE_APP_H
#define SANJAB_QUEUE_APP_H

#include "queue/broker.h"

/*
 * An app over a broker that is open already and stays the caller's. A worker's child has one over
 * a broker that forwards each verb to its controller. options->broker is not looked at; options
 * may be NULL. -EINVAL a bad route; -ENOMEM.
 */
int app_new_over(broker *b, const sj_app_options *options, sj_app **ret);

broker *app_broker(const sj_app *app);

/* The queue for a task: its route, else the default; arg is the app (as outcome_context.route). */
sj_str app_route(void *arg, sj_str task);

#endif
