/* SPDX-License-Identifier: MIT */
/*
 * What changes while a worker runs: how many children it has and which, its queues, the limits of
 * its tasks, what is revoked. With real children, over the broker in memory; in all of it every
 * task is counted.
 */
#include "base/unit.h"
#include "queue/control/letter.h"
#include "queue/worker/worker_bench.h"
#include "queue/worker/worker_internal.h"

#include <sanjab/exec.h>
#include <sanjab/queue.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void linger(void)
{
        sleep(30);
}

/* ── Tasks ───────────────────────────────────────────────────────────────────────────────── */

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

SJ_TASK(until_cancelled, void)
{
        while (!sj_task_cancelled(self))
                if (sj_sleep(SJ_MS) < 0)
                        break;
        return sj_raise(self, "ValueError", "told to end");
}

SJ_TASK(block, void)
{
        int fds[2];
        char byte;
        if (pipe(fds) < 0)
                return -errno;
        while (!sj_task_cancelled(self))
                (void)!read(fds[0], &byte, 1);
        close(fds[0]);
        close(fds[1]);
        return sj_raise(self, "celery.exceptions.SoftTimeLimitExceeded", "told to end");
}

/* Leaves more memory behind than it found. */
SJ_TASK(leak, int64_t, (int64_t, bytes))
{
        (void)self;
        char *kept = malloc((size_t)bytes);
        if (!kept)
                return -ENOMEM;
        memset(kept, 1, (size_t)bytes);
        __asm__ volatile("" : : "r"(kept) : "memory");
        *ret = getpid();
        return 0;
}

SJ_TASK(nap_and_send, void, (double, seconds))
{
        sj_result child;
        int r = sj_sleep((sj_time)(seconds * (double)SJ_SEC));
        return r < 0 ? r : who_delay(self->app, &child);
}

SJ_TASK(stay, int64_t)
{
        (void)self;
        atexit(linger);
        *ret = getpid();
        return 0;
}

SJ_TASK(shared, int64_t)
{
        (void)self;
        *ret = getpid();
        return 0;
}
SJ_TASK_OPTIONS(shared, .fleet_rate = "5/s");

SJ_TASK(by_customer, int64_t, (int64_t, amount), (const char *, customer))
{
        (void)self, (void)customer;
        *ret = amount;
        return 0;
}
SJ_TASK_OPTIONS(by_customer, .fleet_rate = "1/m", .rate_key = "customer");

SJ_TASK(by_call, int64_t, (int64_t, amount))
{
        (void)self;
        *ret = amount;
        return 0;
}
SJ_TASK_OPTIONS(by_call, .fleet_rate = "1/m");

/* ── Help ────────────────────────────────────────────────────────────────────────────────── */

static sj_str id_of(const sj_result *result)
{
        return sj_str_of(result->id);
}

static void await_state(const sj_result *result, sj_state state)
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

static int64_t int_of(const sj_result *result, sj_arena *arena)
{
        sj_outcome outcome;
        int64_t value = -1;
        assert_int_equal(bench_outcome(result, arena, &outcome), 0);
        assert_string_equal(outcome.state_name, "SUCCESS");
        assert_int_equal(sj_json_int(outcome.value, &value), 0);
        return value;
}

static void await_children(bench *b, size_t n)
{
        while (worker_count(b->worker).children != n)
                sj_sleep(5 * SJ_MS);
}

/* Until the worker has told the broker of that many ends, and no more. */
static void expect_succeeded(bench *b, uint64_t n)
{
        while (worker_count(b->worker).held > 0 || worker_count(b->worker).succeeded < n)
                sj_sleep(5 * SJ_MS);
        assert_int_equal(worker_count(b->worker).succeeded, n);
        assert_int_equal(worker_count(b->worker).crashed, 0);
}

/* ── How many ────────────────────────────────────────────────────────────────────────────── */

