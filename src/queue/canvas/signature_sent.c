/* SPDX-License-Identifier: MIT */
/*
 * Signatures as a broker has them. A program says of priority that more is sooner, and not every
 * broker's wire says it so; what a program gave is turned when the broker is known.
 */
#include "queue/canvas/signature.h"
#include "queue/canvas/signature_value.h"

static const sj_json *sent_each(const broker *b, sj_arena *arena, const sj_json *value);

/* Options with a program's priority as the broker's, in its place. */
static const sj_json *sent_options(const broker *b, sj_arena *arena, const sj_json *options,
                                   int64_t priority)
{
        size_t n = sj_json_count(options), all = 0;
        sj_str *names = sj_arena_alloc(arena, n * sizeof(*names));
        const sj_json **values = sj_arena_alloc(arena, n * sizeof(*values));
        for (size_t i = 0; names && values && i < n; i++) {
                sj_str name = sj_json_name_at(options, i);
                /* What was said before in the words of the wire is not meant any more. */
                if (sj_str_equal(name, SJ_STR("priority")))
                        continue;
                bool ours = sj_str_equal(name, SJ_STR(SIGNATURE_PRIORITY));
                names[all] = ours ? SJ_STR("priority") : name;
                values[all++] =
                        ours ? sj_json_new_int(arena, b ? broker_wire_priority(b, (int)priority)
                                                        : priority)
                             : sj_json_at(options, i);
        }
        return names && values ? sj_json_new_object(arena, names, values, all) : NULL;
}

/* The object with that member changed, if there is one and it changes. */
static const sj_json *sent_member(const broker *b, sj_arena *arena, const sj_json *object,
                                  const char *name)
{
        const sj_json *had = sj_json_member(object, name);
        if (!object || sj_json_is_null(had))
                return object;
        const sj_json *now = sent_each(b, arena, had);
        return now == had ? object : signature_value_with(arena, object, name, now);
}

/* Where signatures are in a signature. */
static const char *const sent_links[] = {"link", "link_error"};
static const char *const sent_parts[] = {"tasks", "header", "body", "task"};

static bool sent_has_parts(const sj_json *signature)
{
        sj_str task = {NULL, 0};
        sj_json_string(sj_json_member(signature, "task"), &task);
        return !sj_json_is_null(sj_json_member(signature, "subtask_type")) ||
               sj_str_equal(task, SJ_STR("celery.map")) ||
               sj_str_equal(task, SJ_STR("celery.starmap")) ||
               sj_str_equal(task, SJ_STR("celery.chunks"));
}

const sj_json *signature_sent(const broker *b, sj_arena *arena, const sj_json *signature)
{
        const sj_json *had = sj_json_member(signature, "options"), *options = had;
        const sj_json *kwargs = sj_json_member(signature, "kwargs"), *parts = kwargs;
        int64_t priority;
        if (sj_json_int(sj_json_member(options, SIGNATURE_PRIORITY), &priority) == 0)
                options = sent_options(b, arena, options, priority);
        for (size_t i = 0; options && i < sizeof(sent_links) / sizeof(*sent_links); i++)
                options = sent_member(b, arena, options, sent_links[i]);
        for (size_t i = 0;
             parts && sent_has_parts(signature) && i < sizeof(sent_parts) / sizeof(*sent_parts);
             i++)
                parts = sent_member(b, arena, parts, sent_parts[i]);
        if (options != had)
                signature = signature_value_with(arena, signature, "options", options);
        return parts == kwargs || !signature
                       ? signature
                       : signature_value_with(arena, signature, "kwargs", parts);
}

const sj_json *signature_list_sent(const broker *b, sj_arena *arena, const sj_json *list)
{
        size_t n = sj_json_count(list), changed = 0;
        const sj_json **all = n ? sj_arena_alloc(arena, n * sizeof(*all)) : NULL;
        for (size_t i = 0; all && i < n; i++) {
                all[i] = signature_sent(b, arena, sj_json_at(list, i));
                changed += all[i] != sj_json_at(list, i);
        }
        return changed ? sj_json_new_array(arena, all, n) : n && !all ? NULL : list;
}

static const sj_json *sent_each(const broker *b, sj_arena *arena, const sj_json *value)
{
        if (sj_json_type_of(value) == SJ_JSON_ARRAY)
                return signature_list_sent(b, arena, value);
        return sj_json_type_of(value) == SJ_JSON_OBJECT ? signature_sent(b, arena, value) : value;
}
