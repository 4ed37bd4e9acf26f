/* SPDX-License-Identifier: MIT */
/*
 * A program's view of a broker: routes, sending, results. Sending is one path for typed calls,
 * calls by name and signatures: a message is made in an arena, encoded, published, and the arena
 * freed. An app holds no lock and changes nothing after it was made, so any thread may use it.
 */
#include "queue/app.h"

#include "queue/call.h"
#include "queue/message.h"
#include "queue/result.h"

#include <sanjab/fiber.h>

#include <stdio.h>
#include <stdlib.h>

struct sj_app {
        broker *b;
        bool owns_broker;
        sj_arena *arena; /* of what follows */
        sj_str default_queue;
        sj_route *routes;
        size_t n_routes;
        sj_str origin;
        char reply_to[MESSAGE_UUID_SIZE];
};

/* ── Making one ──────────────────────────────────────────────────────────────────────────── */

static const char *app_keep(sj_app *app, const char *text)
{
        return sj_arena_strndup(app->arena, text, strlen(text));
}

static int app_copy_routes(sj_app *app, const sj_app_options *o)
{
        app->n_routes = o->n_routes;
        app->routes = sj_arena_alloc(app->arena, o->n_routes * sizeof(sj_route));
        if (!app->routes)
                return -ENOMEM;
        for (size_t i = 0; i < o->n_routes; i++) {
                const sj_route *from = &o->routes[i];
                if (!from->pattern || !from->queue || !*from->queue ||
                    strlen(from->queue) > SJ_TASK_NAME_MAX)
                        return -EINVAL;
                app->routes[i].pattern = app_keep(app, from->pattern);
                app->routes[i].queue = app_keep(app, from->queue);
                if (!app->routes[i].pattern || !app->routes[i].queue)
                        return -ENOMEM;
        }
        return 0;
}

int app_new_over(broker *b, const sj_app_options *options, sj_app **ret)
{
        static const sj_app_options none;
        const sj_app_options *o = options ? options : &none;
        sj_app *app = calloc(1, sizeof(*app));
        if (!app)
                return -ENOMEM;
        app->b = b;
        int r = sj_arena_new(&app->arena);
        if (r == 0)
                r = app_copy_routes(app, o);
        if (r == 0)
                r = message_origin(app->arena, &app->origin);
        if (r == 0) {
                app->default_queue = sj_str_of(
                        app_keep(app, o->default_queue ? o->default_queue : SJ_QUEUE_DEFAULT));
                r = app->default_queue.data ? 0 : -ENOMEM;
        }
        if (r < 0) {
                sj_app_free(app);
                return r;
        }
        message_uuid(app->reply_to);
        *ret = app;
        return 0;
}

static sj_time app_result_expires(double seconds)
{
        if (seconds < 0)
                return SJ_NEVER;
        return seconds < 9e9 ? (sj_time)(seconds * 1e9) : SJ_NEVER;
}

int sj_app_new(const sj_app_options *options, sj_app **ret)
{
        static const sj_app_options defaults;
        if (!options)
                options = &defaults;
        const char *url = options->broker ? options->broker : getenv("SANJAB_BROKER");
        broker_options broker_opts = {.result_expires =
                                              app_result_expires(options->result_expires)};
        sj_time deadline =
                options->open_deadline ? options->open_deadline : sj_after(SJ_PUBLISH_DEADLINE);
        char error[256];
        broker *b;
        int r = broker_open(url ? url : "sqlite:sanjab.db", &broker_opts, &b, error, sizeof(error),
                            deadline);
        if (r < 0) {
                sj_log(SJ_LOG_ERROR, "%s", error);
                return r;
        }
        r = app_new_over(b, options, ret);
        if (r < 0)
                broker_close(b);
        else
                (*ret)->owns_broker = true;
        return r;
}

void sj_app_free(sj_app *app)
{
        if (!app)
                return;
        if (app->owns_broker)
                broker_close(app->b);
        sj_arena_free(app->arena);
        free(app);
}

broker *app_broker(const sj_app *app)
{
        return app->b;
}

/* ── Routes ──────────────────────────────────────────────────────────────────────────────── */

/* * stands for any characters, ? for one. Steps back to the last * only, so it is linear at best
 * and quadratic at worst. */
static bool app_matches(const char *pattern, sj_str name)
{
        const char *star = NULL;
        size_t i = 0, mark = 0;
        while (i < name.n) {
                if (*pattern == '*') {
                        star = pattern++;
                        mark = i;
                } else if (*pattern && (*pattern == '?' || *pattern == name.data[i])) {
                        pattern++;
                        i++;
                } else if (star) {
                        pattern = star + 1;
                        i = ++mark;
                } else {
                        return false;
                }
        }
        while (*pattern == '*')
                pattern++;
        return !*pattern;
}

sj_str app_route(void *arg, sj_str task)
{
        const sj_app *app = arg;
        for (size_t i = 0; i < app->n_routes; i++)
                if (app_matches(app->routes[i].pattern, task))
                        return sj_str_of(app->routes[i].queue);
        return app->default_queue;
}

/* ── Sending ─────────────────────────────────────────────────────────────────────────────── */

static sj_time app_deadline(sj_time asked)
{
        if (asked)
                return asked;
        sj_time scope = sj_fiber_self() ? sj_scope_deadline() : SJ_NEVER;
        return scope != SJ_NEVER ? scope : sj_after(SJ_PUBLISH_DEADLINE);
}

