/* SPDX-License-Identifier: MIT */
/*
 * Futures: set once, from any thread, awaited by fibers of any loop and by plain threads.
 *
 * `state` is the done flag, a lock for the queue of waiters, and whether threads sleep on it. The
 * lock is held for a few instructions, so that it spins.
 *
 * Who sets a future takes each call out of the queue under the lock, and then makes it. That of a
 * fiber that waits sends it a post, which lies in the waiter, on the waiter's stack. A fiber whose
 * wait ended for another reason at that very moment must not leave before the post has come:
 * future_await_news waits, shielded. It is on its way already, so this is short.
 */
#include "fiber/future.h"

#include "fiber/await.h"
#include "fiber/cpu.h"
#include "fiber/fiber.h"

#include <sanjab/future.h>

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
                while (atomic_load_explicit(state_of(f), memory_order_relaxed) & LOCKED)
                        cpu_relax();
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
        if (!w->news || (w->tally && !tally_seen(w->tally, future_failed(w->result))))
                return;
        clause_fire(w->news, 0);
}

static void send_news(sj_then *then, int result, void *value)
{
        (void)value;
        future_waiter *w = container_of(then, future_waiter, then);
        w->result = result;
        if (w->loop == fiber_loop_current())
                arrive(&w->post);
        else
                loop_post_send(w->loop, &w->post);
}

static void call_all(list *calls, int result, void *value)
{
        list *node = calls->next;
        while (node != calls) {
                sj_then *then = container_of(node, sj_then, link);
                node = node->next; /* before it may go */
                then->call(then, result, value);
        }
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
        list calls;
        list_init(&calls);
        list_splice(&calls, &f->waiters);
        list_for_each (node, &calls)
                container_of(node, sj_then, link)->queued = false;
        /* The last touch: who sees DONE may return at once, and take the future away. */
        uint32_t before =
                atomic_fetch_xor_explicit(state_of(f), DONE | LOCKED, memory_order_acq_rel);
        if (before & THREADS)
                os_futex_wake(state_of(f), UINT32_MAX / 2, false);
        call_all(&calls, result, value);
        return 0;
}

int sj_future_cancel(sj_future *f)
{
        return sj_future_set(f, -ECANCELED, NULL);
}

bool sj_future_done(const sj_future *f)
{
        return load_state(f) & DONE;
}

/* False: it is set, and the call will not be made. */
static bool enqueue(sj_future *f, sj_then *then)
{
        lock(f);
        bool queued = !(load_state(f) & DONE);
        then->queued = queued;
        if (queued)
                list_append(&f->waiters, &then->link);
        unlock(f);
        return queued; /* then->queued may have changed by now */
}

void sj_future_then(sj_future *f, sj_then *then)
{
        if (!enqueue(f, then))
                then->call(then, f->result, f->value);
}

bool sj_future_forget(sj_future *f, sj_then *then)
{
        lock(f);
        bool queued = then->queued;
        if (queued)
                list_remove(&then->link);
        then->queued = false;
        unlock(f);
        return queued;
}

bool future_enter(sj_future *f, future_waiter *w, clause *c, tally *t)
{
        *w = (future_waiter){.then = {.call = send_news},
                             .news = c,
                             .tally = t,
                             .loop = fiber_loop_current(),
                             .post = {.run = arrive}};
        list_init(&c->link);
        return enqueue(f, &w->then);
}

void future_leave(sj_future *f, future_waiter *w)
{
        w->news = NULL; /* its wait is over */
        if (!w->arrived && sj_future_forget(f, &w->then))
                w->arrived = true; /* none will come */
}

void future_await_news(future_waiter *w)
{
        if (w->arrived)
                return;
        clause c;
        list_init(&c.link);
        w->news = &c;
        w->tally = NULL;
        fiber_wait_shielded(&c, 1, "future");
}

static void wait_shielded(sj_future *f)
{
        clause c;
        future_waiter w;
        if (future_enter(f, &w, &c, NULL))
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
        if (!future_enter(f, &w, &c, NULL))
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

int await_surely(sj_future *f, void **ret)
{
        if (fiber_current())
                wait_shielded(f);
        else
                wait_in_thread(f, SJ_NEVER);
        if (ret)
                *ret = f->value;
        return f->result;
}
