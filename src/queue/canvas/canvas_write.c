/* SPDX-License-Identifier: MIT */
/*
 * From the tree back to signatures: what has not begun, and is carried by what has.
 *
 * In the compact form nothing is carried twice. What is behind a chord goes into the chord's join,
 * with its body; what is behind a link of a chain that carries enough already goes into a join of
 * its own. All those joins are opened at the beginning, so each signature travels once as a part
 * of such a text, once in the message that its header waits in, and once as its own message:
 *
 *   chain(a, chord([b, c], d), e, chord([f, g], h))
 *
 *   a's message      chain: [ chord(b, c; reference 1) ]
 *   join 1           d, chain: [ chord(f, g; reference 2), e ]
 *   join 2           h
 */
#include "queue/canvas/canvas_tree.h"
#include "queue/canvas/signature_value.h"

#include <sanjab/queue.h>

#define CANVAS_JSON SJ_JSON_PYTHON
#define PIECE       ".before" /* a join of one task is named for what waits in it */

/* ── Signatures ──────────────────────────────────────────────────────────────────────────── */

static const sj_json *empty_object(canvas *c)
{
        return canvas_made(c, sj_json_new_object(c->arena, NULL, NULL, 0));
}

static const sj_json *options_json(canvas *c, const canvas_options *o)
{
        return canvas_made(c, sj_json_new_object(c->arena, o->names, o->values, o->n));
}

static const sj_json *composite(canvas *c, const char *task, const canvas_node *node,
                                const sj_json *kwargs, const sj_json *options)
{
        const signature_fields fields = {.args = node ? node->args : NULL,
                                         .kwargs = kwargs,
                                         .options = options,
                                         .immutable = node && node->immutable};
        if (c->failure)
                return NULL;
        return canvas_made(c, signature_value_named(c->arena, task, task + 7, fields));
}

static const sj_json *tasks_json(canvas *c, const sj_json *const tasks[], size_t n)
{
        static const sj_str name = {"tasks", 5};
        const sj_json *list = canvas_made(c, sj_json_new_array(c->arena, tasks, n));
        return list ? canvas_made(c, sj_json_new_object(c->arena, &name, &list, 1)) : NULL;
}

static const sj_json *steps_json(canvas *c, const canvas_steps *steps)
{
        if (steps->n == 1)
                return canvas_json(c, steps->at[0]);
        const sj_json **tasks = sj_arena_alloc(c->arena, (steps->n + 1) * sizeof(*tasks));
        if (!canvas_made(c, tasks ? tasks[0] = empty_object(c) : NULL))
                return NULL;
        for (size_t i = 0; i < steps->n; i++)
                tasks[i] = canvas_json(c, steps->at[i]);
        return c->failure ? NULL
                          : composite(c, "celery.chain", NULL, tasks_json(c, tasks, steps->n),
                                      empty_object(c));
}

/* What Celery says of a group that waits: its id; who sends it is not known yet. */
static const sj_json *group_options(canvas *c, sj_str id, const sj_json *chord)
{
        sj_str names[4] = {{"task_id", 7}};
        const sj_json *values[4] = {sj_json_new_string(c->arena, id)};
        size_t n = 1;
        if (chord) {
                names[n] = SJ_STR("chord");
                values[n++] = chord;
        }
        names[n] = SJ_STR("root_id");
        values[n++] = sj_json_new_null(c->arena);
        names[n] = SJ_STR("parent_id");
        values[n++] = sj_json_new_null(c->arena);
        return canvas_made(c, sj_json_new_object(c->arena, names, values, n));
}

static const sj_json *group_json(canvas *c, const canvas_node *node, const canvas_node *of,
                                 const sj_json *chord)
{
        const sj_json **tasks = sj_arena_alloc(c->arena, (node->n_members + 1) * sizeof(*tasks));
        if (!tasks) {
                canvas_made(c, NULL);
                return NULL;
        }
        for (size_t i = 0; i < node->n_members; i++)
                tasks[i] = steps_json(c, &node->members[i]);
        if (c->failure)
                return NULL;
        return composite(c, "celery.group", of, tasks_json(c, tasks, node->n_members),
                         group_options(c, canvas_option_text(node, "task_id"), chord));
}

