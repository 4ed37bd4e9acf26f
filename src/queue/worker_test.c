/* SPDX-License-Identifier: MIT */
/*
 * Workers of every pool, with real children, over the broker in memory. The tasks are those of
 * this program itself.
 */
#include "base/unit.h"
#include "queue/worker_bench.h"
#include "queue/worker_wire.h"

#include <sanjab/exec.h>
#include <sanjab/queue.h>

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* ── Tasks ───────────────────────────────────────────────────────────────────────────────── */

SJ_TASK(multiply, int64_t, (int64_t, a), (int64_t, b))
{
        *ret = a * b;
        return 0;
}

SJ_TASK(nap, void, (double, seconds))
{
        return sj_sleep((sj_time)(seconds * (double)SJ_SEC));
}

SJ_TASK(hang, void)
{
        while (self)
                usleep(1000);
        return 0;
}
SJ_TASK_OPTIONS(hang, .time_limit = 0.3);

SJ_TASK(crash, void)
{
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
        return 0;
}
SJ_TASK_OPTIONS(crash, .max_deliveries = 2);

SJ_TASK(stubborn, int64_t)
{
        if (self->retries < 2)
                return sj_retry(self, &(sj_retry_options){.countdown = 0.01});
        *ret = self->retries;
        return 0;
}

SJ_TASK(until_cancelled, void)
{
        while (!sj_task_cancelled(self))
                if (sj_sleep(SJ_MS) < 0)
                        break;
        return 0;
}

SJ_TASK(parent, const char *)
{
        sj_result child;
        int r = multiply_delay(self->app, 6, 7, &child);
        if (r < 0)
                return r;
        *ret = sj_arena_strndup(self->arena, child.id, strlen(child.id));
        return *ret ? 0 : -ENOMEM;
}

SJ_TASK(early, void)
{
        return sj_raise(self, "ValueError", "early bird");
}
SJ_TASK_OPTIONS(early, .acks_early = true);

/* ── Tests ───────────────────────────────────────────────────────────────────────────────── */

enum { MANY = 500 };

static int many_multiplications(bench *b)
{
        static sj_result results[MANY];
        sj_arena *arena;
        sj_outcome outcome;
        assert_int_equal(sj_arena_new(&arena), 0);
        for (int i = 0; i < MANY; i++)
                assert_int_equal(multiply_delay(b->app, i, 2, &results[i]), 0);
        for (int i = 0; i < MANY; i++) {
                int64_t value = -1;
                assert_int_equal(bench_outcome(&results[i], arena, &outcome), 0);
                assert_string_equal(outcome.state_name, "SUCCESS");
                assert_int_equal(sj_json_int(outcome.value, &value), 0);
                assert_int_equal(value, 2 * i);
        }
        sj_arena_free(arena);
        return 0;
}

static void tasks_are_run_and_their_results_kept(void **state)
{
        (void)state;
        bench_with_pools(many_multiplications, POOLS_ALL);
}

static int calls_what_is_wrong(bench *b)
{
        sj_result result;
        assert_int_equal(sj_send_task(b->app, "nobody", "[]", NULL, NULL, &result), 0);
        bench_expect_failure(&result, "NotRegistered");
        assert_int_equal(sj_send_task(b->app, "multiply", "[1]", NULL, NULL, &result), 0);
        bench_expect_failure(&result, "TypeError");
        assert_int_equal(sj_send_task(b->app, "multiply", "[1, \"x\"]", NULL, NULL, &result), 0);
        bench_expect_failure(&result, "TypeError");
        return 0;
}

static void wrong_names_and_arguments_are_failures(void **state)
{
        (void)state;
        bench_with_pools(calls_what_is_wrong, POOLS_ALL);
}

static int crashes(bench *b)
{
        sj_result result;
        assert_int_equal(crash_delay(b->app, &result), 0);
        sj_result after;
        assert_int_equal(multiply_delay(b->app, 3, 4, &after), 0);
        sj_arena *arena;
        sj_outcome outcome;
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(bench_outcome(&after, arena, &outcome), 0);
        assert_string_equal(outcome.state_name, "SUCCESS");
        assert_int_equal(bench_outcome(&result, arena, &outcome), 0);
        assert_string_equal(outcome.state_name, "FAILURE");
        const broker_dead *dead;
        assert_int_equal(
                broker_dead_list(b->broker, (sj_str){0}, (sj_str){0}, 10, arena, &dead, SJ_NEVER),
                1);
        sj_arena_free(arena);
        /* In one process with others, it takes them with it. */
        assert_true(worker_count(b->worker).crashed >= 2);
        return 0;
}

