/* SPDX-License-Identifier: MIT */
/*
 * Workers of every pool, with real children, over the broker in memory. The tasks are those of
 * this program itself.
 */
#include "base/unit.h"
#include "queue/worker/worker_bench.h"
#include "queue/worker/worker_wire.h"

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

/* Sends one by a policy and deadline of its own; what came of it. */
SJ_TASK(hasty, int64_t, (bool, once), (double, seconds))
{
        const sj_retry_policy none = {.max_retries = SJ_NO_RETRIES};
        const sj_call call = {.retry = once ? &none : NULL,
                              .deadline = sj_after((sj_time)(seconds * (double)SJ_SEC))};
        *ret = sj_send_task(self->app, "multiply", "[1, 2]", NULL, &call, NULL);
        return 0;
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

static int warned;

static void hear_warning(void *arg, sj_log_level level, const char *text)
{
        (void)arg;
        warned += level == SJ_LOG_WARNING && strstr(text, "the pool of threads cannot enforce");
}

static void a_limit_that_threads_cannot_enforce_is_told_at_the_start(void **state)
{
        (void)state;
        sj_log_set(hear_warning, NULL, SJ_LOG_WARNING);
        bench_with_pools(many_multiplications, POOLS_PREFORK);
        assert_int_equal(warned, 0);
        bench_with_pools(many_multiplications, POOLS_THREADS);
        assert_int_equal(warned, 1);
        sj_log_set(NULL, NULL, SJ_LOG_WARNING);
}

static void hear_of_messages(void *arg, sj_log_level level, const char *text)
{
        *(int *)arg += level == SJ_LOG_WARNING && strstr(text, "brings a hard time limit");
}

static int limits_of_messages(bench *b)
{
        sj_result result;
        for (int i = 0; i < 4; i++) {
                const sj_call call = {.time_limit = i % 2 ? 60 : 0};
                assert_int_equal(nap_apply_async(b->app, &call, &result, 0), 0);
                bench_expect_state(&result, "SUCCESS");
                assert_int_equal(multiply_apply_async(b->app, &call, &result, 2, 3), 0);
                bench_expect_state(&result, "SUCCESS");
        }
        return 0;
}

static void a_limit_of_a_message_that_threads_cannot_enforce_is_told_once_of_each_task(void **state)
{
        (void)state;
        int heard = 0;
        sj_log_set(hear_of_messages, &heard, SJ_LOG_WARNING);
        bench_with_pools(limits_of_messages, POOLS_ALL & ~POOLS_THREADS);
        assert_int_equal(heard, 0);
        bench_with_pools(limits_of_messages, POOLS_THREADS);
        assert_int_equal(heard, 2);
        sj_log_set(NULL, NULL, SJ_LOG_WARNING);
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

/* Its broker is slow, for both ways. */
static int sends_in_haste(bench *b)
{
        faulty_plan *plans = b->faulty->plans;
        const struct {
                bool once;
                double seconds;
                int result;
                unsigned calls, calls_once;
        } rows[] = {
                {false, 10, 0, 1, 0},
                {true, 10, 0, 0, 1},
                {false, 0.01, -ETIMEDOUT, 1, 0},
                {true, 0.01, -ETIMEDOUT, 0, 1},
        };
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                sj_result result;
                plans[FAULTY_PUBLISH] = (faulty_plan){.delay = SJ_SEC};
                plans[FAULTY_PUBLISH_ONCE] = (faulty_plan){.delay = SJ_SEC};
                assert_int_equal(hasty_delay(b->app, rows[i].once, rows[i].seconds, &result), 0);
                bench_expect_int(&result, rows[i].result);
                assert_int_equal(plans[FAULTY_PUBLISH].calls, rows[i].calls);
                assert_int_equal(plans[FAULTY_PUBLISH_ONCE].calls, rows[i].calls_once);
        }
        return 0;
}

static void what_a_task_sends_has_a_policy_and_deadline_of_its_own(void **state)
{
        (void)state;
        for (unsigned pool = WORKER_PREFORK; pool < WORKER_SOLO; pool++) {
                broker_faulty faulty;
                bench b = {
                        .pool = (worker_pool_kind)pool, .faulty = &faulty, .test = sends_in_haste};
                assert_int_equal(sj_run(bench_run, &b), 0);
        }
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

/* Waits until one is leased and runs, stops the worker so, and sees that this was no delivery. */
static int stop_is_no_delivery(bench *b, worker_stop_kind kind)
{
        sj_result result;
        uint64_t leased = 0;
        assert_int_equal(nap_apply_async(b->app, &(sj_call){.max_deliveries = 1}, &result, 100), 0);
        while (bench_waiting(b, &leased), leased == 0)
                sj_sleep(10 * SJ_MS);
        sj_sleep(100 * SJ_MS);
        worker_stop(b->worker, kind);
        while (worker_count(b->worker).held > 0)
                sj_sleep(10 * SJ_MS);
        broker_lease *lease;
        const sj_str queue = SJ_STR(SJ_QUEUE_DEFAULT);
        const broker_claim claim = {.queues = &queue, .n_queues = 1, .worker = SJ_STR("w")};
        assert_int_equal(broker_lease_next(b->broker, &claim, &lease, 1, SJ_NEVER), 1);
        int deliveries = (int)lease->deliveries;
        broker_lease_free(lease);
        return deliveries == 1 ? 0 : -EIO;
}

static int is_stopped_cold(bench *b)
{
        return stop_is_no_delivery(b, WORKER_STOP_COLD);
}

static int is_stopped_by_the_limit(bench *b)
{
        return stop_is_no_delivery(b, WORKER_STOP_WARM);
}

static void what_an_ordered_stop_interrupts_was_not_delivered(void **state)
{
        (void)state;
        bench_with_pools(is_stopped_cold, POOLS_ALL);
        for (unsigned pool = WORKER_PREFORK; pool <= WORKER_SOLO; pool++) {
                bench b = {.pool = (worker_pool_kind)pool,
                           .test = is_stopped_by_the_limit,
                           .options = {.warm_limit = 10 * SJ_MS}};
                assert_int_equal(sj_run(bench_run, &b), 0);
        }
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
        static const sj_route routes[] = {{.pattern = "other.*", .queue = "nowhere"},
                                          {.pattern = "mul*", .queue = "elsewhere"}};
        static const sj_app_options app = {
                .routes = routes, .n_routes = 2, .default_queue = "rest"};
        for (unsigned pool = WORKER_PREFORK; pool <= WORKER_SOLO; pool++) {
                bench b = {.pool = (worker_pool_kind)pool,
                           .test = sends_by_routes,
                           .options = {.app = &app}};
                assert_int_equal(sj_run(bench_run, &b), 0);
        }
}

static void what_a_child_is_told_of_its_app_is_what_the_worker_has(void **state)
{
        (void)state;
        const sj_route routes[] = {{.pattern = "a.*", .queue = "b", .priority = 3},
                                   {.pattern = "c", .queue = NULL, .priority = 9}};
        const sj_app_options app = {.default_queue = "rest",
                                    .default_priority = 5,
                                    .serializer = "msgpack",
                                    .compression = "zstd",
                                    .canvas = SJ_CANVAS_CELERY,
                                    .broker = "redis://:secret@here/1",
                                    .result_backend = "redis://there/2",
                                    .transport = "{}",
                                    .result_transport = "{\"a\": 1}",
                                    .result_expires = 0.5,
                                    .routes = routes,
                                    .n_routes = 2};
        sj_arena *arena;
        sj_app_options read;
        buf text = BUF_INIT(0);
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(wire_write_app(&text, &app), 0);
        assert_int_equal(wire_read_app(buf_str(&text), arena, &read), 0);
        assert_string_equal(read.default_queue, "rest");
        assert_int_equal(read.default_priority, 5);
        assert_string_equal(read.serializer, "msgpack");
        assert_string_equal(read.compression, "zstd");
        assert_int_equal(read.canvas, SJ_CANVAS_CELERY);
        assert_string_equal(read.broker, app.broker);
        assert_string_equal(read.result_backend, app.result_backend);
        assert_string_equal(read.transport, app.transport);
        assert_string_equal(read.result_transport, app.result_transport);
        assert_true(read.result_expires == app.result_expires);
        assert_int_equal(read.n_routes, 2);
        assert_string_equal(read.routes[0].pattern, "a.*");
        assert_string_equal(read.routes[0].queue, "b");
        assert_int_equal(read.routes[0].priority, 3);
        assert_null(read.routes[1].queue);
        assert_int_equal(read.routes[1].priority, 9);
        buf_clear(&text);
        assert_int_equal(wire_write_app(&text, NULL), 0);
        assert_int_equal(wire_read_app(buf_str(&text), arena, &read), 0);
        assert_null(read.default_queue);
        assert_null(read.serializer);
        assert_null(read.broker);
        assert_int_equal(read.n_routes + (size_t)read.default_priority, 0);
        buf_fini(&text);
        sj_arena_free(arena);
}

static void what_makes_no_sense_of_an_app_is_refused(void **state)
{
        (void)state;
        static const sj_str texts[] = {{"", 0},
                                       {"a", 1},
                                       {"\0\0\0\0", 4},
                                       {"\0\0\0\0\0\0\0\0\0", 9},
                                       {"\0\0\0\0\0\0\0\0\0\0a", 11},
                                       {"\0\0\0\0\0\0\0\0\0\0a\0", 12},
                                       {"q\0"
                                        "5\0\0\0\0\0\0\0\0\0a\0b\0",
                                        16}};
        sj_arena *arena;
        sj_app_options options;
        assert_int_equal(sj_arena_new(&arena), 0);
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                assert_int_equal(wire_read_app(texts[i], arena, &options), -EPROTO);
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
                cmocka_unit_test(a_limit_that_threads_cannot_enforce_is_told_at_the_start),
                cmocka_unit_test(
                        a_limit_of_a_message_that_threads_cannot_enforce_is_told_once_of_each_task),
                cmocka_unit_test(a_fiber_over_its_limit_is_cancelled),
                cmocka_unit_test(retries_come_to_their_end),
                cmocka_unit_test(a_running_task_hears_of_its_revocation),
                cmocka_unit_test(a_task_may_send_tasks),
                cmocka_unit_test(what_a_task_sends_has_a_policy_and_deadline_of_its_own),
                cmocka_unit_test(what_a_task_sends_goes_by_the_workers_routes),
                cmocka_unit_test(what_a_child_is_told_of_its_app_is_what_the_worker_has),
                cmocka_unit_test(what_makes_no_sense_of_an_app_is_refused),
                cmocka_unit_test(a_task_acknowledged_early_has_its_result),
                cmocka_unit_test(a_cold_stop_gives_all_back),
                cmocka_unit_test(what_an_ordered_stop_interrupts_was_not_delivered),
                cmocka_unit_test(a_warm_stop_waits_for_what_runs),
                cmocka_unit_test(two_workers_of_one_name_are_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
