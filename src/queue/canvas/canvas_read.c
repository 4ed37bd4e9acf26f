/* SPDX-License-Identifier: MIT */
/*
 * From signatures to the tree (see canvas_tree.h): chains are flattened, groups in groups too, and
 * what was said of a composite (its links, its queue, where it arrives) is handed to those of its
 * parts that Celery hands it to.
 */
#include "queue/canvas/canvas_tree.h"
#include "queue/canvas/signature_value.h"

#include <sanjab/queue.h>

enum { OPTIONS_MAX = 256 };

/* ── Steps and members ──────────────────────────────────────────────────────────────────── */

static void steps_add(canvas *c, canvas_steps *steps, canvas_node *node)
{
        canvas_node **grown = canvas_grow(c, steps->at, steps->n, &steps->room, sizeof(*grown));
        if (!grown || !node)
                return;
        steps->at = grown;
        grown[steps->n++] = node;
}

static void steps_add_all(canvas *c, canvas_steps *steps, const canvas_steps *more)
{
        for (size_t i = 0; i < more->n; i++)
                steps_add(c, steps, more->at[i]);
}

static void members_add(canvas *c, canvas_node *node, const canvas_steps *steps)
{
        canvas_steps *grown =
                canvas_grow(c, node->members, node->n_members, &node->members_room, sizeof(*grown));
        if (!grown)
                return;
        node->members = grown;
        grown[node->n_members++] = *steps;
}

/* ── Handing on what was said of a composite ─────────────────────────────────────────────── */

/* Adds to a list of signatures each of `more` (a list or a single one) that is not in it. */
static void option_extend(canvas *c, canvas_node *node, const char *name, const sj_json *more)
{
        const sj_json *now = canvas_option(node, name);
        bool one = sj_json_type_of(now) == SJ_JSON_OBJECT;
        bool one_more = sj_json_type_of(more) == SJ_JSON_OBJECT;
        size_t n = one ? 1 : sj_json_count(now), n_more = one_more ? 1 : sj_json_count(more);
        if (n + n_more > MESSAGE_LINKS_MAX) {
                canvas_malformed(c, "a signature has too many links");
                return;
        }
        const sj_json *all[MESSAGE_LINKS_MAX];
        for (size_t i = 0; i < n; i++)
                all[i] = one ? now : sj_json_at(now, i);
        for (size_t i = 0; i < n_more; i++) {
                const sj_json *link = one_more ? more : sj_json_at(more, i);
                bool known = false;
                for (size_t k = 0; k < n && !known; k++)
                        known = sj_json_equal(all[k], link);
                if (!known)
                        all[n++] = link;
        }
        canvas_set(c, node, name, sj_json_new_array(c->arena, all, n));
}

static void steps_link(canvas *c, const canvas_steps *steps, const sj_json *links);

static void node_link(canvas *c, canvas_node *node, const sj_json *links)
{
        if (node->kind == CANVAS_TASK)
                option_extend(c, node, "link", links);
        else if (node->kind == CANVAS_CHORD)
                node_link(c, node->body, links);
        for (size_t i = 0; node->kind == CANVAS_GROUP && i < node->n_members; i++)
                steps_link(c, &node->members[i], links);
}

static void steps_link(canvas *c, const canvas_steps *steps, const sj_json *links)
{
        if (steps->n)
                node_link(c, steps->at[steps->n - 1], links);
}

static void steps_link_error(canvas *c, const canvas_steps *steps, const sj_json *links);

static void node_link_error(canvas *c, canvas_node *node, const sj_json *links)
{
        if (node->kind == CANVAS_TASK) {
                /* Celery gives the id first, and so it stands first. */
                canvas_freeze_task(c, node);
                option_extend(c, node, "link_error", links);
        } else if (node->kind == CANVAS_CHORD)
                node_link_error(c, node->body, links);
        for (size_t i = 0; node->kind == CANVAS_GROUP && i < node->n_members; i++)
                steps_link_error(c, &node->members[i], links);
}

static void steps_link_error(canvas *c, const canvas_steps *steps, const sj_json *links)
{
        for (size_t i = 0; i < steps->n; i++)
                node_link_error(c, steps->at[i], links);
}

