/* SPDX-License-Identifier: MIT */
/*
 * The tree itself (see canvas_tree.h): its nodes and their options; groups that become chords; the
 * ids and the places that all get before anything is written.
 */
#include "queue/canvas/canvas_tree.h"

#include <sanjab/queue.h>

/* ── Memory and failures ─────────────────────────────────────────────────────────────────── */

const sj_json *canvas_made(canvas *c, const sj_json *value)
{
        if (!value && c->failure == 0)
                c->failure = -ENOMEM;
        return value;
}

void canvas_malformed(canvas *c, const char *what)
{
        if (c->failure)
                return;
        c->failure = -EBADMSG;
        message_error error = {.defect = MESSAGE_BODY};
        size_t n = strlen(what);
        memcpy(error.text, what, n < sizeof(error.text) ? n + 1 : 0);
        *c->error = error;
}

void *canvas_grow(canvas *c, void *items, size_t n, size_t *room, size_t size)
{
        if (c->failure)
                return NULL;
        if (n < *room)
                return items;
        size_t more = *room ? 2 * *room : 4;
        void *grown = sj_arena_alloc(c->arena, more * size);
        if (!grown) {
                c->failure = -ENOMEM;
                return NULL;
        }
        if (n)
                memcpy(grown, items, n * size);
        *room = more;
        return grown;
}

canvas_node *canvas_new(canvas *c, canvas_kind kind, const sj_json *signature)
{
        canvas_node *node = c->failure ? NULL : sj_arena_alloc(c->arena, sizeof(*node));
        if (!node) {
                canvas_made(c, NULL);
                return NULL;
        }
        *node = (canvas_node){.kind = kind, .signature = signature};
        if (++c->n_nodes > CANVAS_TASKS_MAX)
                c->failure = -EMSGSIZE;
        return node;
}

/* ── Options ─────────────────────────────────────────────────────────────────────────────── */

static size_t option_at(const canvas_node *node, sj_str name)
{
        size_t i = 0;
        while (i < node->options.n && !sj_str_equal(node->options.names[i], name))
                i++;
        return i;
}

const sj_json *canvas_option(const canvas_node *node, const char *name)
{
        size_t i = option_at(node, sj_str_of(name));
        if (i == node->options.n || sj_json_is_null(node->options.values[i]))
                return NULL;
        return node->options.values[i];
}

sj_str canvas_option_text(const canvas_node *node, const char *name)
{
        sj_str text = {NULL, 0};
        sj_json_string(canvas_option(node, name), &text);
        return text;
}

void canvas_set_named(canvas *c, canvas_node *node, sj_str name, const sj_json *value)
{
        canvas_options *o = &node->options;
        size_t i = option_at(node, name), room = o->room;
        if (!canvas_made(c, value))
                return;
        if (i == o->n) {
                sj_str *names = canvas_grow(c, o->names, o->n, &room, sizeof(*names));
                room = o->room;
                const sj_json **values = canvas_grow(c, o->values, o->n, &room, sizeof(*values));
                if (!names || !values)
                        return;
                *o = (canvas_options){names, values, o->n + 1, room};
        }
        o->names[i] = name;
        o->values[i] = value;
}

void canvas_set(canvas *c, canvas_node *node, const char *name, const sj_json *value)
{
        canvas_set_named(c, node, sj_str_of(name), value);
}

void canvas_set_text(canvas *c, canvas_node *node, const char *name, sj_str value)
{
        canvas_set(c, node, name, sj_json_new_string(c->arena, value));
}

void canvas_unset(canvas_node *node, const char *name)
{
        canvas_options *o = &node->options;
        size_t i = option_at(node, sj_str_of(name));
        if (i == o->n)
                return;
        o->n--;
        memmove(&o->names[i], &o->names[i + 1], (o->n - i) * sizeof(*o->names));
        memmove(&o->values[i], &o->values[i + 1], (o->n - i) * sizeof(*o->values));
}

/* ── Ids ─────────────────────────────────────────────────────────────────────────────────── */

sj_str canvas_id(const canvas_node *node)
{
        if (node->kind == CANVAS_CHORD)
                return canvas_id(node->body);
        sj_str id = canvas_option_text(node, "task_id");
        return message_name_ok(id, SJ_TASK_ID_MAX) ? id : (sj_str){NULL, 0};
}

sj_str canvas_steps_id(const canvas_steps *steps)
{
        return steps->n ? canvas_id(steps->at[steps->n - 1]) : (sj_str){NULL, 0};
}

static sj_str fresh_id(canvas *c)
{
        char *id = sj_arena_alloc(c->arena, MESSAGE_UUID_SIZE);
        if (!id) {
                canvas_made(c, NULL);
                return (sj_str){NULL, 0};
        }
        message_uuid(id);
        return sj_str_of(id);
}

