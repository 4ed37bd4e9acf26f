/* SPDX-License-Identifier: MIT */
/*
 * The pool without children: the controller loads the tasks, and one fiber of it runs them, one
 * at a time. A task that blocks holds up all other duties too, and one that crashes takes the
 * worker with it: this is for development, and for programs that are their own worker.
 */
#include "queue/worker_child.h"
#include "queue/worker_internal.h"

static bool is_cancelled(void *arg)
{
        const worker *w = arg;
        return w->running_cancelled;
}

static int say_progress(void *arg, sj_str state, sj_str meta)
{
        worker *w = arg;
        broker_result result;
        int r = outcome_progress(&w->running->view, state, meta, w->running->arena, &result);
        return r < 0 ? r
                     : broker_result_put(w->options.broker, &result, 1,
                                         sj_after(WORKER_BROKER_LIMIT));
}

/* A NUL-terminated copy for a body, NULL for what is absent. */
static const char *text_of(delivery *d, sj_str text)
{
        return text.data ? sj_arena_strndup(d->arena, text.data, text.n) : NULL;
}

static int run(worker *w, delivery *d, task_return *ret)
{
        const sj_task *task = task_registry_find(w->registry, d->m.task, NULL);
        double soft = outcome_soft_time_limit(&d->view), hard = outcome_time_limit(&d->view);
        sj_task_request request = {
                .id = text_of(d, d->m.id),
                .name = text_of(d, d->m.task),
                .root_id = text_of(d, d->m.root_id.data ? d->m.root_id : d->m.id),
                .parent_id = text_of(d, d->m.parent_id),
                .group = text_of(d, d->m.group),
                .retries = (uint32_t)d->m.retries,
                .deliveries = d->lease->deliveries,
                .deadline = soft > 0 ? sj_after((sj_time)(soft * (double)SJ_SEC)) : SJ_NEVER,
                .app = w->app,
        };
        const task_host host = {.arg = w, .cancelled = is_cancelled, .progress = say_progress};
        SJ_SCOPE(limit, hard > 0 ? sj_after((sj_time)(hard * (double)SJ_SEC)) : SJ_NEVER, 0);
        int r = task_run(task, &request, &host, d->m.args, d->m.kwargs, d->arena, ret);
        if (r >= 0 && hard > 0 && sj_cancelled() && !w->stopping && ret->end == TASK_FAILED)
                d->over_limit = true;
        return r;
}

int worker_solo_duty(void *arg)
{
        worker *w = arg;
        for (;;) {
                list *node = list_pop(&w->waiting);
                if (!node) {
                        sj_event_clear(&w->waiting_event);
                        int r = sj_event_wait(&w->waiting_event, SJ_NEVER);
                        if (r < 0)
                                return r;
                        continue;
                }
                delivery *d = container_of(node, delivery, place);
                task_return result = {0};
                w->running = d;
                w->running_cancelled = d->view.revoked;
                sj_time start = sj_now();
                int r = run(w, d, &result);
                w->running = NULL;
                sj_time took = sj_now() - start;
                w->mean_run = w->mean_run ? (w->mean_run * 7 + took) / 8 + 1 : took + 1;
                if (sj_cancelled())
                        worker_interrupted(w, d);
                else if (r < 0)
                        worker_give_back(w, d);
                else
                        worker_returned(w, d, &result);
                sj_event_set(&w->capacity);
        }
}

void worker_solo_hand(worker *w, delivery *d)
{
        list_append(&w->waiting, &d->place);
        sj_event_set(&w->waiting_event);
}

int worker_solo_open(worker *w)
{
        int r = worker_child_load(w->options.tasks, &w->registry, w->error, sizeof(w->error));
        if (r < 0)
                return r;
        sj_str manifest;
        r = task_manifest_write(w->registry, w->manifest_arena, &manifest);
        return r < 0 ? r : worker_take_manifest(w, manifest);
}

void worker_solo_close(worker *w)
{
        task_registry_free(w->registry);
        w->registry = NULL;
}
