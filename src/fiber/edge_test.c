/* SPDX-License-Identifier: MIT */
/*
 * Where two things happen at one moment: what ends before its waiter runs, what is cancelled
 * twice, left by one while another waits, passed before it begins. Over many seeds, which choose
 * who of those that are ready comes first.
 */
#include "fiber/sim_unit.h"
#include "os/os.h"

#include <sanjab/chan.h>
#include <sanjab/future.h>
#include <sanjab/process.h>
#include <sanjab/select.h>
#include <sanjab/sync.h>

#include <signal.h>

static int return_it(void *arg)
{
        return (int)(intptr_t)arg;
}

static int sleep_ms(void *arg)
{
        return sj_sleep((sj_time)(intptr_t)arg * SJ_MS);
}

static int fail_after_ms(void *arg)
{
        int r = sj_sleep((sj_time)(intptr_t)arg * SJ_MS);
        return r < 0 ? r : -EIO;
}

/* ── Scopes that others wait for ─────────────────────────────────────────────────────────── */

static int join_foreign_scope(void *arg)
{
        expect_equal(sj_scope_join(arg), -EIO);
        return 0;
}

static int a_scope_may_be_left_before_another_joiner_runs(void *arg)
{
        (void)arg;
        sj_scope *storage = malloc(sizeof(*storage));
        expect(storage != NULL);
        SJ_SCOPE(outer, SJ_NEVER, SJ_COLLECT);
        sj_scope *s = sj_scope_enter(storage, SJ_NEVER, SJ_COLLECT);
        expect_equal(sj_spawn(s, fail_after_ms, (void *)1000, NULL), 0);
        expect_equal(sj_spawn(outer, join_foreign_scope, s, NULL), 0);
        expect_equal(sj_sleep(10 * SJ_MS), 0);
        expect_equal(sj_scope_join(s), -EIO);
        sj_scope_leave(s);
        memset(storage, 0x55, sizeof(*storage));
        expect_equal(sj_scope_join(outer), 0);
        free(storage);
        return 0;
}

static int leaves_what_another_joins(void *arg)
{
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                sj_spawn(s, fail_after_ms, (void *)1000, NULL);
                sj_spawn(arg, join_foreign_scope, s, NULL);
                expect_equal(sj_sleep(2 * SJ_SEC), 0);
        }
        return sj_sleep(SJ_MS);
}

static int another_joiner_is_told_too(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_spawn(s, leaves_what_another_joins, s, NULL);
        return sj_scope_join(s);
}

typedef struct patience {
        sj_scope *scope;
        sj_fiber *child;
} patience;

static int join_patiently(void *arg)
{
        const patience *p = arg;
        expect_equal(sj_scope_join(p->scope), 0);
        expect(sj_fiber_done(p->child, NULL));
        expect(sj_cancelled());
        return -ECANCELED;
}

static int a_cancel_does_not_end_the_join_of_a_scope(void *arg)
{
        (void)arg;
        SJ_SCOPE(outer, SJ_NEVER, 0);
        SJ_SCOPE(s, SJ_NEVER, 0);
        patience p = {.scope = s};
        sj_fiber *f;
        sj_spawn(s, sleep_ms, (void *)2000, &p.child);
        sj_spawn(outer, join_patiently, &p, &f);
        expect_equal(sj_sleep(SJ_SEC), 0);
        sj_cancel(f);
        expect_equal(sj_join(f, SJ_NEVER), -ECANCELED);
        return sj_scope_join(outer);
}

static int a_scope_in_a_cancelled_one_says_from_where(void *arg)
{
        (void)arg;
        SJ_SCOPE(outer, SJ_NEVER, 0);
        SJ_SCOPE(inner, SJ_NEVER, 0);
        expect_equal(sj_scope_join(inner), 0);
        sj_scope_cancel(outer);
        expect_equal(sj_scope_join(inner), -ECANCELED);
        expect_equal(sj_scope_join(outer), 0);
        {
                SJ_SCOPE(late, SJ_NEVER, 0);
                expect_equal(sj_scope_join(late), -ECANCELED);
        }
        {
                SJ_SCOPE(shield, sj_after(SJ_SEC), SJ_SHIELD);
                expect_equal(sj_scope_join(shield), 0);
        }
        return 0;
}

static int join_expecting_5(void *arg)
{
        expect_equal(sj_join(arg, SJ_NEVER), 5);
        return 0;
}

static int return_5_later(void *arg)
{
        (void)arg;
        expect_equal(sj_sleep(SJ_SEC), 0);
        return 5;
}