/* How it is sent (its queue, its expiry): said of what begins first; of a chord's body too. */
static void node_option(canvas *c, canvas_node *node, sj_str name, const sj_json *value)
{
        if (node->kind == CANVAS_TASK)
                canvas_set_named(c, node, name, value);
        for (size_t i = 0; i < node->n_members; i++)
                if (node->members[i].n)
                        node_option(c, node->members[i].at[0], name, value);
        bool begins = sj_str_equal(name, SJ_STR("countdown")) || sj_str_equal(name, SJ_STR("eta"));
        if (node->kind == CANVAS_CHORD && !begins)
                node_option(c, node->body, name, value);
}

static bool option_is_ours(sj_str name)
{
        static const char *const ours[] = {"task_id",   "link",     "link_error",   "chain",
                                           "chord",     "group_id", "group_index",  "root_id",
                                           "parent_id", "reply_to", "add_to_parent"};
        for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
                if (sj_str_equal(name, sj_str_of(ours[i])))
                        return true;
        return false;
}

/* All options of a composite but where it arrives, to its steps. */
static void steps_options(canvas *c, const canvas_steps *steps, const canvas_node *of)
{
        const sj_json *link = canvas_option(of, "link"), *error = canvas_option(of, "link_error");
        if (!steps->n)
                return;
        if (link)
                steps_link(c, steps, link);
        if (error)
                steps_link_error(c, steps, error);
        for (size_t i = 0; i < of->options.n; i++)
                if (!option_is_ours(of->options.names[i]) &&
                    !sj_json_is_null(of->options.values[i]))
                        node_option(c, steps->at[0], of->options.names[i], of->options.values[i]);
}

static void steps_arrive(canvas *c, const canvas_steps *steps, const canvas_node *of)
{
        int64_t index;
        canvas_place place = {.group = canvas_option_text(of, "group_id"),
                              .chord = canvas_option(of, "chord")};
        if (sj_json_int(canvas_option(of, "group_index"), &index) == 0)
                place.index = &index;
        if (place.group.n || place.chord)
                canvas_put(c, steps, &place);
}

static const sj_json *args_joined(canvas *c, const sj_json *first, const sj_json *second)
{
        if (!sj_json_count(first) || !sj_json_count(second))
                return sj_json_count(first) ? first : second;
        return canvas_made(c, signature_value_joined(c->arena, first, second));
}

/* ── Reading ─────────────────────────────────────────────────────────────────────────────── */

static sj_str signature_text(const sj_json *signature, const char *name)
{
        sj_str text = {NULL, 0};
        sj_json_string(sj_json_member(signature, name), &text);
        return text;
}

/* By its type; or, where that is null, by the name that only such a one has. */
static bool signature_is(const sj_json *signature, const char *type)
{
        sj_str given = signature_text(signature, "subtask_type");
        sj_str task = signature_text(signature, "task");
        if (given.n)
                return sj_str_equal(given, sj_str_of(type));
        return task.n > 7 && memcmp(task.data, "celery.", 7) == 0 &&
               sj_str_equal((sj_str){task.data + 7, task.n - 7}, sj_str_of(type));
}

static bool absent_or(const sj_json *value, sj_json_type type)
{
        return sj_json_is_null(value) || sj_json_type_of(value) == type;
}

static canvas_node *node_of(canvas *c, const sj_json *signature, unsigned depth)
{
        const sj_json *args = sj_json_member(signature, "args");
        const sj_json *options = sj_json_member(signature, "options");
        if (depth > CANVAS_DEPTH_MAX)
                canvas_malformed(c, "signatures are nested too deep");
        if (sj_json_type_of(signature) != SJ_JSON_OBJECT ||
            !message_name_ok(signature_text(signature, "task"), SJ_TASK_NAME_MAX) ||
            !absent_or(args, SJ_JSON_ARRAY) || !absent_or(options, SJ_JSON_OBJECT) ||
            !absent_or(sj_json_member(signature, "kwargs"), SJ_JSON_OBJECT) ||
            sj_json_count(options) > OPTIONS_MAX)
                canvas_malformed(c, "a signature of the message is malformed");
        canvas_node *node = canvas_new(c, CANVAS_TASK, signature);
        if (!node)
                return NULL;
        node->args = sj_json_count(args) ? args : NULL;
        sj_json_bool(sj_json_member(signature, "immutable"), &node->immutable);
        for (size_t i = 0; i < sj_json_count(options); i++)
                canvas_set_named(c, node, sj_json_name_at(options, i), sj_json_at(options, i));
        return node;
}