/* A chord that waits, with what stands for its body; copy: the body for each member, or NULL. */
static const sj_json *chord_json(canvas *c, const canvas_node *node, const sj_json *body,
                                 const sj_json *copy)
{
        static const sj_str names[] = {{"kwargs", 6}, {"header", 6}, {"body", 4}};
        static const sj_str id_name = {"task_id", 7};
        const sj_json *id = sj_json_new_string(c->arena, canvas_option_text(node, "task_id"));
        const sj_json *values[] = {empty_object(c), group_json(c, node, NULL, copy), body};
        if (c->failure || !canvas_made(c, id))
                return NULL;
        return composite(c, "celery.chord", node,
                         canvas_made(c, sj_json_new_object(c->arena, names, values, 3)),
                         canvas_made(c, sj_json_new_object(c->arena, &id_name, &id, 1)));
}

const sj_json *canvas_json(canvas *c, const canvas_node *node)
{
        if (c->failure)
                return NULL;
        if (node->kind == CANVAS_GROUP)
                return group_json(c, node, node, NULL);
        if (node->kind == CANVAS_CHORD)
                return chord_json(c, node, canvas_json(c, node->body), NULL);
        const signature_fields fields = {.task = sj_json_member(node->signature, "task"),
                                         .args = node->args,
                                         .kwargs = sj_json_member(node->signature, "kwargs"),
                                         .options = options_json(c, &node->options),
                                         .type = sj_json_member(node->signature, "subtask_type"),
                                         .immutable = node->immutable};
        return c->failure ? NULL : canvas_made(c, signature_value_new(c->arena, &fields));
}

/* ── Joins ───────────────────────────────────────────────────────────────────────────────── */

static void join_open(canvas *c, sj_str id, int64_t size, const sj_json *body)
{
        canvas_start *s = &c->start;
        broker_join *grown =
                canvas_grow(c, s->joins, s->n_joins, &c->joins_room, sizeof(*s->joins));
        if (!grown)
                return;
        s->joins = grown;
        grown[s->n_joins] = (broker_join){.group = id, .size = size};
        if (body)
                c->failure = sj_json_text(c->arena, body, CANVAS_JSON, &grown[s->n_joins].body);
        s->n_joins += c->failure == 0;
}

static const sj_json *reference(canvas *c, const canvas_node *body, sj_str join, bool single)
{
        static const sj_str names[] = {{"task_id", 7}, {"group_id", 8}};
        const canvas_node *named = body;
        while (named->kind == CANVAS_CHORD)
                named = named->body;
        const sj_json *task = named->kind == CANVAS_GROUP
                                      ? sj_json_new_string(c->arena, SJ_STR("celery.group"))
                                      : sj_json_member(named->signature, "task");
        const sj_json *values[] = {sj_json_new_string(c->arena, canvas_id(body)),
                                   sj_json_new_string(c->arena, join)};
        const sj_json *options = canvas_made(c, sj_json_new_object(c->arena, names, values, 2));
        const sj_json *type = sj_json_new_string(c->arena, SJ_STR("sanjab.reference"));
        if (!options || !canvas_made(c, type))
                return NULL;
        const signature_fields fields = {
                .task = task, .options = options, .type = type, .immutable = single};
        return canvas_made(c, signature_value_new(c->arena, &fields));
}

/* Whether the chord begins now; and if so, whether it is a member of another's header. */
typedef enum waits { WAITS, BEGINS, BEGINS_AS_MEMBER } waits;

static const sj_json *chord_kept(canvas *c, canvas_node *node, const canvas_steps *steps, size_t i,
                                 const sj_json *behind);

static void set_or_null(canvas *c, canvas_node *node, const char *name, sj_str value)
{
        if (value.n)
                canvas_set_text(c, node, name, value);
        else
                canvas_set(c, node, name, sj_json_new_null(c->arena));
}

/* What Celery notes in the options of a body: where it comes from. */
static void body_origin(canvas *c, canvas_node *body, waits how)
{
        const canvas_context *x = c->context;
        if (body->kind != CANVAS_TASK || how == WAITS || (how == BEGINS && !x->parent.n))
                return;
        if (how == BEGINS_AS_MEMBER) {
                canvas_set(c, body, "add_to_parent", sj_json_new_bool(c->arena, false));
                set_or_null(c, body, "root_id", x->root);
                set_or_null(c, body, "parent_id", x->parent);
                return;
        }
        set_or_null(c, body, "parent_id", x->parent);
        set_or_null(c, body, "root_id", x->root);
        set_or_null(c, body, "priority", (sj_str){NULL, 0});
}