static int a_joiner_has_the_result_though_the_handle_is_gone(void *arg)
{
        (void)arg;
        SJ_SCOPE(outer, SJ_NEVER, 0);
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                sj_fiber *f;
                sj_spawn(s, return_5_later, NULL, &f);
                sj_spawn(outer, join_expecting_5, f, NULL);
                expect_equal(sj_sleep(10 * SJ_MS), 0);
                expect_equal(sj_scope_join(s), 0);
        }
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                sj_fiber *f;
                sj_spawn(s, return_it, (void *)7, &f);
                expect_equal(sj_join(f, SJ_NEVER), 7);
        }
        return sj_scope_join(outer);
}

/* ── No error vanishes ───────────────────────────────────────────────────────────────────── */

static int gives_up_gathering(void *arg)
{
        (void)arg;
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                sj_fiber *f[2];
                sj_spawn(s, fail_after_ms, (void *)10, &f[0]);
                sj_spawn(s, sleep_ms, (void *)5000, &f[1]);
                expect_equal(sj_gather(f, 2, NULL, sj_after(SJ_SEC)), -ETIMEDOUT);
        }
        return 0;
}

static int a_gather_that_gives_up_has_told_nobody(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_spawn(s, gives_up_gathering, NULL, NULL);
        expect_equal(sj_scope_join(s), -EIO);
        return 0;
}

static int hears_of_one_of_two(void *arg)
{
        (void)arg;
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                sj_fiber *f[2];
                sj_spawn(s, return_5_later, NULL, &f[0]);
                sj_spawn(s, fail_after_ms, (void *)1000, &f[1]);
                int i = sj_wait(f, 2, SJ_FIRST, SJ_NEVER);
                expect(i == 0 || i == 1);
                expect_equal(sj_sleep(SJ_SEC), 0);
                if (i == 1)
                        return -EIO;
        }
        return 0;
}

static int the_first_of_several_tells_of_itself_alone(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_spawn(s, hears_of_one_of_two, NULL, NULL);
        expect_equal(sj_scope_join(s), -EIO);
        return 0;
}

static int what_the_first_of_several_or_a_gather_told_is_over(void *arg)
{
        (void)arg;
        for (int by_gather = 0; by_gather < 2; by_gather++) {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                sj_fiber *f;
                int r = 0;
                sj_spawn(s, fail_after_ms, (void *)10, &f);
                expect_equal(by_gather ? sj_gather(&f, 1, &r, SJ_NEVER)
                                       : sj_wait(&f, 1, SJ_FIRST, SJ_NEVER),
                             0);
                expect_equal(r, by_gather ? -EIO : 0);
        }
        return sj_sleep(SJ_MS);
}

static int leaves_two_failures_and_joins_one(void *arg)
{
        (void)arg;
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                sj_fiber *f[2];
                sj_spawn(s, return_it, (void *)-EIO, &f[0]);
                expect_equal(sj_join(f[0], SJ_NEVER), -EIO);
                sj_spawn(s, return_it, (void *)-EBADMSG, &f[1]);
        }
        return 0;
}

static int the_failure_that_goes_up_is_the_one_nobody_heard_of(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_spawn(s, leaves_two_failures_and_joins_one, NULL, NULL);
        expect_equal(sj_scope_join(s), -EBADMSG);
        return 0;
}

static int who_asks_for_the_next_gets_the_one_that_failed(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *f, *next;
        sj_spawn(s, fail_after_ms, (void *)1000, &f);
        sj_spawn(s, sleep_ms, (void *)5000, NULL);
        expect_equal(sj_scope_next(s, &next, SJ_NEVER), 0);
        expect(next == f);
        expect_equal(sj_scope_next(s, &next, SJ_NEVER), -ECANCELED);
        return 0;
}

typedef struct takers {
        sj_scope *scope;
        unsigned taken;
        unsigned refused;
} takers;

static int take_next(void *arg)
{
        takers *t = arg;
        sj_fiber *f;
        int r = sj_scope_next(t->scope, &f, SJ_NEVER);
        expect(r == 0 || r == -ENOENT);
        if (r == 0) {
                expect(sj_fiber_done(f, NULL));
                t->taken++;
        } else {
                t->refused++;
        }
        return 0;
}

static int each_end_goes_to_one_taker_and_the_rest_hear_that_none_is_left(void *arg)
{
        (void)arg;
        SJ_SCOPE(outer, SJ_NEVER, 0);
        SJ_SCOPE(s, SJ_NEVER, 0);
        takers t = {.scope = s};
        sj_fiber *f;
        for (int i = 0; i < 3; i++)
                sj_spawn(s, sleep_ms, (void *)(intptr_t)(10 + i % 2), &f);
        for (int i = 0; i < 5; i++)
                sj_spawn(outer, take_next, &t, NULL);
        expect_equal(sj_scope_join(outer), 0);
        expect_equal(t.taken, 3);
        expect_equal(t.refused, 2);
        return 0;
}

/* ── Cancellation at odd moments ─────────────────────────────────────────────────────────── */

