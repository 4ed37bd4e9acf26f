/* SPDX-License-Identifier: MIT */
/*
 * A program's view of a broker: routes, sending, results. Sending is one path for typed calls,
 * calls by name and signatures: a message is made in an arena, encoded, published, and the arena
 * freed. An app holds no lock and changes nothing after it was made but its
 * clock, which is atomic; so any thread may use it.
 */
#include "queue/app.h"

#include "queue/call.h"
#include "queue/canvas/canvas.h"
#include "queue/canvas/group.h"
#include "queue/control/app_remote.h"
#include "queue/control/sent_events.h"
#include "queue/message/message.h"
#include "queue/publish.h"
#include "queue/result.h"
#include "queue/settings/settings.h"

#include <sanjab/fiber.h>

#include <stdio.h>
#include <stdlib.h>

struct sj_app {
        broker *b;
        bool owns_broker;
        sj_arena *arena; /* of what follows */
        sj_str default_queue;
        int default_priority;
        sj_route *routes;
        size_t n_routes;
        sj_str origin;
        sj_str content_type; /* of arguments, and below of messages; empty: the plain ones */
        sj_str compression;
        sj_retry_policy publish;
        sj_canvas_form canvas;
        bool send_sent_event;
        queue_clock clock; /* of what this app tells */
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
                if (!from->pattern || from->priority < 0 || from->priority > BROKER_PRIORITY_MAX ||
                    (from->queue && (!*from->queue || strlen(from->queue) > SJ_TASK_NAME_MAX)))
                        return -EINVAL;
                app->routes[i] = (sj_route){
                        .pattern = app_keep(app, from->pattern),
                        .queue = from->queue ? app_keep(app, from->queue) : NULL,
                        .priority = from->priority,
                };
                if (!app->routes[i].pattern || (from->queue && !app->routes[i].queue))
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
        app->default_priority = o->default_priority;
        int r = sj_arena_new(&app->arena);
        if (r == 0)
                r = app_copy_routes(app, o);
        if (r == 0)
                r = message_origin(app->arena, &app->origin);
        if (r == 0)
                r = call_serializer(o->serializer, &app->content_type);
        if (r == 0)
                r = call_compression(o->compression, &app->compression);
        if (r == 0 && !publish_policy_ok(&o->publish))
                r = -EINVAL;
        if (r == 0) {
                app->default_queue = sj_str_of(
                        app_keep(app, o->default_queue ? o->default_queue : SJ_QUEUE_DEFAULT));
                r = app->default_queue.data ? 0 : -ENOMEM;
        }
        if (r < 0) {
                sj_app_free(app);
                return r;
        }
        app->publish = o->publish;
        app->canvas = o->canvas;
        app->send_sent_event = o->send_sent_event;
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

/* A line of the log for each mistake. */
static void app_log_lines(sj_str lines)
{
        while (lines.n) {
                const char *end = memchr(lines.data, '\n', lines.n);
                size_t n = end ? (size_t)(end - lines.data) : lines.n;
                sj_log(SJ_LOG_ERROR, "%.*s", (int)n, lines.data);
                n += end != NULL;
                lines = (sj_str){lines.data + n, lines.n - n};
        }
}

static broker_options app_broker_options(const sj_app_options *o, bool must_exist)
{
        return (broker_options){
                .result_expires = app_result_expires(o->result_expires),
                .must_exist = must_exist,
                .result_backend = o->result_backend,
                .transport = o->transport,
                .result_transport = o->result_transport,
        };
}

int app_check_broker(const sj_app_options *o, char *error, size_t size)
{
        const broker_options broker_opts = app_broker_options(o, false);
        return broker_check(o->broker, &broker_opts, error, size);
}

int app_open_broker(const sj_app_options *o, bool must_exist, broker **ret, char *error,
                    size_t size)
{
        const broker_options broker_opts = app_broker_options(o, must_exist);
        return broker_open(o->broker, &broker_opts, ret, error, size, o->open_deadline);
}

static int app_open(const sj_app_options *o, sj_app **ret)
{
        char error[256];
        broker *b;
        int r = app_open_broker(o, false, &b, error, sizeof(error));
        if (r < 0) {
                sj_log(SJ_LOG_ERROR, "%s", error);
                return r;
        }
        r = app_new_over(b, o, ret);
        if (r < 0)
                broker_close(b);
        else
                (*ret)->owns_broker = true;
        return r;
}

int sj_app_new(const sj_app_options *options, sj_app **ret)
{
        sj_app_options o = {.config = NULL};
        settings *s;
        buf error = BUF_INIT(0);
        if (options)
                o = *options;
        int r = settings_load(o.config, NULL, 0, &s, &error,
                              o.open_deadline ? o.open_deadline : sj_after(SJ_PUBLISH_DEADLINE));
        if (r == 0) {
                settings_app_options(s, &o);
                r = app_open(&o, ret);
                settings_free(s);
        } else {
                app_log_lines(buf_str(&error));
        }
        buf_fini(&error);
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
bool app_name_matches(const char *pattern, sj_str name)
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

/* The first route that fits, or NULL. */
static const sj_route *app_find_route(const sj_app *app, sj_str task)
{
        for (size_t i = 0; i < app->n_routes; i++)
                if (app_name_matches(app->routes[i].pattern, task))
                        return &app->routes[i];
        return NULL;
}

sj_str app_route(void *arg, sj_str task)
{
        const sj_app *app = arg;
        const sj_route *route = app_find_route(app, task);
        return route && route->queue ? sj_str_of(route->queue) : app->default_queue;
}

/* As the broker has it. */
static int64_t app_priority(void *arg, sj_str task)
{
        const sj_app *app = arg;
        const sj_route *route = app_find_route(app, task);
        return broker_wire_priority(
                app->b, (int)(route && route->priority ? route->priority : app->default_priority));
}

void app_defaults(sj_app *app, canvas_defaults *ret)
{
        *ret = (canvas_defaults){.content_type = app->content_type,
                                 .compression = app->compression,
                                 .priority = app_priority};
}

/* ── Sending ─────────────────────────────────────────────────────────────────────────────── */

sj_time app_deadline(sj_time asked)
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
        if (!m->content_type.data)
                m->content_type = app->content_type;
        if (!m->compression.data)
                m->compression = app->compression;
        b->exchange = m->exchange;
        b->routing_key = m->routing_key;
        if (m->exchange.n && !broker_can(app->b, BROKER_EXCHANGES))
                return -EOPNOTSUPP;
        if (!m->routing_key.n)
                m->routing_key = app_route(app, m->task);
        if (!m->priority)
                m->priority = app_priority(app, m->task);
        int r = message_encode(arena, m, &b->envelope);
        if (r < 0)
                return r;
        b->id = m->id;
        b->queue = m->routing_key;
        b->task = m->task;
        b->priority = (int)(m->priority < BROKER_PRIORITY_MAX ? m->priority : BROKER_PRIORITY_MAX);
        b->eta = m->eta;
        b->expires = m->expires;
        b->awaited = canvas_awaits(m);
        return 0;
}

int app_publish(sj_app *app, const broker_message messages[], size_t n, broker_published ret[],
                const sj_retry_policy *policy, sj_time deadline)
{
        policy = policy ? policy : &app->publish;
        if (!publish_policy_ok(policy))
                return -EINVAL;
        deadline = app_deadline(deadline);
        int r = publish_all(app->b, messages, n, ret, policy, deadline);
        if (r == 0 && app->send_sent_event)
                sent_events_tell(app->b, &app->clock, app->origin, messages, ret, n, deadline);
        return r;
}

int app_reach(sj_app *app, sj_time deadline)
{
        return publish_reach(app->b, &app->publish, deadline);
}

static int app_publish_one(sj_app *app, const broker_message *b, const sj_retry_policy *policy,
                           sj_time deadline, sj_result *ret)
{
        broker_published published;
        if (ret && !b->eta.us)
                broker_result_expect(app->b, b->id);
        int r = app_publish(app, b, 1, &published, policy, deadline);
        if (r == 0 && ret) {
                *ret = (sj_result){.app = app};
                memcpy(ret->id, published.id, sizeof(ret->id));
        }
        return r;
}

void app_canvas(sj_app *app, canvas_context *ret)
{
        bool compact = app->canvas == SJ_CANVAS_DEFAULT ? broker_can(app->b, BROKER_OURS)
                                                        : app->canvas == SJ_CANVAS_COMPACT;
        *ret = (canvas_context){.now = sj_wall_now(),
                                .origin = app->origin,
                                .route = app_route,
                                .route_arg = app,
                                .default_queue = app->default_queue,
                                .compact = compact,
                                .reply_to = sj_str_of(app->reply_to)};
        app_defaults(app, &ret->defaults);
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
        if (!c->routing_key || c->queue)
                m.routing_key = sj_str_of(c->queue ? c->queue : q->options->queue);
        m.priority = broker_wire_priority(app->b, (int)m.priority);
        m.callbacks = signature_list_sent(app->b, arena, m.callbacks);
        m.errbacks = signature_list_sent(app->b, arena, m.errbacks);
        if ((c->link && !m.callbacks) || (c->link_error && !m.errbacks))
                return -ENOMEM;
        return app_encode(app, arena, &m, ret);
}

static const sj_call no_call;
static const sj_task_options no_options;

int app_send(sj_app *app, sj_arena *arena, message *m, sj_time deadline, sj_result *ret)
{
        broker_message b = {0};
        int r = app_encode(app, arena, m, &b);
        return r < 0 ? r : app_publish_one(app, &b, NULL, deadline, ret);
}

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
                r = app_publish_one(app, &b, call ? call->retry : NULL, call ? call->deadline : 0,
                                    ret);
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
        r = call_args(arena, task, args, 0, &q.args);
        if (r == 0)
                r = call_parse(arena, NULL, SJ_JSON_OBJECT, &q.kwargs);
        if (r == 0)
                r = app_make(app, arena, &q, &b);
        if (r == 0)
                r = app_publish_one(app, &b, q.call->retry, q.call->deadline, ret);
        sj_arena_free(arena);
        return r;
}