static int grows_and_shrinks(bench *b)
{
        enum { TASKS = 600 };
        static const unsigned sizes[] = {4, 1, 6, 2, 5, 1, 3};
        static sj_result results[TASKS];
        sj_arena *arena;
        assert_int_equal(sj_arena_new(&arena), 0);
        await_children(b, b->pool == WORKER_PREFORK ? 2 : 1);
        for (int i = 0; i < TASKS; i++)
                assert_int_equal(nap_delay(b->app, i % 7 ? 0 : 0.02, &results[i]), 0);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
                assert_int_equal(worker_set_concurrency(b->worker, sizes[i]), 0);
                assert_int_equal(worker_concurrency(b->worker), sizes[i]);
                int_of(&results[(i + 1) * TASKS / 10], arena);
        }
        for (int i = 0; i < TASKS; i++)
                int_of(&results[i], arena);
        sj_arena_free(arena);
        expect_succeeded(b, TASKS);
        await_children(b, b->pool == WORKER_PREFORK ? 3 : 1);
        return 0;
}

static void nothing_is_lost_or_run_twice_while_it_grows_and_shrinks(void **state)
{
        (void)state;
        bench_with_pools(grows_and_shrinks, POOLS_CHILDREN);
}

static int shrinks_beside_a_long_task(bench *b)
{
        sj_result lengthy, others[20];
        await_children(b, 2);
        assert_int_equal(nap_delay(b->app, 1, &lengthy), 0);
        await_state(&lengthy, SJ_STARTED);
        for (int i = 0; i < 20; i++)
                assert_int_equal(who_delay(b->app, &others[i]), 0);
        assert_int_equal(worker_set_concurrency(b->worker, 1), 0);
        for (int i = 0; i < 20; i++)
                bench_expect_state(&others[i], "SUCCESS");
        bench_expect_state(&lengthy, "SUCCESS");
        expect_succeeded(b, 21);
        return 0;
}

static void who_runs_a_long_task_is_not_let_go_for_an_idle_one(void **state)
{
        (void)state;
        bench_with_pools(shrinks_beside_a_long_task, POOLS_PREFORK);
}

static int refuses_sizes(bench *b)
{
        bool solo = b->pool == WORKER_SOLO;
        assert_int_equal(worker_set_concurrency(b->worker, 0), solo ? -EOPNOTSUPP : -EINVAL);
        assert_int_equal(worker_set_concurrency(b->worker, WORKER_CONCURRENCY_MAX + 1),
                         solo ? -EOPNOTSUPP : -EINVAL);
        assert_int_equal(worker_set_autoscale(b->worker, 1, 2), -EOPNOTSUPP);
        return 0;
}

static void sizes_that_cannot_be_are_refused(void **state)
{
        (void)state;
        bench_with_pools(refuses_sizes, POOLS_PREFORK | POOLS_SOLO);
}

static int grows_by_need(bench *b)
{
        sj_result results[12];
        assert_int_equal(worker_concurrency(b->worker), 1);
        for (int i = 0; i < 12; i++)
                assert_int_equal(nap_delay(b->app, 0.6, &results[i]), 0);
        while (worker_concurrency(b->worker) < 4)
                sj_sleep(5 * SJ_MS);
        for (int i = 0; i < 12; i++)
                bench_expect_state(&results[i], "SUCCESS");
        assert_int_equal(worker_concurrency(b->worker), 4);
        assert_int_equal(worker_set_autoscale(b->worker, 3, 2), -EINVAL);
        assert_int_equal(worker_set_autoscale(b->worker, 1, 2), 0);
        while (worker_concurrency(b->worker) > 2)
                sj_sleep(5 * SJ_MS);
        expect_succeeded(b, 12);
        return 0;
}

static void a_worker_grows_by_need_up_to_its_bound(void **state)
{
        (void)state;
        for (unsigned pool = WORKER_PREFORK; pool < WORKER_SOLO; pool++) {
                bench b = {.pool = (worker_pool_kind)pool,
                           .test = grows_by_need,
                           .options = {.autoscale_max = 4}};
                assert_int_equal(sj_run(bench_run, &b), 0);
        }
}

/* ── Replacement ─────────────────────────────────────────────────────────────────────────── */

enum { LIFE = 5 };

