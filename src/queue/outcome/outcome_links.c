/* SPDX-License-Identifier: MIT */
/* See outcome_links.h. */
#include "queue/outcome/outcome_links.h"

#include "queue/canvas/canvas.h"

static const sj_str none = {NULL, 0};

/*
 * An array of the arena with room for n elements more: itself, or a larger copy. NULL: the plan has
 * failed.
 */
static void *plan_grow(outcome_plan *p, void *items, size_t n, size_t more, size_t *room,
                       size_t size)
{
        if (p->error)
                return NULL;
        if (n + more <= *room)
                return items;
        size_t wanted = *room ? 2 * *room : 4;
        if (wanted < n + more)
                wanted = n + more;
        void *grown = sj_arena_alloc(p->arena, wanted * size);
        if (!grown) {
                p->error = -ENOMEM;
                return NULL;
        }
        if (n)
                memcpy(grown, items, n * size);
        *room = wanted;
        return grown;
}

/* With no room left, so that what is added goes to a copy: what was there may be somebody's. */
void plan_resume(outcome_plan *p, const broker_settlement *s)
{
        p->results = (broker_result *)(uintptr_t)s->results;
        p->n_results = p->results_room = s->n_results;
        p->follow_ups = (broker_message *)(uintptr_t)s->follow_ups;
        p->n_follow_ups = p->follow_ups_room = s->n_follow_ups;
        p->joins = (broker_join *)(uintptr_t)s->joins;
        p->n_joins = p->joins_room = s->n_joins;
}

void plan_settle(const outcome_plan *p, broker_settlement *s)
{
        s->results = p->results;
        s->n_results = p->n_results;
        s->follow_ups = p->follow_ups;
        s->n_follow_ups = p->n_follow_ups;
        s->joins = p->joins;
        s->n_joins = p->n_joins;
}

void plan_result(outcome_plan *p, const result_meta *meta)
{
        broker_result *grown =
                plan_grow(p, p->results, p->n_results, 1, &p->results_room, sizeof(*grown));
        if (!grown)
                return;
        p->results = grown;
        broker_result *r = &grown[p->n_results];
        *r = (broker_result){.id = meta->id, .state = meta->state};
        p->error = result_encode(p->arena, meta, &r->content);
        p->n_results += p->error == 0;
}

void plan_join(outcome_plan *p, const broker_join *join)
{
        broker_join *grown = plan_grow(p, p->joins, p->n_joins, 1, &p->joins_room, sizeof(*grown));
        if (!grown)
                return;
        p->joins = grown;
        grown[p->n_joins++] = *join;
}

int plan_envelope(outcome_plan *p, const message *m, broker_message *ret)
{
        message sent = *m;
        if (p->context->origin.n)
                sent.origin = p->context->origin;
        broker_message b = {
                .id = m->id,
                .queue = sent.routing_key,
                .task = m->task,
                .priority = (int)(m->priority < BROKER_PRIORITY_MAX ? m->priority
                                                                    : BROKER_PRIORITY_MAX),
                .eta = m->eta,
                .expires = m->expires,
                .awaited = canvas_awaits(m),
        };
        int r = message_encode(p->arena, &sent, &b.envelope);
        if (r == 0)
                *ret = b;
        return r;
}

/* ── Beginning what follows ──────────────────────────────────────────────────────────────── */

static sj_str plan_root(const outcome_plan *p)
{
        const message *m = p->delivery->m;
        return m->root_id.n ? m->root_id : m->id;
}

/* Adds all of a start. */
static void plan_start(outcome_plan *p, const canvas_start *start)
{
        broker_message *messages =
                plan_grow(p, p->follow_ups, p->n_follow_ups, start->n_messages + 1,
                          &p->follow_ups_room, sizeof(*messages));
        const sj_json **children =
                plan_grow(p, p->children, p->n_children, 1, &p->children_room, sizeof(*children));
        if (!messages || !children)
                return;
        p->follow_ups = messages;
        for (size_t i = 0; i < start->n_messages; i++)
                messages[p->n_follow_ups++] = start->messages[i];
        p->children = children;
        if (start->child)
                children[p->n_children++] = start->child;
        for (size_t i = 0; i < start->n_joins; i++)
                plan_join(p, &start->joins[i]);
}

