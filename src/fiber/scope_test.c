/* SPDX-License-Identifier: MIT */
/* Whose time, whose decision: the rules of scopes, over many seeds. */
#include "fiber/sim_unit.h"

#include <sanjab/sync.h>

static int return_it(void *arg)
{
        return (int)(intptr_t)arg;
}

/* Sleeps for that many milliseconds, and returns what the sleep did. */
static int sleep_ms(void *arg)
{
        return sj_sleep((sj_time)(intptr_t)arg * SJ_MS);
}

static int fail_after_ms(void *arg)
{
        int r = sj_sleep((sj_time)(intptr_t)arg * SJ_MS);
        return r < 0 ? r : -EIO;
}

static int spawned_fibers_do_not_run_at_once(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *f;
        expect_equal(sj_spawn(s, return_it, (void *)7, &f), 0);
        expect(!sj_fiber_done(f, NULL));
        expect_equal(sj_join(f, SJ_NEVER), 7);
        expect_equal(sj_join(f, SJ_NEVER), 7);
        return sj_scope_join(s);
}

static int sleeps_overlap(void *arg)
{
        (void)arg;
        sj_time start = sj_now();
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < 3; i++)
                sj_spawn(s, sleep_ms, (void *)3000, NULL);
        expect_equal(sj_scope_join(s), 0);
        sj_time took = sj_now() - start;
        expect(took >= 3 * SJ_SEC && took < 4 * SJ_SEC);
        return 0;
}

static int a_calls_own_deadline_is_a_timeout_and_the_fiber_goes_on(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *f;
        sj_spawn(s, sleep_ms, (void *)2000, &f);
        expect_equal(sj_join(f, sj_after(SJ_SEC)), -ETIMEDOUT);
        expect(!sj_fiber_done(f, NULL));
        expect_equal(sj_join(f, SJ_POLL), -ETIMEDOUT);
        expect_equal(sj_join(f, SJ_NEVER), 0);
        return 0;
}

static int a_scopes_deadline_cancels_every_call_until_it_is_left(void *arg)
{
        (void)arg;
        sj_time start = sj_now();
        {
                SJ_SCOPE(s, sj_after(SJ_SEC), 0);
                expect_equal(sj_sleep(5 * SJ_SEC), -ECANCELED);
                expect(sj_now() - start < 2 * SJ_SEC);
                expect_equal(sj_sleep(SJ_SEC), -ECANCELED);
                expect_equal(sj_yield(), -ECANCELED);
                sj_event e = SJ_EVENT_INIT;
                expect_equal(sj_event_wait(&e, sj_after(SJ_SEC)), -ECANCELED);
                expect(sj_cancelled());
                expect_equal(sj_scope_join(s), -ETIMEDOUT);
        }
        expect(!sj_cancelled());
        return sj_sleep(SJ_MS);
}

static int a_scopes_deadline_ends_its_fibers(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, sj_after(SJ_SEC), 0);
        sj_fiber *f;
        sj_spawn(s, sleep_ms, (void *)100000, &f);
        expect_equal(sj_scope_join(s), -ETIMEDOUT);
        int r;
        expect(sj_fiber_done(f, &r));
        expect_equal(r, -ECANCELED);
        return 0;
}

static int body_of_inner_deadline(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_spawn(s, sleep_ms, (void *)100000, NULL);
        return sj_scope_join(s);
}

static int what_is_cancelled_from_above_says_so(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *f;
        sj_spawn(s, body_of_inner_deadline, NULL, &f);
        sj_sleep(SJ_SEC);
        sj_cancel(f);
        expect_equal(sj_join(f, SJ_NEVER), -ECANCELED);
        expect_equal(sj_scope_join(s), 0);
        return 0;
}

static int the_first_failure_cancels_siblings_and_body(void *arg)
{
        (void)arg;
        sj_time start = sj_now();
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *slow;
        sj_spawn(s, sleep_ms, (void *)100000, &slow);
        sj_spawn(s, fail_after_ms, (void *)1000, NULL);
        expect_equal(sj_sleep(50 * SJ_SEC), -ECANCELED);
        expect(sj_now() - start < 2 * SJ_SEC);
        expect_equal(sj_scope_join(s), -EIO);
        int r;
        expect(sj_fiber_done(slow, &r));
        expect_equal(r, -ECANCELED);
        return 0;
}

