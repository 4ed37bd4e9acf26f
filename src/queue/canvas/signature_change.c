/* SPDX-License-Identifier: MIT */
/*
 * Signatures that are there already, changed: their options and arguments, their links, their
 * stamps. What is said of a composite is said of those of its parts that Celery says it of.
 */
#include "queue/call.h"
#include "queue/canvas/signature_value.h"

#include <sanjab/canvas.h>

/* Gives s its new value, or notes that there is none. */
static sj_signature *signature_become(sj_signature *s, const sj_json *json)
{
        if (json)
                s->json = json;
        else if (!s->error)
                s->error = -ENOMEM;
        return s;
}

static bool signature_whole(const sj_signature *s)
{
        return s && !s->error;
}

static const sj_json *immutable_each(sj_arena *arena, const sj_json *part, const sj_json *yes)
{
        if (signature_value_is(part, "group"))
                return signature_value_with_part(
                        arena, part, "tasks",
                        signature_value_each(arena, signature_value_part(part, "tasks"),
                                             immutable_each, yes));
        if (signature_value_is(part, "chord"))
                return signature_value_each_of_header(arena, part, immutable_each, yes);
        return signature_value_with(arena, part, "immutable", yes);
}

sj_signature *sj_signature_immutable(sj_signature *s)
{
        if (!signature_whole(s))
                return s;
        const sj_json *yes = sj_json_new_bool(s->arena, true);
        return signature_become(s, yes ? immutable_each(s->arena, s->json, yes) : NULL);
}

sj_signature *sj_signature_set(sj_signature *s, const sj_call *call)
{
        static const sj_task_options no_options;
        const sj_json *more = NULL;
        if (!signature_whole(s) || !call)
                return s;
        call_request request = {.call = call, .options = &no_options};
        sj_json_string(sj_json_member(s->json, "task"), &request.task);
        s->error = call_options(s->arena, &request, &more);
        if (s->error)
                return s;
        const sj_json *options = sj_json_member(s->json, "options");
        return signature_become(
                s, signature_value_with(s->arena, s->json, "options",
                                        signature_value_merged(s->arena, options, more)));
}

sj_signature *sj_signature_partial(sj_signature *s, const char *args, const char *kwargs)
{
        const sj_json *a, *k;
        if (!signature_whole(s))
                return s;
        bool task = sj_json_is_null(sj_json_member(s->json, "subtask_type"));
        s->error = call_parse(s->arena, args, SJ_JSON_ARRAY, &a);
        if (s->error == 0)
                s->error = call_parse(s->arena, kwargs, SJ_JSON_OBJECT, &k);
        if (s->error == 0 && kwargs && !task)
                s->error = -EINVAL;
        if (s->error)
                return s;
        const sj_json *json = s->json;
        if (task)
                json = signature_value_with(
                        s->arena, json, "kwargs",
                        signature_value_merged(s->arena, sj_json_member(json, "kwargs"), k));
        return signature_become(
                s, json ? signature_value_with(
                                  s->arena, json, "args",
                                  signature_value_joined(s->arena, a, sj_json_member(json, "args")))
                        : NULL);
}

/* ── Links ───────────────────────────────────────────────────────────────────────────────── */

/* The option is a list, or a single one, or not there. */
static const sj_json *option_added(sj_arena *arena, const sj_json *part, const char *name,
                                   const sj_json *link)
{
        const sj_json *now = signature_value_option(part, name);
        if (sj_json_type_of(now) == SJ_JSON_OBJECT)
                now = sj_json_new_array(arena, &now, 1);
        const sj_json *one = sj_json_new_array(arena, &link, 1);
        return one ? signature_value_with_option(arena, part, name,
                                                 signature_value_joined(arena, now, one))
                   : NULL;
}

static const sj_json *linked(sj_arena *arena, const sj_json *part, const sj_json *link)
{
        if (signature_value_is(part, "chord"))
                return signature_value_with_part(
                        arena, part, "body",
                        linked(arena, signature_value_part(part, "body"), link));
        if (!signature_value_is(part, "group"))
                return option_added(arena, part, "link", link);
        const sj_json *tasks = signature_value_part(part, "tasks"),
                      *yes = sj_json_new_bool(arena, true);
        size_t n = sj_json_count(tasks);
        const sj_json **all = sj_arena_alloc(arena, (n + 1) * sizeof(*all));
        if (!all || !yes)
                return NULL;
        for (size_t i = 0; i < n; i++)
                all[i] = sj_json_at(tasks, i);
        const sj_json *alone = signature_value_with(arena, link, "immutable", yes);
        if (n)
                all[0] = alone ? linked(arena, all[0], alone) : NULL;
        return signature_value_with_part(arena, part, "tasks", sj_json_new_array(arena, all, n));
}