static int cancels_itself(void *arg)
{
        (void)arg;
        sj_cancel(sj_fiber_self());
        expect(sj_cancelled());
        expect_equal(sj_yield(), -ECANCELED);
        sj_cancel(sj_fiber_self());
        {
                SJ_SCOPE(shield, sj_after(SJ_SEC), SJ_SHIELD);
                sj_cancel(sj_fiber_self());
                expect_equal(sj_sleep(SJ_MS), 0);
                sj_scope_cancel(shield);
                expect_equal(sj_sleep(SJ_MS), -ECANCELED);
                sj_scope_cancel(shield);
                {
                        SJ_SCOPE(deeper, sj_after(SJ_SEC), SJ_SHIELD);
                        expect_equal(sj_sleep(SJ_MS), 0);
                        expect_equal(sj_scope_join(deeper), 0);
                }
                expect_equal(sj_sleep(SJ_MS), -ECANCELED);
        }
        expect_equal(sj_sleep(SJ_MS), -ECANCELED);
        return -ECANCELED;
}

static int a_fiber_may_be_cancelled_twice_and_in_its_cleanup(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *f;
        sj_spawn(s, cancels_itself, NULL, &f);
        expect_equal(sj_join(f, SJ_NEVER), -ECANCELED);
        sj_cancel(f);
        int r;
        expect(sj_fiber_done(f, &r) && r == -ECANCELED);
        expect_equal(sj_scope_join(s), 0);
        return sj_sleep(SJ_MS);
}

static int shielded_from_the_start(void *arg)
{
        (void)arg;
        {
                SJ_SCOPE(shield, sj_after(9 * SJ_SEC), SJ_SHIELD);
                SJ_SCOPE(plain, SJ_NEVER, 0);
                sj_fiber *f;
                sj_spawn(plain, sleep_ms, (void *)2000, &f);
                expect_equal(sj_sleep(2 * SJ_SEC), 0);
                expect_equal(sj_join(f, SJ_NEVER), 0);
                expect_equal(sj_scope_join(plain), 0);
                expect_equal(sj_scope_join(shield), 0);
        }
        expect_equal(sj_yield(), -ECANCELED);
        return -ECANCELED;
}

static int a_shield_that_is_a_fibers_outermost_scope_holds(void *arg)
{
        (void)arg;
        for (int by_scope = 0; by_scope < 2; by_scope++) {
                SJ_SCOPE(s, SJ_NEVER, 0);
                sj_fiber *f;
                sj_spawn(s, shielded_from_the_start, NULL, &f);
                expect_equal(sj_sleep(SJ_SEC), 0);
                if (by_scope)
                        sj_scope_cancel(s);
                else
                        sj_cancel(f);
                expect_equal(sj_scope_join(s), 0);
        }
        return 0;
}

static int runs_and_is_cancelled(void *arg)
{
        *(int *)arg = sj_sleep(SJ_SEC);
        return -ECANCELED;
}

static int a_fiber_cancelled_before_it_starts_runs_and_finds_it_so(void *arg)
{
        (void)arg;
        int outcome = 1;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *f;
        sj_spawn(s, runs_and_is_cancelled, &outcome, &f);
        sj_cancel(f);
        expect_equal(sj_join(f, SJ_NEVER), -ECANCELED);
        expect_equal(outcome, -ECANCELED);
        return sj_scope_join(s);
}

static int says_cancelled_though_it_was_not(void *arg)
{
        (void)arg;
        return -ECANCELED;
}

static int a_fiber_that_says_cancelled_and_was_not_has_failed(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_spawn(s, says_cancelled_though_it_was_not, NULL, NULL);
        expect_equal(sj_scope_join(s), -ECANCELED);
        expect(sj_cancelled());
        return 0;
}

static int what_was_given_is_not_lost_by_a_cancel_that_comes_later(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *f;
        sj_spawn(s, return_5_later, NULL, &f);
        sj_fiber *joiner;
        sj_spawn(s, join_expecting_5, f, &joiner);
        while (!sj_fiber_done(f, NULL))
                expect_equal(sj_yield() < 0 || sj_sleep(SJ_MS) < 0, 0);
        sj_cancel(joiner);
        return sj_scope_join(s);
}

