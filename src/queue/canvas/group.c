/* SPDX-License-Identifier: MIT */
/*
 * What a canvas gives back. The shape of its results is Celery's tuple (protocol §7.1):
 *
 *   a task    [[id, parent], null]
 *   a group   [[id, parent], [tuple of each member]]
 *
 * where parent is the tuple of what went before it in a chain, or null. It is made when the canvas
 * is sent, kept in an sj_group_result, and saved under the group's id for those who have only that.
 *
 * A broker that knows ids would say of a link that is not yet published that it is unknown. So all
 * ids of a canvas that is sent to such a one are made known first, as PENDING; those of links, too,
 * which were given one.
 */
#include "queue/canvas/group.h"

#include "queue/call.h"
#include "queue/canvas/canvas.h"
#include "queue/result.h"

#include <sanjab/canvas.h>

#include <stdlib.h>

enum { TUPLE_DEPTH_MAX = 64 };

struct sj_group_result {
        sj_app *app;
        sj_arena *arena;
        const sj_json *tuple;
        const char *id;
        sj_result *members;
        size_t n;
};

/* ── Tuples ──────────────────────────────────────────────────────────────────────────────── */

static sj_str tuple_id(const sj_json *tuple)
{
        sj_str id = {NULL, 0};
        sj_json_string(sj_json_at(sj_json_at(tuple, 0), 0), &id);
        return message_name_ok(id, SJ_TASK_ID_MAX) ? id : (sj_str){NULL, 0};
}

static const sj_json *tuple_parent(const sj_json *tuple)
{
        return sj_json_at(sj_json_at(tuple, 0), 1);
}

static const sj_json *tuple_members(const sj_json *tuple)
{
        return sj_json_at(tuple, 1);
}

static bool tuple_is_group(const sj_json *tuple)
{
        return sj_json_type_of(tuple_members(tuple)) == SJ_JSON_ARRAY;
}

/* Whether it has the shape, as deep as its members go. */
static bool tuple_ok(const sj_json *tuple, unsigned depth)
{
        if (depth > TUPLE_DEPTH_MAX || !tuple_id(tuple).n)
                return false;
        for (size_t i = 0; tuple_is_group(tuple) && i < sj_json_count(tuple_members(tuple)); i++)
                if (!tuple_ok(sj_json_at(tuple_members(tuple), i), depth + 1))
                        return false;
        return true;
}

/* ── Making ids known ────────────────────────────────────────────────────────────────────── */

typedef struct known {
        broker_result *list;
        size_t n;
        size_t room;
        sj_arena *arena;
        int error;
} known;

static void known_add(known *k, sj_str id)
{
        if (k->n == k->room && k->error == 0) {
                size_t room = k->room ? 2 * k->room : 16;
                broker_result *grown = sj_arena_alloc(k->arena, room * sizeof(*grown));
                if (!grown) {
                        k->error = -ENOMEM;
                        return;
                }
                if (k->n)
                        memcpy(grown, k->list, k->n * sizeof(*grown));
                k->list = grown;
                k->room = room;
        }
        if (k->error == 0)
                k->list[k->n++] = (broker_result){.id = id, .state = SJ_STR("PENDING")};
}

static void known_of(known *k, const sj_json *tuple)
{
        /* A chain may be long: parents in a loop, members by recursion. */
        for (; !sj_json_is_null(tuple); tuple = tuple_parent(tuple)) {
                if (!tuple_is_group(tuple))
                        known_add(k, tuple_id(tuple));
                for (size_t i = 0; tuple_is_group(tuple) && i < sj_json_count(tuple_members(tuple));
                     i++)
                        known_of(k, sj_json_at(tuple_members(tuple), i));
        }
}

static void known_links(known *k, const sj_json *signature);

static void known_link(known *k, const sj_json *link)
{
        const canvas_part *parts;
        message_error ignored;
        size_t n = 0;
        int r = canvas_abandoned(k->arena, link, &parts, &n, &ignored);
        if (r == -ENOMEM)
                k->error = r;
        for (size_t i = 0; r == 0 && i < n; i++)
                if (parts[i].id.n)
                        known_add(k, parts[i].id);
        known_links(k, link);
}

/* Every one of a list, or of what stands for a list of one. */
static void known_each(known *k, const sj_json *list, void (*each)(known *, const sj_json *))
{
        if (sj_json_type_of(list) == SJ_JSON_OBJECT)
                each(k, list);
        else if (sj_json_type_of(list) == SJ_JSON_ARRAY)
                SJ_JSON_EACH (list, i, one)
                        each(k, one);
}

