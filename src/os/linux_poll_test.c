/* SPDX-License-Identifier: MIT */
/* What only the inside of the real poller shows. */
#include "base/unit.h"

#include "os/linux_poll.c"

static os_poller *poller;

static int begin(void **state)
{
        (void)state;
        return os_poller_new(&poller);
}
static int end(void **state)
{
        (void)state;
        os_poller_free(poller);
        return 0;
}

static void report_of_an_earlier_life_of_the_number_is_dropped(void **state)
{
        (void)state;
        int old[2], young[2];
        char old_token, young_token;
        os_event events[4];
        assert_int_equal(os_pipe(old), 0);
        int copy = dup(old[0]);
        assert_int_equal(os_poller_watch(poller, old[0], &old_token), 0);
        /* The description lives on in the copy, and with it epoll's registration. */
        os_close(old[0]);
        assert_int_equal(os_pipe(young), 0);
        assert_int_equal(young[0], old[0]);
        assert_int_equal(os_poller_watch(poller, young[0], &young_token), 0);
        assert_int_equal(os_write(old[1], "x", 1), 1);
        assert_int_equal(os_poller_wait(poller, events, 4, os_now() + SJ_MS), 0);
        assert_int_equal(os_write(young[1], "y", 1), 1);
        assert_int_equal(os_poller_wait(poller, events, 4, os_now() + SJ_SEC), 1);
        assert_ptr_equal(events[0].token, &young_token);
        os_poller_forget(poller, young[0]);
        os_close(copy);
        os_close(old[1]);
        os_close(young[0]);
        os_close(young[1]);
}

static void whole_milliseconds_are_never_early(void **state)
{
        (void)state;
        os_event e;
        poller->coarse = true;
        for (int i = 0; i < 5; i++) {
                sj_time deadline = os_now() + 300 * SJ_US;
                assert_int_equal(os_poller_wait(poller, &e, 1, deadline), 0);
                assert_true(os_now() >= deadline);
        }
        assert_int_equal(milliseconds(1), 1);
        assert_int_equal(milliseconds(SJ_MS), 1);
        assert_int_equal(milliseconds(SJ_MS + 1), 2);
        assert_int_equal(milliseconds(SJ_NEVER - 1), INT_MAX);
}

static void wake_of_a_running_loop_makes_no_system_call(void **state)
{
        (void)state;
        os_event e;
        os_poller_wake(poller);
        os_poller_wake(poller);
        assert_int_equal(os_bell_clear(poller->bell), 0);
        assert_int_equal(os_poller_wait(poller, &e, 1, SJ_NEVER), 0);
        assert_int_equal(poller->state, AWAKE);
}

static void late_ring_of_an_earlier_wake_ends_no_wait(void **state)
{
        (void)state;
        os_event e;
        /* The waker was preempted between its exchange and its write. */
        os_bell_ring(poller->bell);
        sj_time deadline = os_now() + SJ_MS;
        assert_int_equal(os_poller_wait(poller, &e, 1, deadline), 0);
        assert_true(os_now() >= deadline);
}

#define WITH_POLLER(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
                WITH_POLLER(report_of_an_earlier_life_of_the_number_is_dropped),
                WITH_POLLER(whole_milliseconds_are_never_early),
                WITH_POLLER(wake_of_a_running_loop_makes_no_system_call),
                WITH_POLLER(late_ring_of_an_earlier_wake_ends_no_wait),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
