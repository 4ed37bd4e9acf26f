/* SPDX-License-Identifier: MIT */
/* Which options there are is a table: a name, how its text is read, and where it belongs. */
#include "queue/task/task_annotation.h"

#include "base/suggest.h"
#include "queue/app.h"
#include "queue/settings/settings_internal.h"

#include <stdio.h>
#include <stdlib.h>

typedef bool annotation_read(const char *text, void *ret);

static bool read_bool(const char *text, void *ret)
{
        return settings_read_bool(text, ret);
}

static bool read_not(const char *text, void *ret)
{
        bool value;
        if (!settings_read_bool(text, &value))
                return false;
        *(bool *)ret = !value;
        return true;
}

static bool read_seconds(const char *text, void *ret)
{
        return settings_read_seconds(text, ret);
}

/* Celery's True is a first delay of a second. */
static bool read_backoff(const char *text, void *ret)
{
        bool on;
        if (!settings_read_bool(text, &on))
                return settings_read_seconds(text, ret);
        *(double *)ret = on ? 1 : 0;
        return true;
}

static bool read_rate(const char *text, void *ret)
{
        return task_parse_rate(strcmp(text, "none") == 0 ? NULL : text, ret) == 0;
}

/* Celery's None is for ever. */
static bool read_retries(const char *text, void *ret)
{
        unsigned n;
        if (!settings_read_count(text, INT32_MAX, &n))
                return false;
        *(int64_t *)ret = strcasecmp(text, "none") == 0 ? SJ_RETRY_FOREVER : (int64_t)n;
        return true;
}

static bool read_deliveries(const char *text, void *ret)
{
        unsigned n;
        if (!settings_read_count(text, INT32_MAX, &n) || n == 0)
                return false;
        *(uint32_t *)ret = n;
        return true;
}

static bool read_text(const char *text, void *ret)
{
        *(sj_str *)ret = sj_str_of(text);
        return true;
}

/* An argument by its name or, since a call may give it by its place, by that, from 0 on. */
static bool read_rate_key(const char *text, void *ret)
{
        task_info *info = ret;
        unsigned place;
        bool none = strcmp(text, "none") == 0;
        bool by_place = !none && settings_read_count(text, SJ_TASK_PARAM_MAX - 1, &place);
        if (!by_place && *text >= '0' && *text <= '9')
                return false;
        if (by_place || none || !sj_str_equal(info->rate_key, sj_str_of(text)))
                info->rate_place = by_place ? (int64_t)place : -1;
        info->rate_key = sj_str_of(none ? "" : text);
        return true;
}

static const struct annotation_option {
        const char *name;
        annotation_read *read;
        size_t offset;
        const char *wanted;
} annotation_options[] = {
        {"rate_limit", read_rate, offsetof(task_info, rate), "a rate, as 10/s, 10/m or 10/h"},
        {"fleet_rate", read_rate, offsetof(task_info, fleet_rate), "a rate, as 10/s, 10/m or 10/h"},
        {"rate_key", read_rate_key, 0, "an argument's name, or its place from 0 on"},
        {"time_limit", read_seconds, offsetof(task_info, time_limit), "a number of seconds"},
        {"soft_time_limit", read_seconds, offsetof(task_info, soft_time_limit),
         "a number of seconds"},
        {"max_retries", read_retries, offsetof(task_info, max_retries), "a number, or none"},
        {"default_retry_delay", read_seconds, offsetof(task_info, default_retry_delay),
         "a number of seconds"},
        {"retry_backoff", read_backoff, offsetof(task_info, retry_backoff),
         "a number of seconds, true or false"},
        {"retry_backoff_max", read_seconds, offsetof(task_info, retry_backoff_max),
         "a number of seconds"},
        {"retry_jitter", read_bool, offsetof(task_info, retry_jitter), "true or false"},
        {"autoretry", read_text, offsetof(task_info, autoretry), "names of error types"},
        {"acks_late", read_not, offsetof(task_info, acks_early), "true or false"},
        {"ignore_result", read_bool, offsetof(task_info, ignore_result), "true or false"},
        {"max_deliveries", read_deliveries, offsetof(task_info, max_deliveries),
         "a number from 1 on"},
};
enum { OPTIONS = sizeof(annotation_options) / sizeof(*annotation_options) };

static const struct annotation_option *annotation_find(const char *name)
{
        for (size_t i = 0; i < OPTIONS; i++)
                if (strcmp(annotation_options[i].name, name) == 0)
                        return &annotation_options[i];
        return NULL;
}

int task_annotation_check(const task_annotation *a, char *why, size_t size)
{
        const struct annotation_option *o = annotation_find(a->option);
        task_info info = {.rate = 0};
        if (!o) {
                const char *names[OPTIONS + 1] = {NULL};
                for (size_t i = 0; i < OPTIONS; i++)
                        names[i] = annotation_options[i].name;
                const char *near = suggest_nearest(a->option, names);
                snprintf(why, size, "no option of a task's is called '%.60s'%s%s%s", a->option,
                         near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
                return -EINVAL;
        }
        if (o->read(a->value, (char *)&info + o->offset))
                return 0;
        snprintf(why, size, "%s is %s, not '%.60s'", o->name, o->wanted, a->value);
        return -EINVAL;
}

void task_annotate(task_info tasks[], size_t n, const task_annotation annotations[],
                   size_t n_annotations)
{
        for (size_t k = 0; k < n_annotations; k++) {
                const task_annotation *a = &annotations[k];
                const struct annotation_option *o = annotation_find(a->option);
                for (size_t i = 0; o && i < n; i++)
                        if (app_name_matches(a->pattern, tasks[i].name))
                                o->read(a->value, (char *)&tasks[i] + o->offset);
        }
}