static int a_deadline_in_the_past_cancels_at_once(void *arg)
{
        (void)arg;
        sj_sleep(SJ_SEC);
        const sj_time past[] = {SJ_POLL, -5, sj_now() - 1, sj_now()};
        for (size_t i = 0; i < sizeof(past) / sizeof(past[0]); i++) {
                int outcome = 1;
                SJ_SCOPE(s, past[i], 0);
                expect(sj_cancelled());
                expect_equal(sj_yield(), -ECANCELED);
                sj_spawn(s, runs_and_is_cancelled, &outcome, NULL);
                expect_equal(sj_scope_join(s), -ETIMEDOUT);
                expect_equal(outcome, -ECANCELED);
                sj_scope_set_deadline(s, sj_after(SJ_SEC));
                expect(sj_cancelled());
        }
        expect(!sj_cancelled());
        sj_event e = SJ_EVENT_INIT;
        for (size_t i = 0; i < sizeof(past) / sizeof(past[0]); i++)
                expect_equal(sj_event_wait(&e, past[i]), -ETIMEDOUT);
        expect_equal(sj_sleep_until(-3), 0);
        expect_equal(sj_sleep(0), 0);
        return 0;
}

static int a_shield_hides_the_shield_around_it(void *arg)
{
        (void)arg;
        SJ_SCOPE(outer, sj_after(SJ_SEC), SJ_SHIELD);
        expect_equal(sj_scope_deadline(), sj_after(SJ_SEC));
        {
                sj_time far = sj_after(9 * SJ_SEC);
                SJ_SCOPE(inner, far, SJ_SHIELD);
                SJ_SCOPE(plain, SJ_NEVER, 0);
                expect_equal(sj_scope_deadline(), far);
                sj_fiber *f;
                sj_spawn(plain, sleep_ms, (void *)3000, &f);
                expect_equal(sj_join(f, SJ_NEVER), 0);
                expect_equal(sj_scope_join(plain), 0);
                expect_equal(sj_scope_join(inner), 0);
        }
        expect_equal(sj_sleep(SJ_MS), -ECANCELED);
        expect_equal(sj_scope_join(outer), -ETIMEDOUT);
        return 0;
}

static int deadline_of_a_child(void *arg)
{
        expect_equal(sj_scope_deadline(), *(sj_time *)arg);
        {
                SJ_SCOPE(s, *(sj_time *)arg + SJ_SEC, 0);
                expect_equal(sj_scope_deadline(), *(sj_time *)arg);
        }
        return 0;
}

static int the_earliest_deadline_is_that_of_all_around(void *arg)
{
        (void)arg;
        expect_equal(sj_scope_deadline(), SJ_NEVER);
        sj_time earliest = sj_after(SJ_SEC);
        SJ_SCOPE(a, earliest, 0);
        SJ_SCOPE(b, sj_after(2 * SJ_SEC), 0);
        SJ_SCOPE(c, SJ_NEVER, 0);
        expect_equal(sj_scope_deadline(), earliest);
        sj_spawn(c, deadline_of_a_child, &earliest, NULL);
        return sj_scope_join(c);
}

static int results_that_look_like_errors_of_the_call(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        sj_fiber *f[2];
        sj_spawn(s, return_it, (void *)-ETIMEDOUT, &f[0]);
        sj_spawn(s, return_it, (void *)-ECANCELED, &f[1]);
        for (int i = 0; i < 2; i++) {
                int r;
                expect_equal(sj_join(f[i], SJ_NEVER), i == 0 ? -ETIMEDOUT : -ECANCELED);
                expect(sj_fiber_done(f[i], &r));
        }
        int results[2];
        expect_equal(sj_gather(f, 2, results, SJ_POLL), 0);
        expect_equal(results[0], -ETIMEDOUT);
        expect_equal(results[1], -ECANCELED);
        sj_future future = SJ_FUTURE_INIT;
        sj_future_set(&future, -ETIMEDOUT, &future);
        void *value = NULL;
        expect_equal(sj_future_get(&future, &value, SJ_POLL), -ETIMEDOUT);
        expect(value == &future);
        return 0;
}

/* ── Chans and selects ───────────────────────────────────────────────────────────────────── */

static int receive_pipe(void *arg)
{
        int item;
        expect_equal(sj_chan_recv(arg, &item, SJ_NEVER), -EPIPE);
        return 0;
}

static int send_pipe(void *arg)
{
        int item = 1;
        expect_equal(sj_chan_send(arg, &item, SJ_NEVER), -EPIPE);
        return 0;
}

static int select_pipe(void *arg)
{
        int item = 1;
        sj_case cases[] = {{.kind = SJ_CASE_NONE},
                           {.kind = SJ_CASE_RECV, .chan = arg, .item = &item},
                           {.kind = SJ_CASE_SEND, .chan = arg, .item = &item}};
        sj_fn *side = sim_draw(2) ? receive_pipe : send_pipe;
        if (side == receive_pipe)
                cases[2].kind = SJ_CASE_NONE;
        else
                cases[1].kind = SJ_CASE_NONE;
        int i = sj_select(cases, 3, SJ_NEVER);
        expect_equal(i, side == receive_pipe ? 1 : 2);
        expect_equal(cases[i].result, -EPIPE);
        return 0;
}

