/* SPDX-License-Identifier: MIT */
/* app: what the rest of the queue needs to know of a program's sj_app. */
#ifndef SANJAB_QUEUE_APP_H
#define SANJAB_QUEUE_APP_H

#include "queue/broker/broker.h"

struct message;
struct canvas_context;
struct canvas_defaults;

/*
 * An app over a broker that is open already and stays the caller's. A worker's child has one over
 * a broker that forwards each verb to its controller. options->broker is not looked at; options
 * may be NULL. -EINVAL a bad route; -ENOMEM.
 */
int app_new_over(broker *b, const sj_app_options *options, sj_app **ret);

/*
 * Opens the broker of options that have all been filled in (settings_app_options). As broker_open.
 */
int app_open_broker(const sj_app_options *options, bool must_exist, broker **ret, char *error,
                    size_t size);

/* Whether it could be opened, as far as that can be seen from here. As broker_check. */
int app_check_broker(const sj_app_options *options, char *error, size_t size);

broker *app_broker(const sj_app *app);

/* The queue for a task: its route, else the default; arg is the app (as outcome_context.route). */
sj_str app_route(void *arg, sj_str task);

/* What a message is given of which nothing is said: by the app's settings, and its routes. */
void app_defaults(sj_app *app, struct canvas_defaults *ret);

/* Whether a task's name fits a route's pattern. */
bool app_name_matches(const char *pattern, sj_str name);

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

/* When a publish has to be done: as asked, else with the scope, else SJ_PUBLISH_DEADLINE. */
sj_time app_deadline(sj_time asked);

/* Waits for the broker so long as the app's own policy says, if it has one. */
int app_reach(sj_app *app, sj_time deadline);
/*
 * Publishes n messages in batches of BROKER_BATCH_MAX, each of which is tried again while the
 * broker cannot be reached, as the policy says (NULL: the app's). ret (NULL, or n elements); after
 * an error those that were not published have empty ids. -EEXIST only of a first attempt: of a
 * later one it means that an earlier one has arrived.
 */
int app_publish(sj_app *app, const broker_message messages[], size_t n, broker_published ret[],
                const sj_retry_policy *policy, sj_time deadline);

/* For what begins a canvas: its routes, its origin, and the form that it asks for. */
void app_canvas(sj_app *app, struct canvas_context *ret);
/*
 * Sends a message that was made of a signature; ret may be NULL. Errors as sj_send_task.
 */
int app_send(sj_app *app, sj_arena *arena, struct message *m, sj_time deadline, sj_result *ret);

#endif