static int a_collecting_scope_lets_the_others_finish(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        sj_fiber *f[3];
        sj_spawn(s, sleep_ms, (void *)3000, &f[0]);
        sj_spawn(s, fail_after_ms, (void *)1000, &f[1]);
        sj_spawn(s, return_it, (void *)5, &f[2]);
        int results[3];
        expect_equal(sj_gather(f, 3, results, SJ_NEVER), 0);
        expect_equal(results[0], 0);
        expect_equal(results[1], -EIO);
        expect_equal(results[2], 5);
        expect_equal(sj_scope_join(s), -EIO);
        return 0;
}

static int leaves_a_failed_child(void *arg)
{
        (void)arg;
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                sj_spawn(s, return_it, (void *)-EIO, NULL);
                sj_sleep(SJ_SEC);
        }
        return 0;
}

static int no_error_vanishes_with_its_scope(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_spawn(s, leaves_a_failed_child, NULL, NULL);
        expect_equal(sj_sleep(5 * SJ_SEC), -ECANCELED);
        expect_equal(sj_scope_join(s), -EIO);
        return 0;
}

static int an_error_that_was_joined_is_over(void *arg)
{
        (void)arg;
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                sj_fiber *f;
                sj_spawn(s, return_it, (void *)-EIO, &f);
                expect_equal(sj_join(f, SJ_NEVER), -EIO);
        }
        return sj_sleep(SJ_MS);
}

static int cleans_up_shielded(void *arg)
{
        int *cleaned = arg;
        expect_equal(sj_sleep(100 * SJ_SEC), -ECANCELED);
        {
                SJ_SCOPE(shield, sj_after(2 * SJ_SEC), SJ_SHIELD);
                expect(!sj_cancelled());
                expect_equal(sj_sleep(SJ_SEC), 0);
                *cleaned = 1;
                expect_equal(sj_sleep(50 * SJ_SEC), -ECANCELED);
                *cleaned = 2;
        }
        expect(sj_cancelled());
        return -ECANCELED;
}

static int a_shield_holds_until_its_own_deadline(void *arg)
{
        (void)arg;
        int cleaned = 0;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *f;
        sj_spawn(s, cleans_up_shielded, &cleaned, &f);
        sj_sleep(SJ_SEC);
        sj_cancel(f);
        expect_equal(sj_join(f, SJ_NEVER), -ECANCELED);
        expect_equal(cleaned, 2);
        return sj_scope_join(s);
}

static int fibers_of_a_shield_are_not_reached(void *arg)
{
        (void)arg;
        int r;
        {
                SJ_SCOPE(outer, sj_after(SJ_SEC), 0);
                SJ_SCOPE(shield, sj_after(10 * SJ_SEC), SJ_SHIELD);
                sj_spawn(shield, sleep_ms, (void *)3000, NULL);
                r = sj_scope_join(shield);
                expect_equal(r, 0);
        }
        return 0;
}

static int fibers_come_as_they_complete(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        sj_fiber *f[3], *next;
        sj_spawn(s, sleep_ms, (void *)3000, &f[0]);
        sj_spawn(s, fail_after_ms, (void *)1000, &f[1]);
        sj_spawn(s, sleep_ms, (void *)2000, &f[2]);
        expect_equal(sj_scope_next(s, &next, sj_after(SJ_MS)), -ETIMEDOUT);
        const int order[] = {1, 2, 0};
        for (int i = 0; i < 3; i++) {
                expect_equal(sj_scope_next(s, &next, SJ_NEVER), 0);
                expect(next == f[order[i]]);
        }
        expect_equal(sj_scope_next(s, &next, SJ_NEVER), -ENOENT);
        return 0;
}

static int the_first_of_several(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *f[3];
        sj_spawn(s, sleep_ms, (void *)3000, &f[0]);
        sj_spawn(s, sleep_ms, (void *)1000, &f[1]);
        sj_spawn(s, sleep_ms, (void *)2000, &f[2]);
        expect_equal(sj_wait(f, 3, SJ_FIRST, sj_after(10 * SJ_MS)), -ETIMEDOUT);
        expect_equal(sj_wait(f, 3, SJ_FIRST, SJ_NEVER), 1);
        expect_equal(sj_wait(f, 3, SJ_FIRST, SJ_NEVER), 1);
        expect_equal(sj_wait(f, 0, SJ_FIRST, SJ_NEVER), -EINVAL);
        expect_equal(sj_wait(f, 0, SJ_ALL, SJ_NEVER), 0);
        return 0;
}