static int closing_a_chan_ends_all_who_wait_on_it(void *arg)
{
        (void)arg;
        for (int side = 0; side < 2; side++) {
                sj_chan *c;
                sj_chan_new(sizeof(int), side ? 2 : sim_draw(3), &c);
                {
                        SJ_SCOPE(s, SJ_NEVER, 0);
                        int item = 4;
                        for (size_t i = 0; side && i < 2; i++)
                                expect_equal(sj_chan_send(c, &item, SJ_POLL), 0);
                        for (int i = 0; i < 4; i++)
                                sj_spawn(s, side ? send_pipe : receive_pipe, c, NULL);
                        sj_sleep(SJ_MS);
                        sj_chan_close(c);
                        sj_chan_close(c);
                        expect_equal(sj_scope_join(s), 0);
                        for (int i = 0; side && i < 2; i++)
                                expect_equal(sj_chan_recv(c, &item, SJ_NEVER), 0);
                        expect_equal(sj_chan_recv(c, &item, SJ_NEVER), -EPIPE);
                        sj_spawn(s, select_pipe, c, NULL);
                        expect_equal(sj_scope_join(s), 0);
                }
                sj_chan_free(c);
        }
        return 0;
}

typedef struct pair {
        sj_chan *chan;
        int sum;
} pair;

/* Sends its number and receives on the same chan, whichever comes. */
static int send_or_receive(void *arg)
{
        pair *p = arg;
        int out = 1, in[2] = {0, 0};
        sj_case cases[] = {{.kind = SJ_CASE_SEND, .chan = p->chan, .item = &out},
                           {.kind = SJ_CASE_RECV, .chan = p->chan, .item = &in[0]},
                           {.kind = SJ_CASE_RECV, .chan = p->chan, .item = &in[1]}};
        int i = sj_select(cases, 3, sj_after(SJ_SEC));
        if (i == -ETIMEDOUT)
                p->sum += 1000;
        else if (i == 0)
                p->sum += 100;
        else
                p->sum += in[i - 1];
        expect(i <= 0 || in[2 - i] == 0);
        return 0;
}

static int a_select_never_meets_itself(void *arg)
{
        (void)arg;
        pair p = {0};
        sj_chan_new(sizeof(int), 0, &p.chan);
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                for (int i = 0; i < 5; i++)
                        sj_spawn(s, send_or_receive, &p, NULL);
                expect_equal(sj_scope_join(s), 0);
        }
        expect_equal(p.sum, 2 * 101 + 1000);
        sj_chan_free(p.chan);
        return 0;
}

static int set_it(void *arg)
{
        sj_sleep(SJ_MS);
        return sj_future_set(arg, 3, NULL);
}

static int a_select_holds_as_many_cases_as_are_allowed(void *arg)
{
        (void)arg;
        sj_future futures[SJ_SELECT_MAX] = {0};
        sj_case cases[SJ_SELECT_MAX + 1] = {0};
        for (int i = 0; i < SJ_SELECT_MAX; i++)
                cases[i] = (sj_case){.kind = SJ_CASE_FUTURE, .future = &futures[i]};
        expect_equal(sj_select(cases, SJ_SELECT_MAX + 1, SJ_POLL), -EINVAL);
        expect_equal(sj_select(cases, SJ_SELECT_MAX, SJ_POLL), -ETIMEDOUT);
        expect_equal(sj_select(NULL, 0, sj_after(SJ_MS)), -ETIMEDOUT);
        size_t n = 1 + sim_draw(SJ_SELECT_MAX);
        int which = (int)sim_draw(n);
        SJ_SCOPE(s, SJ_NEVER, 0);
        /* The same one twice is no harm. */
        if (n > 1)
                cases[n - 1].future = &futures[which];
        sj_spawn(s, set_it, &futures[which], NULL);
        expect_equal(sj_select(cases, n, SJ_NEVER), which);
        expect_equal(cases[which].result, 3);
        expect_equal(sj_scope_join(s), 0);
        for (size_t i = 0; i + 1 < n; i++)
                expect(futures[i].waiters.next == NULL ||
                       futures[i].waiters.next == &futures[i].waiters);
        return 0;
}

static int joins_selecting(void *arg)
{
        sj_case c = {.kind = SJ_CASE_FIBER, .fiber = arg};
        expect_equal(sj_select(&c, 1, SJ_NEVER), 0);
        expect_equal(c.result, 5);
        c.fiber = sj_fiber_self();
        expect_equal(sj_select(&c, 1, SJ_NEVER), -EDEADLK);
        return 0;
}

static int a_select_waits_for_fibers_and_is_a_cancellation_point(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *f;
        sj_spawn(s, return_5_later, NULL, &f);
        for (int i = 0; i < 3; i++)
                sj_spawn(s, joins_selecting, f, NULL);
        expect_equal(sj_scope_join(s), 0);
        sj_case c = {.kind = SJ_CASE_FIBER, .fiber = f};
        expect_equal(sj_select(&c, 1, SJ_POLL), 0);
        sj_scope_cancel(s);
        expect_equal(sj_select(&c, 1, SJ_POLL), -ECANCELED);
        return 0;
}