int sj_send_many(sj_app *app, const sj_task_call calls[], size_t n, sj_result ret[],
                 sj_time deadline)
{
        sj_arena *arena;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        broker_message *messages = sj_arena_alloc(arena, (n + 1) * sizeof(*messages));
        broker_published *published = sj_arena_alloc(arena, (n + 1) * sizeof(*published));
        if (!messages || !published)
                r = -ENOMEM;
        for (size_t i = 0; r == 0 && i < n; i++) {
                const app_task task = {calls[i].name, calls[i].args, calls[i].kwargs,
                                       calls[i].call};
                published[i].id[0] = 0;
                r = app_message(app, arena, &task, &messages[i]);
        }
        bool made = r == 0;
        if (r == 0)
                r = app_publish(app, messages, n, published, NULL, deadline);
        for (size_t i = 0; ret && i < n; i++) {
                ret[i] = (sj_result){.app = app};
                if (made)
                        memcpy(ret[i].id, published[i].id, sizeof(ret[i].id));
        }
        sj_arena_free(arena);
        return r;
}

/* ── Results ─────────────────────────────────────────────────────────────────────────────── */

int sj_result_get(const sj_result *result, sj_arena *arena, sj_outcome *ret, sj_time deadline)
{
        if (result->is_group)
                return group_get(result, arena, ret, deadline);
        broker_result stored;
        int r = broker_result_wait(result->app->b, sj_str_of(result->id), arena, &stored, deadline);
        return r < 0 ? r : result_decode(arena, stored.state, stored.content, ret);
}

