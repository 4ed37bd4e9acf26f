/* SPDX-License-Identifier: MIT */
/*
 * remote_bench: for tests under the simulator of what is said to workers, and by them: a broker in
 * memory, a program, and workers of the solo pool by the name "w@sim", one after the other.
 */
#ifndef SANJAB_QUEUE_REMOTE_BENCH_H
#define SANJAB_QUEUE_REMOTE_BENCH_H

#include "fiber/sim_unit.h"
#include "queue/app.h"
#include "queue/control/control.h"
#include "queue/worker/worker.h"

#include <sanjab/queue.h>

typedef struct world {
        broker *broker;
        sj_app *app;
        worker *worker; /* NULL while there is none */
        sj_fiber *runs;
        sj_scope *scope;
        sj_arena *arena;
        queue_clock clock;
        bool events; /* of the next worker's tasks */
} world;

static inline int world_run_worker(void *arg)
{
        int r = worker_run(arg);
        if (r < 0)
                print_message("worker: %s\n", worker_error(arg));
        return r;
}

/* Starts a worker, and waits until it has been there for two seconds. */
static inline void world_start_worker(world *w)
{
        static const sj_str queue = {"celery", 6};
        const worker_options options = {.broker = w->broker,
                                        .name = "w@sim",
                                        .queues = &queue,
                                        .n_queues = 1,
                                        .pool = WORKER_SOLO,
                                        .events = w->events};
        expect_equal(worker_new(&options, &w->worker), 0);
        expect_equal(sj_spawn(w->scope, world_run_worker, w->worker, &w->runs), 0);
        expect_equal(sj_sleep(2 * SJ_SEC), 0);
}

static inline void world_stop_worker(world *w)
{
        if (!w->worker)
                return;
        worker_stop(w->worker, WORKER_STOP_WARM);
        expect_equal(sj_join(w->runs, SJ_NEVER), 0);
        worker_free(w->worker);
        w->worker = NULL;
}

/* Calls the body in a new world; `first` is called before, as to start a worker. */
static inline int with_world(void (*first)(world *w), int (*body)(world *w))
{
        world w = {0};
        char error[100];
        expect_equal(broker_open("memory:", NULL, &w.broker, error, sizeof(error), SJ_NEVER), 0);
        expect_equal(app_new_over(w.broker, NULL, &w.app), 0);
        expect_equal(sj_arena_new(&w.arena), 0);
        int r;
        {
                SJ_SCOPE(s, sj_after(SJ_HOUR), 0);
                w.scope = s;
                first(&w);
                r = body(&w);
                world_stop_worker(&w);
        }
        sj_arena_free(w.arena);
        sj_app_free(w.app);
        broker_close(w.broker);
        return r;
}

/* The text of what the worker answers. */
static inline const char *ask(world *w, const char *method, const char *arguments)
{
        const sj_json *parsed = NULL;
        const control_reply *replies;
        sj_str text;
        if (arguments)
                expect_equal(sj_json_parse(w->arena, sj_str_of(arguments), 0, &parsed, NULL), 0);
        const control_call call = {.method = method, .arguments = parsed, .limit = 1};
        expect_equal(control_broadcast(w->broker, &w->clock, &call, w->arena, &replies,
                                       sj_after(CONTROL_TIMEOUT)),
                     1);
        expect(sj_str_equal(replies[0].node, SJ_STR("w@sim")));
        expect_equal(sj_json_text(w->arena, replies[0].value, SJ_JSON_PYTHON, &text), 0);
        return text.data;
}

static inline void expect_answer(world *w, const char *method, const char *arguments,
                                 const char *answer)
{
        const char *said = ask(w, method, arguments);
        if (strcmp(said, answer) != 0) {
                fprintf(stderr, "%s: %s\nnot: %s\n", method, said, answer);
                expect(false);
        }
}

#endif