/* Its id, and where its result goes. */
void canvas_freeze_task(canvas *c, canvas_node *node)
{
        if (!canvas_id(node).n) {
                if (canvas_option(node, "task_id"))
                        canvas_malformed(c, "the id of a signature is none");
                canvas_set_text(c, node, "task_id", fresh_id(c));
        }
        if (node->kind == CANVAS_TASK && c->context->reply_to.n && !canvas_option(node, "reply_to"))
                canvas_set_text(c, node, "reply_to", c->context->reply_to);
}

/* ── Chords out of groups ────────────────────────────────────────────────────────────────── */

/* The group and what follows it. */
static canvas_node *chord_of(canvas *c, canvas_node *group, canvas_node *body)
{
        canvas_node *chord = canvas_new(c, CANVAS_CHORD, NULL);
        if (!chord)
                return NULL;
        chord->args = group->args;
        chord->immutable = group->immutable;
        chord->members = group->members;
        chord->n_members = group->n_members;
        chord->members_room = group->members_room;
        chord->header_id = canvas_option_text(group, "task_id");
        chord->body = body;
        return chord;
}

void canvas_upgrade(canvas *c, canvas_steps *steps)
{
        /* An empty group that ends a chain is nothing (§8.4). */
        while (steps->n > 1 && steps->at[steps->n - 1]->kind == CANVAS_GROUP &&
               steps->at[steps->n - 1]->n_members == 0)
                steps->n--;
        size_t end = steps->n;
        for (size_t i = steps->n; i-- > 0 && !c->failure;) {
                canvas_node **step = &steps->at[i], *next = i + 1 < end ? steps->at[i + 1] : NULL;
                /* What goes on is the body, also of a chord that is a body itself. */
                while ((*step)->kind == CANVAS_CHORD)
                        step = &(*step)->body;
                if (!next || (*step)->kind != CANVAS_GROUP)
                        continue;
                canvas_node *chord = chord_of(c, *step, next);
                if (!chord)
                        return;
                *step = chord;
                end--;
                memmove(&steps->at[i + 1], &steps->at[i + 2], (end - i - 1) * sizeof(*steps->at));
        }
        steps->n = end;
}

/* ── Freezing: all get their ids ─────────────────────────────────────────────────────────── */

static void node_freeze(canvas *c, canvas_node *node)
{
        if (node->kind == CANVAS_CHORD) {
                sj_str own = canvas_option_text(node, "task_id");
                if (node->body->kind == CANVAS_REFERENCE)
                        own = canvas_option_text(node->body, "group_id");
                else if (!message_name_ok(own, SJ_TASK_ID_MAX))
                        own = node->header_id.n ? node->header_id : fresh_id(c);
                canvas_set_text(c, node, "task_id", own);
                node_freeze(c, node->body);
        } else {
                canvas_freeze_task(c, node);
        }
        for (size_t i = 0; i < node->n_members; i++)
                canvas_freeze(c, &node->members[i]);
}

void canvas_freeze(canvas *c, const canvas_steps *steps)
{
        for (size_t i = 0; i < steps->n && !c->failure; i++)
                node_freeze(c, steps->at[i]);
}

/* ── Places ──────────────────────────────────────────────────────────────────────────────── */

static void node_put(canvas *c, canvas_node *node, const canvas_place *place)
{
        switch (node->kind) {
        case CANVAS_TASK:
                if (place->group.n && (place->firm || !canvas_option(node, "group_id")))
                        canvas_set_text(c, node, "group_id", place->group);
                if (place->chord)
                        canvas_set(c, node, "chord", place->chord);
                if (place->index)
                        canvas_set(c, node, "group_index",
                                   sj_json_new_int(c->arena, (*place->index)++));
                break;
        case CANVAS_GROUP:
                for (size_t i = 0; i < node->n_members; i++)
                        canvas_put(c, &node->members[i], place);
                break;
        case CANVAS_CHORD:
                node_put(c, node->body, place);
                break;
        case CANVAS_REFERENCE:
                canvas_malformed(c, "a signature of the message is kept elsewhere");
                break;
        }
}

void canvas_put(canvas *c, const canvas_steps *steps, const canvas_place *place)
{
        if (steps->n && !c->failure)
                node_put(c, steps->at[steps->n - 1], place);
}

static int64_t node_count(const canvas_node *node)
{
        int64_t n = 0;
        if (node->kind == CANVAS_CHORD)
                return node_count(node->body);
        if (node->kind != CANVAS_GROUP)
                return 1;
        for (size_t i = 0; i < node->n_members; i++)
                n += canvas_count(&node->members[i]);
        return n;
}

int64_t canvas_count(const canvas_steps *steps)
{
        return steps->n ? node_count(steps->at[steps->n - 1]) : 0;
}