/* ── Descriptors ─────────────────────────────────────────────────────────────────────────── */

static sj_time at_1s;

static int wait_until_1s(void *arg)
{
        expect_equal(sj_fd_wait(*(int *)arg, SJ_READABLE, at_1s), -ETIMEDOUT);
        return 0;
}

static int wait_from_1s(void *arg)
{
        expect_equal(sj_sleep_until(at_1s), 0);
        expect_equal(sj_fd_wait(*(int *)arg, SJ_READABLE, sj_after(SJ_SEC)), -ETIMEDOUT);
        return 0;
}

static int who_has_timed_out_does_not_keep_a_descriptor_busy(void *arg)
{
        (void)arg;
        sim_options quiet = sim_gentle;
        sim_change(&quiet);
        int fds[2];
        expect_equal(os_pipe(fds), 0);
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                at_1s = sj_after(SJ_SEC);
                sj_spawn(s, wait_until_1s, &fds[0], NULL);
                sj_spawn(s, wait_from_1s, &fds[0], NULL);
                expect_equal(sj_scope_join(s), 0);
        }
        sj_fd_forget(fds[0]);
        os_close(fds[0]);
        os_close(fds[1]);
        return 0;
}

static int wait_from_1s_until_gone(void *arg)
{
        expect_equal(sj_sleep_until(at_1s), 0);
        int r = sj_fd_wait(*(int *)arg, SJ_READABLE, sj_after(SJ_SEC));
        expect(r == -EBADF || r == -ETIMEDOUT);
        return 0;
}

static int forget_at_1s(void *arg)
{
        expect_equal(sj_sleep_until(at_1s), 0);
        sj_fd_forget(*(int *)arg);
        return 0;
}

static int wait_until_1s_or_gone(void *arg)
{
        int r = sj_fd_wait(*(int *)arg, SJ_READABLE, at_1s);
        expect(r == -EBADF || r == -ETIMEDOUT);
        return 0;
}

static int one_times_out_the_next_waits_and_a_third_forgets_it(void *arg)
{
        (void)arg;
        sim_change(&sim_gentle);
        int fds[2];
        expect_equal(os_pipe(fds), 0);
        {
                at_1s = sj_after(SJ_SEC);
                SJ_SCOPE(s, SJ_NEVER, 0);
                sj_spawn(s, wait_until_1s_or_gone, &fds[0], NULL);
                sj_spawn(s, wait_from_1s_until_gone, &fds[0], NULL);
                sj_spawn(s, forget_at_1s, &fds[0], NULL);
                expect_equal(sj_scope_join(s), 0);
        }
        sj_fd_forget(fds[0]);
        os_close(fds[0]);
        os_close(fds[1]);
        return 0;
}

static int wait_writable(void *arg)
{
        expect_equal(sj_fd_wait(*(int *)arg, SJ_WRITABLE, SJ_NEVER), SJ_WRITABLE);
        return 0;
}

static int wait_readable(void *arg)
{
        expect_equal(sj_fd_wait(*(int *)arg, SJ_READABLE, SJ_NEVER), SJ_READABLE);
        return 0;
}

static int a_report_in_one_direction_leaves_the_other_waiting(void *arg)
{
        (void)arg;
        sim_change(&sim_gentle);
        int fds[2];
        char bytes[4096] = {0};
        expect_equal(os_socket_pair(fds), 0);
        while (os_send(fds[0], bytes, sizeof(bytes)) > 0)
                continue;
        {
                SJ_SCOPE(s, sj_after(10 * SJ_SEC), 0);
                sj_fiber *reader;
                sj_spawn(s, wait_writable, &fds[0], NULL);
                sj_spawn(s, wait_readable, &fds[0], &reader);
                expect_equal(sj_sleep(SJ_SEC), 0);
                expect_equal(os_send(fds[1], "x", 1), 1);
                expect_equal(sj_join(reader, SJ_NEVER), 0);
                expect_equal(sj_sleep(SJ_SEC), 0);
                while (os_recv(fds[1], bytes, sizeof(bytes)) > 0)
                        continue;
                expect_equal(sj_scope_join(s), 0);
        }
        for (int i = 0; i < 2; i++) {
                sj_fd_forget(fds[i]);
                os_close(fds[i]);
        }
        return 0;
}

