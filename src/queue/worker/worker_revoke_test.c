/* SPDX-License-Identifier: MIT */
/* What is revoked while a worker runs, whether it waits or is being run. */
#include "queue/worker/worker_running_unit.h"

#include <signal.h>

static const sj_call to_other = {.queue = "other"};

SJ_TASK(until_cancelled, void)
{
        while (!sj_task_cancelled(self))
                if (sj_sleep(SJ_MS) < 0)
                        break;
        return sj_raise(self, "ValueError", "told to end");
}

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
                cmocka_unit_test(what_waits_is_revoked_and_what_runs_is_left_alone),
                cmocka_unit_test(a_running_task_is_terminated_by_a_signal),
                cmocka_unit_test(a_running_fiber_is_terminated_by_cancellation),
                cmocka_unit_test(where_a_signal_would_hit_others_a_task_is_told_to_end),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
