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

/* A call by name, as the arguments of sj_send_task say it. */
typedef struct app_task {
        const char *name;
        const char *args;
        const char *kwargs;
        const sj_call *call;
} app_task;

/*
 * Its message, not yet published; it points into the arena and the app. Errors as sj_send_task,
 * but for those of the broker.
 */
int app_message(sj_app *app, sj_arena *arena, const app_task *task, broker_message *ret);

#endif