static int replaces_children(bench *b)
{
        enum { TASKS = 200 };
        static sj_result results[TASKS];
        static int64_t pids[TASKS];
        sj_arena *arena;
        assert_int_equal(sj_arena_new(&arena), 0);
        for (int i = 0; i < TASKS; i++)
                assert_int_equal(who_delay(b->app, &results[i]), 0);
        for (int i = 0; i < TASKS; i++)
                pids[i] = int_of(&results[i], arena);
        sj_arena_free(arena);
        for (int i = 0; i < TASKS; i++) {
                unsigned same = 0;
                for (int j = 0; j < TASKS; j++)
                        same += pids[j] == pids[i];
                assert_in_range(same, 1, LIFE);
        }
        expect_succeeded(b, TASKS);
        assert_int_equal(worker_count(b->worker).returned, 0);
        return 0;
}

static void children_are_replaced_after_their_tasks(void **state)
{
        (void)state;
        for (unsigned pool = WORKER_PREFORK; pool < WORKER_SOLO; pool++) {
                bench b = {.pool = (worker_pool_kind)pool,
                           .test = replaces_children,
                           .options = {.max_tasks_per_child = LIFE}};
                assert_int_equal(sj_run(bench_run, &b), 0);
        }
}

static int outgrows(bench *b)
{
        sj_result result;
        sj_arena *arena;
        int64_t last = 0;
        assert_int_equal(sj_arena_new(&arena), 0);
        for (int i = 0; i < 6; i++) {
                assert_int_equal(leak_delay(b->app, 10, &result), 0);
                int64_t first = int_of(&result, arena);
                assert_int_not_equal(first, last);
                assert_int_equal(leak_delay(b->app, 200 << 20, &result), 0);
                last = int_of(&result, arena);
                assert_int_equal(first, last);
        }
        sj_arena_free(arena);
        expect_succeeded(b, 12);
        return 0;
}

static void children_are_replaced_when_they_have_grown(void **state)
{
        (void)state;
        bench b = {.pool = WORKER_PREFORK,
                   .test = outgrows,
                   .options = {.concurrency = 1, .max_memory_per_child = 150 << 20}};
        assert_int_equal(sj_run(bench_run, &b), 0);
}

static int sends_while_leaving(bench *b)
{
        sj_result results[2];
        bool prefork = b->pool == WORKER_PREFORK;
        await_children(b, prefork ? 2 : 1);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(nap_and_send_delay(b->app, 0.5, &results[i]), 0);
                await_state(&results[i], SJ_STARTED);
        }
        /* One of two, or the only one for a larger one. */
        assert_int_equal(worker_set_concurrency(b->worker, prefork ? 1 : 5), 0);
        for (int i = 0; i < 2; i++)
                bench_expect_state(&results[i], "SUCCESS");
        expect_succeeded(b, 4);
        return 0;
}

static void a_task_whose_child_is_let_go_may_still_send_tasks(void **state)
{
        (void)state;
        bench_with_pools(sends_while_leaving, POOLS_CHILDREN);
}

static int stays_on(bench *b)
{
        sj_result result;
        sj_arena *arena;
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(stay_delay(b->app, &result), 0);
        pid_t pid = (pid_t)int_of(&result, arena);
        while (kill(pid, 0) == 0)
                sj_sleep(20 * SJ_MS);
        sj_arena_free(arena);
        return 0;
}

static void a_child_that_does_not_leave_is_killed(void **state)
{
        (void)state;
        bench b = {.pool = WORKER_PREFORK,
                   .test = stays_on,
                   .options = {.concurrency = 1, .max_tasks_per_child = 1}};
        assert_int_equal(sj_run(bench_run, &b), 0);
}

/* ── Queues ──────────────────────────────────────────────────────────────────────────────── */

static const sj_call to_other = {.queue = "other"};

