/* SPDX-License-Identifier: MIT */
#include "queue/worker/worker_scale.h"

#include "base/unit.h"

static const worker_need bounds = {.min = 2, .max = 8};

static unsigned decide(worker_scale *s, unsigned places, unsigned busy, bool more, sj_time now)
{
        worker_need need = bounds;
        need.places = places;
        need.busy = busy;
        need.more = more;
        return worker_scale_decide(s, &need, now);
}

static void what_waits_while_all_are_busy_gets_more_places(void **state)
{
        (void)state;
        worker_scale s = {0};
        assert_int_equal(decide(&s, 2, 2, true, 1), 3);
        assert_int_equal(decide(&s, 3, 3, true, 2), 5);
        assert_int_equal(decide(&s, 5, 5, true, 3), 8);
        assert_int_equal(decide(&s, 8, 8, true, 4), 8);
}

static void busy_places_without_more_to_do_stay_as_many(void **state)
{
        (void)state;
        worker_scale s = {0};
        assert_int_equal(decide(&s, 3, 3, false, 1), 3);
        assert_int_equal(decide(&s, 3, 3, false, 100 * SJ_SEC), 3);
}

static void what_waits_while_a_place_is_free_gets_no_more(void **state)
{
        (void)state;
        worker_scale s = {0};
        assert_int_equal(decide(&s, 3, 2, true, 1), 3);
}

static void places_that_stay_free_go_one_by_one(void **state)
{
        (void)state;
        worker_scale s = {0};
        sj_time now = SJ_SEC;
        assert_int_equal(decide(&s, 8, 1, false, now), 8);
        assert_int_equal(decide(&s, 8, 1, false, now + WORKER_SCALE_KEEP - 1), 8);
        now += WORKER_SCALE_KEEP;
        assert_int_equal(decide(&s, 8, 1, false, now), 7);
        assert_int_equal(decide(&s, 7, 1, false, now + WORKER_SCALE_STEP - 1), 7);
        for (unsigned n = 7; n > 2; n--)
                assert_int_equal(decide(&s, n, 1, false, now += WORKER_SCALE_STEP), n - 1);
        assert_int_equal(decide(&s, 2, 0, false, now += SJ_HOUR), 2);
}

static void a_moment_of_full_use_begins_the_wait_anew(void **state)
{
        (void)state;
        worker_scale s = {0};
        assert_int_equal(decide(&s, 4, 3, false, SJ_SEC), 4);
        assert_int_equal(decide(&s, 4, 4, false, 20 * SJ_SEC), 4);
        assert_int_equal(decide(&s, 4, 3, false, 31 * SJ_SEC), 4);
        assert_int_equal(decide(&s, 4, 3, false, 32 * SJ_SEC), 4);
        assert_int_equal(decide(&s, 4, 3, false, 61 * SJ_SEC), 3);
}

static void new_bounds_hold_at_once(void **state)
{
        (void)state;
        worker_scale s = {0};
        assert_int_equal(decide(&s, 1, 1, false, 1), 2);
        assert_int_equal(decide(&s, 20, 20, true, 1), 8);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_waits_while_all_are_busy_gets_more_places),
                cmocka_unit_test(busy_places_without_more_to_do_stay_as_many),
                cmocka_unit_test(what_waits_while_a_place_is_free_gets_no_more),
                cmocka_unit_test(places_that_stay_free_go_one_by_one),
                cmocka_unit_test(a_moment_of_full_use_begins_the_wait_anew),
                cmocka_unit_test(new_bounds_hold_at_once),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