/* The envelope, and what the broker has to know of it, beside what is there. */
static int app_encode(sj_app *app, sj_arena *arena, message *m, broker_message *b)
{
        m->origin = app->origin;
        if (!m->reply_to.n)
                m->reply_to = sj_str_of(app->reply_to);
        if (!m->routing_key.n)
                m->routing_key = app_route(app, m->task);
        int r = message_encode(arena, m, &b->envelope);
        if (r < 0)
                return r;
        b->id = m->id;
        b->queue = m->routing_key;
        b->task = m->task;
        b->priority = (int)(m->priority < BROKER_PRIORITY_MAX ? m->priority : BROKER_PRIORITY_MAX);
        b->eta = m->eta;
        b->expires = m->expires;
        return 0;
}

static int app_publish(sj_app *app, const broker_message *b, sj_time deadline, sj_result *ret)
{
        broker_published published;
        int r = broker_publish(app->b, b, 1, &published, app_deadline(deadline));
        if (r == 0 && ret) {
                ret->app = app;
                memcpy(ret->id, published.id, sizeof(ret->id));
        }
        return r;
}

static int app_make(sj_app *app, sj_arena *arena, const call_request *q, broker_message *ret)
{
        const sj_call *c = q->call;
        double key_for = c->key ? c->key_for : q->options->idempotent_for;
        message m;
        *ret = (broker_message){
                .max_deliveries =
                        c->max_deliveries ? c->max_deliveries : q->options->max_deliveries,
                .key_for = key_for > 0 && key_for < 9e9 ? (sj_time)(key_for * 1e9) : 0,
        };
        int r = call_message(arena, q, sj_wall_now(), &m, &ret->key);
        if (r < 0)
                return r;
        m.routing_key = sj_str_of(c->queue ? c->queue : q->options->queue);
        return app_encode(app, arena, &m, ret);
}

static const sj_call no_call;
static const sj_task_options no_options;

int app_message(sj_app *app, sj_arena *arena, const app_task *task, broker_message *ret)
{
        call_request q = {.task = sj_str_of(task->name),
                          .call = task->call ? task->call : &no_call,
                          .options = &no_options};
        int r = call_parse(arena, task->args, SJ_JSON_ARRAY, &q.args);
        if (r == 0)
                r = call_parse(arena, task->kwargs, SJ_JSON_OBJECT, &q.kwargs);
        return r < 0 ? r : app_make(app, arena, &q, ret);
}

int sj_send_task(sj_app *app, const char *name, const char *args, const char *kwargs,
                 const sj_call *call, sj_result *ret)
{
        const app_task task = {.name = name, .args = args, .kwargs = kwargs, .call = call};
        sj_arena *arena;
        broker_message b;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        r = app_message(app, arena, &task, &b);
        if (r == 0)
                r = app_publish(app, &b, call ? call->deadline : 0, ret);
        sj_arena_free(arena);
        return r;
}

int sj_task_send(sj_app *app, const sj_task *task, const sj_call *call, const sj_value *args,
                 sj_result *ret)
{
        sj_arena *arena;
        broker_message b;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        const char *name = task->options->name ? task->options->name : task->c_name;
        call_request q = {
                .task = sj_str_of(name), .call = call ? call : &no_call, .options = task->options};
        r = call_args(arena, task, args, &q.args);
        if (r == 0)
                r = call_parse(arena, NULL, SJ_JSON_OBJECT, &q.kwargs);
        if (r == 0)
                r = app_make(app, arena, &q, &b);
        if (r == 0)
                r = app_publish(app, &b, q.call->deadline, ret);
        sj_arena_free(arena);
        return r;
}

int sj_signature_send(sj_app *app, const sj_signature *s, sj_result *ret)
{
        sj_arena *arena;
        message m;
        message_error error;
        broker_message b = {.max_deliveries = 0};
        if (!s)
                return -EINVAL;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        const sj_json *json = signature_json(s, arena);
        r = json ? message_from_signature(arena, json, NULL, 0, SJ_STR(""), SJ_STR(""),
                                          sj_wall_now(), &m, &error)
                 : -ENOMEM;
        if (r == -EBADMSG)
                r = -EINVAL;
        if (r == 0)
                r = app_encode(app, arena, &m, &b);
        if (r == 0)
                r = app_publish(app, &b, 0, ret);
        sj_arena_free(arena);
        return r;
}

/* ── Results ─────────────────────────────────────────────────────────────────────────────── */

int sj_result_get(const sj_result *result, sj_arena *arena, sj_outcome *ret, sj_time deadline)
{
        broker_result stored;
        int r = broker_result_wait(result->app->b, sj_str_of(result->id), arena, &stored, deadline);
        return r < 0 ? r : result_decode(arena, stored.state, stored.content, ret);
}

int sj_result_state(const sj_result *result, sj_arena *arena, sj_outcome *ret, sj_time deadline)
{
        broker_result stored;
        sj_str id = sj_str_of(result->id);
        int r = broker_result_get(result->app->b, &id, 1, arena, &stored, deadline);
        if (r < 0)
                return r;
        return stored.state.n ? result_decode(arena, stored.state, stored.content, ret) : -ENOENT;
}

int sj_result_forget(const sj_result *result, sj_time deadline)
{
        sj_str id = sj_str_of(result->id);
        int r = broker_result_drop(result->app->b, &id, 1, deadline);
        if (r != 0)
                return r < 0 ? r : 0;
        sj_arena *arena;
        broker_result stored;
        r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        r = broker_result_get(result->app->b, &id, 1, arena, &stored, deadline);
        if (r == 0)
                r = stored.state.n ? -EBUSY : -ENOENT;
        sj_arena_free(arena);
        return r;
}

int sj_result_revoke(const sj_result *result, sj_time deadline)
{
        int r = broker_cancel(result->app->b, sj_str_of(result->id), deadline);
        return r < 0 ? r : 0;
}