static const sj_json *error_linked(sj_arena *arena, const sj_json *part, const sj_json *link)
{
        if (signature_value_is(part, "chord"))
                return signature_value_with_part(
                        arena, part, "body",
                        error_linked(arena, signature_value_part(part, "body"), link));
        if (signature_value_is(part, "group"))
                return signature_value_with_part(
                        arena, part, "tasks",
                        signature_value_each(arena, signature_value_part(part, "tasks"),
                                             error_linked, link));
        return option_added(arena, part, "link_error", link);
}

static sj_signature *signature_link(sj_signature *s, sj_signature *link, signature_value_fn *fn)
{
        if (!signature_whole(s)) {
                sj_signature_free(link);
                return s;
        }
        const sj_json *json = signature_take(s, link);
        if (!json && !s->error)
                s->error = link ? -ENOMEM : -EINVAL;
        return s->error ? s : signature_become(s, fn(s->arena, s->json, json));
}

sj_signature *sj_signature_link(sj_signature *s, sj_signature *callback)
{
        return signature_link(s, callback, linked);
}

sj_signature *sj_signature_link_error(sj_signature *s, sj_signature *errback)
{
        return signature_link(s, errback, error_linked);
}

/* ── Stamps ──────────────────────────────────────────────────────────────────────────────── */

static const sj_json *stamped(sj_arena *arena, const sj_json *part, const sj_json *stamps);

/* The names that it has, and those of the stamps that it had not. */
static const sj_json *stamp_names(sj_arena *arena, const sj_json *had, const sj_json *stamps)
{
        size_t n = sj_json_count(had), m = sj_json_count(stamps), all = 0;
        const sj_json **names = sj_arena_alloc(arena, (n + m + 1) * sizeof(*names));
        for (size_t i = 0; names && i < n + m; i++) {
                const sj_json *name =
                        i < n ? sj_json_at(had, i)
                              : sj_json_new_string(arena, sj_json_name_at(stamps, i - n));
                size_t k = 0;
                while (k < all && !sj_json_equal(names[k], name))
                        k++;
                names[k] = name;
                all += k == all;
        }
        return names ? sj_json_new_array(arena, names, all) : NULL;
}

static const sj_json *stamped_option(sj_arena *arena, const sj_json *part, const char *name,
                                     const sj_json *stamps)
{
        const sj_json *links = signature_value_option(part, name);
        if (!part || sj_json_is_null(links))
                return part;
        return signature_value_with_option(
                arena, part, name,
                sj_json_type_of(links) == SJ_JSON_ARRAY
                        ? signature_value_each(arena, links, stamped, stamps)
                        : stamped(arena, links, stamps));
}

static const sj_json *stamped(sj_arena *arena, const sj_json *part, const sj_json *stamps)
{
        if (signature_value_is(part, "chord")) {
                part = signature_value_each_of_header(arena, part, stamped, stamps);
                if (part)
                        part = signature_value_with_part(
                                arena, part, "body",
                                stamped(arena, signature_value_part(part, "body"), stamps));
        } else if (signature_value_is(part, "group") || signature_value_is(part, "chain")) {
                part = signature_value_with_part(
                        arena, part, "tasks",
                        signature_value_each(arena, signature_value_part(part, "tasks"), stamped,
                                             stamps));
        } else {
                const sj_json *names =
                        stamp_names(arena, signature_value_option(part, "stamped_headers"), stamps);
                const sj_json *options =
                        signature_value_merged(arena, sj_json_member(part, "options"), stamps);
                part = signature_value_with(
                        arena, part, "options",
                        options ? signature_value_with(arena, options, "stamped_headers", names)
                                : NULL);
        }
        part = stamped_option(arena, part, "link", stamps);
        return stamped_option(arena, part, "link_error", stamps);
}

sj_signature *sj_signature_stamp(sj_signature *s, const char *stamps)
{
        const sj_json *json;
        if (!signature_whole(s))
                return s;
        s->error = stamps ? call_parse(s->arena, stamps, SJ_JSON_OBJECT, &json) : -EINVAL;
        return s->error ? s : signature_become(s, stamped(s->arena, s->json, json));
}
