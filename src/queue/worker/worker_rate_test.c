/* SPDX-License-Identifier: MIT */
#include "queue/worker/worker_rate.h"

#include "base/unit.h"

static void a_token_comes_back_after_the_interval(void **state)
{
        (void)state;
        worker_rate r = {0};
        assert_int_equal(worker_rate_wait(&r, SJ_SEC), 0);
        worker_rate_take(&r, 10, SJ_SEC);
        assert_int_equal(worker_rate_wait(&r, SJ_SEC), 100 * SJ_MS);
        assert_int_equal(worker_rate_wait(&r, SJ_SEC + 100 * SJ_MS), 0);
}

static void tokens_do_not_gather(void **state)
{
        (void)state;
        worker_rate r = {0};
        worker_rate_take(&r, 1, SJ_SEC);
        worker_rate_take(&r, 1, SJ_HOUR);
        assert_int_equal(worker_rate_wait(&r, SJ_HOUR), SJ_SEC);
}

static void who_comes_waits_behind_those_that_wait(void **state)
{
        (void)state;
        worker_rate r = {0};
        worker_rate_take(&r, 2, SJ_SEC);
        r.waiting = 3;
        assert_int_equal(worker_rate_ahead(&r, 2, SJ_SEC), 2 * SJ_SEC);
}

static void promised_turns_follow_each_other(void **state)
{
        (void)state;
        worker_rate r = {0};
        worker_rate_take(&r, 1, SJ_HOUR);
        assert_int_equal(worker_rate_promise(&r, 1, SJ_HOUR), SJ_SEC);
        assert_int_equal(worker_rate_promise(&r, 1, SJ_HOUR), 2 * SJ_SEC);
        assert_int_equal(worker_rate_promise(&r, 1, SJ_HOUR + SJ_SEC / 2), 5 * SJ_SEC / 2);
        /* Those that are over are not queued behind. */
        worker_rate_take(&r, 1, 2 * SJ_HOUR);
        assert_int_equal(worker_rate_promise(&r, 1, 2 * SJ_HOUR), SJ_SEC);
}

static void the_slowest_rates_stay_within_the_numbers(void **state)
{
        (void)state;
        worker_rate r = {0};
        sj_time before = 0;
        worker_rate_take(&r, 1e-300, SJ_SEC);
        r.waiting = SIZE_MAX;
        for (int i = 0; i < 1000; i++) {
                sj_time turn = worker_rate_promise(&r, 1e-300, SJ_SEC);
                assert_true(turn >= before && turn > 0);
                before = turn;
        }
        r.waiting = 1;
        assert_true(worker_rate_ahead(&r, 1e12, SJ_SEC) > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_token_comes_back_after_the_interval),
                cmocka_unit_test(tokens_do_not_gather),
                cmocka_unit_test(who_comes_waits_behind_those_that_wait),
                cmocka_unit_test(promised_turns_follow_each_other),
                cmocka_unit_test(the_slowest_rates_stay_within_the_numbers),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
