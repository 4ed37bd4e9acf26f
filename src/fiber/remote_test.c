/* SPDX-License-Identifier: MIT */
/*
 * Fibers spawned from afar, by one loop on itself, where the seed decides the order. What needs two
 * threads is in shared_thread_test.c.
 */
#include "fiber/sim_unit.h"

#include <sanjab/shared.h>

static int nine(void *arg)
{
        *(int *)arg += 1;
        return 9;
}

static int fails(void *arg)
{
        (void)arg;
        return -EIO;
}

static int the_result_comes_by_the_future_and_a_failure_goes_nowhere_else(void *arg)
{
        (void)arg;
        int ran = 0;
        sj_remote a, b;
        sj_spawn_on(sj_loop_current(), nine, &ran, &a);
        sj_spawn_on(sj_loop_current(), fails, NULL, &b);
        expect_equal(ran, 0);
        expect_equal(sj_future_get(&b.done, NULL, SJ_NEVER), -EIO);
        expect_equal(sj_future_get(&a.done, NULL, SJ_NEVER), 9);
        expect_equal(ran, 1);
        expect_equal(sj_remote_leave(&a), 9);
        expect_equal(sj_remote_leave(&b), -EIO);
        return sj_sleep(SJ_MS);
}

typedef struct sleeper {
        sj_remote remote;
        int began, reason;
        sj_fiber *self;
} sleeper;

static int sleeps(void *arg)
{
        sleeper *s = arg;
        s->began++;
        s->self = sj_fiber_self();
        int r = sj_sleep(SJ_HOUR);
        s->reason = sj_cancel_reason();
        /* As what it owns would have to be cleaned up. */
        SJ_SCOPE(clean, sj_after(SJ_SEC), SJ_SHIELD);
        expect_equal(sj_sleep(SJ_MS), 0);
        return r;
}

static int to_cancel_reaches_it_before_it_begins_while_it_waits_and_after_its_end(void *arg)
{
        (void)arg;
        for (int when = 0; when < 3; when++) {
                sleeper s = {0};
                sj_spawn_on(sj_loop_current(), sleeps, &s, &s.remote);
                if (when > 0)
                        expect_equal(sj_future_get(&s.remote.done, NULL, sj_after(SJ_SEC)),
                                     -ETIMEDOUT);
                expect_equal(s.began, when > 0);
                sj_remote_cancel(&s.remote);
                sj_remote_cancel(&s.remote);
                if (when > 1)
                        expect_equal(sj_future_get(&s.remote.done, NULL, SJ_NEVER), -ECANCELED);
                sj_remote_cancel(&s.remote);
                expect_equal(sj_remote_leave(&s.remote), -ECANCELED);
                expect(s.began == 1 && s.reason == SJ_BY_CALL);
        }
        return 0;
}

static int ends_while_it_is_cancelled(void *arg)
{
        (void)arg;
        sleeper s = {0};
        sj_spawn_on(sj_loop_current(), nine, &s.began, &s.remote);
        sj_sleep((sj_time)sim_draw(3) * SJ_US);
        sj_remote_cancel(&s.remote);
        expect_equal(sj_remote_leave(&s.remote), 9);
        memset(&s, 0xAA, sizeof(s)); /* nothing may come for it any more */
        return sj_sleep(SJ_MS);
}

static int leaves_while_cancelled(void *arg)
{
        sleeper *s = arg;
        sj_spawn_on(sj_loop_current(), sleeps, s, &s->remote);
        if (sim_draw(2) == 0)
                sj_future_get(&s->remote.done, NULL, sj_after(2 * SJ_MS));
        expect_equal(sj_remote_leave(&s->remote), -ECANCELED);
        expect(sj_future_done(&s->remote.done) && s->began == 1);
        return sj_yield();
}

static int who_is_cancelled_leaves_nothing_running(void *arg)
{
        (void)arg;
        sleeper s = {0};
        sj_fiber *f;
        SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
        expect_equal(sj_spawn(scope, leaves_while_cancelled, &s, &f), 0);
        sj_sleep((sj_time)sim_draw(4) * SJ_MS / 2);
        sj_cancel(f);
        int r = sj_join(f, SJ_NEVER);
        expect(r == -ECANCELED || r == 0);
        return 0;
}

static int drops;

static void count_drop(void *value)
{
        drops++;
        *(int *)value = 0;
}

static const sj_local key = {.drop = count_drop, .inherit = sj_local_share};

static int keeps_a_value(void *arg)
{
        expect(sj_local_get(&key) == NULL);
        return sj_local_set(&key, arg);
}

static void expect_one_drop(sj_then *then, int result, void *value)
{
        (void)then;
        expect(drops == 1 && result == 0 && !value);
}

static int its_values_are_its_own_and_dropped_before_its_end_is_told(void *arg)
{
        (void)arg;
        int mine = 1, its = 1;
        expect_equal(sj_local_set(&key, &mine), 0);
        drops = 0;
        sj_remote r;
        sj_then told = {.call = expect_one_drop};
        sj_spawn_on(sj_loop_current(), keeps_a_value, &its, &r);
        sj_future_then(&r.done, &told);
        expect_equal(sj_future_get(&r.done, NULL, SJ_NEVER), 0);
        expect(its == 0 && mine == 1);
        return sj_local_set(&key, NULL);
}

static sleeper orphan;

static int leaves_it_to_the_loop(void *arg)
{
        (void)arg;
        orphan = (sleeper){0};
        sj_spawn_on(sj_loop_current(), nine, &orphan.began, &orphan.remote);
        return 0;
}

static void a_loop_ends_after_what_was_spawned_on_it(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed < 50; seed++) {
                sim_unit_once(seed, leaves_it_to_the_loop, NULL, 0);
                expect(orphan.began == 1 && sj_future_done(&orphan.remote.done));
        }
}

static int stops_it(void *arg)
{
        bool *late = arg;
        orphan = (sleeper){0};
        if (!*late)
                sj_spawn_on(sj_loop_current(), sleeps, &orphan, &orphan.remote);
        sj_loop_stop(sj_loop_current());
        int r = sj_sleep(SJ_HOUR);
        if (*late)
                sj_spawn_on(sj_loop_current(), sleeps, &orphan, &orphan.remote);
        return r;
}

static void a_loop_that_is_stopped_cancels_what_was_spawned_on_it(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed < 50; seed++) {
                bool late = seed % 2;
                sim_unit_once(seed, stops_it, &late, -ECANCELED);
                expect(orphan.began == 1 && orphan.reason == SJ_BY_STOP);
                expect_equal(orphan.remote.done.result, -ECANCELED);
        }
}

#define BODIES(X)                                                                 \
        X(the_result_comes_by_the_future_and_a_failure_goes_nowhere_else)         \
        X(to_cancel_reaches_it_before_it_begins_while_it_waits_and_after_its_end) \
        X(ends_while_it_is_cancelled)                                             \
        X(who_is_cancelled_leaves_nothing_running)                                \
        X(its_values_are_its_own_and_dropped_before_its_end_is_told)

BODIES(SIM_UNIT_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {
                BODIES(SIM_UNIT_ROW) cmocka_unit_test(a_loop_ends_after_what_was_spawned_on_it),
                cmocka_unit_test(a_loop_that_is_stopped_cancels_what_was_spawned_on_it),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