/* The parts of a composite; all kinds of lists of them. */
static const sj_json *node_parts(canvas *c, const canvas_node *node, const char *name)
{
        const sj_json *parts = sj_json_member(sj_json_member(node->signature, "kwargs"), name);
        if (sj_json_type_of(parts) != SJ_JSON_ARRAY)
                canvas_malformed(c, "a signature of the message has no list of tasks");
        return parts;
}

/* Adds the member, or those of it if it is a group; in Celery's order, see read_members. */
static void read_member(canvas *c, canvas_node *node, const sj_json *signature, unsigned depth,
                        bool reversed);

/*
 * Groups within a group are flattened. Within the header of a chord Celery takes the members of
 * such an inner group from its end.
 */
static void read_members(canvas *c, canvas_node *node, const sj_json *parts, unsigned depth,
                         bool reversed, bool inner)
{
        size_t n = sj_json_count(parts);
        for (size_t i = 0; i < n && !c->failure; i++)
                read_member(c, node, sj_json_at(parts, reversed && inner ? n - 1 - i : i), depth,
                            reversed);
}

/* A celery.starmap over n items. */
static const sj_json *chunk(canvas *c, const sj_json *task, const sj_json *const items[], size_t n)
{
        static const sj_str names[] = {{"task", 4}, {"it", 2}};
        const sj_json *values[] = {task, sj_json_new_array(c->arena, items, n)};
        const signature_fields fields = {.kwargs = sj_json_new_object(c->arena, names, values, 2),
                                         .immutable = true};
        if (!canvas_made(c, fields.kwargs))
                return NULL;
        return canvas_made(c, signature_value_named(c->arena, "celery.starmap", NULL, fields));
}

/* As many calls as lists of at most `size` items. */
static const sj_json *chunks_parts(canvas *c, const sj_json *kwargs)
{
        const sj_json *task = sj_json_member(kwargs, "task"), *all = sj_json_member(kwargs, "it");
        int64_t size = 0;
        size_t n = sj_json_count(all), made = 0;
        if (sj_json_int(sj_json_member(kwargs, "n"), &size) < 0 || size < 1 ||
            sj_json_type_of(all) != SJ_JSON_ARRAY || sj_json_type_of(task) != SJ_JSON_OBJECT) {
                canvas_malformed(c, "a signature of the message has no chunks");
                return NULL;
        }
        const sj_json **items = sj_arena_alloc(c->arena, (n + 1) * sizeof(*items));
        const sj_json **parts = sj_arena_alloc(c->arena, (n + 1) * sizeof(*parts));
        if (!items || !parts)
                return canvas_made(c, NULL);
        for (size_t i = 0; i < n; i++)
                items[i] = sj_json_at(all, i);
        for (size_t i = 0, of; i < n && !c->failure; i += of) {
                of = n - i < (size_t)size ? n - i : (size_t)size;
                parts[made++] = chunk(c, task, items + i, of);
        }
        return c->failure ? NULL : canvas_made(c, sj_json_new_array(c->arena, parts, made));
}

static const sj_json *group_parts(canvas *c, const canvas_node *node)
{
        if (signature_is(node->signature, "chunks"))
                return chunks_parts(c, sj_json_member(node->signature, "kwargs"));
        return node_parts(c, node, "tasks");
}

static bool signature_is_group(const sj_json *signature)
{
        return signature_is(signature, "group") || signature_is(signature, "chunks");
}

static void read_member(canvas *c, canvas_node *node, const sj_json *signature, unsigned depth,
                        bool reversed)
{
        canvas_steps steps = {0};
        if (!signature_is_group(signature)) {
                canvas_read(c, signature, depth + 1, &steps);
                canvas_upgrade(c, &steps);
                if (!steps.n)
                        canvas_malformed(c, "a member of a group is an empty chain");
                members_add(c, node, &steps);
                return;
        }
        canvas_node *inner = node_of(c, signature, depth + 1);
        if (!inner)
                return;
        size_t before = node->n_members;
        read_members(c, node, group_parts(c, inner), depth + 1, reversed, true);
        for (size_t i = before; i < node->n_members; i++)
                steps_options(c, &node->members[i], inner);
}

static void read_group(canvas *c, canvas_node *node, unsigned depth, canvas_steps *steps)
{
        node->kind = CANVAS_GROUP;
        read_members(c, node, group_parts(c, node), depth, false, false);
        steps_add(c, steps, node);
        steps_options(c, steps, node);
}

