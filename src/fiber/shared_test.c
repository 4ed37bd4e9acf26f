/* SPDX-License-Identifier: MIT */
/*
 * What loops and threads share, among the fibers of one loop over many seeds, with random cancels
 * and limits of time. What needs two threads is in shared_thread_test.c.
 */
#include "fiber/shared_chan.h"
#include "fiber/sim_unit.h"

#include <sanjab/select.h>
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

/* ── Chans ───────────────────────────────────────────────────────────────────────────────── */

enum { ITEMS = 200 };

static int send_items(void *arg)
{
        for (int i = 0; i < ITEMS; i++) {
                if (sim_draw(3) == 0)
                        expect_equal(sj_yield(), 0);
                expect_equal(sj_shared_chan_send(arg, &i, SJ_NEVER), 0);
        }
        sj_shared_chan_close(arg);
        return 0;
}

static int a_shared_chan_keeps_order_and_drains_after_close(void *arg)
{
        (void)arg;
        sj_shared_chan *c;
        expect_equal(sj_shared_chan_new(0, 1, &c), -EINVAL);
        expect_equal(sj_shared_chan_new(sizeof(int), sim_draw(5), &c), 0);
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                sj_spawn(s, send_items, c, NULL);
                int item;
                for (int i = 0; i < ITEMS; i++) {
                        if (sim_draw(3) == 0)
                                sj_yield();
                        expect_equal(sj_shared_chan_recv(c, &item, SJ_NEVER), 0);
                        expect_equal(item, i);
                }
                expect_equal(sj_shared_chan_recv(c, &item, SJ_NEVER), -EPIPE);
                expect_equal(sj_shared_chan_send(c, &item, SJ_NEVER), -EPIPE);
                sj_scope_join(s);
        }
        sj_shared_chan_free(c);
        sj_shared_chan_free(NULL);
        return 0;
}

static int compare_ints(const void *a, const void *b)
{
        return *(const int *)a - *(const int *)b;
}

static int shared_chans_have_the_orders_of_others(void *arg)
{
        (void)arg;
        sj_shared_chan *newest, *least;
        const int items[] = {2, 1, 3};
        int item;
        expect_equal(sj_shared_chan_new_lifo(sizeof(int), 3, &newest), 0);
        expect_equal(sj_shared_chan_new_priority(sizeof(int), 3, compare_ints, &least), 0);
        for (int i = 0; i < 3; i++) {
                expect_equal(sj_shared_chan_send(newest, &items[i], SJ_POLL), 0);
                expect_equal(sj_shared_chan_send(least, &items[i], SJ_POLL), 0);
        }
        expect_equal(sj_shared_chan_send(least, &item, SJ_POLL), -ETIMEDOUT);
        expect_equal(sj_shared_chan_count(least), 3);
        for (int i = 0; i < 3; i++) {
                expect_equal(sj_shared_chan_recv(newest, &item, SJ_POLL), 0);
                expect_equal(item, items[2 - i]);
                expect_equal(sj_shared_chan_recv(least, &item, SJ_POLL), 0);
                expect_equal(item, i + 1);
        }
        expect_equal(sj_shared_chan_recv(newest, &item, SJ_POLL), -ETIMEDOUT);
        sj_shared_chan_free(newest);
        sj_shared_chan_free(least);
        return 0;
}

static int wait_to_send(void *arg)
{
        int item = 7;
        expect_equal(sj_shared_chan_send(arg, &item, SJ_NEVER), -EPIPE);
        return 0;
}

static int wait_to_receive(void *arg)
{
        int item;
        expect_equal(sj_shared_chan_recv(arg, &item, SJ_NEVER), -EPIPE);
        return 0;
}

static int wait_for_the_work(void *arg)
{
        return sj_shared_chan_join(arg, SJ_NEVER);
}

static void add_up(void *item, void *arg)
{
        *(int *)arg += *(int *)item;
}

