/* SPDX-License-Identifier: MIT */
/* Futures between fibers: waits for several, cancelling, callbacks. */
#include "fiber/sim_unit.h"

#include <sanjab/future.h>

enum { MANY = 20 };

static sj_future futures[MANY], *all[MANY];

static void renew(void)
{
        for (int i = 0; i < MANY; i++) {
                futures[i] = (sj_future)SJ_FUTURE_INIT;
                all[i] = &futures[i];
        }
}

/* Sets them one after another, last first, a millisecond each; the one at *arg fails. */
static int set_all(void *arg)
{
        for (int i = MANY; i-- > 0;) {
                int r = sj_sleep(SJ_MS);
                if (r < 0)
                        return r;
                sj_future_set(&futures[i], i == *(int *)arg ? -EIO : i, NULL);
        }
        return 0;
}

static int several_are_waited_for_by_every_rule(void *arg)
{
        (void)arg;
        for (int failing = -1; failing < MANY; failing += 6) {
                renew();
                SJ_SCOPE(s, SJ_NEVER, 0);
                expect_equal(sj_spawn(s, set_all, &failing, NULL), 0);
                expect_equal(sj_future_wait(all, MANY, SJ_FIRST, SJ_POLL), -ETIMEDOUT);
                expect_equal(sj_future_wait(all, 3, SJ_ALL, sj_after(100 * SJ_US)), -ETIMEDOUT);
                int r = sj_future_wait(all, MANY, SJ_FIRST, SJ_NEVER);
                expect(r >= 0 && r < MANY && sj_future_done(all[r]));
                r = sj_future_wait(all, MANY, SJ_FIRST_FAILURE, SJ_NEVER);
                expect_equal(r, failing < 0 ? MANY : failing);
                expect_equal(sj_future_wait(all, MANY, SJ_ALL, SJ_NEVER), MANY);
                for (int i = 0; i < MANY; i++)
                        expect_equal(sj_future_get(all[i], NULL, SJ_POLL), i == failing ? -EIO : i);
                expect_equal(sj_future_wait(all, 0, SJ_ALL, SJ_POLL), 0);
                expect_equal(sj_future_wait(all, 0, SJ_FIRST, SJ_POLL), -EINVAL);
        }
        return 0;
}

static int as_they_are_completed(void *arg)
{
        (void)arg;
        int none = -1;
        renew();
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect_equal(sj_spawn(s, set_all, &none, NULL), 0);
        bool seen[MANY] = {false};
        for (size_t n = MANY; n > 0; n--) {
                int i = sj_future_wait(all, n, SJ_FIRST, SJ_NEVER);
                expect(i >= 0);
                int result = sj_future_get(all[i], NULL, SJ_POLL);
                expect(!seen[result]);
                seen[result] = true;
                all[i] = all[n - 1];
        }
        return 0;
}

static int gives_up(void *arg)
{
        (void)arg;
        return sj_future_wait(all, MANY, SJ_ALL, SJ_NEVER);
}

static int who_is_cancelled_waits_no_more(void *arg)
{
        (void)arg;
        renew();
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        sj_fiber *f;
        expect_equal(sj_spawn(s, gives_up, NULL, &f), 0);
        expect_equal(sj_sleep(SJ_MS), 0);
        sj_cancel(f);
        if (sj_now() % 2)
                sj_future_set(&futures[3], 0, NULL); /* at that very moment */
        expect_equal(sj_join(f, SJ_NEVER), -ECANCELED);
        for (int i = 0; i < MANY; i++)
                sj_future_set(&futures[i], 0, NULL); /* and none of them finds a waiter */
        return 0;
}

static int gets(void *arg)
{
        return sj_future_get(arg, NULL, SJ_NEVER);
}

static int a_cancelled_future_lets_its_waiters_go(void *arg)
{
        (void)arg;
        renew();
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        sj_fiber *f;
        expect_equal(sj_spawn(s, gets, &futures[0], &f), 0);
        expect_equal(sj_yield(), 0);
        expect_equal(sj_future_cancel(&futures[0]), 0);
        expect_equal(sj_future_cancel(&futures[0]), -EALREADY);
        expect_equal(sj_future_set(&futures[0], 5, NULL), -EALREADY);
        expect_equal(sj_join(f, SJ_NEVER), -ECANCELED);
        /* To be cancelled is no failure. */
        expect_equal(sj_future_wait(all, 2, SJ_FIRST_FAILURE, sj_after(SJ_MS)), -ETIMEDOUT);
        expect_equal(sj_future_wait(all, 1, SJ_FIRST_FAILURE, SJ_POLL), 1);
        return 0;
}

typedef struct called {
        sj_then then;
        int result;
        void *value;
        int number; /* in the order of calls; 0: not called */
} called;

static int calls;

static void note_call(sj_then *then, int result, void *value)
{
        called *c = (called *)(void *)then; /* its first member */
        c->result = result;
        c->value = value;
        expect(c->number == 0);
        c->number = ++calls;
}

static int callbacks_are_made_by_the_setter_in_their_order(void *arg)
{
        called c[4] = {0};
        calls = 0;
        renew();
        for (int i = 0; i < 4; i++)
                c[i].then.call = note_call;
        for (int i = 0; i < 3; i++)
                sj_future_then(&futures[0], &c[i].then);
        expect(sj_future_forget(&futures[0], &c[1].then));
        expect(!sj_future_forget(&futures[0], &c[1].then));
        expect_equal(calls, 0);
        expect_equal(sj_future_set(&futures[0], -EIO, &arg), 0);
        expect(c[0].number == 1 && c[1].number == 0 && c[2].number == 2);
        expect(c[0].result == -EIO && c[0].value == &arg);
        expect(!sj_future_forget(&futures[0], &c[0].then));
        sj_future_then(&futures[0], &c[3].then); /* at once */
        expect(c[3].number == 3 && c[3].result == -EIO && c[3].value == &arg);
        return 0;
}

#define TESTS(X)                                  \
        X(several_are_waited_for_by_every_rule)   \
        X(as_they_are_completed)                  \
        X(who_is_cancelled_waits_no_more)         \
        X(a_cancelled_future_lets_its_waiters_go) \
        X(callbacks_are_made_by_the_setter_in_their_order)

TESTS(SIM_UNIT_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {TESTS(SIM_UNIT_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