static int changes_queues(bench *b)
{
        const sj_str *queues;
        sj_result first, second, third;
        assert_int_equal(who_apply_async(b->app, &to_other, &first), 0);
        assert_int_equal(who_delay(b->app, &second), 0);
        bench_expect_state(&second, "SUCCESS"); /* it waits for more by now, or is about to */
        sj_sleep(20 * SJ_MS);
        assert_int_equal(worker_add_queue(b->worker, SJ_STR("other")), 0);
        assert_int_equal(worker_add_queue(b->worker, SJ_STR("other")), 0);
        assert_int_equal(worker_add_queue(b->worker, SJ_STR("")), -EINVAL);
        assert_int_equal(worker_queues(b->worker, &queues), 2);
        assert_true(sj_str_equal(queues[1], SJ_STR("other")));
        bench_expect_state(&first, "SUCCESS");
        assert_int_equal(worker_cancel_queue(b->worker, SJ_STR("celery")), 0);
        assert_int_equal(worker_cancel_queue(b->worker, SJ_STR("celery")), -ENOENT);
        assert_int_equal(who_delay(b->app, &second), 0);
        assert_int_equal(who_apply_async(b->app, &to_other, &third), 0);
        bench_expect_state(&third, "SUCCESS");
        expect_succeeded(b, 3);
        assert_int_equal(worker_cancel_queue(b->worker, SJ_STR("other")), 0);
        assert_int_equal(worker_queues(b->worker, &queues), 0);
        sj_sleep(20 * SJ_MS);
        assert_int_equal(worker_add_queue(b->worker, SJ_STR("celery")), 0);
        bench_expect_state(&second, "SUCCESS");
        return 0;
}

static void queues_come_and_go_while_it_runs(void **state)
{
        (void)state;
        bench_with_pools(changes_queues, POOLS_PREFORK | POOLS_SOLO);
}

/* ── Limits ──────────────────────────────────────────────────────────────────────────────── */

static int changes_limits(bench *b)
{
        sj_result result;
        await_children(b, 2);
        assert_int_equal(worker_set_limits(b->worker, SJ_STR("nobody"), 0, 1), -ENOENT);
        assert_int_equal(worker_set_limits(b->worker, SJ_STR("hang"), 0, 0.1), 0);
        assert_int_equal(hang_delay(b->app, &result), 0);
        bench_expect_failure(&result, "TimeLimitExceeded");
        return 0;
}

static void a_time_limit_may_be_given_while_it_runs(void **state)
{
        (void)state;
        bench_with_pools(changes_limits, POOLS_PREFORK);
}

static int counts_runs(bench *b)
{
        sj_result lengthy, quick;
        uint64_t *totals, sum = 0;
        assert_int_equal(nap_delay(b->app, 0, &quick), 0);
        bench_expect_state(&quick, "SUCCESS");
        assert_int_equal(nap_delay(b->app, 1, &lengthy), 0);
        for (bool runs = false; !runs; sj_sleep(SJ_MS))
                list_for_each (node, &b->worker->held)
                        runs |= worker_is_running(b->worker, container_of(node, delivery, held));
        assert_int_equal(worker_processed(b->worker), 2);
        assert_int_equal(worker_totals(b->worker, &totals), 0);
        for (size_t i = 0; i <= b->worker->manifest.n; i++)
                sum += totals[i];
        free(totals);
        assert_int_equal(sum, 2);
        bench_expect_state(&lengthy, "SUCCESS");
        assert_int_equal(worker_processed(b->worker), 2);
        return 0;
}

static void what_runs_counts_as_processed_as_in_celery(void **state)
{
        (void)state;
        bench_with_pools(counts_runs, POOLS_CHILDREN);
}

static int blocks(bench *b)
{
        sj_result result;
        assert_int_equal(block_apply_async(b->app, &(sj_call){.soft_time_limit = 0.2}, &result), 0);
        bench_expect_failure(&result, "SoftTimeLimitExceeded");
        expect_succeeded(b, 0);
        return 0;
}

static void a_body_that_is_blocked_hears_of_its_soft_limit(void **state)
{
        (void)state;
        bench_with_pools(blocks, POOLS_PREFORK);
}

static int has_a_limit_of_its_own(bench *b)
{
        sj_result result;
        assert_int_equal(hang_delay(b->app, &result), 0);
        bench_expect_failure(&result, "TimeLimitExceeded");
        return 0;
}

static void the_workers_limit_is_for_tasks_without_one(void **state)
{
        (void)state;
        bench b = {.pool = WORKER_PREFORK,
                   .test = has_a_limit_of_its_own,
                   .options = {.time_limit = 0.1}};
        assert_int_equal(sj_run(bench_run, &b), 0);
}

