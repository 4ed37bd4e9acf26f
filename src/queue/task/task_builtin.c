/* SPDX-License-Identifier: MIT */
/*
 * The tasks that every worker of Celery's has (protocol §2.3). Those that stand for others are run
 * here:
 *
 *   celery.map, celery.starmap   call a task of this worker for each item, within one run
 *   celery.accumulate            gives back its arguments, or one of them
 *   celery.backend_cleanup       nothing: results expire by themselves
 *   celery.chunks, celery.group, celery.chain, celery.chord
 *                                are replaced by the canvas that they name; clients of today send
 *                                what it is made of instead
 *   celery.chord_unlock          is refused: chords are joined in the broker, nobody polls for them
 *
 * They are in no manifest: a program's own task of the same name goes before them.
 */
#include "queue/task/task.h"

#include <stdio.h>

/* What a built-in is given. */
typedef struct builtin_run {
        const task_registry *registry;
        sj_task_request *request;
        const task_host *host;
        const sj_json *args;
        const sj_json *kwargs;
        sj_arena *arena;
        task_return *ret;
} builtin_run;

static int fail_text(const builtin_run *run, const char *module, const char *type, const char *text)
{
        const sj_json *message = sj_json_new_string(run->arena, sj_str_of(text));
        const sj_json *list = message ? sj_json_new_array(run->arena, &message, 1) : NULL;
        sj_str args;
        if (!list || sj_json_text(run->arena, list, SJ_JSON_PYTHON, &args) < 0)
                return -ENOMEM;
        *run->ret = task_failed(module, type, args);
        return 0;
}

static int give(const builtin_run *run, const sj_json *value)
{
        *run->ret = (task_return){.end = TASK_SUCCEEDED};
        return value ? sj_json_text(run->arena, value, SJ_JSON_PYTHON, &run->ret->value) : -ENOMEM;
}

/* Argument i, or the keyword of that name; NULL: neither. */
static const sj_json *argument(const builtin_run *run, size_t i, const char *name)
{
        const sj_json *v = sj_json_at(run->args, i);
        return v ? v : sj_json_member(run->kwargs, name);
}

/* ── map and starmap ─────────────────────────────────────────────────────────────────────── */

/* Whether the run is to end between two items; *run->ret says how then. */
static bool ends_early(const builtin_run *run)
{
        const task_host *host = run->host;
        bool late = run->request->deadline != SJ_NEVER && sj_now() >= run->request->deadline;
        if (late)
                *run->ret =
                        task_failed("billiard.exceptions", "SoftTimeLimitExceeded", SJ_STR("[]"));
        else if (host && host->cancelled && host->cancelled(host->arg))
                *run->ret = task_failed("celery.exceptions", "TaskRevokedError",
                                        SJ_STR("[\"terminated\"]"));
        else
                return false;
        return true;
}

/* What the call for one item means for all: a task that is called by another cannot go elsewhere.
 */
static int item_ended(const builtin_run *run, const sj_json **ret_value)
{
        task_return *r = run->ret;
        switch (r->end) {
        case TASK_SUCCEEDED:
                *ret_value = sj_json_new_raw(run->arena, r->value, SJ_JSON_PYTHON);
                return *ret_value ? 1 : -ENOMEM;
        case TASK_FAILED:
                return 0;
        case TASK_RETRIED:
                if (r->type.n) {
                        r->end = TASK_FAILED;
                        return 0;
                }
                return fail_text(run, "celery.exceptions", "Retry", "Task can be retried");
        default:
                return fail_text(run, "builtins", "RuntimeError",
                                 "a task that is called for each item cannot be replaced, ignored "
                                 "or rejected");
        }
}

static int run_items(const builtin_run *run, const sj_task *task, const sj_json *items, bool star)
{
        static const sj_json *none;
        size_t n = sj_json_count(items);
        const sj_json **values = sj_arena_alloc(run->arena, (n + 1) * sizeof(*values));
        if (!values)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                const sj_json *item = sj_json_at(items, i);
                const sj_json *args = star ? item : sj_json_new_array(run->arena, &item, 1);
                if (!args)
                        return -ENOMEM;
                if (sj_json_type_of(args) != SJ_JSON_ARRAY)
                        return fail_text(run, "builtins", "TypeError",
                                         "the arguments of an item are no list");
                if (ends_early(run))
                        return 0;
                int r = task_run(task, run->request, run->host, args, none, run->arena, run->ret);
                if (r >= 0)
                        r = item_ended(run, &values[i]);
                if (r <= 0)
                        return r;
        }
        return give(run, sj_json_new_array(run->arena, values, n));
}