static void a_task_that_kills_its_child_is_dead_after_its_deliveries(void **state)
{
        (void)state;
        bench_with_pools(crashes, POOLS_CHILDREN);
}

static int runs_too_long(bench *b)
{
        sj_result result;
        assert_int_equal(hang_delay(b->app, &result), 0);
        bench_expect_failure(&result, "TimeLimitExceeded");
        return 0;
}

static void a_task_over_its_limit_is_killed(void **state)
{
        (void)state;
        bench_with_pools(runs_too_long, POOLS_PREFORK);
}

static int naps_too_long(bench *b)
{
        sj_result result;
        assert_int_equal(nap_apply_async(b->app, &(sj_call){.time_limit = 0.1}, &result, 50), 0);
        bench_expect_failure(&result, "TimeLimitExceeded");
        return 0;
}

static void a_fiber_over_its_limit_is_cancelled(void **state)
{
        (void)state;
        bench_with_pools(naps_too_long, POOLS_FIBERS);
}

static int retries(bench *b)
{
        sj_result result;
        sj_arena *arena;
        sj_outcome outcome;
        int64_t value = 0;
        assert_int_equal(stubborn_delay(b->app, &result), 0);
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(bench_outcome(&result, arena, &outcome), 0);
        assert_string_equal(outcome.state_name, "SUCCESS");
        assert_int_equal(sj_json_int(outcome.value, &value), 0);
        sj_arena_free(arena);
        return value == 2 ? 0 : -EIO;
}

static void retries_come_to_their_end(void **state)
{
        (void)state;
        bench_with_pools(retries, POOLS_ALL);
}

static int revokes(bench *b)
{
        sj_result result;
        sj_arena *arena;
        sj_outcome outcome;
        assert_int_equal(until_cancelled_delay(b->app, &result), 0);
        assert_int_equal(sj_arena_new(&arena), 0);
        do {
                sj_sleep(10 * SJ_MS);
                assert_int_equal(sj_result_state(&result, arena, &outcome, SJ_NEVER), 0);
        } while (outcome.state != SJ_STARTED);
        assert_int_equal(sj_result_revoke(&result, SJ_NEVER), 0);
        assert_int_equal(bench_outcome(&result, arena, &outcome), 0);
        sj_arena_free(arena);
        return 0;
}

static void a_running_task_hears_of_its_revocation(void **state)
{
        (void)state;
        for (unsigned pool = WORKER_PREFORK; pool <= WORKER_SOLO; pool++) {
                bench b = {.pool = (worker_pool_kind)pool,
                           .test = revokes,
                           .options = {.lease = SJ_SEC}};
                assert_int_equal(sj_run(bench_run, &b), 0);
        }
}

static int has_children_of_its_own(bench *b)
{
        sj_result result, child = {.app = b->app};
        sj_arena *arena;
        sj_outcome outcome;
        sj_str id;
        int64_t value = 0;
        assert_int_equal(parent_delay(b->app, &result), 0);
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(bench_outcome(&result, arena, &outcome), 0);
        assert_string_equal(outcome.state_name, "SUCCESS");
        assert_int_equal(sj_json_string(outcome.value, &id), 0);
        snprintf(child.id, sizeof(child.id), "%.*s", SJ_STR_ARG(id));
        assert_int_equal(bench_outcome(&child, arena, &outcome), 0);
        assert_int_equal(sj_json_int(outcome.value, &value), 0);
        sj_arena_free(arena);
        return value == 42 ? 0 : -EIO;
}

static void a_task_may_send_tasks(void **state)
{
        (void)state;
        bench_with_pools(has_children_of_its_own, POOLS_ALL);
}

static int acknowledges_early(bench *b)
{
        sj_result result;
        assert_int_equal(early_delay(b->app, &result), 0);
        bench_expect_failure(&result, "ValueError");
        return 0;
}

static void a_task_acknowledged_early_has_its_result(void **state)
{
        (void)state;
        bench_with_pools(acknowledges_early, POOLS_ALL);
}

static int stops_cold(bench *b)
{
        sj_result result;
        uint64_t leased = 0;
        for (int i = 0; i < 20; i++)
                assert_int_equal(nap_delay(b->app, 100, &result), 0);
        while (bench_waiting(b, &leased), leased == 0)
                sj_sleep(10 * SJ_MS);
        sj_sleep(100 * SJ_MS);
        worker_stop(b->worker, WORKER_STOP_COLD);
        while (worker_count(b->worker).held > 0)
                sj_sleep(10 * SJ_MS);
        uint64_t ready = bench_waiting(b, &leased);
        return ready == 20 && leased == 0 ? 0 : -EIO;
}

static void a_cold_stop_gives_all_back(void **state)
{
        (void)state;
        bench_with_pools(stops_cold, POOLS_ALL);
}

