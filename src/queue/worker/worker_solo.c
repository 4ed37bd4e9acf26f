/* SPDX-License-Identifier: MIT */
/*
 * The pool without children: the controller loads the tasks, and one fiber of it runs them, one
 * at a time. A task that blocks holds up all other duties too, and one that crashes takes the
 * worker with it: this is for development, and for programs that are their own worker.
 */
#include "queue/worker/worker_child.h"
#include "queue/worker/worker_events.h"
#include "queue/worker/worker_internal.h"

#include <sanjab/sync.h>

static bool is_cancelled(void *arg)
{
        const worker *w = arg;
        return w->running_cancelled;
}

static int say_progress(void *arg, sj_str state, sj_str meta)
{
        worker *w = arg;
        worker_note_state(w, w->running, state, meta);
        return 0;
}

static int say_event(void *arg, sj_str type, sj_str fields)
{
        worker *w = arg;
        worker_event_own(w, w->running, type, fields);
        return 0;
}

/* A NUL-terminated copy for a body, NULL for what is absent. */
static const char *text_of(delivery *d, sj_str text)
{
        return text.data ? sj_arena_strndup(d->arena, text.data, text.n) : NULL;
}

static int run(worker *w, delivery *d, task_return *ret)
{
        sj_time soft = worker_limit(outcome_soft_time_limit(&d->view));
        sj_time hard = worker_limit(outcome_time_limit(&d->view));
        sj_task_request request = {
                .id = text_of(d, d->m.id),
                .name = text_of(d, d->m.task),
                .root_id = text_of(d, d->m.root_id.data ? d->m.root_id : d->m.id),
                .parent_id = text_of(d, d->m.parent_id),
                .group = text_of(d, d->m.group),
                .retries = (uint32_t)d->m.retries,
                .deliveries = d->lease->deliveries,
                .deadline = soft ? sj_after(soft) : SJ_NEVER,
                .app = w->app,
        };
        const task_host host = {.arg = w,
                                .cancelled = is_cancelled,
                                .progress = say_progress,
                                .event = say_event,
                                .chord = worker_chord_text(d)};
        sj_time end = hard ? sj_after(hard) : SJ_NEVER;
        SJ_SCOPE(limit, end < request.deadline ? end : request.deadline, 0);
        w->running_scope = limit;
        int r = task_run_named(w->registry, d->m.task, &request, &host, d->m.args, d->m.kwargs,
                               d->arena, ret);
        w->running_scope = NULL;
        if (r >= 0 && sj_now() >= end && sj_cancelled() && !w->stopping && ret->end == TASK_FAILED)
                d->over_limit = true;
        return r;
}

/* What came of it. A stop may have come too late to keep it from its end. */
static void judge(worker *w, delivery *d, int r, const task_return *result)
{
        const task_return no_memory = task_failed("builtins", "MemoryError", SJ_STR("[]"));
        if (sj_cancelled() && (r < 0 || result->end != TASK_SUCCEEDED))
                worker_interrupted(w, d);
        else
                worker_returned(w, d, r < 0 ? &no_memory : result);
}

static void run_next(worker *w)
{
        delivery *d = container_of(list_pop(&w->waiting), delivery, place);
        const broker_message *m = &d->lease->message;
        /* It has waited behind others. */
        if (m->expires.us && m->expires.us <= os_wall().us) {
                worker_judge_again(w, d);
                return;
        }
        task_return result = {0};
        w->running = d;
        w->running_cancelled = d->view.revoked;
        sj_time start = sj_now();
        worker_event_started(w, d, 0);
        int r = run(w, d, &result);
        w->running = NULL;
        d->took = sj_now() - start;
        worker_note_time(w, d->took);
        judge(w, d, r, &result);
        worker_has_room(w);
}

int worker_solo_duty(void *arg)
{
        worker *w = arg;
        for (;;) {
                while (!list_empty(&w->waiting))
                        run_next(w);
                sj_event_clear(&w->waiting_event);
                int r = sj_event_wait(&w->waiting_event, SJ_NEVER);
                if (r < 0)
                        return r;
        }
}

void worker_solo_cancel(worker *w, const delivery *d)
{
        w->running_cancelled = true;
        if (d->terminated && w->running_scope)
                sj_scope_cancel(w->running_scope);
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