static int run_map_of(const builtin_run *run, bool star)
{
        const sj_json *signature = argument(run, 0, "task"), *items = argument(run, 1, "it");
        sj_str name = {NULL, 0};
        char text[SJ_TASK_NAME_MAX + 1];
        if (sj_json_string(sj_json_member(signature, "task"), &name) < 0)
                sj_json_string(signature, &name);
        if (!name.n || name.n > SJ_TASK_NAME_MAX || sj_json_type_of(items) != SJ_JSON_ARRAY)
                return fail_text(run, "builtins", "TypeError",
                                 "a task and a list of items are needed");
        const sj_task *task = task_registry_find(run->registry, name, NULL);
        if (task)
                return run_items(run, task, items, star);
        snprintf(text, sizeof(text), "%.*s", SJ_STR_ARG(name));
        return fail_text(run, "celery.exceptions", "NotRegistered", text);
}

static int run_map(const builtin_run *run)
{
        return run_map_of(run, false);
}

static int run_starmap(const builtin_run *run)
{
        return run_map_of(run, true);
}

/* ── The others ──────────────────────────────────────────────────────────────────────────── */

static int run_accumulate(const builtin_run *run)
{
        const sj_json *index = sj_json_member(run->kwargs, "index");
        int64_t i, n = (int64_t)sj_json_count(run->args);
        if (sj_json_is_null(index))
                return give(run, run->args);
        if (sj_json_int(index, &i) < 0)
                return fail_text(run, "builtins", "TypeError",
                                 "tuple indices must be integers or slices");
        if (i < -n || i >= n)
                return fail_text(run, "builtins", "IndexError", "tuple index out of range");
        return give(run, sj_json_at(run->args, (size_t)(i < 0 ? i + n : i)));
}

static int run_backend_cleanup(const builtin_run *run)
{
        return give(run, sj_json_new_null(run->arena));
}

static int run_chord_unlock(const builtin_run *run)
{
        return fail_text(run, "builtins", "NotImplementedError",
                         "celery.chord_unlock: this worker joins chords in the broker, without a "
                         "task that polls for them");
}

/* A composite signature of that kind, with these keyword arguments; NULL: no memory. */
static const sj_json *composite(const builtin_run *run, const char *kind, const sj_str names[],
                                const sj_json *const values[], size_t n)
{
        static const sj_str members[] = {{"task", 4},    {"args", 4},          {"kwargs", 6},
                                         {"options", 7}, {"subtask_type", 12}, {"immutable", 9}};
        char name[32];
        snprintf(name, sizeof(name), "celery.%s", kind);
        const sj_json *all[] = {sj_json_new_string(run->arena, sj_str_of(name)),
                                sj_json_new_array(run->arena, NULL, 0),
                                sj_json_new_object(run->arena, names, values, n),
                                sj_json_new_object(run->arena, NULL, NULL, 0),
                                sj_json_new_string(run->arena, sj_str_of(kind)),
                                sj_json_new_bool(run->arena, false)};
        for (size_t i = 0; i < 6; i++)
                if (!all[i])
                        return NULL;
        return sj_json_new_object(run->arena, members, all, 6);
}

static int replace(const builtin_run *run, const sj_json *signature)
{
        int r = give(run, signature);
        run->ret->end = TASK_REPLACED;
        return r;
}

static int replace_tasks(const builtin_run *run, const char *kind)
{
        const sj_json *tasks = argument(run, 0, "tasks");
        if (sj_json_type_of(tasks) != SJ_JSON_ARRAY || !sj_json_count(tasks))
                return fail_text(run, "builtins", "TypeError", "a list of tasks is needed");
        return replace(run, composite(run, kind, &SJ_STR("tasks"), &tasks, 1));
}

static int run_group(const builtin_run *run)
{
        return replace_tasks(run, "group");
}

