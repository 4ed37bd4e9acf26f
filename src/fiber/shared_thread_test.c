/* SPDX-License-Identifier: MIT */
/*
 * What loops and threads share, by real threads: what holds whoever is faster, while
 * ThreadSanitizer looks on. What one loop shows is in remote_test.c and shared_test.c.
 */
#include "fiber/real_unit.h"
#include "os/os.h"

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

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(fibers_are_spawned_awaited_and_cancelled_from_other_threads),
                cmocka_unit_test(who_cancels_need_not_be_who_spawned),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
