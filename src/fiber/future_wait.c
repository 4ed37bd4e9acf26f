/* SPDX-License-Identifier: MIT */
/*
 * Waiting for several futures.
 *
 * In a fiber: a waiter for each, which all count in one tally and share one clause, so that the
 * fiber is woken once. In a thread: a call for each, which counts down one word that the thread
 * sleeps on. Its last touch is that word, after which the thread may have gone.
 */
#include "fiber/fiber.h"
#include "fiber/future.h"

#include <sanjab/future.h>

#include <limits.h>
#include <stdlib.h>

enum { WAITERS_ON_STACK = 8 };

/* What sj_future_wait returns if there is nothing to wait for, else -EAGAIN. */
static int settled(sj_future *const f[], size_t n, sj_until until)
{
        size_t done = 0;
        for (size_t i = 0; i < n; i++) {
                if (!sj_future_done(f[i]))
                        continue;
                done++;
                if (until == SJ_FIRST || (until == SJ_FIRST_FAILURE && future_failed(f[i]->result)))
                        return (int)i;
        }
        return done == n ? (int)n : -EAGAIN;
}

/* ── In a fiber ──────────────────────────────────────────────────────────────────────────── */

static void leave_all(sj_future *const f[], size_t n, future_waiter waiters[])
{
        for (size_t i = 0; i < n; i++)
                future_leave(f[i], &waiters[i]);
        for (size_t i = 0; i < n; i++)
                future_await_news(&waiters[i]);
}

static int wait_with(sj_future *const f[], size_t n, tally *t, future_waiter waiters[],
                     sj_time deadline)
{
        clause news;
        for (size_t i = 0; i < n; i++) {
                if (future_enter(f[i], &waiters[i], &news, t))
                        continue;
                waiters[i].arrived = true;
                tally_seen(t, future_failed(f[i]->result));
        }
        int r = 0;
        if (t->pending > 0)
                r = fiber_wait(&news, 1, deadline, "several futures", NULL);
        leave_all(f, n, waiters);
        return r;
}

static int wait_in_fiber(sj_future *const f[], size_t n, sj_until until, sj_time deadline)
{
        tally t = tally_of(n, until);
        future_waiter few[WAITERS_ON_STACK];
        future_waiter *waiters = n <= WAITERS_ON_STACK ? few : malloc(n * sizeof(*waiters));
        if (!waiters)
                return -ENOMEM;
        int r = wait_with(f, n, &t, waiters, deadline);
        if (waiters != few)
                free(waiters);
        return r;
}

/* ── In a thread ─────────────────────────────────────────────────────────────────────────── */

enum { FAILED = INT32_MIN };

typedef struct thread_wait {
        _Atomic uint32_t word; /* calls that are still to come, and FAILED */
        bool until_failure;
} thread_wait;

typedef struct thread_waiter {
        sj_then then;
        thread_wait *wait;
} thread_waiter;

static void count_down(sj_then *then, int result, void *value)
{
        (void)value;
        thread_wait *w = container_of(then, thread_waiter, then)->wait;
        if (w->until_failure && future_failed(result))
                atomic_fetch_or(&w->word, (uint32_t)FAILED);
        atomic_fetch_sub(&w->word, 1);
        os_futex_wake(&w->word, 1, false);
}

/* Sleeps until at most `left` calls are still to come, or, if it matters, one has failed. */
static int sleep_on(thread_wait *w, uint32_t left, bool failure_matters, sj_time deadline)
{
        for (;;) {
                uint32_t word = atomic_load(&w->word);
                if ((word & ~(uint32_t)FAILED) <= left)
                        return 0;
                if (failure_matters && (word & (uint32_t)FAILED))
                        return 0;
                if (os_futex_wait(&w->word, word, deadline, false) == -ETIMEDOUT)
                        return -ETIMEDOUT;
        }
}

static int wait_in_thread(sj_future *const f[], size_t n, sj_until until, sj_time deadline)
{
        thread_waiter few[WAITERS_ON_STACK];
        thread_waiter *waiters = n <= WAITERS_ON_STACK ? few : malloc(n * sizeof(*waiters));
        if (!waiters)
                return -ENOMEM;
        thread_wait w = {.word = (uint32_t)n, .until_failure = until == SJ_FIRST_FAILURE};
        for (size_t i = 0; i < n; i++) {
                waiters[i] = (thread_waiter){.then = {.call = count_down}, .wait = &w};
                sj_future_then(f[i], &waiters[i].then);
        }
        int r = sleep_on(&w, until == SJ_FIRST ? (uint32_t)n - 1 : 0, true, deadline);
        for (size_t i = 0; i < n; i++)
                if (sj_future_forget(f[i], &waiters[i].then))
                        atomic_fetch_sub(&w.word, 1);
        sleep_on(&w, 0, false, SJ_NEVER);
        if (waiters != few)
                free(waiters);
        return r;
}

int sj_future_wait(sj_future *const f[], size_t n, sj_until until, sj_time deadline)
{
        int r = fiber_current() ? fiber_check() : 0;
        if (r < 0)
                return r;
        if ((n == 0 && until == SJ_FIRST) || n > INT_MAX)
                return -EINVAL;
        r = settled(f, n, until);
        if (r != -EAGAIN)
                return r;
        if (deadline == SJ_POLL)
                return -ETIMEDOUT;
        r = fiber_current() ? wait_in_fiber(f, n, until, deadline)
                            : wait_in_thread(f, n, until, deadline);
        return r < 0 ? r : settled(f, n, until);
}
