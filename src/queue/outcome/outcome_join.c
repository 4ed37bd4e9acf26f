/* SPDX-License-Identifier: MIT */
/*
 * What follows when all members of a join are there (protocol §8.4).
 *
 * The results are those that the members brought; of a group that somebody has saved, the tree of
 * it decides which results are wanted and how they are nested. In a saved tree the results that
 * nobody has brought are those which the worker has asked the broker for.
 *
 * A body that cannot be sent has failed like one of a member that has: nobody waits for ever.
 */
#include "queue/outcome/outcome_links.h"

#include "queue/canvas/canvas.h"

#include <stdio.h>

static const sj_str none = {"", 0};

/* How one member ended. */
typedef struct member {
        sj_str id;
        sj_state state;
        const sj_json *value; /* or the exception */
} member;

typedef struct joined {
        outcome_plan plan;
        const broker_arrival *arrival;
        const sj_json *body;
        bool single; /* it is the next link of a chain rather than a body: see canvas.h */
        member *members;
        size_t n_members;
        const member *failed; /* the first that has, or NULL */
        bool bad;             /* a member failed, or a result is not known: */
        sj_str problem;
} joined;

/* ── What members have said ──────────────────────────────────────────────────────────────── */

/* A copy, since the broker's text may not last as long as what is made of it. */
static int parse_copy(sj_arena *arena, sj_str text, const sj_json **ret)
{
        const char *kept = sj_arena_strndup(arena, text.n ? text.data : "", text.n);
        return kept ? sj_json_parse(arena, (sj_str){kept, text.n}, SJ_JSON_PYTHON, ret, NULL)
                    : -ENOMEM;
}

/* [1, id, state, value]. -EBADMSG: it is something else. */
static int member_read(sj_arena *arena, sj_str text, member *ret)
{
        const sj_json *v;
        sj_str state;
        int r = parse_copy(arena, text, &v);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        if (sj_json_count(v) != 4 || sj_json_string(sj_json_at(v, 1), &ret->id) < 0 ||
            sj_json_string(sj_json_at(v, 2), &state) < 0)
                return -EBADMSG;
        ret->state = result_state(state);
        ret->value = sj_json_at(v, 3);
        return 0;
}

/* Of what is stored under an id; false: nothing final is. */
static bool member_of_result(sj_arena *arena, const broker_result *r, member *ret)
{
        const sj_json *v;
        *ret = (member){.id = r->id, .state = result_state(r->state)};
        if (!sj_state_is_final(ret->state) || parse_copy(arena, r->content, &v) < 0)
                return false;
        ret->value = sj_json_member(v, "result");
        return ret->value != NULL;
}

static const member *member_find(const member members[], size_t n, sj_str id)
{
        for (size_t i = 0; i < n; i++)
                if (sj_str_equal(members[i].id, id))
                        return &members[i];
        return NULL;
}

/* The first problem counts. */
static void problem(joined *j, const char *what, sj_str id, sj_str how)
{
        const sj_str parts[] = {sj_str_of(what), id, how.n ? SJ_STR(" raised ") : how, how};
        size_t n = 0;
        if (j->bad)
                return;
        j->bad = true;
        char *text = sj_arena_alloc(j->plan.arena, parts[0].n + id.n + how.n + 16);
        if (!text) {
                j->plan.error = -ENOMEM;
                return;
        }
        for (size_t i = 0; i < 4; i++) {
                if (parts[i].n)
                        memcpy(text + n, parts[i].data, parts[i].n);
                n += parts[i].n;
        }
        j->problem = (sj_str){text, n};
}

/* ValueError('bang', 42): as Python prints the exception of a result. */
static sj_str exception_repr(outcome_plan *p, const sj_json *exception)
{
        sj_str type = SJ_STR("Exception"), args = none;
        const sj_json *list = sj_json_member(exception, "exc_message");
        sj_json_string(sj_json_member(exception, "exc_type"), &type);
        if (sj_json_type_of(list) != SJ_JSON_ARRAY)
                list = sj_json_new_array(p->arena, &list, list ? 1 : 0);
        if (!list || message_args_repr(p->arena, list, &args) < 0) {
                p->error = -ENOMEM;
                return none;
        }
        /* A tuple of one ends in ",)", but a call does not. */
        bool one = args.n > 2 && args.data[args.n - 2] == ',';
        size_t n = type.n + args.n + 2;
        char *text = sj_arena_alloc(p->arena, n);
        if (!text) {
                p->error = -ENOMEM;
                return none;
        }
        int length =
                one ? snprintf(text, n, "%.*s%.*s)", SJ_STR_ARG(type), (int)args.n - 2, args.data)
                    : snprintf(text, n, "%.*s%.*s", SJ_STR_ARG(type), SJ_STR_ARG(args));
        return (sj_str){text, (size_t)length};
}

