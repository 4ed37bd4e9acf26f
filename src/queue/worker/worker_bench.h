/* SPDX-License-Identifier: MIT */
/*
 * worker_bench: a worker with real children over a broker in memory, for tests. The tasks are
 * those of the test program itself.
 */
#ifndef SANJAB_QUEUE_WORKER_BENCH_H
#define SANJAB_QUEUE_WORKER_BENCH_H

#include "queue/app.h"
#include "queue/broker/broker_faulty.h"
#include "queue/worker/worker.h"

#include <sanjab/queue.h>

#define BENCH_LIMIT (2 * SJ_MIN) /* for what hangs */

typedef struct bench {
        broker *broker;
        sj_app *app;
        worker *worker;
        const char *url;       /* of its broker; NULL: one of its own in memory */
        broker_faulty *faulty; /* between it and the worker, or NULL */
        worker_pool_kind pool;
        int (*test)(struct bench *b);
        worker_options options; /* where they differ from the usual */
} bench;

enum {
        POOLS_PREFORK = 1 << WORKER_PREFORK,
        POOLS_THREADS = 1 << WORKER_THREADS,
        POOLS_FIBERS = 1 << WORKER_FIBERS_POOL,
        POOLS_SOLO = 1 << WORKER_SOLO,
        POOLS_CHILDREN = 7,
        POOLS_ALL = 15,
};

/* Main of a loop: starts the worker of a bench, calls its test, stops it warmly. */
int bench_run(void *bench);
/* Runs the test with a worker of each of these pools, and asserts that it returns 0. */
void bench_with_pools(int (*test)(bench *b), unsigned pools);

/* As sj_result_get, within the limit. */
int bench_outcome(const sj_result *result, sj_arena *arena, sj_outcome *ret);
/* Waits for its end; asserts that it failed so. */
void bench_expect_failure(const sj_result *result, const char *type);
/* Waits for its end; asserts the state. */
void bench_expect_state(const sj_result *result, const char *state);
/* Waits for its end; asserts the result. */
void bench_expect_int(const sj_result *result, int64_t value);

/* How many messages are ready or delayed, and how many are leased. */
uint64_t bench_waiting(bench *b, uint64_t *ret_leased);

#endif
