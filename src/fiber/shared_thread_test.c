/* SPDX-License-Identifier: MIT */
/*
 * What loops and threads share, by real threads: what holds whoever is faster, while
 * ThreadSanitizer looks on. What one loop shows is in remote_test.c and shared_test.c.
 */
#include "fiber/cpu.h"
#include "fiber/real_unit.h"
#include "os/os.h"

#include <sanjab/select.h>
#include <sanjab/shared.h>

#include <stdatomic.h>

enum { THREADS = 4, FIBERS = 4, ROUNDS = 500 };

static os_thread *start(void *(*body)(void *), void *arg)
{
        os_thread *thread;
        expect(os_thread_start(body, arg, "test", &thread) == 0);
        return thread;
}

/* A loop on a thread of its own, until it is told to end. */
typedef struct home {
        os_thread *thread;
        sj_future up, end;
} home;

static int stay(void *arg)
{
        home *h = arg;
        sj_future_set(&h->up, 0, sj_loop_current());
        return sj_future_get(&h->end, NULL, SJ_NEVER);
}

static void *run_home(void *arg)
{
        expect_equal(sj_run(stay, arg), 0);
        return NULL;
}

static sj_loop *open_home(home *h)
{
        *h = (home){0};
        h->thread = start(run_home, h);
        void *loop;
        expect_equal(sj_future_get(&h->up, &loop, SJ_NEVER), 0);
        return loop;
}

static void close_home(home *h)
{
        sj_future_set(&h->end, 0, NULL);
        os_thread_join(h->thread);
}

/* The same work by FIBERS fibers of a loop on the thread, or by the thread itself. */
typedef struct worker {
        sj_fn *work;
        void *arg;
        bool by_fibers;
        os_thread *thread;
} worker;

static int by_fibers(void *arg)
{
        worker *w = arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < FIBERS; i++)
                expect_equal(sj_spawn(s, w->work, w->arg, NULL), 0);
        return sj_scope_join(s);
}

static void *do_work(void *arg)
{
        worker *w = arg;
        expect_equal(w->by_fibers ? sj_run(by_fibers, w) : w->work(w->arg), 0);
        return NULL;
}

/* Every second thread has a loop. Returns how many did the work. */
static int by_threads_and_fibers(sj_fn *work, void *arg)
{
        worker w[THREADS];
        for (int i = 0; i < THREADS; i++) {
                w[i] = (worker){.work = work, .arg = arg, .by_fibers = i % 2};
                w[i].thread = start(do_work, &w[i]);
        }
        for (int i = 0; i < THREADS; i++)
                os_thread_join(w[i].thread);
        return THREADS / 2 + THREADS / 2 * FIBERS;
}

/* ── Fibers of another loop ──────────────────────────────────────────────────────────────── */

typedef struct errands {
        sj_loop *loop;
        _Atomic int began;
} errands;

static int errand(void *arg)
{
        errands *e = arg;
        expect(sj_loop_current() == e->loop);
        atomic_fetch_add(&e->began, 1);
        return sj_yield();
}

static int endless(void *arg)
{
        errands *e = arg;
        atomic_fetch_add(&e->began, 1);
        return sj_sleep(SJ_HOUR);
}

/* The remote's memory is used again by the next, so that what comes late would hit a stranger. */
static int run_errands(void *arg)
{
        errands *e = arg;
        for (int i = 0; i < ROUNDS; i++) {
                sj_remote remote;
                bool ends = i % 3;
                sj_spawn_on(e->loop, ends ? errand : endless, e, &remote);
                if (i % 2)
                        sj_remote_cancel(&remote);
                int r = ends && !(i % 2) ? sj_future_get(&remote.done, NULL, SJ_NEVER)
                                         : sj_future_get(&remote.done, NULL, sj_after(SJ_US));
                expect(r == 0 || r == -ECANCELED || r == -ETIMEDOUT);
                r = sj_remote_leave(&remote);
                expect(r == -ECANCELED || (r == 0 && ends));
        }
        return 0;
}

static void fibers_are_spawned_awaited_and_cancelled_from_other_threads(void **state)
{
        (void)state;
        home h;
        errands e = {.loop = open_home(&h)};
        int n = by_threads_and_fibers(run_errands, &e);
        close_home(&h);
        assert_int_equal(e.began, n * ROUNDS);
}

static void *cancel_it(void *arg)
{
        sj_remote_cancel(arg);
        return NULL;
}

