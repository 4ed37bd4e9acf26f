/* SPDX-License-Identifier: MIT */
/*
 * Futures: set once, from any thread, awaited by fibers of any loop and by plain threads.
 *
 * `state` is the done flag, a lock for the queue of waiters, and whether threads sleep on it. The
 * lock is held for a few instructions, so that it spins.
 *
 * Who sets a future takes each waiter out of the queue under the lock, and then sends it a post,
 * which lies in the waiter, on the waiter's stack. A fiber whose wait ended for another reason at
 * that very moment must not leave before the post has come: future_await_news waits, shielded.
 * It is on its way already, so this is short.
 */
#include "fiber/future.h"

#include "fiber/fiber.h"

#include <stdatomic.h>

enum { DONE = 1, LOCKED = 2, THREADS = 4 };

static _Atomic uint32_t *state_of(const sj_future *f)
{
        return (_Atomic uint32_t *)(uintptr_t)&f->state;
}

static uint32_t load_state(const sj_future *f)
{
        return atomic_load_explicit(state_of(f), memory_order_acquire);
}

static void lock(sj_future *f)
{
        while (atomic_fetch_or_explicit(state_of(f), LOCKED, memory_order_acquire) & LOCKED)
                while (atomic_load_explicit(state_of(f), memory_order_relaxed) & LOCKED) {
#if defined(__x86_64__)
                        __builtin_ia32_pause();
#endif
                }
        if (!f->waiters.next)
                list_init(&f->waiters);
}

static void unlock(sj_future *f)
{
        atomic_fetch_and_explicit(state_of(f), (uint32_t)~LOCKED, memory_order_release);
}

static void arrive(loop_post *post)
{
        future_waiter *w = container_of(post, future_waiter, post);
        w->arrived = true;
        clause_fire(w->news, 0);
}

int sj_future_set(sj_future *f, int result, void *value)
{
        lock(f);
        if (load_state(f) & DONE) {
                unlock(f);
                return -EALREADY;
        }
        f->result = result;
        f->value = value;
        list waiters;
        list_init(&waiters);
        list_splice(&waiters, &f->waiters);
        list_for_each (node, &waiters)
                container_of(node, future_waiter, link)->queued = false;
        /* The last touch: who sees DONE may return at once, and take the future away. */
        uint32_t before =
                atomic_fetch_xor_explicit(state_of(f), DONE | LOCKED, memory_order_acq_rel);
        if (before & THREADS)
                os_futex_wake(state_of(f), UINT32_MAX / 2, false);
        struct sj_loop *here = fiber_loop_current();
        list *node = waiters.next;
        while (node != &waiters) {
                future_waiter *w = container_of(node, future_waiter, link);
                node = node->next; /* before w may go */
                if (w->loop == here)
                        arrive(&w->post);
                else
                        loop_post_send(w->loop, &w->post);
        }
        return 0;
}

bool sj_future_done(const sj_future *f)
{
        return load_state(f) & DONE;
}

bool future_enter(sj_future *f, future_waiter *w, clause *c)
{
        *w = (future_waiter){.news = c, .loop = fiber_loop_current(), .post = {.run = arrive}};
        list_init(&c->link);
        lock(f);
        bool done = load_state(f) & DONE;
        if (!done) {
                w->queued = true;
                list_append(&f->waiters, &w->link);
        }
        unlock(f);
        return !done;
}

void future_leave(sj_future *f, future_waiter *w)
{
        if (w->arrived)
                return;
        lock(f);
        if (w->queued) {
                list_remove(&w->link);
                w->arrived = true; /* none will come */
        }
        unlock(f);
}

void future_await_news(future_waiter *w)
{
        if (w->arrived)
                return;
        clause c;
        list_init(&c.link);
        w->news = &c;
        fiber_wait_shielded(&c, 1, "future");
}

static int wait_in_fiber(sj_future *f, sj_time deadline)
{
        int r = fiber_check();
        if (r < 0 || sj_future_done(f))
                return r;
        if (deadline == SJ_POLL)
                return -ETIMEDOUT;
        clause c;
        future_waiter w;
        if (!future_enter(f, &w, &c))
                return 0;
        r = fiber_wait(&c, 1, deadline, "future", NULL);
        future_leave(f, &w);
        future_await_news(&w);
        return r;
}

static int wait_in_thread(sj_future *f, sj_time deadline)
{
        for (;;) {
                uint32_t state = load_state(f);
                if (state & DONE)
                        return 0;
                if (!(state & THREADS)) {
                        atomic_fetch_or(state_of(f), THREADS);
                        continue;
                }
                /* With the lock held the word is about to change: look again at once. */
                if (state & LOCKED)
                        continue;
                if (os_futex_wait(state_of(f), state, deadline, false) == -ETIMEDOUT)
                        return sj_future_done(f) ? 0 : -ETIMEDOUT;
        }
}

int sj_future_get(sj_future *f, void **ret, sj_time deadline)
{
        int r = fiber_current() ? wait_in_fiber(f, deadline) : wait_in_thread(f, deadline);
        if (r < 0)
                return r;
        if (ret)
                *ret = f->value;
        return f->result;
}