static int trying_a_descriptor_sees_that_it_is_ready(void *arg)
{
        (void)arg;
        int bell = os_bell_new();
        sj_case c = {.kind = SJ_CASE_FD, .fd = bell, .ready = SJ_READABLE};
        expect_equal(sj_select(&c, 1, SJ_POLL), -ETIMEDOUT);
        expect_equal(sj_fd_wait(bell, SJ_READABLE, SJ_POLL), -ETIMEDOUT);
        os_bell_ring(bell);
        expect_equal(sj_fd_wait(bell, SJ_READABLE, SJ_POLL), SJ_READABLE);
        expect_equal(sj_select(&c, 1, SJ_POLL), 0);
        expect_equal(c.result, SJ_READABLE);
        sj_fd_forget(bell);
        os_close(bell);
        return 0;
}

static int wait_bad(void *arg)
{
        expect_equal(sj_fd_wait(*(int *)arg, SJ_READABLE, SJ_NEVER), -EBADF);
        return 0;
}

static int select_bad(void *arg)
{
        sj_case cases[] = {{.kind = SJ_CASE_NONE},
                           {.kind = SJ_CASE_FD, .fd = *(int *)arg, .ready = SJ_WRITABLE}};
        expect_equal(sj_select(cases, 2, SJ_NEVER), 1);
        expect_equal(cases[1].result, -EBADF);
        return 0;
}

static int forgetting_a_descriptor_ends_the_waits_for_it(void *arg)
{
        (void)arg;
        int fds[2];
        expect_equal(os_pipe(fds), 0);
        {
                char full[4096] = {0};
                while (os_write(fds[1], full, sizeof(full)) > 0)
                        continue;
                SJ_SCOPE(s, SJ_NEVER, 0);
                int other[2];
                expect_equal(os_pipe(other), 0);
                sj_spawn(s, wait_bad, &other[0], NULL);
                sj_sleep(10 * SJ_MS);
                sj_fd_forget(other[0]);
                sj_fd_forget(other[0]);
                expect_equal(sj_fd_wait(other[0], SJ_READABLE, SJ_POLL), -ETIMEDOUT);
                expect_equal(sj_scope_join(s), 0);
                sj_fd_forget(other[0]);
                os_close(other[0]);
                os_close(other[1]);
                int gone = other[0];
                sj_spawn(s, select_bad, &gone, NULL);
                expect_equal(sj_scope_join(s), 0);
        }
        sj_fd_forget(-1);
        sj_fd_forget(1 << 20);
        os_close(fds[0]);
        os_close(fds[1]);
        return 0;
}

static int next_signal_bad(void *arg)
{
        expect_equal(sj_signals_next(arg, SJ_NEVER), -EBADF);
        return 0;
}

static int signals_come_and_closing_them_ends_the_wait(void *arg)
{
        (void)arg;
        const int list[] = {SIGUSR1, SIGTERM};
        sj_signals *signals;
        expect_equal(sj_signals_open(list, 0, &signals), -EINVAL);
        expect_equal(sj_signals_open(list, 2, &signals), 0);
        expect_equal(sj_signals_next(signals, SJ_POLL), -ETIMEDOUT);
        expect(sim_raise(SIGTERM));
        expect_equal(sj_signals_next(signals, SJ_NEVER), SIGTERM);
        expect_equal(sj_signals_next(signals, sj_after(SJ_SEC)), -ETIMEDOUT);
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_spawn(s, next_signal_bad, signals, NULL);
        sj_sleep(SJ_SEC);
        sj_signals_close(signals);
        sj_signals_close(NULL);
        expect(!sim_raise(SIGTERM));
        return sj_scope_join(s);
}

/* ── Fairness ────────────────────────────────────────────────────────────────────────────── */

typedef struct busy {
        int bell;
        bool posted;
        bool read;
        bool slept;
} busy;

static int yield_until_all(void *arg)
{
        busy *b = arg;
        for (int i = 0; i < 5000 && !(b->posted && b->read && b->slept); i++)
                expect_equal(sj_yield(), 0);
        expect(b->posted && b->read && b->slept);
        return 0;
}

static int read_bell(void *arg)
{
        busy *b = arg;
        expect_equal(sj_fd_wait(b->bell, SJ_READABLE, SJ_NEVER), SJ_READABLE);
        b->read = true;
        return 0;
}

static int sleep_shortly(void *arg)
{
        expect_equal(sj_sleep(SJ_US), 0);
        ((busy *)arg)->slept = true;
        return 0;
}

static int posted(void *arg)
{
        expect(sj_fiber_self() == NULL && sj_loop_current() != NULL);
        expect_equal(sj_yield(), -EPERM);
        ((busy *)arg)->posted = true;
        return 0;
}