static int to_drain_a_shared_chan_takes_all_out_and_lets_all_go(void *arg)
{
        (void)arg;
        sj_shared_chan *c;
        int item = 1, sum = 0;
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect_equal(sj_shared_chan_new(sizeof(int), 2, &c), 0);
        for (; item <= 3; item++) {
                expect_equal(sj_shared_chan_send(c, &item, SJ_POLL), 0);
                if (item == 1)
                        expect_equal(sj_shared_chan_recv(c, &sum, SJ_POLL), 0);
        }
        sum = 0;
        expect_equal(sj_spawn(s, wait_to_send, c, NULL), 0);
        expect_equal(sj_spawn(s, wait_for_the_work, c, NULL), 0);
        expect_equal(sj_sleep(SJ_MS), 0);
        expect_equal(sj_shared_chan_join(c, sj_after(SJ_MS)), -ETIMEDOUT);
        expect_equal(sj_shared_chan_done(c), 0);
        expect_equal(sj_shared_chan_done(c), -EOVERFLOW);
        expect_equal(sj_shared_chan_drain(c, add_up, &sum), 2);
        expect_equal(sum, 5);
        expect_equal(sj_shared_chan_drain(c, add_up, &sum), 0);
        expect_equal(sj_shared_chan_recv(c, &item, SJ_NEVER), -EPIPE);
        expect_equal(sj_scope_join(s), 0);
        sj_shared_chan_free(c);
        expect_equal(sj_shared_chan_new(sizeof(int), 2, &c), 0);
        expect_equal(sj_spawn(s, wait_to_receive, c, NULL), 0);
        expect_equal(sj_sleep(SJ_MS), 0);
        expect_equal(sj_shared_chan_drain(c, NULL, NULL), 0);
        expect_equal(sj_scope_join(s), 0);
        sj_shared_chan_free(c);
        return 0;
}

/* ── Select ──────────────────────────────────────────────────────────────────────────────── */

enum { CHANS = 3 };

typedef struct web {
        sj_shared_chan *shared[CHANS];
        sj_chan *own;
        int sent, received;
} web;

static sj_case some_case(web *w, int *item, int *got)
{
        size_t which = sim_draw(CHANS + 1);
        bool sends = sim_draw(2);
        if (which == CHANS)
                return (sj_case){.kind = sends ? SJ_CASE_SEND : SJ_CASE_RECV,
                                 .chan = w->own,
                                 .item = sends ? item : got};
        return (sj_case){.kind = sends ? SJ_CASE_SHARED_SEND : SJ_CASE_SHARED_RECV,
                         .shared = w->shared[which],
                         .item = sends ? item : got};
}

static int select_at_random(void *arg)
{
        web *w = arg;
        for (int i = 1; i <= ROUNDS && !sj_cancelled(); i++) {
                int item = i, got = 0;
                sj_case cases[5];
                size_t n = 1 + sim_draw(5);
                for (size_t k = 0; k < n; k++)
                        cases[k] = some_case(w, &item, &got);
                int r = sj_select(cases, n, soon());
                if (sim_draw(4) == 0)
                        dawdle();
                if (r < 0) {
                        expect(r == -ETIMEDOUT || r == -ECANCELED);
                        expect_equal(got, 0);
                        continue;
                }
                expect_equal(cases[r].result, 0);
                bool sends = cases[r].kind == SJ_CASE_SEND || cases[r].kind == SJ_CASE_SHARED_SEND;
                expect(sends == (got == 0));
                w->sent += sends ? item : 0;
                w->received += got;
        }
        return 0;
}

static void count_inside(web *w)
{
        int item;
        for (int i = 0; i < CHANS; i++)
                while (sj_shared_chan_recv(w->shared[i], &item, SJ_POLL) == 0)
                        w->received += item;
        while (sj_chan_recv(w->own, &item, SJ_POLL) == 0)
                w->received += item;
}

/* It must end: who waits for ever is cancelled when the others have ended. */
static int a_select_takes_or_gives_exactly_once(void *arg)
{
        (void)arg;
        web w = {0};
        for (int i = 0; i < CHANS; i++)
                expect_equal(sj_shared_chan_new(sizeof(int), sim_draw(3), &w.shared[i]), 0);
        expect_equal(sj_chan_new(sizeof(int), sim_draw(3), &w.own), 0);
        {
                SJ_SCOPE(s, sj_after(SJ_SEC), SJ_COLLECT);
                for (int i = 0; i < CROWD; i++)
                        expect_equal(sj_spawn(s, select_at_random, &w, NULL), 0);
                sj_scope_join(s);
        }
        count_inside(&w);
        expect_equal(w.sent, w.received);
        for (int i = 0; i < CHANS; i++)
                sj_shared_chan_free(w.shared[i]);
        sj_chan_free(w.own);
        return 0;
}

static int send_by_select(void *arg)
{
        int item = 5;
        sj_case c = {.kind = SJ_CASE_SHARED_SEND, .shared = arg, .item = &item};
        int r = sj_select(&c, 1, SJ_NEVER);
        return r < 0 ? r : c.result;
}

static int fail_later(void *arg)
{
        (void)arg;
        expect_equal(sj_sleep(SJ_MS), 0);
        return -EIO;
}

