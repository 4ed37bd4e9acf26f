/* SPDX-License-Identifier: MIT */
/*
 * Tasks and their options. Each task's object file holds an entry that its constructor pushes on
 * a list, before main or inside of dlopen; a registry is a sorted, checked copy of that list.
 *
 * The list is the one piece of state here that belongs to the whole process. A linker section
 * would need none, but each shared object has its own, whose bounds could only be found by
 * looking up a symbol; and a constructor has run when dlopen returns, which is all that we need.
 */
#include "queue/task/task.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* ── Registering ─────────────────────────────────────────────────────────────────────────── */

static _Atomic(sj_task_entry *) task_entries;

void sj_task_register(sj_task_entry *entry)
{
        entry->next = atomic_load(&task_entries);
        while (!atomic_compare_exchange_weak(&task_entries, &entry->next, entry))
                ;
}

/* ── Options ─────────────────────────────────────────────────────────────────────────────── */

/* Digits with perhaps a point among them, whatever the locale; where they end, or NULL. */
static const char *task_number(const char *text, double *ret)
{
        double n = 0, unit = 1;
        bool any = false, fraction = false;
        for (; (*text >= '0' && *text <= '9') || (*text == '.' && !fraction); text++) {
                if (*text == '.') {
                        fraction = true;
                        continue;
                }
                any = true;
                n = n * 10 + (*text - '0');
                unit *= fraction ? 10 : 1;
        }
        *ret = n / unit;
        return any && n < 1e15 ? text : NULL;
}

int task_parse_rate(const char *text, double *ret)
{
        static const struct {
                const char *unit;
                double seconds;
        } units[] = {{"", 1}, {"/s", 1}, {"/m", 60}, {"/h", 3600}};
        if (!text || !*text) {
                *ret = 0;
                return 0;
        }
        double n = 0;
        const char *end = task_number(text, &n);
        if (!end)
                return -EINVAL;
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
                if (strcmp(end, units[i].unit) == 0) {
                        *ret = n / units[i].seconds;
                        return 0;
                }
        return -EINVAL;
}

static bool task_name_ok(sj_str name)
{
        for (size_t i = 0; i < name.n; i++)
                if ((unsigned char)name.data[i] < 0x20 || name.data[i] == 0x7f)
                        return false;
        return name.n > 0 && name.n <= SJ_TASK_NAME_MAX;
}

static double task_or(double value, double otherwise)
{
        return value == 0 ? otherwise : value; /* NaN and negatives are found by the check */
}

static const char *task_info_fault(const sj_task_options *o, const task_info *info)
{
        const double durations[] = {info->default_retry_delay, info->retry_backoff,
                                    info->retry_backoff_max,   info->time_limit,
                                    info->soft_time_limit,     info->idempotent_for};
        if (!task_name_ok(info->name))
                return "the name is empty, too long or has control characters";
        if (info->queue.n && !task_name_ok(info->queue))
                return "the queue's name is too long or has control characters";
        if (o->priority < 0 || o->priority > 9)
                return "the priority is not from 0 to 9";
        if (o->max_retries < SJ_RETRY_FOREVER)
                return "max_retries is negative";
        for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++)
                if (!(durations[i] >= 0 && durations[i] <= 1e9))
                        return "a duration is negative or too long";
        return NULL;
}

static int64_t task_max_retries(int given)
{
        return given == 0 ? 3 : given == SJ_NO_RETRIES ? 0 : given;
}

/* Where an argument of that name stands, or -1. */
static int64_t place_of(const sj_task *task, const char *name)
{
        for (uint32_t i = 0; name && i < task->n_params; i++)
                if (strcmp(task->params[i].name, name) == 0)
                        return i;
        return -1;
}

/*
 * The options of a task with the defaults filled in; views of the task's own strings.
 * -EINVAL with a sentence in error (size bytes): a bad rate, a negative time, a bad name.
 */
static int task_info_of(const sj_task *task, task_info *ret, char *error, size_t size)
{
        const sj_task_options *o = task->options;
        task_info info = {
                .name = sj_str_of(o->name ? o->name : task->c_name),
                .where = sj_str_of(task->where),
                .queue = sj_str_of(o->queue ? o->queue : ""),
                .priority = o->priority,
                .max_retries = task_max_retries(o->max_retries),
                .default_retry_delay = task_or(o->default_retry_delay, 180),
                .retry_backoff = o->retry_backoff,
                .retry_backoff_max = task_or(o->retry_backoff_max, 600),
                .retry_jitter = o->retry_jitter != SJ_OFF,
                .autoretry = sj_str_of(o->autoretry ? o->autoretry : ""),
                .time_limit = o->time_limit,
                .soft_time_limit = o->soft_time_limit,
                .acks_early = o->acks_early,
                .ignore_result = o->ignore_result,
                .max_deliveries = o->max_deliveries ? o->max_deliveries : SJ_MAX_DELIVERIES,
                .rate_key = sj_str_of(o->rate_key ? o->rate_key : ""),
                .rate_place = place_of(task, o->rate_key),
                .idempotent = o->idempotent,
                .idempotent_for = task_or(o->idempotent_for, 24 * 3600),
        };
        const char *fault = task_info_fault(o, &info);
        if (!fault && (task_parse_rate(o->rate_limit, &info.rate) < 0 ||
                       task_parse_rate(o->fleet_rate, &info.fleet_rate) < 0))
                fault = "the rate limit is not a number with /s, /m or /h";
        if (!fault && o->rate_key && info.rate_place < 0)
                fault = "rate_key is none of its arguments";
        if (fault) {
                snprintf(error, size, "task '%.64s' (%.128s): %s", task->c_name, task->where,
                         fault);
                return -EINVAL;
        }
        *ret = info;
        return 0;
}