static int all_of_several_or_those_in_time(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        sj_fiber *f[3];
        sj_spawn(s, sleep_ms, (void *)3000, &f[0]);
        sj_spawn(s, fail_after_ms, (void *)1000, &f[1]);
        sj_spawn(s, sleep_ms, (void *)2000, &f[2]);
        expect_equal(sj_wait(f, 3, SJ_ALL, sj_after(2500 * SJ_MS)), -ETIMEDOUT);
        expect(!sj_fiber_done(f[0], NULL) && sj_fiber_done(f[1], NULL));
        expect_equal(sj_wait(f, 3, SJ_ALL, SJ_POLL), -ETIMEDOUT);
        expect_equal(sj_wait(f, 3, SJ_ALL, SJ_NEVER), 3);
        expect(sj_fiber_done(f[0], NULL));
        sj_fiber *twice[2] = {f[2], f[2]};
        expect_equal(sj_wait(twice, 2, SJ_ALL, SJ_POLL), 2);
        expect_equal(sj_join(f[1], SJ_NEVER), -EIO);
        return 0;
}

enum { MANY = 100 };

static int the_first_failure_of_many(void *arg)
{
        (void)arg;
        for (int failing = 0; failing < 2; failing++) {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                sj_fiber *f[MANY];
                for (intptr_t i = 0; i < MANY; i++)
                        sj_spawn(s, failing && i == 40 ? fail_after_ms : sleep_ms, (void *)(i * 10),
                                 &f[i]);
                expect_equal(sj_sleep(15 * SJ_MS), 0); /* some have ended before */
                sj_cancel(f[20]);                      /* which is no failure */
                sj_time start = sj_now();
                expect_equal(sj_wait(f, MANY, SJ_FIRST_FAILURE, SJ_NEVER), failing ? 40 : MANY);
                expect(sj_now() - start < (failing ? 700 : 2000) * SJ_MS);
                expect(failing == !sj_fiber_done(f[MANY - 1], NULL));
        }
        return sj_yield(); /* the failure was told: the scope around has not failed */
}

static int who_is_cancelled_leaves_a_wait_for_several(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *f[2];
        sj_spawn(s, sleep_ms, (void *)3000, &f[0]);
        sj_spawn(s, sleep_ms, (void *)3000, &f[1]);
        {
                SJ_SCOPE(limit, sj_after(SJ_SEC), 0);
                expect_equal(sj_wait(f, 2, SJ_ALL, SJ_NEVER), -ECANCELED);
        }
        expect_equal(sj_join(f[0], SJ_NEVER), 0);
        return sj_join(f[1], SJ_NEVER);
}

static int joins_itself(void *arg)
{
        sj_fiber *self = sj_fiber_self();
        expect_equal(sj_join(self, SJ_NEVER), -EDEADLK);
        expect_equal(sj_wait(&self, 1, SJ_ALL, SJ_POLL), -EDEADLK);
        expect_equal(sj_scope_join(arg), -EDEADLK);
        return 0;
}

static int waiting_for_oneself_is_refused(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_spawn(s, joins_itself, s, NULL);
        return sj_scope_join(s);
}

static int nested_runs_are_refused(void *arg)
{
        (void)arg;
        return sj_run(return_it, NULL) == -EBUSY ? 0 : -1;
}

static int finds_itself_cancelled(void *arg)
{
        expect_equal(sj_sleep(SJ_SEC), -ECANCELED);
        *(int *)arg = 1;
        return -ECANCELED;
}

static int a_fiber_spawned_into_a_cancelled_scope_runs(void *arg)
{
        (void)arg;
        int ran = 0;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_scope_cancel(s);
        sj_spawn(s, finds_itself_cancelled, &ran, NULL);
        expect_equal(sj_scope_join(s), 0);
        expect_equal(ran, 1);
        return 0;
}

/* Each opens a scope and a fiber in it, deeper than any stack is. */
static int nest(void *arg)
{
        intptr_t depth = (intptr_t)arg;
        if (depth == 0)
                return sj_sleep(1000 * SJ_SEC);
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_spawn(s, nest, (void *)(depth - 1), NULL);
        return sj_scope_join(s);
}