static int selects_meet_and_hear_of_the_end_and_of_other_things(void *arg)
{
        (void)arg;
        sj_shared_chan *c;
        int item = 0;
        sj_fiber *sender;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        expect_equal(sj_shared_chan_new(sizeof(int), 0, &c), 0);
        expect_equal(sj_spawn(s, send_by_select, c, &sender), 0);
        sj_case cases[] = {{.kind = SJ_CASE_SHARED_RECV, .shared = c, .item = &item},
                           {.kind = SJ_CASE_FIBER, .fiber = sender}};
        expect_equal(sj_select(cases, 1, SJ_NEVER), 0);
        expect_equal(item, 5);
        expect_equal(sj_select(cases, 1, SJ_POLL), -ETIMEDOUT);
        expect_equal(sj_select(cases, 2, SJ_NEVER), 1);
        expect_equal(cases[1].result, 0);
        expect_equal(sj_spawn(s, fail_later, NULL, &cases[1].fiber), 0);
        expect_equal(sj_select(cases, 2, SJ_NEVER), 1);
        expect_equal(cases[1].result, -EIO);
        expect_equal(sj_spawn(s, send_by_select, c, &sender), 0);
        expect_equal(sj_sleep(SJ_MS), 0);
        sj_shared_chan_close(c);
        expect_equal(sj_join(sender, SJ_NEVER), -EPIPE);
        expect_equal(sj_select(cases, 1, SJ_NEVER), 0);
        expect_equal(cases[0].result, -EPIPE);
        sj_shared_chan_free(c);
        return 0;
}

typedef struct chooser {
        sj_shared_chan *shared;
        sj_chan *own;
        sj_fiber *fiber;
} chooser;

static int choose(void *arg)
{
        chooser *c = arg;
        int item = 0;
        sj_case cases[] = {{.kind = SJ_CASE_RECV, .chan = c->own, .item = &item},
                           {.kind = SJ_CASE_FIBER, .fiber = c->fiber},
                           {.kind = SJ_CASE_SHARED_RECV, .shared = c->shared, .item = &item}};
        expect_equal(sj_select(cases, 3, sj_after(2 * SJ_MS)), 2);
        expect(cases[2].result == 0 && item == 5);
        return sj_yield();
}

/* Between the taking of a grant and the giving, as another thread's would be. */
static void give_late(chooser *c)
{
        int item = 5;
        sj_fiber *f;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        expect_equal(sj_spawn(s, fail_later, NULL, &c->fiber), 0);
        expect_equal(sj_spawn(s, choose, c, &f), 0);
        shared_waiter *taken;
        while (!(taken = shared_first(&c->shared->receivers)))
                expect_equal(sj_yield(), 0);
        expect_equal(sj_chan_send(c->own, &item, SJ_POLL), -ETIMEDOUT);
        expect_equal(sj_sleep(5 * SJ_MS), 0);
        sj_cancel(f);
        expect_equal(sj_sleep(SJ_MS), 0);
        expect(!sj_fiber_done(f, NULL));
        memcpy(taken->data, &item, sizeof(item));
        shared_give(taken, 0);
        expect_equal(sj_join(f, SJ_NEVER), -ECANCELED);
}

static int what_another_thread_is_about_to_end_is_left_to_it(void *arg)
{
        (void)arg;
        chooser c = {0};
        expect_equal(sj_shared_chan_new(sizeof(int), 0, &c.shared), 0);
        expect_equal(sj_chan_new(sizeof(int), 0, &c.own), 0);
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        give_late(&c);
        /* The select did not tell of the other fiber's failure, so that it goes up. */
        expect_equal(sj_scope_join(s), -EIO);
        sj_shared_chan_free(c.shared);
        sj_chan_free(c.own);
        return 0;
}

#define BODIES(X)                                                 \
        X(one_at_a_time_holds_a_shared_lock)                      \
        X(a_shared_lock_goes_to_who_has_waited_longest)           \
        X(so_many_hold_a_shared_semaphore)                        \
        X(a_shared_semaphore_goes_to_who_has_waited_longest)      \
        X(a_shared_event_wakes_all_even_if_it_is_cleared_at_once) \
        X(who_is_cancelled_takes_nothing_though_it_is_free)       \
        X(a_shared_chan_keeps_order_and_drains_after_close)       \
        X(shared_chans_have_the_orders_of_others)                 \
        X(to_drain_a_shared_chan_takes_all_out_and_lets_all_go)   \
        X(a_select_takes_or_gives_exactly_once)                   \
        X(selects_meet_and_hear_of_the_end_and_of_other_things)   \
        X(what_another_thread_is_about_to_end_is_left_to_it)

BODIES(SIM_UNIT_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {BODIES(SIM_UNIT_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
