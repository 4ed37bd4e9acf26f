/* SPDX-License-Identifier: MIT */
/* Why a fiber is cancelled, and at which moment of its life: before, in clean-up, at its end. */
#include "fiber/sim_unit.h"

enum { SHUTDOWN = 7, OTHER = 8 };

/* Sleeps until it is cancelled, and returns why: as a number above all failures. */
static int why(void *arg)
{
        (void)arg;
        expect_equal(sj_cancel_reason(), SJ_BY_NONE);
        expect_equal(sj_sleep(100 * SJ_SEC), -ECANCELED);
        return sj_cancel_reason() + 100;
}

static int why_in_a_scope_of_a_fiber_of_its_own(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *f;
        expect_equal(sj_spawn(s, why, NULL, &f), 0);
        expect_equal(sj_scope_join(s), -ECANCELED);
        expect(sj_fiber_done(f, NULL));
        SJ_SCOPE(inner, SJ_NEVER, 0); /* entered when it is cancelled already */
        int reason = sj_cancel_reason(), result;
        expect(sj_fiber_done(f, &result));
        expect_equal(result, reason + 100);
        return result;
}

static int a_call_says_why(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        sj_fn *const fns[] = {why, why_in_a_scope_of_a_fiber_of_its_own};
        for (int i = 0; i < 4; i++) {
                sj_fiber *f;
                expect_equal(sj_spawn(s, fns[i % 2], NULL, &f), 0);
                expect_equal(sj_sleep(SJ_MS), 0);
                expect_equal(sj_cancel_for(f, 0), -EINVAL);
                expect_equal(sj_cancel_for(f, SJ_BY_DEADLINE), -EINVAL);
                expect_equal(sj_yield(), 0);
                expect(!sj_fiber_done(f, NULL));
                if (i < 2)
                        sj_cancel(f);
                else
                        expect_equal(sj_cancel_for(f, SHUTDOWN), 0);
                sj_cancel_for(f, OTHER); /* the second time: nothing */
                expect_equal(sj_join(f, SJ_NEVER), 100 + (i < 2 ? SJ_BY_CALL : SHUTDOWN));
                sj_cancel_for(f, OTHER); /* it has ended */
                expect_equal(sj_join(f, SJ_NEVER), 100 + (i < 2 ? SJ_BY_CALL : SHUTDOWN));
        }
        return 0;
}

static int a_scopes_fibers_and_body_hear_why(void *arg)
{
        (void)arg;
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                sj_fiber *f;
                expect_equal(sj_spawn(s, why_in_a_scope_of_a_fiber_of_its_own, NULL, &f), 0);
                expect_equal(sj_sleep(SJ_MS), 0);
                expect_equal(sj_scope_cancel_for(s, -1), -EINVAL);
                expect_equal(sj_cancel_reason(), SJ_BY_NONE);
                expect_equal(sj_scope_cancel_for(s, SHUTDOWN), 0);
                sj_scope_cancel(s);
                expect_equal(sj_cancel_reason(), SHUTDOWN);
                expect_equal(sj_join(f, SJ_NEVER), -ECANCELED);
                expect_equal(sj_scope_join(s), 0);
                expect_equal(sj_fiber_done(f, NULL), true);
        }
        expect_equal(sj_cancel_reason(), SJ_BY_NONE);
        return 0;
}

static int fails(void *arg)
{
        (void)arg;
        int r = sj_sleep(SJ_MS);
        return r < 0 ? r : -EIO;
}

static int heard;

static int hears(void *arg)
{
        int r = why(arg);
        heard = r - 100;
        return 0;
}

static int deadlines_failures_and_leaving_have_reasons_of_their_own(void *arg)
{
        (void)arg;
        {
                SJ_SCOPE(s, sj_after(SJ_MS), 0);
                expect_equal(sj_spawn(s, hears, NULL, NULL), 0);
                expect_equal(sj_scope_join(s), -ETIMEDOUT);
                expect_equal(heard, SJ_BY_DEADLINE);
                expect_equal(sj_cancel_reason(), SJ_BY_DEADLINE);
        }
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                expect_equal(sj_spawn(s, hears, NULL, NULL), 0);
                expect_equal(sj_spawn(s, fails, NULL, NULL), 0);
                expect_equal(sj_scope_join(s), -EIO);
                expect_equal(heard, SJ_BY_FAILURE);
                expect_equal(sj_cancel_reason(), SJ_BY_FAILURE);
        }
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                expect_equal(sj_spawn(s, hears, NULL, NULL), 0);
                expect_equal(sj_sleep(SJ_MS), 0);
        }
        expect_equal(heard, SJ_BY_LEAVING);
        return 0;
}

static int begins_cancelled(void *arg)
{
        *(int *)arg = sj_cancel_reason();
        return sj_yield();
}

static int who_has_not_run_yet_runs_and_knows(void *arg)
{
        (void)arg;
        int reason = 0;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        sj_fiber *f;
        expect_equal(sj_spawn(s, begins_cancelled, &reason, &f), 0);
        expect_equal(sj_cancel_for(f, SHUTDOWN), 0);
        expect_equal(sj_join(f, SJ_NEVER), -ECANCELED);
        expect_equal(reason, SHUTDOWN);
        reason = 0;
        {
                SJ_SCOPE(t, SJ_NEVER, 0);
                expect_equal(sj_scope_cancel_for(t, OTHER), 0);
                expect_equal(sj_spawn(t, begins_cancelled, &reason, NULL), 0);
                expect_equal(sj_scope_join(t), 0);
        }
        expect_equal(reason, OTHER);
        return 0;
}

