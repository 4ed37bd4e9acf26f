/* SPDX-License-Identifier: MIT */
/*
 * Beginning a canvas: the signature is read into a tree, all in it get their ids, and what can run
 * at once becomes messages, which carry the rest. See canvas_tree.h for the tree, and
 * canvas_write.c for what is carried.
 *
 * The chord of a Celery canvas: each message of its header has the group's id, its own place, and
 * the body. If a member is itself a chain or a chord, it is what ends it (its last link, its body)
 * that has them. The number of those that have is the size of the join, and it is counted here,
 * whatever the members are, when the chord begins.
 */
#include "queue/canvas/canvas_tree.h"

#include <sanjab/queue.h>

typedef struct partial {
        const sj_json *const *values;
        size_t n;
} partial;

/* ── Messages ────────────────────────────────────────────────────────────────────────────── */

/* celery.map and its like go where the task goes that they call. */
static sj_str routed_name(const message *m)
{
        sj_str name = {NULL, 0};
        if (sj_str_equal(m->task, SJ_STR("celery.map")) ||
            sj_str_equal(m->task, SJ_STR("celery.starmap")))
                sj_json_string(sj_json_member(sj_json_member(m->kwargs, "task"), "task"), &name);
        return name.n ? name : m->task;
}

static sj_str queue_of(const canvas_context *context, const message *m)
{
        sj_str queue = m->routing_key;
        if (!queue.n && context->route)
                queue = context->route(context->route_arg, routed_name(m));
        return queue.n ? queue : context->default_queue;
}

static void emit(canvas *c, message *m)
{
        canvas_start *s = &c->start;
        broker_message *grown =
                canvas_grow(c, s->messages, s->n_messages, &c->messages_room, sizeof(*s->messages));
        if (!grown)
                return;
        s->messages = grown;
        sj_str key = m->routing_key;
        m->routing_key = queue_of(c->context, m);
        m->origin = c->context->origin;
        broker_message *b = &grown[s->n_messages];
        *b = (broker_message){
                .id = m->id,
                .queue = m->routing_key,
                .task = m->task,
                .priority = (int)(m->priority < BROKER_PRIORITY_MAX ? m->priority
                                                                    : BROKER_PRIORITY_MAX),
                .eta = m->eta,
                .expires = m->expires,
                .awaited = canvas_awaits(m),
                .exchange = m->exchange,
                .routing_key = key,
        };
        c->failure = message_encode(c->arena, m, &b->envelope);
        s->n_messages += c->failure == 0;
}

static void set_defaults(const canvas *c, const sj_json *signature, message *m)
{
        const canvas_defaults *d = &c->context->defaults;
        const sj_json *options = sj_json_member(signature, "options");
        if (!m->content_type.data)
                m->content_type = d->content_type;
        if (!m->compression.data)
                m->compression = d->compression;
        if (d->priority && sj_json_is_null(sj_json_member(options, "priority")))
                m->priority = d->priority(c->context->route_arg, routed_name(m));
}

static void begin_task(canvas *c, const canvas_node *node, partial given, const sj_json *chain)
{
        message m;
        const sj_json *signature = canvas_json(c, node);
        if (c->failure)
                return;
        c->failure =
                message_from_signature(c->arena, signature, given.values, given.n, c->context->root,
                                       c->context->parent, c->context->now, &m, c->error);
        if (c->failure)
                return;
        m.chain = chain;
        set_defaults(c, signature, &m);
        emit(c, &m);
}

/* ── Groups and chords ───────────────────────────────────────────────────────────────────── */

static void begin(canvas *c, const canvas_steps *steps, partial given, const sj_json *behind,
                  bool member);

/* What is put before the arguments of the parts: what was given, then what it has itself. */
static partial parts_given(canvas *c, const canvas_node *node, partial given)
{
        size_t n = node->immutable ? 0 : given.n, own = sj_json_count(node->args);
        const sj_json **all = sj_arena_alloc(c->arena, (n + own + 1) * sizeof(*all));
        if (!all) {
                canvas_made(c, NULL);
                return (partial){NULL, 0};
        }
        for (size_t i = 0; i < n; i++)
                all[i] = given.values[i];
        for (size_t i = 0; i < own; i++)
                all[n + i] = sj_json_at(node->args, i);
        return (partial){all, n + own};
}

