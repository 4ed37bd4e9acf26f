/* SPDX-License-Identifier: MIT */
/*
 * What travels between a worker's child and its controller, as JSON: the manifest of the child's
 * tasks, and what came of a run. Both sides are of one build, so a member that is missing or of
 * another type is an error, never a default.
 */
#include "queue/task/task.h"

#include "codec/json_named.h"

#include <stdlib.h>

/* ── One table for the members of task_info ──────────────────────────────────────────────── */

typedef enum member_kind {
        MEMBER_TEXT,
        MEMBER_INT,
        MEMBER_DOUBLE,
        MEMBER_BOOL,
        MEMBER_U32
} member_kind;

typedef struct member {
        const char *name;
        member_kind kind;
        size_t offset;
} member;

#define MEMBER(name, kind)                             \
        {                                              \
#name, kind, offsetof(task_info, name) \
        }

static const member info_members[] = {
        MEMBER(name, MEMBER_TEXT),
        MEMBER(where, MEMBER_TEXT),
        MEMBER(queue, MEMBER_TEXT),
        MEMBER(priority, MEMBER_INT),
        MEMBER(max_retries, MEMBER_INT),
        MEMBER(default_retry_delay, MEMBER_DOUBLE),
        MEMBER(retry_backoff, MEMBER_DOUBLE),
        MEMBER(retry_backoff_max, MEMBER_DOUBLE),
        MEMBER(retry_jitter, MEMBER_BOOL),
        MEMBER(autoretry, MEMBER_TEXT),
        MEMBER(rate, MEMBER_DOUBLE),
        MEMBER(fleet_rate, MEMBER_DOUBLE),
        MEMBER(rate_key, MEMBER_TEXT),
        MEMBER(rate_place, MEMBER_INT),
        MEMBER(time_limit, MEMBER_DOUBLE),
        MEMBER(soft_time_limit, MEMBER_DOUBLE),
        MEMBER(acks_early, MEMBER_BOOL),
        MEMBER(ignore_result, MEMBER_BOOL),
        MEMBER(max_deliveries, MEMBER_U32),
        MEMBER(idempotent, MEMBER_BOOL),
        MEMBER(idempotent_for, MEMBER_DOUBLE),
};
enum { INFO_MEMBERS = sizeof(info_members) / sizeof(info_members[0]) };

static void member_write(sj_json_writer *w, const member *m, const void *base)
{
        const void *at = (const char *)base + m->offset;
        sj_json_write_name(w, m->name);
        switch (m->kind) {
        case MEMBER_TEXT:
                sj_json_write_string(w, *(const sj_str *)at);
                break;
        case MEMBER_INT:
                sj_json_write_int(w, *(const int64_t *)at);
                break;
        case MEMBER_DOUBLE:
                sj_json_write_double(w, *(const double *)at);
                break;
        case MEMBER_BOOL:
                sj_json_write_bool(w, *(const bool *)at);
                break;
        case MEMBER_U32:
                sj_json_write_int(w, *(const uint32_t *)at);
                break;
        }
}

static int member_read(const sj_json *object, const member *m, void *base)
{
        void *at = (char *)base + m->offset;
        const sj_json *value = sj_json_member(object, m->name);
        int64_t n = 0;
        switch (m->kind) {
        case MEMBER_TEXT:
                return sj_json_string(value, at);
        case MEMBER_INT:
                return sj_json_int(value, at);
        case MEMBER_DOUBLE:
                return sj_json_double(value, at);
        case MEMBER_BOOL:
                return sj_json_bool(value, at);
        case MEMBER_U32:
                if (sj_json_int(value, &n) < 0 || n < 0 || n > UINT32_MAX)
                        return -EINVAL;
                *(uint32_t *)at = (uint32_t)n;
                return 0;
        }
        return -EINVAL;
}

/* Ends the writer, and gives its text a place in the arena. */
static int text_keep(sj_arena *arena, sj_json_writer *w, sj_str *ret)
{
        sj_str text;
        int r = sj_json_writer_end(w, &text);
        const char *kept = r < 0 ? NULL : sj_arena_strndup(arena, text.data, text.n);
        if (r == 0 && !kept)
                r = -ENOMEM;
        if (r == 0)
                *ret = (sj_str){kept, text.n};
        return r;
}

/* ── The manifest ────────────────────────────────────────────────────────────────────────── */

int task_manifest_write(const task_registry *registry, sj_arena *arena, sj_str *ret)
{
        sj_json_writer *w;
        int r = sj_json_writer_new(0, &w);
        if (r < 0)
                return r;
        sj_json_write_array_begin(w);
        for (size_t i = 0; i < task_registry_count(registry); i++) {
                const task_info *info = NULL;
                task_registry_at(registry, i, &info);
                sj_json_write_object_begin(w);
                for (size_t k = 0; k < INFO_MEMBERS; k++)
                        member_write(w, &info_members[k], info);
                sj_json_write_object_end(w);
        }
        sj_json_write_array_end(w);
        r = text_keep(arena, w, ret);
        sj_json_writer_free(w);
        return r;
}