/* The links of all parts that were given an id: the others get theirs when they are sent. */
static void known_links(known *k, const sj_json *signature)
{
        const sj_json *options = sj_json_member(signature, "options");
        const sj_json *parts = sj_json_member(signature, "kwargs");
        known_each(k, sj_json_member(options, "link"), known_link);
        known_each(k, sj_json_member(options, "link_error"), known_link);
        if (sj_json_is_null(sj_json_member(signature, "subtask_type")))
                return;
        known_each(k, sj_json_member(parts, "tasks"), known_links);
        known_each(k, sj_json_member(parts, "header"), known_links);
        known_each(k, sj_json_member(parts, "body"), known_links);
}

static int make_known(broker *b, sj_arena *arena, const sj_json *signature,
                      const canvas_start *start, sj_time deadline)
{
        const sj_json *tuple = start->tuple;
        known k = {.arena = arena};
        if (!broker_can(b, BROKER_KNOWS_IDS))
                return 0;
        known_links(&k, signature);
        /* Of one task alone its message says that it is there. */
        if (start->n_messages > 1 || !sj_json_is_null(tuple_parent(tuple)))
                known_of(&k, tuple);
        int r = k.error;
        for (size_t i = 0; r >= 0 && i < k.n; i += BROKER_BATCH_MAX)
                r = broker_result_put(b, k.list + i,
                                      k.n - i < BROKER_BATCH_MAX ? k.n - i : BROKER_BATCH_MAX,
                                      deadline);
        return r < 0 ? r : 0;
}

/* ── Sending ─────────────────────────────────────────────────────────────────────────────── */

static int save_tuple(broker *b, sj_arena *arena, const sj_json *tuple, sj_time deadline)
{
        static const sj_str name = {"result", 6};
        sj_str text;
        const sj_json *object = sj_json_new_object(arena, &name, &tuple, 1);
        int r = object ? sj_json_text(arena, object,
                                      SJ_JSON_PYTHON | SJ_JSON_ASCII | SJ_JSON_SPACED, &text)
                       : -ENOMEM;
        return r < 0 ? r : broker_group_save(b, tuple_id(tuple), text, deadline);
}

static int open_joins(broker *b, const broker_join joins[], size_t n, sj_time deadline)
{
        int r = 0;
        for (size_t i = 0; r >= 0 && i < n; i += BROKER_BATCH_MAX)
                r = broker_join_open(b, joins + i,
                                     n - i < BROKER_BATCH_MAX ? n - i : BROKER_BATCH_MAX, deadline);
        return r < 0 ? r : 0;
}

/* Whether the broker can take what it is made of. */
static int canvas_check(const broker *b, const canvas_start *start)
{
        for (size_t i = 0; i < start->n_messages && !broker_can(b, BROKER_EXCHANGES); i++)
                if (start->messages[i].exchange.n)
                        return -EOPNOTSUPP;
        return 0;
}

/*
 * Begins it: what is waited for is made known before anything can run. What is sent as a group must
 * end in one; of what is sent otherwise such a one is saved.
 */
static int canvas_send(sj_app *app, const sj_signature *s, bool as_group, bool saved,
                       sj_arena *arena, canvas_start *ret)
{
        canvas_context context;
        message_error error;
        const sj_json *json;
        broker *b = app_broker(app);
        sj_time deadline = app_deadline(0);
        int r = signature_json(s, &json);
        if (r < 0)
                return r;
        json = signature_sent(b, arena, json);
        if (!json)
                return -ENOMEM;
        app_canvas(app, &context);
        r = canvas_begin(arena, &context, json, NULL, 0, NULL, ret, &error);
        if (r == -EBADMSG) {
                sj_log(SJ_LOG_ERROR, "a signature is not sent: %s", error.text);
                return -EINVAL;
        }
        if (r == 0 && as_group && !tuple_is_group(ret->tuple)) {
                sj_log(SJ_LOG_ERROR, "a signature is not sent: it does not end in a group");
                r = -EINVAL;
        }
        if (r == 0)
                r = canvas_check(b, ret);
        if (r == 0)
                r = app_reach(app, deadline);
        if (r == 0)
                r = make_known(b, arena, json, ret, deadline);
        if (r == 0)
                r = open_joins(b, ret->joins, ret->n_joins, deadline);
        if (r == 0 && saved && tuple_is_group(ret->tuple))
                r = save_tuple(b, arena, ret->tuple, deadline);
        if (r == 0)
                r = app_publish(app, ret->messages, ret->n_messages, NULL, NULL, deadline);
        return r;
}

int sj_signature_send(sj_app *app, const sj_signature *s, sj_result *ret)
{
        sj_arena *arena;
        canvas_start start;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        r = canvas_send(app, s, false, ret != NULL, arena, &start);
        if (r == 0 && ret) {
                *ret = (sj_result){.app = app, .is_group = tuple_is_group(start.tuple)};
                memcpy(ret->id, start.id.data, start.id.n);
        }
        sj_arena_free(arena);
        return r;
}