static canvas_context plan_canvas(const outcome_plan *p, sj_str parent)
{
        return (canvas_context){.now = p->context->now,
                                .root = plan_root(p),
                                .parent = parent,
                                .origin = p->context->origin,
                                .route = p->context->route,
                                .route_arg = p->context->route_arg,
                                .default_queue = p->delivery->lease->message.queue,
                                .defaults = p->context->defaults,
                                .compact = p->context->compact,
                                .reply_to = p->delivery->m->reply_to};
}

/* What came of a beginning; text that cannot be written is a malformed signature. */
static int plan_begun(outcome_plan *p, int r, const canvas_start *start)
{
        if (r == 0)
                plan_start(p, start);
        else if (r == -EINVAL)
                r = -EBADMSG;
        else if (r != -EBADMSG && r != -EMSGSIZE)
                p->error = r;
        return p->error ? p->error : r;
}

int plan_begin(outcome_plan *p, const sj_json *signature, const sj_json *value,
               const sj_json *behind, sj_str parent)
{
        const canvas_context context = plan_canvas(p, parent);
        canvas_start start;
        message_error error;
        if (p->error)
                return p->error;
        return plan_begun(p,
                          canvas_begin(p->arena, &context, signature, &value, value ? 1 : 0, behind,
                                       &start, &error),
                          &start);
}

int plan_begin_body(outcome_plan *p, const sj_json *body, const sj_json *result)
{
        const canvas_context context = plan_canvas(p, p->delivery->m->id);
        canvas_start start;
        message_error error;
        if (p->error)
                return p->error;
        return plan_begun(p, canvas_begin_body(p->arena, &context, body, result, &start, &error),
                          &start);
}

sj_str plan_children(outcome_plan *p)
{
        sj_str text = none;
        if (p->error || p->n_children == 0)
                return none;
        const sj_json *list = sj_json_new_array(p->arena, p->children, p->n_children);
        int r = list ? sj_json_text(p->arena, list, SJ_JSON_PYTHON | SJ_JSON_ASCII | SJ_JSON_SPACED,
                                    &text)
                     : -ENOMEM;
        if (r < 0)
                p->error = r;
        return text;
}

/* ── What will never run ─────────────────────────────────────────────────────────────────── */

static bool link_is(const sj_json *signature, const char *kind)
{
        sj_str type = none;
        sj_json_string(sj_json_member(signature, "subtask_type"), &type);
        return sj_str_equal(type, sj_str_of(kind));
}

/* Says the end that meta tells to the join of a group. */
static void plan_arrive(outcome_plan *p, const result_meta *meta, sj_str group, int64_t index,
                        const sj_json *body)
{
        outcome_arrivals *a = p->delivery->arrivals;
        size_t room = a ? a->room : 0;
        if (!a || !message_name_ok(group, SJ_TASK_ID_MAX) || !meta->id.n)
                return;
        broker_arrival *list = plan_grow(p, a->list, a->n, 1, &room, sizeof(*list));
        room = a->room;
        const sj_json **bodies = plan_grow(p, a->bodies, a->n, 1, &room, sizeof(*bodies));
        if (!list || !bodies)
                return;
        a->list = list;
        a->bodies = bodies;
        a->room = room;
        bodies[a->n] = body;
        list[a->n] =
                (broker_arrival){.group = group, .id = meta->id, .index = index < 0 ? -1 : index};
        p->error = result_arrival(p->arena, meta, &list[a->n].text);
        a->n += p->error == 0;
}

void plan_arrival(outcome_plan *p, const result_meta *meta)
{
        canvas_part part;
        if (canvas_arrival(p->delivery->m, &part))
                plan_arrive(p, meta, part.group, part.index, part.chord);
}