static void who_cancels_need_not_be_who_spawned(void **state)
{
        (void)state;
        home h;
        errands e = {.loop = open_home(&h)};
        for (int i = 0; i < 100; i++) {
                sj_remote remote;
                sj_spawn_on(e.loop, i % 2 ? errand : endless, &e, &remote);
                os_thread *other = start(cancel_it, &remote);
                int r = sj_future_get(&remote.done, NULL, SJ_NEVER);
                assert_true(r == -ECANCELED || (r == 0 && i % 2));
                os_thread_join(other);
        }
        close_home(&h);
}

/* ── Locks, semaphores, events ───────────────────────────────────────────────────────────── */

typedef struct shop {
        sj_shared_lock lock;
        sj_shared_semaphore seats;
        sj_shared_event open;
        int sold;           /* under the lock */
        _Atomic int inside; /* on a seat */
        _Atomic int late;
} shop;

enum { SEATS = 2 };

/* The limits of time are such that they often pass as the thing is released. */
static sj_time soon(int i)
{
        return i % 4 == 0 ? SJ_NEVER : sj_after(i % 7 * 2 * SJ_US);
}

/* Long enough that others run out of time. */
static void dawdle(int i)
{
        if (i % 8)
                return;
        if (sj_fiber_self())
                expect_equal(sj_yield(), 0);
        else
                for (int k = 0; k < 500; k++)
                        cpu_relax();
}

static int buy(void *arg)
{
        shop *p = arg;
        for (int i = 0; i < ROUNDS; i++) {
                int r = sj_shared_lock_acquire(&p->lock, soon(i));
                if (r < 0) {
                        expect_equal(r, -ETIMEDOUT);
                        atomic_fetch_add(&p->late, 1);
                        continue;
                }
                p->sold++;
                dawdle(i);
                expect_equal(sj_shared_lock_release(&p->lock), 0);
        }
        return 0;
}

static void a_shared_lock_keeps_threads_and_fibers_apart(void **state)
{
        (void)state;
        shop p = {.lock = SJ_SHARED_LOCK_INIT};
        int n = by_threads_and_fibers(buy, &p);
        assert_int_equal(p.sold + p.late, n * ROUNDS);
        assert_null(p.lock.owner);
}

static int sit(void *arg)
{
        shop *p = arg;
        for (int i = 0; i < ROUNDS; i++) {
                if (sj_shared_semaphore_acquire(&p->seats, soon(i)) < 0)
                        continue;
                expect(atomic_fetch_add(&p->inside, 1) < SEATS);
                dawdle(i);
                atomic_fetch_sub(&p->inside, 1);
                expect_equal(sj_shared_semaphore_release(&p->seats), 0);
        }
        return 0;
}

static void a_shared_semaphore_counts_threads_and_fibers(void **state)
{
        (void)state;
        shop p = {.seats = SJ_SHARED_SEMAPHORE_BOUNDED(SEATS)};
        by_threads_and_fibers(sit, &p);
        for (int i = 0; i < SEATS; i++)
                assert_int_equal(sj_shared_semaphore_acquire(&p.seats, SJ_POLL), 0);
        assert_int_equal(sj_shared_semaphore_acquire(&p.seats, SJ_POLL), -ETIMEDOUT);
}

typedef struct handover {
        sj_shared_semaphore seats;
        sj_shared_semaphore begun, released; /* rounds */
        int taken;
} handover;

static void *release_once_a_round(void *arg)
{
        handover *h = arg;
        for (int i = 1; i <= ROUNDS; i++) {
                expect_equal(sj_shared_semaphore_acquire(&h->begun, SJ_NEVER), 0);
                sj_time then = sj_after(i % 11 * 10 * SJ_US);
                while (sj_now() < then)
                        cpu_relax();
                expect_equal(sj_shared_semaphore_release(&h->seats), 0);
                expect_equal(sj_shared_semaphore_release(&h->released), 0);
        }
        return NULL;
}

static int take_once_a_round(void *arg)
{
        handover *h = arg;
        for (int i = 1; i <= ROUNDS; i++) {
                expect_equal(sj_shared_semaphore_release(&h->begun), 0);
                int r = sj_shared_semaphore_acquire(&h->seats, sj_after(i % 7 * 10 * SJ_US));
                expect_equal(sj_shared_semaphore_acquire(&h->released, SJ_NEVER), 0);
                h->taken += r == 0;
                if (r == -ETIMEDOUT)
                        h->taken += sj_shared_semaphore_acquire(&h->seats, SJ_POLL) == 0;
        }
        return 0;
}

