/* SPDX-License-Identifier: MIT */
/* How many children a worker has while it runs, and which. */
#include "queue/worker/worker_running_unit.h"

#include <signal.h>
#include <stdlib.h>

static void linger(void)
{
        sleep(30);
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
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