/* The value of a member that has succeeded; NULL, and the problem noted, of any other. */
static const sj_json *member_value(joined *j, const member *m)
{
        if (m->state == SJ_SUCCESS)
                return m->value;
        if (!j->failed)
                j->failed = m;
        problem(j, "Dependency ", m->id, exception_repr(&j->plan, m->value));
        return NULL;
}

/* ── Their results ───────────────────────────────────────────────────────────────────────── */

static const sj_json *list_of(joined *j, const sj_json *const values[], size_t n)
{
        const sj_json *list = sj_json_new_array(j->plan.arena, values, n);
        if (!list)
                j->plan.error = -ENOMEM;
        return list;
}

/* In the order of their places. */
static const sj_json *flat_values(joined *j)
{
        const sj_json **values =
                sj_arena_alloc(j->plan.arena, (j->n_members + 1) * sizeof(*values));
        if (!values) {
                j->plan.error = -ENOMEM;
                return NULL;
        }
        for (size_t i = 0; i < j->n_members && !j->bad; i++)
                values[i] = member_value(j, &j->members[i]);
        return j->bad || j->plan.error ? NULL : list_of(j, values, j->n_members);
}

/* Of a saved group: [[id, parent], members or null]. */
static const sj_json *tree_children(const sj_json *tuple)
{
        const sj_json *children = sj_json_at(tuple, 1);
        return sj_json_type_of(children) == SJ_JSON_ARRAY ? children : NULL;
}

static sj_str tree_id(const sj_json *tuple)
{
        sj_str id = none;
        sj_json_string(sj_json_at(sj_json_at(tuple, 0), 0), &id);
        return id;
}

static const sj_json *tree_values(joined *j, const sj_json *tuple)
{
        const sj_json *children = tree_children(tuple);
        size_t n = sj_json_count(children);
        if (!children) {
                const member *m = member_find(j->members, j->n_members, tree_id(tuple));
                if (m)
                        return member_value(j, m);
                problem(j, "Join error: there is no result of ", tree_id(tuple), none);
                return NULL;
        }
        const sj_json **values = sj_arena_alloc(j->plan.arena, (n + 1) * sizeof(*values));
        if (!values)
                j->plan.error = -ENOMEM;
        for (size_t i = 0; i < n && !j->bad && !j->plan.error; i++)
                values[i] = tree_values(j, sj_json_at(children, i));
        return j->bad || j->plan.error ? NULL : list_of(j, values, n);
}

/* The tuple of what was saved, or NULL: none was, or it makes no sense. */
static const sj_json *saved_tree(sj_arena *arena, const broker_arrival *a)
{
        const sj_json *v;
        if (!a->saved.n || parse_copy(arena, a->saved, &v) < 0)
                return NULL;
        const sj_json *tuple = sj_json_member(v, "result");
        return tree_children(tuple) ? tuple : NULL;
}

/* ── What the broker must be asked for ───────────────────────────────────────────────────── */

typedef struct wanted {
        sj_str *ids; /* NULL: only count */
        size_t n;
} wanted;

static void tree_ids(const sj_json *tuple, wanted *w)
{
        const sj_json *children = tree_children(tuple);
        if (!children) {
                if (w->ids)
                        w->ids[w->n] = tree_id(tuple);
                w->n++;
                return;
        }
        SJ_JSON_EACH (children, i, each)
                tree_ids(each, w);
}

int outcome_join_lacks(const broker_arrival *arrival, sj_arena *arena, const sj_str **ret)
{
        const sj_json *tree = saved_tree(arena, arrival);
        wanted w = {0};
        size_t n = 0;
        if (!tree)
                return 0;
        tree_ids(tree, &w);
        member *members = sj_arena_alloc(arena, (arrival->n_members + 1) * sizeof(*members));
        w = (wanted){.ids = sj_arena_alloc(arena, (w.n + 1) * sizeof(*w.ids))};
        if (!members || !w.ids)
                return -ENOMEM;
        for (size_t i = 0; i < arrival->n_members; i++)
                n += member_read(arena, arrival->members[i], &members[n]) == 0;
        tree_ids(tree, &w);
        size_t kept = 0;
        for (size_t i = 0; i < w.n; i++)
                if (w.ids[i].n && !member_find(members, n, w.ids[i]))
                        w.ids[kept++] = w.ids[i];
        *ret = w.ids;
        return (int)kept;
}

