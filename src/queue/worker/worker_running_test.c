/* SPDX-License-Identifier: MIT */
/* Queues that come and go while a worker runs, and what its tasks tell. */
#include "queue/control/letter.h"
#include "queue/worker/worker_running_unit.h"

#include <stdio.h>

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

int main(int argc, char **argv)
{
        sj_boot(argc, argv);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(queues_come_and_go_while_it_runs),
                cmocka_unit_test(a_task_tells_events_of_its_own),
                cmocka_unit_test(what_a_task_tells_comes_before_its_end),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