static void plan_errbacks(outcome_plan *p, const sj_json *list, sj_str id);

/* The errbacks of what had its turn: of a chain those of its first link. */
static void lost_errbacks(outcome_plan *p, const sj_json *signature, sj_str id)
{
        const sj_json *options = sj_json_member(signature, "options");
        const sj_json *list = sj_json_member(options, "link_error");
        if (sj_json_type_of(list) == SJ_JSON_OBJECT) {
                list = sj_json_new_array(p->arena, &list, 1);
                if (!list)
                        p->error = -ENOMEM;
        }
        plan_errbacks(p, sj_json_type_of(list) == SJ_JSON_ARRAY ? list : NULL, id);
}

/* The one whose turn it would have been: a task itself, or the first of what it is made of. */
static const sj_json *lost_first(const sj_json *signature)
{
        const sj_json *tasks = sj_json_member(sj_json_member(signature, "kwargs"), "tasks");
        while (link_is(signature, "chain") && sj_json_count(tasks)) {
                signature = sj_json_at(tasks, 0);
                tasks = sj_json_member(sj_json_member(signature, "kwargs"), "tasks");
        }
        return signature;
}

void plan_lost(outcome_plan *p, const sj_json *signature, const result_meta *meta, bool began)
{
        const canvas_part *parts;
        size_t n;
        message_error error;
        result_meta own = *meta;
        int r = p->error ? p->error : canvas_abandoned(p->arena, signature, &parts, &n, &error);
        own.children = none;
        own.task = NULL;
        if (r == -ENOMEM)
                p->error = r;
        /* Of what cannot be read its own id is all that is known. */
        const canvas_part alone = {.id = message_signature_id(signature)};
        if (r < 0 && !p->error) {
                parts = &alone;
                n = 1;
        }
        for (size_t i = 0; i < n && !p->error; i++) {
                own.id = parts[i].id;
                if (!own.id.n)
                        continue;
                plan_result(p, &own);
                if (parts[i].chord)
                        plan_arrive(p, &own, parts[i].group, parts[i].index, parts[i].chord);
        }
        const sj_json *first = lost_first(signature);
        own.id = message_signature_id(first);
        if (began && own.id.n)
                lost_errbacks(p, first, own.id);
        if (began && first != signature && own.id.n)
                lost_errbacks(p, signature, own.id);
}

/* ── Links ───────────────────────────────────────────────────────────────────────────────── */

/* FAILURE for a link that cannot be begun, and for those behind it. */
static void plan_broken(outcome_plan *p, const sj_json *signature, const sj_json *behind, int why)
{
        const result_meta meta = {
                .state = SJ_STR("FAILURE"),
                .error_module = SJ_STR("celery.exceptions"),
                .error_type = SJ_STR("InvalidTaskError"),
                .error_args = why == -EMSGSIZE
                                      ? SJ_STR("[\"the link and its arguments do not fit into a "
                                               "message\"]")
                                      : SJ_STR("[\"a signature of the message is malformed\"]"),
                .done = p->context->now,
                .parent = p->delivery->m->id};
        plan_lost(p, signature, &meta, true);
        SJ_JSON_EACH (behind, i, each)
                plan_lost(p, each, &meta, false);
}

static void plan_link(outcome_plan *p, const sj_json *signature, const sj_json *value,
                      const sj_json *behind, sj_str parent)
{
        int r = p->error ? p->error : plan_begin(p, signature, value, behind, parent);
        if (r < 0 && !p->error)
                plan_broken(p, signature, behind, r);
}

