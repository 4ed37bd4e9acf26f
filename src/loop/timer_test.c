/* SPDX-License-Identifier: MIT */
/* Timers, a million of them at one instant, and when the clocks are not as one would like. */
#include "base/refusal.h"
#include "base/unit.h"
#include "loop/loop.h"
#include "os/sim.h"

#include <stdlib.h>

enum { MILLION = 1000 * 1000 };

typedef struct numbered {
        loop_timer timer;
        size_t number;
        sj_time moment;
} numbered;

static struct sj_loop loop;
static size_t fired, last_number;
static sj_time last_moment;

static void begin(const sim_options *options)
{
        sim_begin(1, options);
        assert_int_equal(loop_init(&loop), 0);
        fired = last_number = 0;
        last_moment = 0;
}

static void end(void)
{
        loop_fini(&loop);
        assert_int_equal(sim_end(), 0);
}

/* Of one moment in the order of setting, and no moment before an earlier one. */
static void fire_in_order(loop_timer *timer)
{
        const numbered *n = container_of(timer, numbered, timer);
        assert_true(n->moment >= last_moment && n->moment <= loop.now);
        assert_true(n->moment > last_moment || fired == 0 || n->number > last_number);
        last_moment = n->moment;
        last_number = n->number;
        fired++;
}

static void set(numbered *n, size_t number, sj_time moment)
{
        n->number = number;
        n->moment = moment;
        n->timer.fire = fire_in_order;
        loop_timer_set(&loop, &n->timer, moment);
}

static void run_out(void)
{
        while (loop_timers(&loop) > 0)
                assert_int_equal(loop_poll(&loop, true), 0);
}

static void a_million_timers_of_one_instant_fire_in_the_order_of_setting(void **state)
{
        (void)state;
        numbered *n = calloc(MILLION, sizeof(*n));
        assert_non_null(n);
        begin(NULL);
        sj_time moment = os_now() + SJ_SEC;
        memory.armed = memory.for_good = true; /* to set one takes no memory */
        for (size_t i = 0; i < MILLION; i++)
                set(&n[i], i, moment);
        memory.armed = memory.for_good = false;
        assert_int_equal(memory.refused, 0);
        assert_int_equal(loop_timers(&loop), MILLION);
        run_out();
        assert_int_equal(fired, MILLION);
        assert_int_equal(os_now(), moment);
        end();
        free(n);
}

/* The neighbours of an instant, a nanosecond away each way, set and set anew by turns. */
static void a_million_timers_around_an_instant_fire_each_at_its_own(void **state)
{
        (void)state;
        numbered *n = calloc(MILLION, sizeof(*n));
        assert_non_null(n);
        begin(&(sim_options){.creep = 1});
        sj_time moment = os_now() + SJ_SEC;
        size_t cancelled = 0, number = 0;
        for (size_t i = 0; i < MILLION; i++)
                set(&n[i], number++, moment + (sj_time)(i * 7919 % 5) - 2);
        for (size_t i = 0; i < MILLION; i += 3) {
                loop_timer_cancel(&loop, &n[i].timer);
                if (i % 2 == 0)
                        set(&n[i], number++, moment + (sj_time)(i % 3));
                else
                        cancelled++;
        }
        run_out();
        assert_int_equal(fired, MILLION - cancelled);
        end();
        free(n);
}

static void the_wall_clock_set_back_or_forward_moves_no_timer(void **state)
{
        (void)state;
        for (int64_t hours = -1000; hours <= 1000; hours += 500) {
                numbered n = {0};
                begin(NULL);
                sj_time moment = os_now() + SJ_SEC;
                set(&n, 1, moment);
                sim_set_wall((sj_wall){os_wall().us + hours * 3600 * 1000000});
                run_out();
                assert_int_equal(fired, 1);
                assert_int_equal(os_now(), moment);
                end();
        }
}

static void what_falls_due_while_the_program_stands_still_fires_in_order(void **state)
{
        (void)state;
        enum { N = 1000 };
        static numbered n[N];
        begin(NULL);
        sj_time start = os_now();
        for (size_t i = 0; i < N; i++)
                set(&n[i], i, start + (sj_time)(i * 7919 % 100) * SJ_MS);
        sim_skip(SJ_HOUR);
        assert_int_equal(loop_poll(&loop, true), 0);
        assert_int_equal(fired, N);
        assert_int_equal(os_now(), start + SJ_HOUR);
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_million_timers_of_one_instant_fire_in_the_order_of_setting),
                cmocka_unit_test(a_million_timers_around_an_instant_fire_each_at_its_own),
                cmocka_unit_test(the_wall_clock_set_back_or_forward_moves_no_timer),
                cmocka_unit_test(what_falls_due_while_the_program_stands_still_fires_in_order),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