static int changes_rates(bench *b)
{
        sj_result results[4];
        await_children(b, 2);
        assert_int_equal(worker_set_rate(b->worker, SJ_STR("nobody"), "1/s"), -ENOENT);
        assert_int_equal(worker_set_rate(b->worker, SJ_STR("who"), "often"), -EINVAL);
        assert_int_equal(worker_set_rate(b->worker, SJ_STR("who"), "1/m"), 0);
        for (int i = 0; i < 4; i++)
                assert_int_equal(who_delay(b->app, &results[i]), 0);
        bench_expect_state(&results[0], "SUCCESS");
        while (worker_count(b->worker).held > 0)
                sj_sleep(5 * SJ_MS);
        assert_int_equal(worker_count(b->worker).succeeded, 1);
        assert_int_equal(worker_set_rate(b->worker, SJ_STR("who"), "2/s"), 0);
        sj_time start = sj_now();
        for (int i = 0; i < 3; i++)
                assert_int_equal(who_delay(b->app, &results[i]), 0);
        for (int i = 0; i < 3; i++)
                bench_expect_state(&results[i], "SUCCESS");
        assert_true(sj_now() - start >= SJ_SEC);
        assert_int_equal(worker_set_rate(b->worker, SJ_STR("who"), NULL), 0);
        for (int i = 0; i < 4; i++)
                assert_int_equal(who_delay(b->app, &results[i]), 0);
        for (int i = 0; i < 4; i++)
                bench_expect_state(&results[i], "SUCCESS");
        return 0;
}

static void a_rate_limit_may_be_changed_while_it_runs(void **state)
{
        (void)state;
        bench_with_pools(changes_rates, POOLS_PREFORK);
}

static int run_second(void *arg)
{
        return worker_run(arg);
}

/* Two workers, one limit: six take a second, whoever runs them. */
static int shares_a_rate(bench *b)
{
        enum { TASKS = 6 };
        sj_result results[TASKS], other;
        worker *second;
        worker_options options = b->options;
        options.name = "second@test";
        assert_int_equal(worker_new(&options, &second), 0);
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *f;
        assert_int_equal(sj_spawn(s, run_second, second, &f), 0);
        while (worker_count(second).children == 0 && b->pool != WORKER_SOLO)
                sj_sleep(5 * SJ_MS);
        sj_time start = sj_now();
        for (int i = 0; i < TASKS; i++)
                assert_int_equal(shared_delay(b->app, &results[i]), 0);
        assert_int_equal(who_delay(b->app, &other), 0);
        bench_expect_state(&other, "SUCCESS");
        for (int i = 0; i < TASKS; i++)
                bench_expect_state(&results[i], "SUCCESS");
        assert_true(sj_now() - start >= (TASKS - 1) * SJ_SEC / 5);
        worker_stop(second, WORKER_STOP_WARM);
        assert_int_equal(sj_join(f, SJ_NEVER), 0);
        worker_free(second);
        return 0;
}

static void a_rate_is_shared_by_all_workers(void **state)
{
        (void)state;
        bench_with_pools(shares_a_rate, POOLS_PREFORK | POOLS_SOLO);
}

static int limits_each_customer(bench *b)
{
        static const char *const customers[] = {"ann", "bob", "ann", "eve", "bob"};
        sj_result results[5];
        uint64_t leased;
        for (int i = 0; i < 5; i++)
                assert_int_equal(by_customer_delay(b->app, i, customers[i], &results[i]), 0);
        assert_int_equal(sj_send_task(b->app, "by_customer", "[9]", "{\"customer\": \"joe\"}", NULL,
                                      &results[2]),
                         0);
        bench_expect_int(&results[0], 0);
        bench_expect_int(&results[1], 1);
        bench_expect_int(&results[3], 3);
        bench_expect_int(&results[2], 9);
        /* The second ones wait in the broker, and hold up nobody. */
        while (worker_count(b->worker).held > 0)
                sj_sleep(5 * SJ_MS);
        assert_int_equal(bench_waiting(b, &leased), 2);
        assert_int_equal(worker_count(b->worker).succeeded, 4);
        return 0;
}

static void a_rate_may_be_for_each_value_of_an_argument(void **state)
{
        (void)state;
        bench_with_pools(limits_each_customer, POOLS_PREFORK | POOLS_SOLO);
}