/* ── What follows ────────────────────────────────────────────────────────────────────────── */

/* The body, sent with their results. False: it cannot be, and the problem is noted. */
static bool body_begin(joined *j, const sj_json *values)
{
        outcome_plan *p = &j->plan;
        int r = plan_begin_body(p, j->body, j->single ? sj_json_at(values, 0) : values);
        if (r == -EBADMSG)
                problem(j, "Callback error: the body is malformed", none, none);
        else if (r == -EMSGSIZE)
                problem(j, "Callback error: the results do not fit into a message", none, none);
        if (r == 0)
                plan_join(p, &(broker_join){.group = j->arrival->group});
        return r == 0;
}

static sj_str json_of(outcome_plan *p, const sj_json *v)
{
        sj_str text = none;
        if (!v ||
            sj_json_text(p->arena, v, SJ_JSON_PYTHON | SJ_JSON_ASCII | SJ_JSON_SPACED, &text) < 0)
                p->error = -ENOMEM;
        return text;
}

/* As in every chain: the links behind have the error of the one before them. */
static void links_fail(joined *j)
{
        const member *m = j->failed;
        const sj_json *args = sj_json_member(m->value, "exc_message");
        result_meta meta = {.state = sj_str_of(sj_state_name(m->state)),
                            .error_type = SJ_STR("Exception"),
                            .error_module = SJ_STR("builtins"),
                            .done = j->plan.context->now};
        sj_json_string(sj_json_member(m->value, "exc_type"), &meta.error_type);
        sj_json_string(sj_json_member(m->value, "exc_module"), &meta.error_module);
        if (sj_json_type_of(args) == SJ_JSON_ARRAY)
                meta.error_args = json_of(&j->plan, args);
        plan_lost(&j->plan, j->body, &meta, false);
}

static void body_fail(joined *j)
{
        outcome_plan *p = &j->plan;
        const sj_json *text = sj_json_new_string(p->arena, j->problem);
        const sj_json *list = text ? sj_json_new_array(p->arena, &text, 1) : NULL;
        const result_meta meta = {.state = SJ_STR("FAILURE"),
                                  .error_type = SJ_STR("ChordError"),
                                  .error_module = SJ_STR("celery.exceptions"),
                                  .error_args = json_of(p, list),
                                  .done = p->context->now};
        if (j->single && j->failed)
                links_fail(j);
        else
                plan_lost(p, j->body, &meta, true);
}

static void members_read(joined *j, const broker_result found[], size_t n_found)
{
        const broker_arrival *a = j->arrival;
        sj_arena *arena = j->plan.arena;
        j->members = sj_arena_alloc(arena, (a->n_members + n_found + 1) * sizeof(*j->members));
        if (!j->members) {
                j->plan.error = -ENOMEM;
                return;
        }
        for (size_t i = 0; i < a->n_members; i++) {
                int r = member_read(arena, a->members[i], &j->members[j->n_members++]);
                if (r == -EBADMSG)
                        problem(j, "Join error: a member has left no result", none, none);
                if (r < 0) {
                        j->plan.error = r == -ENOMEM ? r : 0;
                        return;
                }
        }
        for (size_t i = 0; i < n_found; i++)
                j->n_members += member_of_result(arena, &found[i], &j->members[j->n_members]);
}

/* That of the join goes before that of the message, which may be a mere reference. */
static const sj_json *body_of(const broker_arrival *a, const sj_json *said, sj_arena *arena)
{
        const sj_json *body;
        return a->body.n && parse_copy(arena, a->body, &body) == 0 ? body : said;
}

int outcome_joined(const outcome_context *context, const outcome_delivery *delivery, size_t i,
                   const broker_result found[], size_t n_found, sj_arena *arena,
                   broker_settlement *settlement)
{
        /* Of its own, since the list may be moved. */
        const broker_arrival a = delivery->arrivals->list[i];
        joined j = {.plan = {.context = context, .delivery = delivery, .arena = arena},
                    .arrival = &a,
                    .body = body_of(&a, delivery->arrivals->bodies[i], arena),
                    .single = canvas_is_single(delivery->arrivals->bodies[i])};
        outcome_plan *p = &j.plan;
        plan_resume(p, settlement);
        members_read(&j, found, n_found);
        const sj_json *tree = saved_tree(arena, &a), *values = NULL;
        if (!j.bad && !p->error)
                values = tree ? tree_values(&j, tree) : flat_values(&j);
        bool sent = !j.bad && values && body_begin(&j, values);
        if (!sent && !p->error)
                body_fail(&j);
        if (p->error)
                return p->error;
        plan_settle(p, settlement);
        return 0;
}