static void begin_group(canvas *c, canvas_node *node, partial given, const sj_json *behind)
{
        canvas_place place = {.group = canvas_option_text(node, "task_id")};
        given = parts_given(c, node, given);
        for (size_t i = 0; i < node->n_members && !c->failure; i++) {
                canvas_put(c, &node->members[i], &place);
                begin(c, &node->members[i], given, behind, true);
        }
}

static void begin_header(canvas *c, canvas_node *node, const canvas_steps *steps, partial given,
                         const sj_json *behind, bool member)
{
        int64_t index = 0;
        canvas_place place = {.group = canvas_option_text(node, "task_id"),
                              .chord = canvas_word(c, steps, behind, member),
                              .index = &index,
                              .firm = true};
        given = parts_given(c, node, given);
        for (size_t i = 0; i < node->n_members && !c->failure; i++) {
                canvas_put(c, &node->members[i], &place);
                begin(c, &node->members[i], given, NULL, true);
        }
}

/* Without a header there is nobody to bring the body: it begins at once, with no results. */
static void begin_body(canvas *c, canvas_node *node, const canvas_steps *steps,
                       const sj_json *behind)
{
        const sj_json *results = canvas_made(c, sj_json_new_array(c->arena, NULL, 0));
        canvas_node **all = sj_arena_alloc(c->arena, steps->n * sizeof(canvas_node *));
        if (!all || c->failure) {
                canvas_made(c, NULL);
                return;
        }
        memcpy(all, steps->at, steps->n * sizeof(canvas_node *));
        all[0] = node->body;
        begin(c, &(canvas_steps){all, steps->n, steps->n}, (partial){&results, 1}, behind, false);
}

static void begin(canvas *c, const canvas_steps *steps, partial given, const sj_json *behind,
                  bool member)
{
        canvas_node *first = steps->at[0];
        const sj_json *chain;
        if (c->failure)
                return;
        switch (first->kind) {
        case CANVAS_TASK:
                chain = canvas_chain(c, steps, 1, behind);
                if (!chain && first->had_chain)
                        chain = canvas_made(c, sj_json_new_array(c->arena, NULL, 0));
                begin_task(c, first, given, chain);
                break;
        case CANVAS_GROUP:
                begin_group(c, first, given, behind);
                break;
        case CANVAS_CHORD:
                if (first->n_members)
                        begin_header(c, first, steps, given, behind, member);
                else
                        begin_body(c, first, steps, behind);
                break;
        case CANVAS_REFERENCE:
                canvas_malformed(c, "a signature of the message is kept elsewhere");
                break;
        }
}

/* ── The whole ───────────────────────────────────────────────────────────────────────────── */

/* Whether something behind it makes it the header of a chord. */
static bool ends_in_group(const canvas_steps *steps)
{
        const canvas_node *last = steps->at[steps->n - 1];
        while (last->kind == CANVAS_CHORD)
                last = last->body;
        return last->kind == CANVAS_GROUP;
}

static void canvas_run(canvas *c, const sj_json *signature, partial given, const sj_json *behind)
{
        canvas_steps steps = {0};
        canvas_read(c, signature, 0, &steps);
        if (!c->failure && !steps.n)
                canvas_malformed(c, "a chain is empty");
        if (c->failure)
                return;
        if (sj_json_count(behind) && ends_in_group(&steps)) {
                canvas_read_behind(c, behind, 0, &steps);
                behind = NULL;
        }
        canvas_upgrade(c, &steps);
        canvas_freeze(c, &steps);
        if (c->failure)
                return;
        c->start.id = canvas_steps_id(&steps);
        c->start.tuple = canvas_tuple(c, &steps, NULL);
        c->start.child = canvas_child(c, steps.at[0]);
        begin(c, &steps, given, behind, false);
}

int canvas_begin(sj_arena *arena, const canvas_context *context, const sj_json *signature,
                 const sj_json *const partial_values[], size_t n_partial, const sj_json *behind,
                 canvas_start *ret, message_error *ret_error)
{
        canvas c = {.arena = arena, .context = context, .error = ret_error};
        *ret_error = (message_error){.defect = MESSAGE_SOUND};
        canvas_run(&c, signature, (partial){partial_values, n_partial}, behind);
        if (c.failure)
                return c.failure;
        *ret = c.start;
        return 0;
}