/* What a call gives in its headers; as Python's apply_async(headers={"rate_key": ...}) does. */
static int limits_each_key_of_a_call(bench *b)
{
        static const char *const keys[] = {"joe", "ann", "joe", NULL};
        sj_result results[4];
        uint64_t leased;
        sj_arena *arena;
        const sj_str name = SJ_STR("rate_key");
        assert_int_equal(sj_arena_new(&arena), 0);
        for (int i = 0; i < 4; i++) {
                const sj_json *key = keys[i] ? sj_json_new_string(arena, sj_str_of(keys[i])) : NULL;
                const sj_call call = {.headers = key ? sj_json_new_object(arena, &name, &key, 1)
                                                     : NULL};
                assert_int_equal(by_call_apply_async(b->app, &call, &results[i], i), 0);
        }
        sj_arena_free(arena);
        bench_expect_int(&results[0], 0);
        bench_expect_int(&results[1], 1);
        bench_expect_int(&results[3], 3);
        while (worker_count(b->worker).held > 0)
                sj_sleep(5 * SJ_MS);
        assert_int_equal(bench_waiting(b, &leased), 1);
        assert_int_equal(worker_count(b->worker).succeeded, 3);
        return 0;
}

static void a_rate_may_be_for_each_key_that_a_call_gives(void **state)
{
        (void)state;
        bench_with_pools(limits_each_key_of_a_call, POOLS_PREFORK);
}

/* By its place, and so for each value, though the task itself has none. */
static int limits_by_annotation(bench *b)
{
        sj_result results[3];
        uint64_t leased;
        for (int i = 0; i < 3; i++)
                assert_int_equal(by_call_delay(b->app, i % 2, &results[i]), 0);
        bench_expect_int(&results[0], 0);
        bench_expect_int(&results[1], 1);
        while (worker_count(b->worker).held > 0)
                sj_sleep(5 * SJ_MS);
        assert_int_equal(bench_waiting(b, &leased), 1);
        return 0;
}

static void an_annotation_may_say_what_a_rate_is_for(void **state)
{
        (void)state;
        static const task_annotation annotations[] = {
                {.pattern = "by_*l", .option = "rate_key", .value = "0"}};
        bench b = {.pool = WORKER_PREFORK,
                   .test = limits_by_annotation,
                   .options = {.annotations = annotations, .n_annotations = 1}};
        assert_int_equal(sj_run(bench_run, &b), 0);
}

static int limits_a_queue(bench *b)
{
        sj_result results[3], other;
        uint64_t leased;
        const sj_call call = {.queue = "slow.one"};
        assert_int_equal(worker_add_queue(b->worker, SJ_STR("slow.one")), 0);
        for (int i = 0; i < 3; i++)
                assert_int_equal(who_apply_async(b->app, &call, &results[i]), 0);
        assert_int_equal(who_delay(b->app, &other), 0);
        bench_expect_state(&other, "SUCCESS");
        bench_expect_state(&results[0], "SUCCESS");
        while (worker_count(b->worker).held > 0)
                sj_sleep(5 * SJ_MS);
        assert_int_equal(bench_waiting(b, &leased), 2);
        return 0;
}

static void a_queue_may_have_a_rate(void **state)
{
        (void)state;
        static const worker_queue_rate rates[] = {{"slow.*", 1.0 / 60}};
        bench b = {.pool = WORKER_PREFORK,
                   .test = limits_a_queue,
                   .options = {.queue_rates = rates, .n_queue_rates = 1}};
        assert_int_equal(sj_run(bench_run, &b), 0);
}

/* ── Revoking ────────────────────────────────────────────────────────────────────────────── */