int task_manifest_read(sj_arena *arena, sj_str text, task_manifest *ret)
{
        const sj_json *list;
        int r = sj_json_parse(arena, text, 0, &list, NULL);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        if (sj_json_type_of(list) != SJ_JSON_ARRAY)
                return -EBADMSG;
        size_t n = sj_json_count(list);
        task_info *tasks = sj_arena_alloc(arena, n * sizeof(*tasks));
        if (!tasks)
                return -ENOMEM;
        memset(tasks, 0, n * sizeof(*tasks));
        for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < INFO_MEMBERS; k++)
                        if (member_read(sj_json_at(list, i), &info_members[k], &tasks[i]) < 0)
                                return -EBADMSG;
        *ret = (task_manifest){tasks, n};
        return 0;
}

const task_info *task_manifest_find(const task_manifest *manifest, sj_str name)
{
        size_t low = 0, high = manifest->n;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                sj_str there = manifest->tasks[middle].name;
                int order = memcmp(name.data, there.data, name.n < there.n ? name.n : there.n);
                if (order == 0)
                        order = (name.n > there.n) - (name.n < there.n);
                if (order == 0)
                        return &manifest->tasks[middle];
                if (order < 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        return NULL;
}

/* ── What came of a run ──────────────────────────────────────────────────────────────────── */

#define RETURN_MEMBER(name, kind)                        \
        {                                                \
#name, kind, offsetof(task_return, name) \
        }

static const member return_members[] = {
        RETURN_MEMBER(type, MEMBER_TEXT),        RETURN_MEMBER(module, MEMBER_TEXT),
        RETURN_MEMBER(args, MEMBER_TEXT),        RETURN_MEMBER(traceback, MEMBER_TEXT),
        RETURN_MEMBER(countdown, MEMBER_DOUBLE), RETURN_MEMBER(max_retries, MEMBER_INT),
};
enum { RETURN_MEMBERS = sizeof(return_members) / sizeof(return_members[0]) };

int task_return_write(sj_arena *arena, const task_return *given, sj_str *ret)
{
        sj_json_writer *w;
        int r = sj_json_writer_new(SJ_JSON_PYTHON, &w);
        if (r < 0)
                return r;
        sj_json_write_object_begin(w);
        json_named_int(w, "end", given->end);
        if (given->end == TASK_SUCCEEDED || given->end == TASK_REPLACED) {
                sj_json_write_name(w, "value");
                sj_json_write_raw(w, given->value.n ? given->value : SJ_STR("null"));
        } else {
                for (size_t i = 0; i < RETURN_MEMBERS; i++)
                        member_write(w, &return_members[i], given);
                json_named_int(w, "eta", given->eta.us);
        }
        sj_json_write_object_end(w);
        r = text_keep(arena, w, ret);
        sj_json_writer_free(w);
        return r;
}

static int return_read_value(sj_arena *arena, const sj_json *value, task_return *t)
{
        if (!value)
                return -EBADMSG;
        t->value = sj_json_raw(value);
        return t->value.n ? 0 : sj_json_text(arena, value, SJ_JSON_PYTHON, &t->value);
}

/* The arguments of an exception go on as JSON, so they must be an array. */
static int return_check_args(sj_arena *arena, sj_str args)
{
        const sj_json *list;
        if (!args.n)
                return 0;
        int r = sj_json_parse(arena, args, SJ_JSON_PYTHON, &list, NULL);
        if (r == -ENOMEM)
                return r;
        return r < 0 || sj_json_type_of(list) != SJ_JSON_ARRAY ? -EBADMSG : 0;
}

int task_return_read(sj_arena *arena, sj_str text, task_return *ret)
{
        const sj_json *object;
        int64_t end;
        int r = sj_json_parse(arena, text, SJ_JSON_PYTHON, &object, NULL);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        if (sj_json_int(sj_json_member(object, "end"), &end) < 0 || end < TASK_SUCCEEDED ||
            end >= TASK_ENDS)
                return -EBADMSG;
        task_return t = {.end = (task_end)end};
        if (end == TASK_SUCCEEDED || end == TASK_REPLACED) {
                r = return_read_value(arena, sj_json_member(object, "value"), &t);
        } else {
                for (size_t i = 0; i < RETURN_MEMBERS; i++)
                        if (member_read(object, &return_members[i], &t) < 0)
                                return -EBADMSG;
                if (sj_json_int(sj_json_member(object, "eta"), &t.eta.us) < 0)
                        return -EBADMSG;
                r = return_check_args(arena, t.args);
        }
        if (r == 0)
                *ret = t;
        return r;
}

task_return task_failed(const char *module, const char *type, sj_str args)
{
        return (task_return){.end = TASK_FAILED,
                             .module = sj_str_of(module),
                             .type = sj_str_of(type),
                             .args = args,
                             .traceback = SJ_STR("")};
}