static int run_chain(const builtin_run *run)
{
        return replace_tasks(run, "chain");
}

static int run_chord(const builtin_run *run)
{
        static const sj_str names[] = {{"header", 6}, {"body", 4}};
        const sj_json *values[] = {argument(run, 0, "header"), argument(run, 1, "body")};
        if (sj_json_is_null(values[0]) || sj_json_type_of(values[1]) != SJ_JSON_OBJECT)
                return fail_text(run, "builtins", "TypeError", "a header and a body are needed");
        return replace(run, composite(run, "chord", names, values, 2));
}

static int run_chunks(const builtin_run *run)
{
        static const sj_str names[] = {{"task", 4}, {"it", 2}};
        const sj_json *items = argument(run, 1, "it"), *values[] = {argument(run, 0, "task"), NULL};
        int64_t size = 0;
        sj_json_int(argument(run, 2, "n"), &size);
        size_t n = sj_json_count(items), count = 0;
        if (sj_json_type_of(items) != SJ_JSON_ARRAY || !n || !values[0] || size < 1)
                return fail_text(run, "builtins", "TypeError",
                                 "a task, a list of items and the size of a chunk are needed");
        const sj_json **parts = sj_arena_alloc(run->arena, n * sizeof(*parts));
        const sj_json **slice = sj_arena_alloc(run->arena, n * sizeof(*slice));
        if (!parts || !slice)
                return -ENOMEM;
        for (size_t i = 0; i < n;) {
                size_t k = 0;
                while (i < n && k < (size_t)size)
                        slice[k++] = sj_json_at(items, i++);
                values[1] = sj_json_new_array(run->arena, slice, k);
                parts[count] = values[1] ? composite(run, "starmap", names, values, 2) : NULL;
                if (!parts[count++])
                        return -ENOMEM;
        }
        const sj_json *tasks = sj_json_new_array(run->arena, parts, count);
        return tasks ? replace(run, composite(run, "group", &SJ_STR("tasks"), &tasks, 1)) : -ENOMEM;
}

/* ── The table ───────────────────────────────────────────────────────────────────────────── */

#define BUILTIN(name_, run_)                                             \
        {                                                                \
                {.name = {"celery." name_, sizeof("celery." name_) - 1}, \
                 .where = {"", 0},                                       \
                 .queue = {"", 0},                                       \
                 .autoretry = {"", 0},                                   \
                 .default_retry_delay = 180,                             \
                 .retry_backoff_max = 600,                               \
                 .max_retries = 3,                                       \
                 .max_deliveries = SJ_MAX_DELIVERIES},                   \
                        run_                                             \
        }

static const struct {
        task_info info;
        int (*run)(const builtin_run *run);
} builtins[] = {
        BUILTIN("map", run_map),
        BUILTIN("starmap", run_starmap),
        BUILTIN("chunks", run_chunks),
        BUILTIN("accumulate", run_accumulate),
        BUILTIN("backend_cleanup", run_backend_cleanup),
        BUILTIN("chord_unlock", run_chord_unlock),
        BUILTIN("group", run_group),
        BUILTIN("chain", run_chain),
        BUILTIN("chord", run_chord),
};
enum { BUILTINS = sizeof(builtins) / sizeof(builtins[0]) };

const task_info *task_builtin_find(sj_str name)
{
        for (size_t i = 0; i < BUILTINS; i++)
                if (sj_str_equal(builtins[i].info.name, name))
                        return &builtins[i].info;
        return NULL;
}

int task_run_named(const task_registry *registry, sj_str name, sj_task_request *request,
                   const task_host *host, const sj_json *args, const sj_json *kwargs,
                   sj_arena *arena, task_return *ret)
{
        const sj_task *task = task_registry_find(registry, name, NULL);
        if (task)
                return task_run(task, request, host, args, kwargs, arena, ret);
        const builtin_run run = {registry, request, host, args, kwargs, arena, ret};
        for (size_t i = 0; i < BUILTINS; i++)
                if (sj_str_equal(builtins[i].info.name, name))
                        return builtins[i].run(&run);
        return fail_text(&run, "celery.exceptions", "NotRegistered",
                         request->name ? request->name : "");
}
