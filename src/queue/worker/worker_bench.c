/* SPDX-License-Identifier: MIT */
#include "queue/worker/worker_bench.h"

#include "base/unit.h"

#include <stdio.h>

static int run_worker(void *arg)
{
        bench *b = arg;
        int r = worker_run(b->worker);
        if (r < 0)
                print_message("worker: %s\n", worker_error(b->worker));
        return r;
}

int bench_run(void *arg)
{
        static const sj_str queue = {"celery", 6};
        static unsigned number;
        bench *b = arg;
        char url[32], error[200];
        snprintf(url, sizeof(url), "memory:worker-test-%u", ++number);
        assert_int_equal(broker_open(b->url ? b->url : url, NULL, &b->broker, error, sizeof(error),
                                     SJ_NEVER),
                         0);
        assert_int_equal(app_new_over(b->broker, NULL, &b->app), 0);
        b->options.broker = b->broker;
        if (b->faulty) {
                broker_faulty_init(b->faulty, b->broker);
                b->options.broker = &b->faulty->base;
        }
        b->options.name = "w@test";
        b->options.queues = &queue;
        b->options.n_queues = 1;
        b->options.pool = b->pool;
        if (!b->options.concurrency)
                b->options.concurrency = b->pool == WORKER_SOLO ? 1 : 2;
        assert_int_equal(worker_new(&b->options, &b->worker), 0);
        int r;
        {
                SJ_SCOPE(s, sj_after(BENCH_LIMIT), 0);
                sj_fiber *f;
                assert_int_equal(sj_spawn(s, run_worker, b, &f), 0);
                r = b->test(b);
                worker_stop(b->worker, WORKER_STOP_WARM);
                int ended = sj_join(f, SJ_NEVER);
                r = r < 0 ? r : ended;
        }
        worker_free(b->worker);
        sj_app_free(b->app);
        broker_close(b->broker);
        return r;
}

void bench_with_pools(int (*test)(bench *b), unsigned pools)
{
        for (unsigned pool = WORKER_PREFORK; pool <= WORKER_SOLO; pool++) {
                if (!(pools & (1u << pool)))
                        continue;
                bench b = {.pool = (worker_pool_kind)pool, .test = test};
                int r = sj_run(bench_run, &b);
                if (r < 0)
                        print_message("with pool %u: %s\n", pool, sj_strerror(r));
                assert_int_equal(r, 0);
        }
}

int bench_outcome(const sj_result *result, sj_arena *arena, sj_outcome *ret)
{
        return sj_result_get(result, arena, ret, sj_after(BENCH_LIMIT / 2));
}

/* The outcome of one that has ended so. */
static sj_outcome ended(const sj_result *result, sj_arena *arena, const char *state)
{
        sj_outcome outcome;
        assert_int_equal(bench_outcome(result, arena, &outcome), 0);
        if (strcmp(outcome.state_name, state) != 0)
                print_message("%s: %s: %s\n", outcome.state_name, outcome.error.type,
                              outcome.error.message);
        assert_string_equal(outcome.state_name, state);
        return outcome;
}

void bench_expect_failure(const sj_result *result, const char *type)
{
        sj_arena *arena;
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_string_equal(ended(result, arena, "FAILURE").error.type, type);
        sj_arena_free(arena);
}

void bench_expect_state(const sj_result *result, const char *state)
{
        sj_arena *arena;
        assert_int_equal(sj_arena_new(&arena), 0);
        ended(result, arena, state);
        sj_arena_free(arena);
}

void bench_expect_int(const sj_result *result, int64_t value)
{
        sj_arena *arena;
        int64_t found = 0;
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(sj_json_int(ended(result, arena, "SUCCESS").value, &found), 0);
        assert_int_equal(found, value);
        sj_arena_free(arena);
}

uint64_t bench_waiting(bench *b, uint64_t *ret_leased)
{
        sj_arena *arena;
        const broker_depth *depths;
        uint64_t ready = 0;
        *ret_leased = 0;
        assert_int_equal(sj_arena_new(&arena), 0);
        int n = broker_queues(b->broker, arena, &depths, SJ_NEVER);
        for (int i = 0; i < n; i++) {
                ready += depths[i].ready + depths[i].delayed;
                *ret_leased += depths[i].leased;
        }
        sj_arena_free(arena);
        return ready;
}
