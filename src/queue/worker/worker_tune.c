/* SPDX-License-Identifier: MIT */
/*
 * Limits of tasks. A worker's own stand in for those that a task does not have; all of them may be
 * changed while it runs, so the controller has a copy of what the manifest says.
 */
#include "queue/worker/worker_internal.h"

#include <sanjab/sync.h>

#include <stdlib.h>

/* A thread cannot be ended from outside. */
static void warn_of_threads(const worker *w)
{
        size_t n = 0, first = 0;
        for (size_t i = w->manifest.n; w->options.pool == WORKER_THREADS && i > 0; i--)
                if (w->tasks[i - 1].time_limit > 0) {
                        first = i - 1;
                        n++;
                }
        if (n > 0)
                sj_log(SJ_LOG_WARNING,
                       "the pool of threads cannot enforce hard time limits, only soft ones: "
                       "%.*s%s a hard one",
                       SJ_STR_ARG(w->tasks[first].name), n > 1 ? " and other tasks have" : " has");
}

void worker_tune_warn(worker *w, const delivery *d)
{
        bool *told = &w->told_limits[worker_total_at(w, d->view.info)];
        if (w->options.pool != WORKER_THREADS || !d->hard || d->view.info->time_limit > 0 || *told)
                return;
        *told = true;
        sj_log(SJ_LOG_WARNING,
               "a message for %.*s brings a hard time limit of %g s, which the pool of threads "
               "cannot enforce, only a soft one. This is said once of each task",
               SJ_STR_ARG(d->m.task), (double)d->hard / (double)SJ_SEC);
}

int worker_tune_tasks(worker *w)
{
        size_t n = w->manifest.n;
        double rate = 0;
        int r = task_parse_rate(w->options.rate_limit, &rate);
        if (r < 0)
                return r;
        w->tasks = sj_arena_alloc(w->manifest_arena, (n + 1) * sizeof(*w->tasks));
        w->rates = calloc(n + 1, sizeof(*w->rates));
        w->told_limits = calloc(n + 1, sizeof(*w->told_limits));
        if (!w->tasks || !w->rates || !w->told_limits)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                task_info *t = &w->tasks[i];
                *t = w->manifest.tasks[i];
                t->rate = t->rate > 0 ? t->rate : rate;
                t->time_limit = t->time_limit > 0 ? t->time_limit : w->options.time_limit;
                t->soft_time_limit =
                        t->soft_time_limit > 0 ? t->soft_time_limit : w->options.soft_time_limit;
        }
        task_annotate(w->tasks, n, w->options.annotations, w->options.n_annotations);
        w->manifest.tasks = w->tasks;
        warn_of_threads(w);
        return 0;
}

static task_info *find(worker *w, sj_str name)
{
        const task_info *found = w->has_manifest ? task_manifest_find(&w->manifest, name) : NULL;
        return found ? &w->tasks[found - w->manifest.tasks] : NULL;
}

int worker_set_rate(worker *w, sj_str task, const char *rate)
{
        double a_second;
        int r = task_parse_rate(rate, &a_second);
        if (r < 0)
                return r;
        task_info *t = find(w, task);
        if (!t)
                return -ENOENT;
        t->rate = a_second;
        /* What was promised by the old rate does not bind the new one. */
        worker_rate *of = &w->rates[t - w->tasks];
        *of = (worker_rate){.waiting = of->waiting};
        sj_event_set(&w->turns_event);
        return 0;
}

int worker_set_limits(worker *w, sj_str task, double soft, double hard)
{
        task_info *t = find(w, task);
        if (!t)
                return -ENOENT;
        t->soft_time_limit = soft > 0 ? soft : 0;
        t->time_limit = hard > 0 ? hard : 0;
        if (hard > 0)
                warn_of_threads(w);
        return 0;
}