static int cleans_up(void *arg)
{
        expect_equal(sj_sleep(100 * SJ_SEC), -ECANCELED);
        expect_equal(sj_cancel_reason(), SHUTDOWN);
        {
                SJ_SCOPE(clean, sj_after(SJ_SEC), SJ_SHIELD);
                *(bool *)arg = true;
                expect_equal(sj_cancel_reason(), SJ_BY_NONE);
                expect_equal(sj_sleep(100 * SJ_MS), 0); /* and is cancelled again in here */
                expect_equal(sj_cancel_reason(), SJ_BY_NONE);
                expect_equal(sj_sleep(100 * SJ_SEC), -ECANCELED);
                expect_equal(sj_cancel_reason(), SJ_BY_DEADLINE);
        }
        expect_equal(sj_cancel_reason(), SHUTDOWN);
        return 3;
}

static int clean_up_is_not_reached_by_a_second_cancel(void *arg)
{
        (void)arg;
        bool cleaning = false;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *f;
        expect_equal(sj_spawn(s, cleans_up, &cleaning, &f), 0);
        expect_equal(sj_sleep(SJ_MS), 0);
        expect_equal(sj_cancel_for(f, SHUTDOWN), 0);
        while (!cleaning)
                expect_equal(sj_yield(), 0);
        expect_equal(sj_cancel_for(f, OTHER), 0);
        expect_equal(sj_join(f, SJ_NEVER), 3);
        return 0;
}

static void ends_slowly(void *value)
{
        *(int *)value = sj_sleep(10 * SJ_MS);
        expect_equal(sj_cancel_reason(), OTHER);
}

static const sj_local at_the_end = {.drop = ends_slowly};

static int returns_5(void *arg)
{
        expect_equal(sj_local_set(&at_the_end, arg), 0);
        return 5;
}

static int cancels_itself(void *arg)
{
        (void)arg;
        expect_equal(sj_cancel_for(sj_fiber_self(), OTHER), 0);
        expect_equal(sj_cancel_reason(), OTHER);
        return sj_yield();
}

static int who_is_ending_keeps_its_result(void *arg)
{
        (void)arg;
        int slept = 1;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        sj_fiber *f;
        expect_equal(sj_spawn(s, returns_5, &slept, &f), 0);
        expect_equal(sj_sleep(SJ_MS), 0);
        expect(!sj_fiber_done(f, NULL));
        expect_equal(sj_cancel_for(f, OTHER), 0);
        expect_equal(sj_join(f, SJ_NEVER), 5);
        expect_equal(slept, -ECANCELED);
        expect_equal(sj_spawn(s, cancels_itself, NULL, &f), 0);
        expect_equal(sj_join(f, SJ_NEVER), -ECANCELED);
        return 0;
}

static int joins_the_scope_above(void *arg)
{
        expect_equal(sj_scope_join(arg), -EDEADLK);
        return 0;
}

static int joins_the_scope_above_from_below(void *arg)
{
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect_equal(sj_spawn(s, joins_the_scope_above, arg, NULL), 0);
        expect_equal(sj_scope_join(arg), -EDEADLK);
        return sj_scope_join(s);
}

static int a_scope_is_not_joined_by_what_it_owns(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect_equal(sj_spawn(s, joins_the_scope_above_from_below, s, NULL), 0);
        return sj_scope_join(s);
}

static int stops_its_loop(void *arg)
{
        (void)arg;
        sj_loop_stop(sj_loop_current());
        sj_loop_stop(sj_loop_current());
        expect_equal(sj_sleep(100 * SJ_SEC), -ECANCELED);
        expect_equal(sj_cancel_reason(), SJ_BY_STOP);
        SJ_SCOPE(clean, sj_after(SJ_SEC), SJ_SHIELD);
        return sj_sleep(SJ_MS);
}

static int loops_of_threads(void *arg)
{
        (void)arg;
        expect_equal(sj_run_threads(1, stops_its_loop, NULL), -EBUSY);
        return 0;
}

static void the_simulator_runs_one_loop_and_refuses_more(void **state)
{
        (void)state;
        sim_begin(1, &sim_gentle);
        expect_equal(sj_run_threads(1, stops_its_loop, NULL), 0);
        expect_equal(sj_run_threads(2, stops_its_loop, NULL), -ENOTSUP);
        expect_equal(sj_run_threads(1, loops_of_threads, NULL), 0);
        expect_equal(sim_end(), 0);
}

#define TESTS(X)                                                    \
        X(a_call_says_why)                                          \
        X(a_scopes_fibers_and_body_hear_why)                        \
        X(deadlines_failures_and_leaving_have_reasons_of_their_own) \
        X(who_has_not_run_yet_runs_and_knows)                       \
        X(clean_up_is_not_reached_by_a_second_cancel)               \
        X(who_is_ending_keeps_its_result)                           \
        X(a_scope_is_not_joined_by_what_it_owns)                    \
        X(stops_its_loop)

TESTS(SIM_UNIT_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TESTS(SIM_UNIT_ROW) cmocka_unit_test(the_simulator_runs_one_loop_and_refuses_more)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
