/* SPDX-License-Identifier: MIT */
/* A task for each site, sent through the broker to whatever worker has the tasks. */
#include "mode.h"
#include "tasks.h"

#include <stdio.h>
#include <stdlib.h>

/* How long an answer may take beyond the check itself: a worker may have to be started first. */
#define ANSWER_LIMIT (30 * SJ_SEC)

static bool json_bool(const sj_json *v, const char *name)
{
        bool value = false;
        sj_json_bool(sj_json_member(v, name), &value);
        return value;
}

static int64_t json_int(const sj_json *v, const char *name)
{
        int64_t value = 0;
        sj_json_int(sj_json_member(v, name), &value);
        return value;
}

static void read_outcome(const sj_outcome *outcome, check *ret)
{
        *ret = (check){0};
        if (outcome->state != SJ_SUCCESS) {
                snprintf(ret->why, sizeof(ret->why), "its task ended as %s: %s",
                         outcome->state_name, outcome->error.message);
                return;
        }
        sj_str why = {0};
        ret->up = json_bool(outcome->value, "up");
        ret->status = (int)json_int(outcome->value, "status");
        ret->took = json_int(outcome->value, "took_us") * SJ_US;
        sj_json_string(sj_json_member(outcome->value, "why"), &why);
        snprintf(ret->why, sizeof(ret->why), "%.*s", SJ_STR_ARG(why));
}

static int await_one(const sj_result *result, sj_time deadline, check *ret)
{
        sj_arena *arena;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        sj_outcome outcome;
        r = sj_result_get(result, arena, &outcome, deadline);
        if (r >= 0)
                read_outcome(&outcome, ret);
        sj_arena_free(arena);
        return r;
}

static int send_all(mode_run *run, sj_app *app, sj_result results[])
{
        double timeout = (double)run->timeout / (double)SJ_SEC;
        for (size_t i = 0; i < run->list->n; i++) {
                int r = squirrel_check_delay(app, run->list->sites[i].url, timeout, &results[i]);
                if (r < 0) {
                        snprintf(run->error, sizeof(run->error),
                                 "%s: the task could not be published: %s", run->broker,
                                 sj_strerror(r));
                        return r;
                }
        }
        return 0;
}

static int await_all(mode_run *run, const sj_result results[])
{
        /* With one worker that does one at a time, all take their time in turn. */
        sj_time limit = ANSWER_LIMIT + run->timeout * (sj_time)run->list->n;
        sj_time deadline = sj_after(limit);
        for (size_t i = 0; i < run->list->n; i++) {
                int r = await_one(&results[i],
                                  i == 0 ? sj_after(ANSWER_LIMIT + run->timeout) : deadline,
                                  &run->checks[i]);
                if (r < 0) {
                        snprintf(run->error, sizeof(run->error),
                                 "%s: no worker has answered (%s); start one with: sanjab worker "
                                 "-A libsquirrel_tasks.so -b %s",
                                 run->broker, sj_strerror(r), run->broker);
                        return r;
                }
                progress_step(run->progress);
        }
        return 0;
}

int mode_queue(mode_run *run)
{
        sj_app *app;
        int r = sj_app_new(&(sj_app_options){.broker = run->broker}, &app);
        if (r < 0) {
                snprintf(run->error, sizeof(run->error), "%s: the broker cannot be opened: %s",
                         run->broker, sj_strerror(r));
                return r;
        }
        sj_result *results = calloc(run->list->n, sizeof(*results));
        r = results ? send_all(run, app, results) : -ENOMEM;
        if (r >= 0)
                r = await_all(run, results);
        free(results);
        sj_app_free(app);
        return r;
}