/* Whether one of the words of the list is the name. */
static bool task_lists(sj_str words, sj_str name)
{
        for (size_t i = 0; i < words.n;) {
                size_t end = i;
                while (end < words.n && words.data[end] != ' ' && words.data[end] != ',')
                        end++;
                if (end > i && sj_str_equal((sj_str){words.data + i, end - i}, name))
                        return true;
                i = end + 1;
        }
        return false;
}

bool task_autoretries(const task_info *info, const char *module, const char *type)
{
        char full[256];
        int n = snprintf(full, sizeof(full), "%s.%s", module, type);
        return task_lists(info->autoretry, SJ_STR("*")) ||
               task_lists(info->autoretry, sj_str_of(type)) ||
               (n > 0 && (size_t)n < sizeof(full) &&
                task_lists(info->autoretry, (sj_str){full, (size_t)n}));
}

/* ── The registry ────────────────────────────────────────────────────────────────────────── */

typedef struct task_row {
        const sj_task *task;
        task_info info;
} task_row;

struct task_registry {
        size_t n;
        task_row rows[];
};

static int task_name_order(sj_str a, sj_str b)
{
        int order = memcmp(a.data, b.data, a.n < b.n ? a.n : b.n);
        return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int task_row_order(const void *a, const void *b)
{
        const task_row *x = a, *y = b;
        int order = task_name_order(x->info.name, y->info.name);
        return order ? order : strcmp(x->task->where, y->task->where);
}

static int task_registry_fill(task_registry *g, const sj_task *const tasks[], size_t n, char *error,
                              size_t size)
{
        for (size_t i = 0; i < n; i++) {
                const sj_task *task = tasks[i];
                if (task->abi != SJ_TASK_ABI) {
                        snprintf(error, size,
                                 "a task was compiled with another version of sanjab/queue.h");
                        return -EPROTO;
                }
                g->rows[i].task = task;
                int r = task_info_of(task, &g->rows[i].info, error, size);
                if (r < 0)
                        return r;
        }
        g->n = n;
        qsort(g->rows, n, sizeof(g->rows[0]), task_row_order);
        for (size_t i = 1; i < n; i++) {
                if (!sj_str_equal(g->rows[i - 1].info.name, g->rows[i].info.name))
                        continue;
                snprintf(error, size, "task '%.*s' is defined twice: %s and %s",
                         SJ_STR_ARG(g->rows[i].info.name), g->rows[i - 1].task->where,
                         g->rows[i].task->where);
                return -EEXIST;
        }
        return 0;
}

int task_registry_new_of(const sj_task *const tasks[], size_t n, task_registry **ret, char *error,
                         size_t size)
{
        task_registry *g = calloc(1, sizeof(*g) + n * sizeof(g->rows[0]));
        if (!g)
                return -ENOMEM;
        int r = task_registry_fill(g, tasks, n, error, size);
        if (r < 0) {
                free(g);
                return r;
        }
        *ret = g;
        return 0;
}

int task_registry_new(task_registry **ret, char *error, size_t size)
{
        size_t n = 0;
        sj_task_entry *first = atomic_load(&task_entries);
        for (sj_task_entry *e = first; e; e = e->next)
                n++;
        const sj_task **tasks = malloc((n + 1) * sizeof(*tasks));
        if (!tasks)
                return -ENOMEM;
        n = 0;
        for (sj_task_entry *e = first; e; e = e->next)
                tasks[n++] = e->task;
        int r = task_registry_new_of(tasks, n, ret, error, size);
        free(tasks);
        return r;
}

void task_registry_free(task_registry *registry)
{
        free(registry);
}

size_t task_registry_count(const task_registry *registry)
{
        return registry->n;
}

const sj_task *task_registry_at(const task_registry *registry, size_t i, const task_info **ret_info)
{
        if (i >= registry->n)
                return NULL;
        if (ret_info)
                *ret_info = &registry->rows[i].info;
        return registry->rows[i].task;
}

const sj_task *task_registry_find(const task_registry *registry, sj_str name,
                                  const task_info **ret_info)
{
        size_t low = 0, high = registry->n;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = task_name_order(name, registry->rows[middle].info.name);
                if (order == 0)
                        return task_registry_at(registry, middle, ret_info);
                if (order < 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        return NULL;
}