/* A group of these, with a fresh id. NULL: the plan has failed. */
static const sj_json *plan_group(outcome_plan *p, const sj_json *const members[], size_t n)
{
        char id[MESSAGE_UUID_SIZE];
        message_uuid(id);
        const sj_json *tasks = sj_json_new_array(p->arena, members, n);
        const sj_json *uuid = sj_json_new_string(p->arena, sj_str_of(id));
        const sj_json *kwargs =
                tasks ? sj_json_new_object(p->arena, &SJ_STR("tasks"), &tasks, 1) : NULL;
        const sj_json *options =
                uuid ? sj_json_new_object(p->arena, &SJ_STR("task_id"), &uuid, 1) : NULL;
        const sj_str names[] = {SJ_STR("task"),    SJ_STR("args"),         SJ_STR("kwargs"),
                                SJ_STR("options"), SJ_STR("subtask_type"), SJ_STR("immutable")};
        const sj_json *values[] = {sj_json_new_string(p->arena, SJ_STR("celery.group")),
                                   sj_json_new_array(p->arena, NULL, 0),
                                   kwargs,
                                   options,
                                   sj_json_new_string(p->arena, SJ_STR("group")),
                                   sj_json_new_bool(p->arena, false)};
        const sj_json *group = NULL;
        if (values[0] && values[1] && kwargs && options && values[4] && values[5])
                group = sj_json_new_object(p->arena, names, values, 6);
        if (!group)
                p->error = -ENOMEM;
        return group;
}

/* Several form one group; if that cannot be begun, each is by itself. */
static void plan_grouped(outcome_plan *p, const sj_json *const links[], size_t n,
                         const sj_json *value, sj_str parent)
{
        const sj_json *group = plan_group(p, links, n);
        if (!group || plan_begin(p, group, value, NULL, parent) == 0)
                return;
        for (size_t i = 0; i < n; i++)
                plan_link(p, links[i], value, NULL, parent);
}

/* Those that are groups go by themselves, the others as a group (§8.2). */
static void plan_links(outcome_plan *p, const sj_json *list, const sj_json *value, sj_str parent)
{
        size_t n = sj_json_count(list), others = 0;
        const sj_json **grouped = sj_arena_alloc(p->arena, (n + 1) * sizeof(*grouped));
        if (!grouped)
                p->error = -ENOMEM;
        for (size_t i = 0; i < n && !p->error; i++) {
                const sj_json *link = sj_json_at(list, i);
                if (link_is(link, "group"))
                        plan_link(p, link, value, NULL, parent);
                else
                        grouped[others++] = link;
        }
        if (others && !p->error)
                plan_grouped(p, grouped, others, value, parent);
}

static void plan_errbacks(outcome_plan *p, const sj_json *list, sj_str id)
{
        if (!sj_json_count(list) || p->error)
                return;
        const sj_json *value = sj_json_new_string(p->arena, id);
        if (!value)
                p->error = -ENOMEM;
        else
                plan_links(p, list, value, id);
}

void plan_success(outcome_plan *p, const sj_json *value)
{
        const message *m = p->delivery->m;
        size_t n = sj_json_count(m->chain);
        const sj_json *behind = NULL;
        if (sj_json_count(m->callbacks) == 1)
                plan_link(p, sj_json_at(m->callbacks, 0), value, NULL, m->id);
        else
                plan_links(p, m->callbacks, value, m->id);
        if (n == 0 || p->error)
                return;
        const sj_json **rest = sj_arena_alloc(p->arena, n * sizeof(*rest));
        for (size_t i = 0; rest && i < n - 1; i++)
                rest[i] = sj_json_at(m->chain, i);
        if (!rest || !(behind = sj_json_new_array(p->arena, rest, n - 1)))
                p->error = -ENOMEM;
        else
                plan_link(p, sj_json_at(m->chain, n - 1), value, behind, m->id);
}

void plan_failure(outcome_plan *p, const result_meta *meta)
{
        const message *m = p->delivery->m;
        size_t n = sj_json_count(m->chain);
        plan_arrival(p, meta);
        for (size_t i = n; i-- > 0;)
                plan_lost(p, sj_json_at(m->chain, i), meta, false);
        if (result_state(meta->state) == SJ_FAILURE)
                plan_errbacks(p, m->errbacks, m->id);
}