static int revokes_what_waits(bench *b)
{
        sj_result running[2], waiting, later;
        await_children(b, 2);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(nap_delay(b->app, 0.5, &running[i]), 0);
                await_state(&running[i], SJ_STARTED);
        }
        assert_int_equal(who_delay(b->app, &waiting), 0);
        const sj_str ids[] = {id_of(&running[0]), id_of(&waiting)};
        assert_int_equal(worker_revoke(b->worker, ids, 2, false, 0), 0);
        bench_expect_state(&waiting, "REVOKED");
        for (int i = 0; i < 2; i++)
                bench_expect_state(&running[i], "SUCCESS");
        assert_true(worker_is_revoked(b->worker, ids[0]));
        /* One that has never been here. */
        assert_int_equal(who_apply_async(b->app, &to_other, &later), 0);
        const sj_str unseen = id_of(&later);
        assert_false(worker_is_revoked(b->worker, unseen));
        assert_int_equal(worker_revoke(b->worker, &unseen, 1, true, 0), 0);
        assert_int_equal(worker_add_queue(b->worker, SJ_STR("other")), 0);
        bench_expect_state(&later, "REVOKED");
        assert_int_equal(worker_revoke(b->worker, &(sj_str){0}, 1, true, 0), -EINVAL);
        return 0;
}

static void what_waits_is_revoked_and_what_runs_is_left_alone(void **state)
{
        (void)state;
        bench_with_pools(revokes_what_waits, POOLS_PREFORK);
}

SJ_TASK(tells, void)
{
        if (sj_task_event(self, "worker-x", "{}") != -EINVAL ||
            sj_task_event(self, "Task", "{}") != -EINVAL ||
            sj_task_event(self, "task-paid", "[1]") != -EINVAL)
                return sj_raise(self, "ValueError", "what is no event was told");
        return sj_task_event(self, "task-paid", "{\"cents\": 950, \"uuid\": \"forged\"}");
}

static int tells_events_of_its_own(bench *b)
{
        static const sj_str all = {"celeryev/*", 10};
        broker_subscription *s;
        sj_result result;
        sj_arena *arena;
        sj_str channel, text;
        char paid[SJ_TASK_ID_MAX + 64];
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(broker_subscribe(b->broker, &all, 1, &s, sj_after(BENCH_LIMIT / 2)), 0);
        assert_int_equal(tells_delay(b->app, &result), 0);
        bench_expect_state(&result, "SUCCESS");
        snprintf(paid, sizeof(paid), "\"uuid\": \"%s\", \"cents\": 950, \"timestamp\"", result.id);
        letter l = {0};
        const char *why;
        do {
                assert_int_equal(broker_next(s, arena, &channel, &text, sj_after(BENCH_LIMIT / 2)),
                                 0);
                assert_int_equal(letter_decode(arena, text, &l, &why), 0);
                assert_int_equal(
                        sj_json_text(arena, l.body, SJ_JSON_PYTHON | SJ_JSON_SPACED, &text), 0);
        } while (!strstr(text.data, "task-paid"));
        if (!strstr(text.data, paid))
                fail_msg("%s", text.data);
        broker_unsubscribe(s);
        sj_arena_free(arena);
        return 0;
}

static void a_task_tells_events_of_its_own(void **state)
{
        (void)state;
        bench_with_pools(tells_events_of_its_own, POOLS_ALL);
}

/*
 * A task in a thread is heard in the order in which it spoke: what comes after its end would belong
 * to nobody, and whoever says that is replaced, with all the tasks that it runs.
 */
static int tells_much(bench *b)
{
        enum { MANY = 2000 };
        static sj_result results[MANY];
        for (int i = 0; i < MANY; i++)
                assert_int_equal(tells_delay(b->app, &results[i]), 0);
        for (int i = 0; i < MANY; i++)
                bench_expect_state(&results[i], "SUCCESS");
        expect_succeeded(b, MANY);
        return 0;
}

static void what_a_task_tells_comes_before_its_end(void **state)
{
        (void)state;
        bench_with_pools(tells_much, POOLS_THREADS);
}

SJ_TASK(sleep_long, void)
{
        (void)self;
        return sj_sleep(SJ_HOUR);
}

/* Without a process of its own to be killed: its wait is cancelled, and nobody else's. */
static int terminates_what_waits(bench *b)
{
        sj_result sleeper, other;
        assert_int_equal(sleep_long_delay(b->app, &sleeper), 0);
        await_state(&sleeper, SJ_STARTED);
        if (b->pool == WORKER_FIBERS_POOL)
                assert_int_equal(who_delay(b->app, &other), 0);
        const sj_str id = id_of(&sleeper);
        assert_int_equal(worker_revoke(b->worker, &id, 1, true, 0), 1);
        bench_expect_state(&sleeper, "REVOKED");
        if (b->pool != WORKER_FIBERS_POOL)
                assert_int_equal(who_delay(b->app, &other), 0);
        bench_expect_state(&other, "SUCCESS");
        return 0;
}

