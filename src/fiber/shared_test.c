/* SPDX-License-Identifier: MIT */
/*
 * What loops and threads share, among the fibers of one loop over many seeds, with random cancels
 * and limits of time. What needs two threads is in shared_thread_test.c.
 */
#include "fiber/sim_unit.h"

#include <sanjab/shared.h>

enum { CROWD = 8, ROUNDS = 10 };

static sj_time soon(void)
{
        return sim_draw(3) == 0 ? SJ_NEVER : sj_after((sj_time)sim_draw(4) * SJ_MS);
}

static void dawdle(void)
{
        sj_sleep((sj_time)sim_draw(3) * SJ_MS);
}

/* A crowd of fn, of which some are cancelled at some time; all of them have ended then. */
static void crowd(sj_fn *fn, void *arg)
{
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        sj_fiber *f[CROWD];
        for (int i = 0; i < CROWD; i++)
                expect_equal(sj_spawn(s, fn, arg, &f[i]), 0);
        for (int i = 0; i < 3; i++) {
                dawdle();
                sj_cancel(f[sim_draw(CROWD)]);
        }
        sj_scope_join(s);
}

/* A line of fn at something that is not free, in a known order. */
typedef struct in_line {
        void *thing;
        int place;
        int *served;
} in_line;

static void line_up(sj_scope *s, sj_fn *fn, in_line places[], void *thing, int *served)
{
        for (int i = 0; i < CROWD; i++) {
                places[i] = (in_line){.thing = thing, .place = i, .served = served};
                expect_equal(sj_spawn(s, fn, &places[i], NULL), 0);
                expect_equal(sj_sleep(SJ_MS), 0);
        }
}

static void cancel_after_a_while(sj_fn *fn, in_line *place)
{
        sj_fiber *f;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        expect_equal(sj_spawn(s, fn, place, &f), 0);
        expect_equal(sj_sleep(SJ_MS), 0);
        sj_cancel(f);
        expect_equal(sj_join(f, SJ_NEVER), -ECANCELED);
}

/* ── Locks ───────────────────────────────────────────────────────────────────────────────── */

typedef struct room {
        sj_shared_lock lock;
        sj_shared_semaphore seats;
        int inside, most;
} room;

static int go_in_often(void *arg)
{
        room *p = arg;
        for (int i = 0; i < ROUNDS && !sj_cancelled(); i++) {
                int r = sj_shared_lock_acquire(&p->lock, soon());
                if (r < 0) {
                        expect(r == -ETIMEDOUT || r == -ECANCELED);
                        expect_equal(sj_shared_lock_release(&p->lock), -EPERM);
                        continue;
                }
                expect_equal(++p->inside, 1);
                dawdle();
                int again = sj_shared_lock_acquire(&p->lock, SJ_NEVER);
                expect(again == -EDEADLK || again == -ECANCELED);
                p->inside--;
                expect_equal(sj_shared_lock_release(&p->lock), 0);
        }
        return 0;
}

static int one_at_a_time_holds_a_shared_lock(void *arg)
{
        (void)arg;
        room p = {.lock = SJ_SHARED_LOCK_INIT};
        crowd(go_in_often, &p);
        expect(!p.lock.owner);
        expect_equal(sj_shared_lock_acquire(&p.lock, SJ_POLL), 0);
        return sj_shared_lock_release(&p.lock);
}

static int take_in_turn(void *arg)
{
        in_line *l = arg;
        int r = sj_shared_lock_acquire(l->thing, SJ_NEVER);
        if (r < 0)
                return r;
        expect_equal((*l->served)++, l->place);
        dawdle();
        return sj_shared_lock_release(l->thing);
}

static int a_shared_lock_goes_to_who_has_waited_longest(void *arg)
{
        (void)arg;
        sj_shared_lock lock = SJ_SHARED_LOCK_INIT;
        in_line places[CROWD], gone = {.thing = &lock};
        int served = 0;
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect_equal(sj_shared_lock_acquire(&lock, SJ_NEVER), 0);
        expect_equal(sj_shared_lock_acquire(&lock, SJ_POLL), -EDEADLK);
        cancel_after_a_while(take_in_turn, &gone);
        line_up(s, take_in_turn, places, &lock, &served);
        expect_equal(sj_shared_lock_release(&lock), 0);
        /* It has been handed over. */
        expect_equal(sj_shared_lock_acquire(&lock, SJ_POLL), -ETIMEDOUT);
        expect_equal(sj_scope_join(s), 0);
        expect_equal(served, CROWD);
        return 0;
}

/* ── Semaphores ──────────────────────────────────────────────────────────────────────────── */

static int sit_down_often(void *arg)
{
        room *p = arg;
        for (int i = 0; i < ROUNDS && !sj_cancelled(); i++) {
                if (sj_shared_semaphore_acquire(&p->seats, soon()) < 0)
                        continue;
                expect(++p->inside <= p->most);
                dawdle();
                p->inside--;
                expect_equal(sj_shared_semaphore_release(&p->seats), 0);
        }
        return 0;
}