static sj_str option_of(const sj_json *signature, const char *name)
{
        sj_str text = {NULL, 0};
        sj_json_string(sj_json_member(sj_json_member(signature, "options"), name), &text);
        return text;
}

int canvas_begin_body(sj_arena *arena, const canvas_context *context, const sj_json *body,
                      const sj_json *result, canvas_start *ret, message_error *ret_error)
{
        canvas_context own = *context;
        sj_str root = option_of(body, "root_id"), parent = option_of(body, "parent_id");
        if (root.n)
                own.root = root;
        if (parent.n)
                own.parent = parent;
        return canvas_begin(arena, &own, body, &result, 1, NULL, ret, ret_error);
}

/* ── Joins ───────────────────────────────────────────────────────────────────────────────── */

bool canvas_is_reference(const sj_json *signature)
{
        sj_str type = {NULL, 0};
        sj_json_string(sj_json_member(signature, "subtask_type"), &type);
        return sj_str_equal(type, SJ_STR("sanjab.reference"));
}

bool canvas_is_single(const sj_json *signature)
{
        bool single = false;
        sj_json_bool(sj_json_member(signature, "immutable"), &single);
        return single && canvas_is_reference(signature);
}

/* A reference names its join itself; a body is awaited by its message's group. */
static bool arrival_of(const sj_json *chord, sj_str group, canvas_part *ret)
{
        if (canvas_is_reference(chord))
                group = option_of(chord, "group_id");
        if (!chord || !message_name_ok(group, SJ_TASK_ID_MAX))
                return false;
        ret->group = group;
        ret->chord = chord;
        if (canvas_is_single(chord))
                ret->index = 0;
        return true;
}

bool canvas_awaits(const message *m)
{
        canvas_part part;
        return sj_json_count(m->chain) || sj_json_count(m->errbacks) || canvas_arrival(m, &part);
}

bool canvas_arrival(const message *m, canvas_part *ret)
{
        canvas_part part = {.id = m->id, .index = m->has_group_index ? m->group_index : -1};
        if (!arrival_of(m->chord, m->group, &part))
                return false;
        *ret = part;
        return true;
}

/* ── Failing ─────────────────────────────────────────────────────────────────────────────── */

typedef struct parts {
        canvas *c;
        canvas_part *at;
        size_t n;
        size_t room;
} parts;

static void steps_abandon(parts *p, const canvas_steps *steps);

static void task_abandon(parts *p, const canvas_node *node)
{
        canvas_part part = {.id = canvas_id(node), .index = -1, .signature = node->signature};
        sj_json_int(canvas_option(node, "group_index"), &part.index);
        bool arrives = arrival_of(canvas_option(node, "chord"),
                                  canvas_option_text(node, "group_id"), &part);
        if (!part.id.n && !arrives)
                return;
        canvas_part *grown = canvas_grow(p->c, p->at, p->n, &p->room, sizeof(*grown));
        if (!grown)
                return;
        p->at = grown;
        grown[p->n++] = part;
}

static void node_abandon(parts *p, const canvas_node *node)
{
        if (node->kind == CANVAS_TASK)
                task_abandon(p, node);
        if (node->kind == CANVAS_CHORD && node->body->kind == CANVAS_REFERENCE) {
                int64_t index = 0;
                canvas_place place = {.chord = canvas_json(p->c, node->body), .index = &index};
                for (size_t i = 0; i < node->n_members; i++)
                        canvas_put(p->c, &node->members[i], &place);
        }
        for (size_t i = 0; i < node->n_members; i++)
                steps_abandon(p, &node->members[i]);
        if (node->kind == CANVAS_CHORD)
                node_abandon(p, node->body);
}

static void steps_abandon(parts *p, const canvas_steps *steps)
{
        for (size_t i = 0; i < steps->n; i++)
                node_abandon(p, steps->at[i]);
}

int canvas_abandoned(sj_arena *arena, const sj_json *signature, const canvas_part **ret,
                     size_t *ret_n, message_error *ret_error)
{
        static const canvas_context nowhere;
        canvas c = {.arena = arena, .context = &nowhere, .error = ret_error};
        canvas_steps steps = {0};
        parts p = {.c = &c};
        *ret_error = (message_error){.defect = MESSAGE_SOUND};
        canvas_read(&c, signature, 0, &steps);
        steps_abandon(&p, &steps);
        if (c.failure)
                return c.failure;
        *ret = p.at;
        *ret_n = p.n;
        return 0;
}
