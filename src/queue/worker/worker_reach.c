/* SPDX-License-Identifier: MIT */
/*
 * Opened at the first question and kept: most tasks never ask, and a connection for each child of
 * a large fleet would cost the server more than it is worth. Why not by the controller: it never
 * waits for a child nor holds what a child waits for, and a result may be larger than its ring.
 *
 * The broker belongs to the child's loop, so it is opened there, by the fiber that asks or, for a
 * thread of the pool, by one that is spawned for it; brokers take calls from any thread.
 */
#include "queue/worker/worker_reach.h"

#include "exec/await.h"
#include "fiber/wait.h"
#include "queue/app.h"

#include <sanjab/future.h>
#include <sanjab/sync.h>

#include <stdatomic.h>
#include <stdlib.h>

struct reach {
        sj_loop *loop;
        sj_lock opening;
        broker *_Atomic open; /* NULL: not yet */
        sj_arena *arena;      /* of the options */
        sj_app_options options;
};

int reach_new(reach **ret)
{
        reach *r = calloc(1, sizeof(*r));
        if (!r || sj_arena_new(&r->arena) < 0) {
                free(r);
                return -ENOMEM;
        }
        r->loop = sj_loop_current();
        *ret = r;
        return 0;
}

void reach_free(reach *r)
{
        if (!r)
                return;
        broker_close(atomic_load(&r->open));
        sj_arena_free(r->arena);
        free(r);
}

static int keep(reach *r, const char *text, const char **ret)
{
        *ret = text ? sj_arena_strndup(r->arena, text, strlen(text)) : NULL;
        return text && !*ret ? -ENOMEM : 0;
}

int reach_lead(reach *r, const sj_app_options *o)
{
        r->options.result_expires = o->result_expires;
        int k = keep(r, o->broker, &r->options.broker);
        if (k >= 0)
                k = keep(r, o->result_backend, &r->options.result_backend);
        if (k >= 0)
                k = keep(r, o->transport, &r->options.transport);
        return k < 0 ? k : keep(r, o->result_transport, &r->options.result_transport);
}

static int open_broker(reach *r, sj_time deadline)
{
        char error[300] = "";
        broker *b;
        sj_app_options o = r->options;
        o.open_deadline = deadline;
        int k = app_open_broker(&o, true, &b, error, sizeof(error));
        if (k >= 0)
                atomic_store(&r->open, b);
        else if (k != -ECANCELED)
                sj_log(SJ_LOG_ERROR, "a task cannot reach the broker: %s",
                       error[0] ? error : sj_strerror(k));
        return k;
}

static int open_once(reach *r, sj_time deadline)
{
        int k = sj_lock_acquire(&r->opening, deadline);
        if (k < 0)
                return k;
        if (!atomic_load(&r->open))
                k = open_broker(r, deadline);
        sj_lock_release(&r->opening);
        return k;
}

/* ── From a thread of the pool ───────────────────────────────────────────────────────────── */

typedef struct reach_job {
        reach *r;
        sj_time deadline;
        sj_future opened;
} reach_job;

static int open_for(void *arg)
{
        reach_job *job = arg;
        sj_future_set(&job->opened, open_once(job->r, job->deadline), NULL);
        return 0;
}

static int open_post(void *arg)
{
        reach_job *job = arg;
        int k = sj_spawn(fiber_root_scope(), open_for, job, NULL);
        if (k < 0)
                sj_future_set(&job->opened, k, NULL);
        return 0;
}

int reach_get(reach *r, broker **ret, sj_time deadline)
{
        sj_time limit = sj_after(SJ_PUBLISH_DEADLINE);
        int k = 0;
        limit = deadline < limit ? deadline : limit;
        if (!r->options.broker)
                return -EOPNOTSUPP;
        if (!atomic_load(&r->open) && sj_loop_current() == r->loop) {
                k = open_once(r, limit);
        } else if (!atomic_load(&r->open)) {
                reach_job job = {.r = r, .deadline = limit, .opened = SJ_FUTURE_INIT};
                k = sj_post(r->loop, open_post, &job);
                if (k >= 0)
                        k = await_surely(&job.opened, NULL);
        }
        if (k >= 0)
                *ret = atomic_load(&r->open);
        return k;
}