/* A node that something comes behind, whole, as a signature. */
static const sj_json *with_chain(canvas *c, canvas_node *node, const canvas_steps *steps, size_t i,
                                 const sj_json *behind, waits how)
{
        if (node->kind == CANVAS_CHORD && c->context->compact && node->n_members)
                return chord_kept(c, node, steps, i, behind);
        const canvas_node *whole = node;
        const sj_json *chain = canvas_chain(c, steps, i, behind);
        /* The chain of a chord is that of its body, and a group has none. */
        while (node->kind == CANVAS_CHORD)
                node = node->body;
        if (node->kind == CANVAS_TASK && chain)
                canvas_set(c, node, "chain", chain);
        body_origin(c, node, how);
        return canvas_json(c, whole);
}

/* The word that members carry: the body, or in the compact form a reference to it in the join. */
static const sj_json *chord_join(canvas *c, canvas_node *node, const canvas_steps *steps, size_t i,
                                 const sj_json *behind, waits how)
{
        sj_str id = canvas_option_text(node, "task_id");
        int64_t size = 0;
        if (node->body->kind == CANVAS_REFERENCE) {
                if (i < steps->n || sj_json_count(behind))
                        canvas_malformed(c, "something is behind what is kept elsewhere");
                return canvas_json(c, node->body);
        }
        for (size_t k = 0; k < node->n_members; k++)
                size += canvas_count(&node->members[k]);
        const sj_json *body = with_chain(c, node->body, steps, i, behind, how);
        join_open(c, id, size, c->context->compact ? body : NULL);
        return c->context->compact ? reference(c, node->body, id, false) : body;
}

/* A chord that has not begun, with a reference for its body. */
static const sj_json *chord_kept(canvas *c, canvas_node *node, const canvas_steps *steps, size_t i,
                                 const sj_json *behind)
{
        return chord_json(c, node, chord_join(c, node, steps, i, behind, WAITS), NULL);
}

const sj_json *canvas_word(canvas *c, const canvas_steps *steps, const sj_json *behind, bool member)
{
        return chord_join(c, steps->at[0], steps, 1, behind, member ? BEGINS_AS_MEMBER : BEGINS);
}

/* ── Chains ──────────────────────────────────────────────────────────────────────────────── */

/*
 * Celery gives each member of a waiting header a copy of the body, and again to the group. They
 * mean nothing, since they are replaced when the chord begins, and they are what makes canvases
 * explode; where there is no more than one plain body, at the end, they cost little, and what we
 * send is the same to the byte.
 */
static const sj_json *chord_last(canvas *c, canvas_node *node)
{
        const sj_json *body = canvas_json(c, node->body);
        int64_t index = 0;
        canvas_place place = {.chord = body, .index = &index};
        if (node->body->kind != CANVAS_TASK || canvas_option(node->body, "chord"))
                return chord_json(c, node, body, NULL);
        for (size_t i = 0; i < node->n_members; i++)
                canvas_put(c, &node->members[i], &place);
        return chord_json(c, node, body, body);
}

static const sj_json *step_json(canvas *c, canvas_node *node, bool last)
{
        if (node->kind == CANVAS_CHORD && last && !c->context->compact)
                return chord_last(c, node);
        return canvas_json(c, node);
}

static const sj_json *chain_of(canvas *c, const sj_json *behind, const sj_json *const links[],
                               size_t n)
{
        size_t n_behind = sj_json_count(behind);
        const sj_json **all = sj_arena_alloc(c->arena, (n_behind + n + 1) * sizeof(*all));
        if (!all || c->failure) {
                canvas_made(c, NULL);
                return NULL;
        }
        for (size_t i = 0; i < n_behind; i++)
                all[i] = sj_json_at(behind, i);
        for (size_t i = 0; i < n; i++)
                all[n_behind + i] = links[n - 1 - i];
        return canvas_made(c, sj_json_new_array(c->arena, all, n_behind + n));
}

/*
 * The join in which a link waits, with all that is behind it, for the one before it. Its name comes
 * from the link's, so that a worker that does the same again opens the same join.
 */
static const sj_json *piece_join(canvas *c, const canvas_node *step, const sj_json *whole)
{
        sj_str link = canvas_id(step);
        char *id = sj_arena_alloc(c->arena, link.n + sizeof(PIECE));
        if (!id) {
                canvas_made(c, NULL);
                return NULL;
        }
        memcpy(id, link.data, link.n);
        memcpy(id + link.n, PIECE, sizeof(PIECE));
        join_open(c, (sj_str){id, link.n + sizeof(PIECE) - 1}, 1, whole);
        return reference(c, step, (sj_str){id, link.n + sizeof(PIECE) - 1}, true);
}

