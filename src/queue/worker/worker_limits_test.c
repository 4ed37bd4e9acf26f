/* SPDX-License-Identifier: MIT */
/* Limits of tasks while a worker runs: of their time, and of their rate. */
#include "queue/worker/worker_internal.h"
#include "queue/worker/worker_running_unit.h"

#include <stdlib.h>

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

int main(int argc, char **argv)
{
        sj_boot(argc, argv);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_body_that_is_blocked_hears_of_its_soft_limit),
                cmocka_unit_test(what_runs_counts_as_processed_as_in_celery),
                cmocka_unit_test(a_time_limit_may_be_given_while_it_runs),
                cmocka_unit_test(the_workers_limit_is_for_tasks_without_one),
                cmocka_unit_test(a_rate_limit_may_be_changed_while_it_runs),
                cmocka_unit_test(a_rate_is_shared_by_all_workers),
                cmocka_unit_test(a_rate_may_be_for_each_value_of_an_argument),
                cmocka_unit_test(a_rate_may_be_for_each_key_that_a_call_gives),
                cmocka_unit_test(an_annotation_may_say_what_a_rate_is_for),
                cmocka_unit_test(a_queue_may_have_a_rate),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