static int so_many_hold_a_shared_semaphore(void *arg)
{
        (void)arg;
        int n = 1 + (int)sim_draw(3);
        room p = {.seats = SJ_SHARED_SEMAPHORE_BOUNDED((size_t)n), .most = n};
        crowd(sit_down_often, &p);
        for (int i = 0; i < n; i++)
                expect_equal(sj_shared_semaphore_acquire(&p.seats, SJ_POLL), 0);
        expect_equal(sj_shared_semaphore_acquire(&p.seats, SJ_POLL), -ETIMEDOUT);
        for (int i = 0; i < n; i++)
                expect_equal(sj_shared_semaphore_release(&p.seats), 0);
        expect_equal(sj_shared_semaphore_release(&p.seats), -EOVERFLOW);
        return 0;
}

static int be_let_in(void *arg)
{
        in_line *l = arg;
        int r = sj_shared_semaphore_acquire(l->thing, SJ_NEVER);
        if (r == 0)
                expect_equal((*l->served)++, l->place);
        return r;
}

static int a_shared_semaphore_goes_to_who_has_waited_longest(void *arg)
{
        (void)arg;
        sj_shared_semaphore s = SJ_SHARED_SEMAPHORE_INIT(0);
        in_line places[CROWD], gone = {.thing = &s};
        int served = 0;
        SJ_SCOPE(scope, SJ_NEVER, 0);
        cancel_after_a_while(be_let_in, &gone);
        line_up(scope, be_let_in, places, &s, &served);
        for (int i = 0; i < CROWD; i++) {
                expect_equal(sj_shared_semaphore_release(&s), 0);
                expect_equal(sj_shared_semaphore_acquire(&s, SJ_POLL), -ETIMEDOUT);
                expect_equal(sj_sleep(SJ_MS), 0);
                expect_equal(served, i + 1);
        }
        return sj_scope_join(scope);
}

/* ── Events ──────────────────────────────────────────────────────────────────────────────── */

typedef struct party {
        sj_shared_event begin;
        int there;
} party;

static int come_when_it_begins(void *arg)
{
        party *p = arg;
        int r = sj_shared_event_wait(&p->begin, SJ_NEVER);
        p->there += r == 0;
        return r;
}

static int a_shared_event_wakes_all_even_if_it_is_cleared_at_once(void *arg)
{
        (void)arg;
        party p = {.begin = SJ_SHARED_EVENT_INIT};
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        sj_fiber *f[CROWD];
        expect_equal(sj_shared_event_wait(&p.begin, SJ_POLL), -ETIMEDOUT);
        expect_equal(sj_shared_event_wait(&p.begin, sj_after(SJ_MS)), -ETIMEDOUT);
        for (int i = 0; i < CROWD; i++)
                expect_equal(sj_spawn(s, come_when_it_begins, &p, &f[i]), 0);
        expect_equal(sj_sleep(SJ_MS), 0);
        size_t one = sim_draw(CROWD);
        sj_cancel(f[one]);
        expect_equal(p.there, 0);
        sj_shared_event_set(&p.begin);
        expect_equal(sj_shared_event_wait(&p.begin, SJ_POLL), 0);
        sj_shared_event_clear(&p.begin);
        expect_equal(sj_shared_event_wait(&p.begin, SJ_POLL), -ETIMEDOUT);
        /* After the moment of setting nobody can be cancelled out of it. */
        sj_cancel(f[(one + 1) % CROWD]);
        sj_scope_join(s);
        expect_equal(p.there, CROWD - 1);
        return 0;
}

static int gives_up(void *arg)
{
        room *p = arg;
        sj_shared_event begun = {.is_set = true};
        expect_equal(sj_yield(), -ECANCELED);
        expect_equal(sj_shared_lock_acquire(&p->lock, SJ_NEVER), -ECANCELED);
        expect_equal(sj_shared_semaphore_acquire(&p->seats, SJ_NEVER), -ECANCELED);
        expect_equal(sj_shared_event_wait(&begun, SJ_NEVER), -ECANCELED);
        return 0;
}

static int who_is_cancelled_takes_nothing_though_it_is_free(void *arg)
{
        (void)arg;
        room p = {.seats = SJ_SHARED_SEMAPHORE_INIT(1)};
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect_equal(sj_spawn(s, gives_up, &p, NULL), 0);
        sj_scope_cancel(s);
        expect_equal(sj_scope_join(s), 0);
        return 0;
}

#define BODIES(X)                                                 \
        X(one_at_a_time_holds_a_shared_lock)                      \
        X(a_shared_lock_goes_to_who_has_waited_longest)           \
        X(so_many_hold_a_shared_semaphore)                        \
        X(a_shared_semaphore_goes_to_who_has_waited_longest)      \
        X(a_shared_event_wakes_all_even_if_it_is_cleared_at_once) \
        X(who_is_cancelled_takes_nothing_though_it_is_free)

BODIES(SIM_UNIT_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {BODIES(SIM_UNIT_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