static void what_is_released_as_the_time_runs_out_is_not_lost(void **state)
{
        (void)state;
        for (int in_fiber = 0; in_fiber < 2; in_fiber++) {
                handover h = {.seats = SJ_SHARED_SEMAPHORE_INIT(0),
                              .begun = SJ_SHARED_SEMAPHORE_INIT(0),
                              .released = SJ_SHARED_SEMAPHORE_INIT(0)};
                os_thread *other = start(release_once_a_round, &h);
                if (in_fiber)
                        assert_int_equal(sj_run(take_once_a_round, &h), 0);
                else
                        take_once_a_round(&h);
                os_thread_join(other);
                assert_int_equal(h.taken, ROUNDS);
        }
}

static int is_cancelled_at_the_lock(void *arg)
{
        shop *p = arg;
        int r = sj_shared_lock_acquire(&p->lock, SJ_NEVER);
        return r < 0 ? r : sj_shared_lock_release(&p->lock);
}

static int cancels_who_waits(void *arg)
{
        for (int i = 0; i < ROUNDS; i++) {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                sj_fiber *f;
                expect_equal(sj_spawn(s, is_cancelled_at_the_lock, arg, &f), 0);
                for (int k = 0; k < i % 3; k++)
                        expect_equal(sj_yield(), 0);
                sj_cancel(f);
                int r = sj_join(f, SJ_NEVER);
                expect(r == 0 || r == -ECANCELED);
        }
        return 0;
}

static void *buys(void *arg)
{
        expect_equal(buy(arg), 0);
        return NULL;
}

static void who_is_cancelled_as_the_lock_comes_to_him_does_not_keep_it(void **state)
{
        (void)state;
        shop p = {.lock = SJ_SHARED_LOCK_INIT};
        os_thread *other = start(buys, &p);
        assert_int_equal(sj_run(cancels_who_waits, &p), 0);
        os_thread_join(other);
        assert_null(p.lock.owner);
}

static int wait_for_opening(void *arg)
{
        shop *p = arg;
        expect_equal(sj_shared_event_wait(&p->open, SJ_NEVER), 0);
        atomic_fetch_add(&p->inside, 1);
        return 0;
}

static void *open_shop(void *arg)
{
        shop *p = arg;
        sj_shared_event_set(&p->open);
        return NULL;
}

static void a_shared_event_wakes_threads_and_fibers(void **state)
{
        (void)state;
        for (int i = 0; i < 50; i++) {
                shop p = {.open = SJ_SHARED_EVENT_INIT};
                os_thread *opener = start(open_shop, &p);
                int n = by_threads_and_fibers(wait_for_opening, &p);
                assert_int_equal(n, p.inside);
                os_thread_join(opener);
        }
}

static void *set_it(void *arg)
{
        sj_shared_event_set(arg);
        return NULL;
}

/* Each round's event lies where the last one's was, which its setter must have left. */
static int waits_and_forgets(void *arg)
{
        (void)arg;
        for (int i = 0; i < 100; i++) {
                os_thread *setter;
                {
                        sj_shared_event e = SJ_SHARED_EVENT_INIT;
                        setter = start(set_it, &e);
                        expect_equal(sj_shared_event_wait(&e, SJ_NEVER), 0);
                        memset(&e, 0xAA, sizeof(e));
                }
                os_thread_join(setter);
        }
        return 0;
}

static void who_was_woken_may_free_the_event(void **state)
{
        (void)state;
        assert_int_equal(sj_run(waits_and_forgets, NULL), 0);
        assert_int_equal(waits_and_forgets(NULL), 0);
}

/* ── Chans ───────────────────────────────────────────────────────────────────────────────── */

enum { CHANS = 2 };

/* What is sent is a number; each must come out once, whoever gives up meanwhile. */
typedef struct trade {
        sj_shared_chan *chan[CHANS];
        _Atomic int senders; /* that have not ended */
        _Atomic long sent, received;
} trade;

static void end_sending(trade *t)
{
        if (atomic_fetch_sub(&t->senders, 1) == 1)
                for (int i = 0; i < CHANS; i++)
                        sj_shared_chan_close(t->chan[i]);
}

static int send_numbers(void *arg)
{
        trade *t = arg;
        for (int i = 1; i <= ROUNDS; i++) {
                int r = sj_shared_chan_send(t->chan[i % CHANS], &i, soon(i));
                expect(r == 0 || r == -ETIMEDOUT);
                if (r == 0)
                        atomic_fetch_add(&t->sent, i);
        }
        end_sending(t);
        return 0;
}