static void a_running_fiber_is_terminated_by_cancellation(void **state)
{
        (void)state;
        bench_with_pools(terminates_what_waits, POOLS_FIBERS | POOLS_SOLO);
}

static int terminates(bench *b)
{
        sj_result stuck, others[10];
        assert_int_equal(worker_set_concurrency(b->worker, 1), 0);
        assert_int_equal(hang_delay(b->app, &stuck), 0);
        for (int i = 0; i < 10; i++)
                assert_int_equal(who_delay(b->app, &others[i]), 0);
        await_state(&stuck, SJ_STARTED);
        const sj_str id = id_of(&stuck);
        assert_int_equal(worker_revoke(b->worker, &id, 1, true, 0), 1);
        bench_expect_state(&stuck, "REVOKED");
        for (int i = 0; i < 10; i++)
                bench_expect_state(&others[i], "SUCCESS");
        expect_succeeded(b, 10);
        return 0;
}

static void a_running_task_is_terminated_by_a_signal(void **state)
{
        (void)state;
        bench_with_pools(terminates, POOLS_PREFORK);
}

static int tells_to_end(bench *b)
{
        sj_result result;
        assert_int_equal(until_cancelled_delay(b->app, &result), 0);
        await_state(&result, SJ_STARTED);
        const sj_str id = id_of(&result);
        assert_int_equal(worker_revoke(b->worker, &id, 1, true, SIGKILL), 1);
        bench_expect_state(&result, "REVOKED");
        return 0;
}

static void where_a_signal_would_hit_others_a_task_is_told_to_end(void **state)
{
        (void)state;
        bench_with_pools(tells_to_end, POOLS_THREADS | POOLS_FIBERS | POOLS_SOLO);
}

int main(int argc, char **argv)
{
        sj_boot(argc, argv);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(nothing_is_lost_or_run_twice_while_it_grows_and_shrinks),
                cmocka_unit_test(who_runs_a_long_task_is_not_let_go_for_an_idle_one),
                cmocka_unit_test(sizes_that_cannot_be_are_refused),
                cmocka_unit_test(a_worker_grows_by_need_up_to_its_bound),
                cmocka_unit_test(children_are_replaced_after_their_tasks),
                cmocka_unit_test(children_are_replaced_when_they_have_grown),
                cmocka_unit_test(a_task_whose_child_is_let_go_may_still_send_tasks),
                cmocka_unit_test(a_child_that_does_not_leave_is_killed),
                cmocka_unit_test(a_body_that_is_blocked_hears_of_its_soft_limit),
                cmocka_unit_test(queues_come_and_go_while_it_runs),
                cmocka_unit_test(what_runs_counts_as_processed_as_in_celery),
                cmocka_unit_test(a_time_limit_may_be_given_while_it_runs),
                cmocka_unit_test(the_workers_limit_is_for_tasks_without_one),
                cmocka_unit_test(a_rate_limit_may_be_changed_while_it_runs),
                cmocka_unit_test(a_rate_is_shared_by_all_workers),
                cmocka_unit_test(a_rate_may_be_for_each_value_of_an_argument),
                cmocka_unit_test(a_rate_may_be_for_each_key_that_a_call_gives),
                cmocka_unit_test(an_annotation_may_say_what_a_rate_is_for),
                cmocka_unit_test(a_queue_may_have_a_rate),
                cmocka_unit_test(what_waits_is_revoked_and_what_runs_is_left_alone),
                cmocka_unit_test(a_running_task_is_terminated_by_a_signal),
                cmocka_unit_test(a_running_fiber_is_terminated_by_cancellation),
                cmocka_unit_test(a_task_tells_events_of_its_own),
                cmocka_unit_test(what_a_task_tells_comes_before_its_end),
                cmocka_unit_test(where_a_signal_would_hit_others_a_task_is_told_to_end),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
