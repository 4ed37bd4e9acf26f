/* SPDX-License-Identifier: MIT */
/*
 * For tests of what changes while a worker runs. With real children, over the broker in memory; in
 * all of it every task is counted.
 */
#ifndef SANJAB_QUEUE_WORKER_RUNNING_UNIT_H
#define SANJAB_QUEUE_WORKER_RUNNING_UNIT_H

#include "base/unit.h"
#include "queue/worker/worker_bench.h"

#include <sanjab/exec.h>
#include <sanjab/queue.h>

#include <unistd.h>

SJ_TASK(who, int64_t)
{
        (void)self;
        *ret = getpid();
        return 0;
}

SJ_TASK(nap, int64_t, (double, seconds))
{
        *ret = getpid();
        return sj_sleep((sj_time)(seconds * (double)SJ_SEC));
}

SJ_TASK(hang, void)
{
        while (self)
                usleep(1000);
        return 0;
}

static inline sj_str id_of(const sj_result *result)
{
        return sj_str_of(result->id);
}

static inline void await_state(const sj_result *result, sj_state state)
{
        sj_arena *arena;
        sj_outcome outcome;
        assert_int_equal(sj_arena_new(&arena), 0);
        do {
                sj_sleep(5 * SJ_MS);
                sj_arena_reset(arena);
                assert_int_equal(sj_result_state(result, arena, &outcome, SJ_NEVER), 0);
        } while (outcome.state != state);
        sj_arena_free(arena);
}

static inline int64_t int_of(const sj_result *result, sj_arena *arena)
{
        sj_outcome outcome;
        int64_t value = -1;
        assert_int_equal(bench_outcome(result, arena, &outcome), 0);
        assert_string_equal(outcome.state_name, "SUCCESS");
        assert_int_equal(sj_json_int(outcome.value, &value), 0);
        return value;
}

static inline void await_children(bench *b, size_t n)
{
        while (worker_count(b->worker).children != n)
                sj_sleep(5 * SJ_MS);
}

/* Until the worker has told the broker of that many ends, and no more. */
static inline void expect_succeeded(bench *b, uint64_t n)
{
        while (worker_count(b->worker).held > 0 || worker_count(b->worker).succeeded < n)
                sj_sleep(5 * SJ_MS);
        assert_int_equal(worker_count(b->worker).succeeded, n);
        assert_int_equal(worker_count(b->worker).crashed, 0);
}

#endif