int sj_result_state(const sj_result *result, sj_arena *arena, sj_outcome *ret, sj_time deadline)
{
        if (result->is_group)
                return group_state(result, arena, ret, deadline);
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

/* Whether it has ended, where the broker itself cannot revoke by id. -EALREADY it has. */
static int check_not_ended(broker *b, sj_str id, sj_time deadline)
{
        sj_arena *arena;
        broker_result stored;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        r = broker_result_get(b, &id, 1, arena, &stored, deadline);
        if (r == 0 && stored.state.n && sj_state_is_final(result_state(stored.state)))
                r = -EALREADY;
        sj_arena_free(arena);
        return r;
}

int sj_result_revoke(const sj_result *result, sj_time deadline)
{
        broker *b = result->app->b;
        sj_str id = sj_str_of(result->id);
        int r = broker_can(b, BROKER_CANCELS) ? broker_cancel(b, id, deadline)
                                              : check_not_ended(b, id, deadline);
        bool gone = r == 0 && broker_can(b, BROKER_OURS);
        bool unseen = r == -ENOENT && !broker_can(b, BROKER_KNOWS_IDS);
        if (gone || (r < 0 && !unseen))
                return r;
        return app_revoke(b, &result->app->clock, result->app->content_type.n > 0, id, deadline);
}