/* Whether there is no more room among the links that travel together. */
static bool piece_full(canvas *c, const canvas_node *step, const sj_json *link, size_t *size)
{
        sj_str text;
        if (c->failure || (c->failure = sj_json_text(c->arena, link, CANVAS_JSON, &text)) < 0)
                return false;
        bool first = *size == 0;
        *size += text.n;
        return !first && *size > CANVAS_INLINE &&
               canvas_id(step).n + sizeof(PIECE) - 1 <= SJ_TASK_ID_MAX;
}

/* The link, and all behind it: which in a chord's link is there already. */
static const sj_json *piece_whole(canvas *c, const canvas_steps *steps, size_t i,
                                  const sj_json *link, const sj_json *behind)
{
        if (steps->at[i]->kind != CANVAS_TASK)
                return link;
        return with_chain(c, steps->at[i], steps, i + 1, behind, WAITS);
}

const sj_json *canvas_chain(canvas *c, const canvas_steps *steps, size_t i, const sj_json *behind)
{
        bool compact = c->context->compact;
        size_t size = 0;
        if (i >= steps->n)
                return behind;
        const sj_json **links = sj_arena_alloc(c->arena, (steps->n - i) * sizeof(*links));
        size_t n = 0;
        if (!links) {
                canvas_made(c, NULL);
                return NULL;
        }
        for (; i < steps->n && !c->failure; i++) {
                canvas_node *step = steps->at[i], *before = i ? steps->at[i - 1] : NULL;
                bool kept = compact && step->kind == CANVAS_CHORD && step->n_members;
                const sj_json *link =
                        kept ? chord_kept(c, step, steps, i + 1, behind)
                             : step_json(c, step, i + 1 == steps->n && !sj_json_count(behind));
                if (compact && piece_full(c, step, link, &size)) {
                        link = piece_whole(c, steps, i, link, behind);
                        canvas_set(c, before, "chord", piece_join(c, step, link));
                        links[n - 1] = canvas_json(c, before);
                        kept = true;
                } else {
                        links[n++] = link;
                }
                if (kept) {
                        behind = NULL;
                        break;
                }
        }
        return chain_of(c, behind, links, n);
}

/* ── Tuples ──────────────────────────────────────────────────────────────────────────────── */

static const sj_json *pair(canvas *c, const sj_json *a, const sj_json *b)
{
        const sj_json *both[] = {a ? a : sj_json_new_null(c->arena),
                                 b ? b : sj_json_new_null(c->arena)};
        return c->failure ? NULL : canvas_made(c, sj_json_new_array(c->arena, both, 2));
}

static const sj_json *id_tuple(canvas *c, sj_str id, const sj_json *parent, const sj_json *children)
{
        const sj_json *name = canvas_made(c, sj_json_new_string(c->arena, id));
        return c->failure ? NULL : pair(c, pair(c, name, parent), children);
}

static const sj_json *members_tuple(canvas *c, const canvas_node *node, const sj_json *parent)
{
        const sj_json **all = sj_arena_alloc(c->arena, (node->n_members + 1) * sizeof(*all));
        if (!all) {
                canvas_made(c, NULL);
                return NULL;
        }
        for (size_t i = 0; i < node->n_members; i++)
                all[i] = canvas_tuple(c, &node->members[i], NULL);
        if (c->failure)
                return NULL;
        return id_tuple(c, canvas_option_text(node, "task_id"), parent,
                        canvas_made(c, sj_json_new_array(c->arena, all, node->n_members)));
}

static const sj_json *node_tuple(canvas *c, const canvas_node *node, const sj_json *parent)
{
        if (node->kind == CANVAS_GROUP)
                return members_tuple(c, node, parent);
        if (node->kind == CANVAS_CHORD)
                return node_tuple(c, node->body, members_tuple(c, node, parent));
        return id_tuple(c, canvas_id(node), parent, NULL);
}

const sj_json *canvas_tuple(canvas *c, const canvas_steps *steps, const sj_json *parent)
{
        for (size_t i = 0; i < steps->n && !c->failure; i++)
                parent = node_tuple(c, steps->at[i], parent);
        return parent;
}

const sj_json *canvas_child(canvas *c, const canvas_node *node)
{
        if (node->kind == CANVAS_CHORD && node->n_members)
                return members_tuple(c, node, NULL);
        return node_tuple(c, node->kind == CANVAS_CHORD ? node->body : node, NULL);
}