static int cancellation_goes_down_a_tree_of_any_depth(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, sj_after(SJ_SEC), 0);
        sj_spawn(s, nest, (void *)300, NULL);
        expect_equal(sj_scope_join(s), -ETIMEDOUT);
        return 0;
}

static int a_deadline_can_be_moved(void *arg)
{
        (void)arg;
        sj_time start = sj_now();
        SJ_SCOPE(s, sj_after(SJ_SEC), 0);
        expect_equal(sj_scope_deadline(), start + SJ_SEC);
        sj_scope_set_deadline(s, start + 3 * SJ_SEC);
        expect_equal(sj_sleep(2 * SJ_SEC), 0);
        expect_equal(sj_sleep(2 * SJ_SEC), -ECANCELED);
        expect(sj_now() - start < 4 * SJ_SEC);
        return 0;
}

/* A tree of random shape in which things are cancelled at random moments. */
typedef struct web {
        unsigned alive;
        unsigned depth;
} web;

static int random_node(void *arg)
{
        web *w = arg;
        w->alive++;
        unsigned depth = ++w->depth;
        {
                SJ_SCOPE(s, sim_draw(3) == 0 ? sj_after((sj_time)sim_draw(500) * SJ_MS) : SJ_NEVER,
                         sim_draw(2) ? SJ_COLLECT : 0);
                sj_fiber *f[4];
                size_t n = depth < 40 ? sim_draw(4) : 0;
                for (size_t i = 0; i < n; i++)
                        expect_equal(sj_spawn(s, random_node, w, &f[i]), 0);
                sj_sleep((sj_time)sim_draw(100) * SJ_MS);
                if (n > 0 && sim_draw(4) == 0)
                        sj_cancel(f[sim_draw(n)]);
                if (n > 0 && sim_draw(2) == 0)
                        sj_join(f[sim_draw(n)], sj_after((sj_time)sim_draw(300) * SJ_MS));
                if (sim_draw(3) == 0)
                        sj_scope_join(s);
        }
        w->alive--;
        return sim_draw(6) == 0 ? -EIO : 0;
}

static int nothing_outlives_a_web_of_random_cancels(void *arg)
{
        (void)arg;
        web w = {0};
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                for (int i = 0; i < 5; i++)
                        sj_spawn(s, random_node, &w, NULL);
                sj_scope_join(s);
        }
        expect_equal(w.alive, 0);
        return 0;
}

#define CASES(X)                                                   \
        X(spawned_fibers_do_not_run_at_once)                       \
        X(sleeps_overlap)                                          \
        X(a_calls_own_deadline_is_a_timeout_and_the_fiber_goes_on) \
        X(a_scopes_deadline_cancels_every_call_until_it_is_left)   \
        X(a_scopes_deadline_ends_its_fibers)                       \
        X(what_is_cancelled_from_above_says_so)                    \
        X(the_first_failure_cancels_siblings_and_body)             \
        X(a_collecting_scope_lets_the_others_finish)               \
        X(no_error_vanishes_with_its_scope)                        \
        X(an_error_that_was_joined_is_over)                        \
        X(a_shield_holds_until_its_own_deadline)                   \
        X(fibers_of_a_shield_are_not_reached)                      \
        X(fibers_come_as_they_complete)                            \
        X(the_first_of_several)                                    \
        X(all_of_several_or_those_in_time)                         \
        X(the_first_failure_of_many)                               \
        X(who_is_cancelled_leaves_a_wait_for_several)              \
        X(waiting_for_oneself_is_refused)                          \
        X(nested_runs_are_refused)                                 \
        X(a_fiber_spawned_into_a_cancelled_scope_runs)             \
        X(cancellation_goes_down_a_tree_of_any_depth)              \
        X(a_deadline_can_be_moved)                                 \
        X(nothing_outlives_a_web_of_random_cancels)

CASES(SIM_UNIT_DEFINE)

static void the_loop_returns_a_failure_that_nobody_joined(void **state)
{
        (void)state;
        sim_unit_run(leaves_a_failed_child, NULL, -EIO);
}

int main(void)
{
        const struct CMUnitTest tests[] = {CASES(SIM_UNIT_ROW) cmocka_unit_test(
                the_loop_returns_a_failure_that_nobody_joined)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