static int receive_numbers(void *arg)
{
        trade *t = arg;
        for (int i = 0, ended = 0; ended < CHANS; i++) {
                int item, r = sj_shared_chan_recv(t->chan[ended], &item, soon(i));
                expect(r == 0 || r == -ETIMEDOUT || r == -EPIPE);
                ended += r == -EPIPE;
                if (r == 0)
                        atomic_fetch_add(&t->received, item);
        }
        return 0;
}

static int send_by_select(void *arg)
{
        trade *t = arg;
        for (int i = 1; i <= ROUNDS; i++) {
                sj_case cases[CHANS];
                for (int k = 0; k < CHANS; k++)
                        cases[k] = (sj_case){.kind = SJ_CASE_SHARED_SEND,
                                             .shared = t->chan[(i + k) % CHANS],
                                             .item = &i};
                int r = sj_select(cases, CHANS, soon(i));
                expect(r == -ETIMEDOUT || (r >= 0 && cases[r].result == 0));
                if (r >= 0)
                        atomic_fetch_add(&t->sent, i);
        }
        end_sending(t);
        return 0;
}

static int receive_by_select(void *arg)
{
        trade *t = arg;
        int item;
        sj_case cases[CHANS];
        for (int k = 0; k < CHANS; k++)
                cases[k] =
                        (sj_case){.kind = SJ_CASE_SHARED_RECV, .shared = t->chan[k], .item = &item};
        for (int i = 0, ended = 0; ended < CHANS; i++) {
                int r = sj_select(cases, CHANS, soon(i));
                expect(r == -ETIMEDOUT || r >= 0);
                if (r >= 0 && cases[r].result == -EPIPE) {
                        cases[r].kind = SJ_CASE_NONE;
                        ended++;
                } else if (r >= 0) {
                        atomic_fetch_add(&t->received, item);
                }
        }
        return 0;
}

/* One thread with a loop for each of these, and one without for the first two. */
static void trade_numbers(size_t capacity, bool by_select)
{
        trade t = {.senders = by_select ? 3 * FIBERS : FIBERS + 1};
        for (int i = 0; i < CHANS; i++)
                assert_int_equal(sj_shared_chan_new(sizeof(int), capacity, &t.chan[i]), 0);
        worker w[] = {
                {.work = by_select ? send_by_select : send_numbers, .by_fibers = true},
                {.work = by_select ? receive_by_select : receive_numbers, .by_fibers = true},
                {.work = by_select ? send_by_select : send_numbers, .by_fibers = by_select},
                {.work = by_select ? send_by_select : receive_numbers, .by_fibers = by_select},
                {.work = receive_numbers}};
        for (int i = 0; i < 5; i++) {
                w[i].arg = &t;
                w[i].thread = start(do_work, &w[i]);
        }
        for (int i = 0; i < 5; i++)
                os_thread_join(w[i].thread);
        assert_int_equal(t.sent, t.received);
        for (int i = 0; i < CHANS; i++)
                sj_shared_chan_free(t.chan[i]);
}

static void a_shared_chan_loses_and_doubles_nothing(void **state)
{
        (void)state;
        for (size_t capacity = 0; capacity < 3; capacity++)
                trade_numbers(capacity, false);
}

static void selects_on_several_loops_take_and_give_each_item_once(void **state)
{
        (void)state;
        for (size_t capacity = 0; capacity < 3; capacity++)
                trade_numbers(capacity, true);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(fibers_are_spawned_awaited_and_cancelled_from_other_threads),
                cmocka_unit_test(who_cancels_need_not_be_who_spawned),
                cmocka_unit_test(a_shared_lock_keeps_threads_and_fibers_apart),
                cmocka_unit_test(a_shared_semaphore_counts_threads_and_fibers),
                cmocka_unit_test(what_is_released_as_the_time_runs_out_is_not_lost),
                cmocka_unit_test(who_is_cancelled_as_the_lock_comes_to_him_does_not_keep_it),
                cmocka_unit_test(a_shared_event_wakes_threads_and_fibers),
                cmocka_unit_test(who_was_woken_may_free_the_event),
                cmocka_unit_test(a_shared_chan_loses_and_doubles_nothing),
                cmocka_unit_test(selects_on_several_loops_take_and_give_each_item_once),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
