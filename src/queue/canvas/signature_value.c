/* SPDX-License-Identifier: MIT */
#include "queue/canvas/signature_value.h"

const sj_json *signature_value_new(sj_arena *arena, const signature_fields *f)
{
        static const sj_str names[] = {{"task", 4},    {"args", 4},          {"kwargs", 6},
                                       {"options", 7}, {"subtask_type", 12}, {"immutable", 9}};
        const sj_json *nothing = sj_json_new_object(arena, NULL, NULL, 0);
        const sj_json *values[] = {f->task,
                                   f->args ? f->args : sj_json_new_array(arena, NULL, 0),
                                   sj_json_is_null(f->kwargs) ? nothing : f->kwargs,
                                   f->options ? f->options : nothing,
                                   f->type ? f->type : sj_json_new_null(arena),
                                   sj_json_new_bool(arena, f->immutable)};
        return sj_json_new_object(arena, names, values, 6);
}

const sj_json *signature_value_named(sj_arena *arena, const char *task, const char *type,
                                     signature_fields fields)
{
        fields.task = sj_json_new_string(arena, sj_str_of(task));
        fields.type = type ? sj_json_new_string(arena, sj_str_of(type)) : NULL;
        return type && !fields.type ? NULL : signature_value_new(arena, &fields);
}

const sj_json *signature_value_merged(sj_arena *arena, const sj_json *object, const sj_json *more)
{
        size_t n = sj_json_count(object), m = sj_json_count(more);
        sj_str *names = sj_arena_alloc(arena, (n + m + 1) * sizeof(*names));
        const sj_json **values = sj_arena_alloc(arena, (n + m + 1) * sizeof(*values));
        if (!names || !values)
                return NULL;
        size_t all = 0;
        for (size_t i = 0; i < n + m; i++) {
                sj_str name = sj_json_name_at(i < n ? object : more, i < n ? i : i - n);
                size_t k = 0;
                while (k < all && !sj_str_equal(names[k], name))
                        k++;
                names[k] = name;
                values[k] = i < n ? sj_json_at(object, i) : sj_json_at(more, i - n);
                all += k == all;
        }
        return sj_json_new_object(arena, names, values, all);
}

const sj_json *signature_value_with(sj_arena *arena, const sj_json *object, const char *name,
                                    const sj_json *value)
{
        const sj_str names[] = {sj_str_of(name)};
        const sj_json *one = value ? sj_json_new_object(arena, names, &value, 1) : NULL;
        return one ? signature_value_merged(arena, object, one) : NULL;
}

const sj_json *signature_value_option(const sj_json *signature, const char *name)
{
        return sj_json_member(sj_json_member(signature, "options"), name);
}

const sj_json *signature_value_with_option(sj_arena *arena, const sj_json *signature,
                                           const char *name, const sj_json *value)
{
        return signature_value_with(
                arena, signature, "options",
                signature_value_with(arena, sj_json_member(signature, "options"), name, value));
}

bool signature_value_is(const sj_json *signature, const char *type)
{
        sj_str given = {NULL, 0};
        sj_json_string(sj_json_member(signature, "subtask_type"), &given);
        return sj_str_equal(given, sj_str_of(type));
}

const sj_json *signature_value_each(sj_arena *arena, const sj_json *list, signature_value_fn *fn,
                                    const sj_json *arg)
{
        size_t n = sj_json_count(list);
        const sj_json **all = sj_arena_alloc(arena, (n + 1) * sizeof(*all));
        for (size_t i = 0; all && i < n; i++)
                all[i] = fn(arena, sj_json_at(list, i), arg);
        return all ? sj_json_new_array(arena, all, n) : NULL;
}

const sj_json *signature_value_with_part(sj_arena *arena, const sj_json *signature,
                                         const char *name, const sj_json *part)
{
        return signature_value_with(
                arena, signature, "kwargs",
                signature_value_with(arena, sj_json_member(signature, "kwargs"), name, part));
}

const sj_json *signature_value_part(const sj_json *signature, const char *name)
{
        return sj_json_member(sj_json_member(signature, "kwargs"), name);
}

const sj_json *signature_value_each_of_header(sj_arena *arena, const sj_json *chord,
                                              signature_value_fn *fn, const sj_json *arg)
{
        const sj_json *header = signature_value_part(chord, "header");
        const sj_json *changed = sj_json_type_of(header) == SJ_JSON_ARRAY
                                         ? signature_value_each(arena, header, fn, arg)
                                         : fn(arena, header, arg);
        return signature_value_with_part(arena, chord, "header", changed);
}

const sj_json *signature_value_joined(sj_arena *arena, const sj_json *first, const sj_json *second)
{
        size_t n = sj_json_count(first), m = sj_json_count(second);
        const sj_json **all = sj_arena_alloc(arena, (n + m + 1) * sizeof(*all));
        for (size_t i = 0; all && i < n + m; i++)
                all[i] = i < n ? sj_json_at(first, i) : sj_json_at(second, i - n);
        return all ? sj_json_new_array(arena, all, n + m) : NULL;
}