static int busy_fibers_keep_nobody_out(void *arg)
{
        (void)arg;
        busy b = {.bell = os_bell_new()};
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                sj_spawn(s, read_bell, &b, NULL);
                sj_spawn(s, sleep_shortly, &b, NULL);
                for (int i = 0; i < 3; i++)
                        sj_spawn(s, yield_until_all, &b, NULL);
                os_bell_ring(b.bell);
                expect_equal(sj_post(sj_loop_current(), posted, &b), 0);
                expect_equal(sj_scope_join(s), 0);
        }
        sj_fd_forget(b.bell);
        os_close(b.bell);
        return 0;
}

static int posts_and_ends(void *arg)
{
        for (int i = 0; i < 3; i++)
                expect_equal(sj_post(sj_loop_current(), posted, arg), 0);
        return 0;
}

#define CASES(X)                                                          \
        X(a_scope_may_be_left_before_another_joiner_runs)                 \
        X(another_joiner_is_told_too)                                     \
        X(a_cancel_does_not_end_the_join_of_a_scope)                      \
        X(a_scope_in_a_cancelled_one_says_from_where)                     \
        X(a_joiner_has_the_result_though_the_handle_is_gone)              \
        X(a_gather_that_gives_up_has_told_nobody)                         \
        X(what_the_first_of_several_or_a_gather_told_is_over)             \
        X(the_first_of_several_tells_of_itself_alone)                     \
        X(the_failure_that_goes_up_is_the_one_nobody_heard_of)            \
        X(who_asks_for_the_next_gets_the_one_that_failed)                 \
        X(each_end_goes_to_one_taker_and_the_rest_hear_that_none_is_left) \
        X(a_fiber_may_be_cancelled_twice_and_in_its_cleanup)              \
        X(a_shield_that_is_a_fibers_outermost_scope_holds)                \
        X(a_fiber_cancelled_before_it_starts_runs_and_finds_it_so)        \
        X(a_fiber_that_says_cancelled_and_was_not_has_failed)             \
        X(what_was_given_is_not_lost_by_a_cancel_that_comes_later)        \
        X(a_deadline_in_the_past_cancels_at_once)                         \
        X(a_shield_hides_the_shield_around_it)                            \
        X(the_earliest_deadline_is_that_of_all_around)                    \
        X(results_that_look_like_errors_of_the_call)                      \
        X(closing_a_chan_ends_all_who_wait_on_it)                         \
        X(a_select_never_meets_itself)                                    \
        X(a_select_holds_as_many_cases_as_are_allowed)                    \
        X(a_select_waits_for_fibers_and_is_a_cancellation_point)          \
        X(who_has_timed_out_does_not_keep_a_descriptor_busy)              \
        X(one_times_out_the_next_waits_and_a_third_forgets_it)            \
        X(a_report_in_one_direction_leaves_the_other_waiting)             \
        X(trying_a_descriptor_sees_that_it_is_ready)                      \
        X(forgetting_a_descriptor_ends_the_waits_for_it)                  \
        X(signals_come_and_closing_them_ends_the_wait)                    \
        X(busy_fibers_keep_nobody_out)

CASES(SIM_UNIT_DEFINE)

static void what_was_posted_before_the_loop_ends_is_run(void **state)
{
        (void)state;
        busy b = {0};
        sim_unit_run(posts_and_ends, &b, 0);
        assert_true(b.posted);
}

static int never_runs(void *arg)
{
        (void)arg;
        abort();
}

static void a_loop_that_cannot_begin_says_why(void **state)
{
        (void)state;
        sim_begin(1, NULL);
        sim_fail_descriptors_after(0);
        assert_int_equal(sj_run(never_runs, NULL), -EMFILE);
        sim_fail_descriptors_after(SIZE_MAX);
        sim_fail_maps_after(0);
        assert_int_equal(sj_run(never_runs, NULL), -ENOMEM);
        sim_fail_maps_after(SIZE_MAX);
        assert_int_equal(sj_run(return_it, (void *)9), 9);
        assert_int_equal(sj_run(return_it, (void *)-EDOM), -EDOM);
        assert_null(sj_loop_current());
        assert_int_equal(sim_end(), 0);
}

static int spawn_until_no_memory(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sim_fail_maps_after(2);
        int r, n = 0;
        while ((r = sj_spawn(s, sleep_ms, (void *)100, NULL)) == 0)
                n++;
        expect_equal(r, -ENOMEM);
        expect(n > 50);
        sim_fail_maps_after(SIZE_MAX);
        expect_equal(sj_spawn(s, sleep_ms, (void *)1, NULL), 0);
        return sj_scope_join(s);
}

static void a_spawn_without_memory_leaves_all_as_it_was(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed <= 10; seed++)
                sim_unit_once(seed, spawn_until_no_memory, NULL, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                CASES(SIM_UNIT_ROW) cmocka_unit_test(what_was_posted_before_the_loop_ends_is_run),
                cmocka_unit_test(a_loop_that_cannot_begin_says_why),
                cmocka_unit_test(a_spawn_without_memory_leaves_all_as_it_was),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