/* A chain's link that is a group of one is that one. */
static void read_link(canvas *c, const sj_json *signature, unsigned depth, canvas_steps *steps)
{
        canvas_steps link = {0};
        canvas_read(c, signature, depth + 1, &link);
        for (size_t i = 0; i < link.n; i++) {
                if (link.at[i]->kind == CANVAS_GROUP && link.at[i]->n_members == 1)
                        steps_add_all(c, steps, &link.at[i]->members[0]);
                else
                        steps_add(c, steps, link.at[i]);
        }
}

static void read_chain(canvas *c, canvas_node *node, unsigned depth, canvas_steps *steps)
{
        const sj_json *parts = node_parts(c, node, "tasks");
        for (size_t i = 0; i < sj_json_count(parts) && !c->failure; i++)
                read_link(c, sj_json_at(parts, i), depth, steps);
        if (!steps->n) {
                canvas_malformed(c, "a chain is empty");
                return;
        }
        canvas_node *first = steps->at[0], *last = steps->at[steps->n - 1];
        first->args = args_joined(c, node->args, first->args);
        first->immutable |= node->immutable;
        sj_str id = canvas_option_text(node, "task_id");
        if (id.n && !canvas_id(last).n)
                canvas_set_text(c, last->kind == CANVAS_CHORD ? last->body : last, "task_id", id);
        steps_options(c, steps, node);
}

static void read_chord(canvas *c, canvas_node *node, unsigned depth, canvas_steps *steps)
{
        const sj_json *kwargs = sj_json_member(node->signature, "kwargs");
        const sj_json *header = sj_json_member(kwargs, "header");
        canvas_steps behind = {0};
        node->kind = CANVAS_CHORD;
        if (sj_json_type_of(header) == SJ_JSON_ARRAY) {
                read_members(c, node, header, depth, true, false);
        } else if (signature_is_group(header)) {
                canvas_node *group = node_of(c, header, depth + 1);
                if (!group)
                        return;
                read_members(c, node, group_parts(c, group), depth + 1, true, false);
                for (size_t i = 0; i < node->n_members; i++)
                        steps_options(c, &node->members[i], group);
                node->header_id = message_signature_id(header);
        } else if (!sj_json_is_null(header)) {
                read_member(c, node, header, depth, true);
        }
        canvas_read(c, sj_json_member(kwargs, "body"), depth + 1, &behind);
        if (!behind.n)
                canvas_malformed(c, "a chord has no body");
        if (c->failure)
                return;
        node->body = behind.at[0];
        /* The id of a chord that was never begun is meant for its body (§8.5). */
        sj_str own = canvas_option_text(node, "task_id");
        if (own.n && !canvas_id(node->body).n) {
                canvas_set_text(c, node->body, "task_id", own);
                canvas_unset(node, "task_id");
        }
        steps_add(c, steps, node);
        for (size_t i = 1; i < behind.n; i++)
                steps_add(c, steps, behind.at[i]);
        steps_options(c, steps, node);
}

void canvas_read(canvas *c, const sj_json *signature, unsigned depth, canvas_steps *steps)
{
        canvas_steps own = {0};
        canvas_node *node = node_of(c, signature, depth);
        if (!node || c->failure)
                return;
        const sj_json *chain = canvas_option(node, "chain");
        bool composite = true;
        if (signature_is(signature, "chain"))
                read_chain(c, node, depth, &own);
        else if (signature_is_group(signature))
                read_group(c, node, depth, &own);
        else if (signature_is(signature, "chord"))
                read_chord(c, node, depth, &own);
        else
                composite = false;
        if (!composite) {
                node->kind = canvas_is_reference(signature) ? CANVAS_REFERENCE : CANVAS_TASK;
                steps_add(c, &own, node);
        }
        if (c->failure)
                return;
        if (chain) {
                canvas_unset(node, "chain");
                own.at[own.n - 1]->had_chain = true;
                canvas_read_behind(c, chain, depth, &own);
        }
        if (composite && !c->failure)
                steps_arrive(c, &own, node);
        steps_add_all(c, steps, &own);
}

void canvas_read_behind(canvas *c, const sj_json *behind, unsigned depth, canvas_steps *steps)
{
        size_t n = sj_json_count(behind);
        if (sj_json_type_of(behind) != SJ_JSON_ARRAY || n > MESSAGE_CHAIN_MAX) {
                canvas_malformed(c, "the chain of a signature is none");
                return;
        }
        for (size_t i = n; i-- > 0 && !c->failure;)
                read_link(c, sj_json_at(behind, i), depth, steps);
}