static int stops_warm(bench *b)
{
        sj_result result[10];
        uint64_t leased = 0;
        for (int i = 0; i < 10; i++)
                assert_int_equal(nap_delay(b->app, 0.3, &result[i]), 0);
        while (bench_waiting(b, &leased), leased == 0)
                sj_sleep(10 * SJ_MS);
        sj_sleep(50 * SJ_MS);
        worker_stop(b->worker, WORKER_STOP_WARM);
        while (worker_count(b->worker).held > 0)
                sj_sleep(10 * SJ_MS);
        worker_counts counts = worker_count(b->worker);
        uint64_t ready = bench_waiting(b, &leased);
        return leased == 0 && counts.succeeded >= 1 && ready + counts.succeeded == 10 ? 0 : -EIO;
}

static void a_warm_stop_waits_for_what_runs(void **state)
{
        (void)state;
        bench_with_pools(stops_warm, POOLS_ALL);
}

static int second_of_the_name(bench *b)
{
        worker *second;
        while (worker_count(b->worker).children == 0)
                sj_sleep(10 * SJ_MS);
        assert_int_equal(worker_new(&b->options, &second), 0);
        assert_int_equal(worker_run(second), -EEXIST);
        assert_non_null(strstr(worker_error(second), "w@test"));
        worker_free(second);
        return 0;
}

static void two_workers_of_one_name_are_refused(void **state)
{
        (void)state;
        bench_with_pools(second_of_the_name, POOLS_PREFORK);
}

static int sends_by_routes(bench *b)
{
        sj_result result;
        sj_arena *arena;
        const broker_depth *depths;
        assert_int_equal(parent_delay(b->app, &result), 0);
        bench_expect_state(&result, "SUCCESS");
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(broker_queues(b->broker, arena, &depths, SJ_NEVER), 1);
        assert_int_equal(depths[0].queue.n, strlen("elsewhere"));
        assert_memory_equal(depths[0].queue.data, "elsewhere", strlen("elsewhere"));
        assert_int_equal(depths[0].ready, 1);
        sj_arena_free(arena);
        return 0;
}

static void what_a_task_sends_goes_by_the_workers_routes(void **state)
{
        (void)state;
        static const sj_route routes[] = {{"other.*", "nowhere"}, {"mul*", "elsewhere"}};
        static const sj_app_options app = {
                .routes = routes, .n_routes = 2, .default_queue = "rest"};
        for (unsigned pool = WORKER_PREFORK; pool <= WORKER_SOLO; pool++) {
                bench b = {.pool = (worker_pool_kind)pool,
                           .test = sends_by_routes,
                           .options = {.app = &app}};
                assert_int_equal(sj_run(bench_run, &b), 0);
        }
}

static void routes_that_make_no_sense_are_refused(void **state)
{
        (void)state;
        static const sj_str texts[] = {
                {"", 0}, {"a", 1}, {"\0a", 2}, {"\0a\0", 3}, {"q\0a\0b\0c\0", 8}};
        sj_arena *arena;
        sj_app_options options;
        assert_int_equal(sj_arena_new(&arena), 0);
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                assert_int_equal(wire_read_routes(texts[i], arena, &options), -EPROTO);
        assert_int_equal(wire_read_routes((sj_str){"\0a\0b\0", 5}, arena, &options), 0);
        assert_null(options.default_queue);
        assert_int_equal(options.n_routes, 1);
        assert_string_equal(options.routes[0].pattern, "a");
        assert_string_equal(options.routes[0].queue, "b");
        sj_arena_free(arena);
}

int main(int argc, char **argv)
{
        sj_boot(argc, argv);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(tasks_are_run_and_their_results_kept),
                cmocka_unit_test(wrong_names_and_arguments_are_failures),
                cmocka_unit_test(a_task_that_kills_its_child_is_dead_after_its_deliveries),
                cmocka_unit_test(a_task_over_its_limit_is_killed),
                cmocka_unit_test(a_fiber_over_its_limit_is_cancelled),
                cmocka_unit_test(retries_come_to_their_end),
                cmocka_unit_test(a_running_task_hears_of_its_revocation),
                cmocka_unit_test(a_task_may_send_tasks),
                cmocka_unit_test(what_a_task_sends_goes_by_the_workers_routes),
                cmocka_unit_test(routes_that_make_no_sense_are_refused),
                cmocka_unit_test(a_task_acknowledged_early_has_its_result),
                cmocka_unit_test(a_cold_stop_gives_all_back),
                cmocka_unit_test(a_warm_stop_waits_for_what_runs),
                cmocka_unit_test(two_workers_of_one_name_are_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