/* ── Groups ──────────────────────────────────────────────────────────────────────────────── */

static int group_fill(sj_group_result *g, const sj_json *tuple)
{
        const sj_json *members = tuple_members(tuple);
        sj_str id = tuple_id(tuple);
        g->tuple = tuple;
        g->n = sj_json_count(members);
        g->id = sj_arena_strndup(g->arena, id.data, id.n);
        g->members = sj_arena_alloc(g->arena, (g->n + 1) * sizeof(*g->members));
        if (!g->id || !g->members)
                return -ENOMEM;
        for (size_t i = 0; i < g->n; i++) {
                const sj_json *member = sj_json_at(members, i);
                sj_str own = tuple_id(member);
                g->members[i] = (sj_result){.app = g->app, .is_group = tuple_is_group(member)};
                memcpy(g->members[i].id, own.data, own.n);
        }
        return 0;
}

static int group_new(sj_app *app, sj_group_result **ret)
{
        sj_group_result *g = calloc(1, sizeof(*g));
        if (!g)
                return -ENOMEM;
        g->app = app;
        int r = sj_arena_new(&g->arena);
        if (r < 0) {
                free(g);
                return r;
        }
        *ret = g;
        return 0;
}

void sj_group_free(sj_group_result *g)
{
        if (!g)
                return;
        sj_arena_free(g->arena);
        free(g);
}

int sj_group_send(sj_app *app, const sj_signature *s, sj_group_result **ret)
{
        sj_group_result *g;
        canvas_start start;
        int r = group_new(app, &g);
        if (r < 0)
                return r;
        r = canvas_send(app, s, true, false, g->arena, &start);
        if (r == 0)
                r = group_fill(g, start.tuple);
        if (r < 0)
                sj_group_free(g);
        else
                *ret = g;
        return r;
}

const char *sj_group_id(const sj_group_result *g)
{
        return g->id;
}

size_t sj_group_members(const sj_group_result *g)
{
        return g->n;
}

const sj_result *sj_group_member(const sj_group_result *g, size_t i)
{
        return i < g->n ? &g->members[i] : NULL;
}

/* ── Their results ───────────────────────────────────────────────────────────────────────── */

/* One look, or with a deadline the end of it. */
typedef struct look {
        broker *b;
        sj_arena *arena;
        bool wait;
        sj_time deadline;
} look;

static int look_at(const look *l, const sj_json *tuple, sj_outcome *ret);

static int look_at_task(const look *l, sj_str id, sj_outcome *ret)
{
        broker_result stored;
        int r = l->wait ? broker_result_wait(l->b, id, l->arena, &stored, l->deadline)
                        : broker_result_get(l->b, &id, 1, l->arena, &stored, l->deadline);
        if (r < 0)
                return r;
        return stored.state.n ? result_decode(l->arena, stored.state, stored.content, ret)
                              : -ENOENT;
}

/* The values of all in an array; or the first outcome that is no success, of a failure first. */
static int look_at_members(const look *l, const sj_json *tuple, sj_outcome *ret)
{
        const sj_json *members = tuple_members(tuple);
        size_t n = sj_json_count(members);
        const sj_json **values = sj_arena_alloc(l->arena, (n + 1) * sizeof(*values));
        sj_outcome whole = {.state = SJ_SUCCESS, .state_name = "SUCCESS"};
        if (!values)
                return -ENOMEM;
        whole.error = (sj_error){"", "", "", NULL};
        for (size_t i = 0; i < n; i++) {
                sj_outcome o;
                int r = look_at(l, sj_json_at(members, i), &o);
                if (r < 0)
                        return r;
                values[i] = o.value;
                if (o.done.us > whole.done.us && whole.state == SJ_SUCCESS)
                        whole.done = o.done;
                bool worse = sj_state_is_final(o.state) && o.state != SJ_SUCCESS &&
                             (whole.state == SJ_SUCCESS || !sj_state_is_final(whole.state));
                if (worse || (o.state != SJ_SUCCESS && whole.state == SJ_SUCCESS))
                        whole = o;
        }
        if (whole.state == SJ_SUCCESS)
                whole.value = sj_json_new_array(l->arena, values, n);
        else if (!sj_state_is_final(whole.state))
                whole = (sj_outcome){
                        .state = SJ_PENDING, .state_name = "PENDING", .error = {"", "", "", NULL}};
        if (whole.state == SJ_SUCCESS && !whole.value)
                return -ENOMEM;
        *ret = whole;
        return 0;
}

static int look_at(const look *l, const sj_json *tuple, sj_outcome *ret)
{
        return tuple_is_group(tuple) ? look_at_members(l, tuple, ret)
                                     : look_at_task(l, tuple_id(tuple), ret);
}

