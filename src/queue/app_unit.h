/* SPDX-License-Identifier: MIT */
/* For tests of what programs send: a broker in memory, an app, and a worker beside it. */
#ifndef SANJAB_QUEUE_APP_UNIT_H
#define SANJAB_QUEUE_APP_UNIT_H

#include "fiber/sim_unit.h"
#include "queue/app.h"
#include "queue/broker/broker_faulty.h"
#include "queue/message/message.h"
#include "queue/worker/worker.h"

#include <sanjab/canvas.h>

/* ── Tasks ───────────────────────────────────────────────────────────────────────────────── */

SJ_TASK(add, int64_t, (int64_t, x), (int64_t, y))
{
        int r = sj_sleep((sj_time)sim_draw(50) * SJ_MS);
        *ret = x + y;
        return r;
}

SJ_TASK(boom, int64_t, (int64_t, x))
{
        (void)x;
        return sj_raise(self, "ValueError", "bang");
}

/* ── A world: a broker, an app, a worker ─────────────────────────────────────────────────── */

typedef struct world {
        broker *broker;
        broker_faulty faulty;
        sj_app *app;
        sj_arena *arena;
        worker *worker;
} world;

static inline int work(void *arg)
{
        return worker_run(arg);
}

static inline void world_open(world *w, const sj_app_options *options)
{
        char error[100];
        expect_equal(broker_open("memory:", NULL, &w->broker, error, sizeof(error), SJ_NEVER), 0);
        broker_faulty_init(&w->faulty, w->broker);
        expect_equal(app_new_over(w->broker, options, &w->app), 0);
        expect_equal(sj_arena_new(&w->arena), 0);
}

static inline void world_close(world *w)
{
        sj_app_free(w->app);
        sj_arena_free(w->arena);
        broker_close(w->broker);
}

/* Runs the body with a worker beside it. */
static inline void with_worker_of(world *w, void (*body)(world *w), const sj_app_options *app,
                                  unsigned accept)
{
        static const sj_str queue = {"celery", 6};
        const worker_options options = {.broker = w->broker,
                                        .name = "w@sim",
                                        .queues = &queue,
                                        .n_queues = 1,
                                        .app = app,
                                        .accept = accept,
                                        .pool = WORKER_SOLO};
        expect_equal(worker_new(&options, &w->worker), 0);
        {
                SJ_SCOPE(s, sj_after(SJ_HOUR), 0);
                sj_spawn(s, work, w->worker, NULL);
                body(w);
                worker_stop(w->worker, WORKER_STOP_WARM);
                expect_equal(sj_scope_join(s), 0);
        }
        worker_free(w->worker);
}

static inline void with_worker(world *w, void (*body)(world *w))
{
        with_worker_of(w, body, NULL, 0);
}

#define WORLD(w)                                                \
        __attribute__((cleanup(world_close))) world w##_ = {0}; \
        world *w = &w##_;                                       \
        world_open(w, NULL)

static inline sj_outcome outcome_of(world *w, const sj_result *result)
{
        sj_outcome o;
        expect_equal(sj_result_get(result, w->arena, &o, sj_after(SJ_MIN)), 0);
        return o;
}

static inline const char *value_of(world *w, const sj_outcome *o)
{
        sj_str text;
        expect_equal(o->state, SJ_SUCCESS);
        expect_equal(sj_json_text(w->arena, o->value, SJ_JSON_PYTHON, &text), 0);
        return text.data;
}

#define expect_text(a, b) expect(strcmp(a, b) == 0)

static inline void submit(world *w, sj_signature *s, sj_result *ret)
{
        expect_equal(sj_signature_send(w->app, s, ret), 0);
        sj_signature_free(s);
}

/* The next message, which then is gone. */
static inline message taken(world *w)
{
        static const sj_str queues[] = {{"celery", 6}, {"other", 5}};
        const broker_claim claim = {.queues = queues, .n_queues = 2, .worker = SJ_STR("t")};
        broker_lease *lease;
        message m;
        message_error error;
        expect_equal(broker_lease_next(w->broker, &claim, &lease, 1, SJ_NEVER), 1);
        expect_equal(message_decode(w->arena, lease->message.envelope, &m, &error), 0);
        broker_settlement s = {.lease = lease, .verdict = BROKER_DONE};
        expect_equal(broker_settle(w->broker, &s, 1, SJ_NEVER), 0);
        broker_lease_free(lease);
        return m;
}

#endif