/* The tuple of a group that was saved. */
static int saved_tuple(broker *b, sj_str id, sj_arena *arena, const sj_json **ret, sj_time deadline)
{
        sj_str text;
        const sj_json *saved;
        int r = broker_group_get(b, id, arena, &text, deadline);
        if (r < 0)
                return r;
        r = sj_json_parse(arena, text, SJ_JSON_PYTHON, &saved, NULL);
        if (r == -ENOMEM)
                return r;
        const sj_json *tuple = r < 0 ? NULL : sj_json_member(saved, "result");
        if (!tuple_is_group(tuple) || !tuple_ok(tuple, 0))
                return -EBADMSG;
        *ret = tuple;
        return 0;
}

static int look_at_saved(const sj_result *result, look *l, sj_outcome *ret)
{
        const sj_json *tuple;
        l->b = app_broker(result->app);
        int r = saved_tuple(l->b, sj_str_of(result->id), l->arena, &tuple, l->deadline);
        return r < 0 ? r : look_at(l, tuple, ret);
}

int group_get(const sj_result *result, sj_arena *arena, sj_outcome *ret, sj_time deadline)
{
        return look_at_saved(result, &(look){NULL, arena, true, deadline}, ret);
}

int group_state(const sj_result *result, sj_arena *arena, sj_outcome *ret, sj_time deadline)
{
        return look_at_saved(result, &(look){NULL, arena, false, deadline}, ret);
}

int sj_group_get(const sj_group_result *g, sj_arena *arena, sj_outcome ret[], sj_time deadline)
{
        const look l = {app_broker(g->app), arena, true, deadline};
        sj_outcome *all = sj_arena_alloc(arena, (g->n + 1) * sizeof(*all));
        if (!all)
                return -ENOMEM;
        for (size_t i = 0; i < g->n; i++) {
                int r = look_at(&l, sj_json_at(tuple_members(g->tuple), i), &all[i]);
                if (r < 0)
                        return r;
        }
        memcpy(ret, all, g->n * sizeof(*all));
        return 0;
}

int sj_group_progress(const sj_group_result *g, sj_group_count *ret, sj_time deadline)
{
        sj_group_count count = {.members = g->n};
        sj_arena *arena;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        const look l = {app_broker(g->app), arena, false, deadline};
        for (size_t i = 0; r == 0 && i < g->n; i++) {
                sj_outcome o;
                r = look_at(&l, sj_json_at(tuple_members(g->tuple), i), &o);
                if (r < 0)
                        break;
                if (!sj_state_is_final(o.state))
                        count.waiting++;
                else if (o.state == SJ_SUCCESS)
                        count.completed++;
                else
                        count.failed++;
        }
        if (r == 0)
                *ret = count;
        sj_arena_free(arena);
        return r;
}

/* ── Revoking, and keeping ───────────────────────────────────────────────────────────────── */

/* Each as by itself: what the broker cannot take out is told to the workers. */
static int revoke_tuple(sj_app *app, const sj_json *tuple, sj_time deadline)
{
        sj_str id = tuple_id(tuple);
        sj_result member = {.app = app};
        int r = 0;
        memcpy(member.id, id.data, id.n);
        if (!tuple_is_group(tuple))
                r = sj_result_revoke(&member, deadline);
        for (size_t i = 0;
             r >= 0 && tuple_is_group(tuple) && i < sj_json_count(tuple_members(tuple)); i++)
                r = revoke_tuple(app, sj_json_at(tuple_members(tuple), i), deadline);
        /* One that has ended, or has not begun, is nothing that could be stopped. */
        return r == -EALREADY || r == -ENOENT || r > 0 ? 0 : r;
}

int sj_group_revoke(const sj_group_result *g, sj_time deadline)
{
        return revoke_tuple(g->app, g->tuple, deadline);
}

int sj_group_save(const sj_group_result *g, sj_time deadline)
{
        sj_arena *arena;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        r = save_tuple(app_broker(g->app), arena, g->tuple, deadline);
        sj_arena_free(arena);
        return r;
}

int sj_group_restore(sj_app *app, const char *id, sj_group_result **ret, sj_time deadline)
{
        sj_group_result *g;
        const sj_json *tuple;
        int r = group_new(app, &g);
        if (r < 0)
                return r;
        r = saved_tuple(app_broker(app), sj_str_of(id), g->arena, &tuple, deadline);
        if (r == 0)
                r = group_fill(g, tuple);
        if (r < 0)
                sj_group_free(g);
        else
                *ret = g;
        return r;
}

int sj_group_drop(const sj_group_result *g, sj_time deadline)
{
        int r = broker_group_drop(app_broker(g->app), sj_str_of(g->id), deadline);
        return r == -ENOENT ? 0 : r;
}
