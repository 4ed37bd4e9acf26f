/* SPDX-License-Identifier: MIT */
/*
 * Blocking calls on behalf of fibers: a thread pool that the process shares, since a thread that
 * only blocks serves anybody. It is made by the first call and never freed: its threads end when
 * they have nothing to do, and the rest is a queue.
 *
 * A call that has not begun can be taken back; one that runs uses the caller's memory and is
 * waited for, in sj_offload. In sj_offload_detached the caller and the thread share a heap object
 * instead, and whoever comes last frees it.
 *
 * Under the simulator the function is called by the fiber itself, between two delays that the
 * seed chooses: the first as the wait for a thread, the second as the time that the call takes.
 */
#include "exec/await.h"
#include "exec/thread_pool.h"

#include <sanjab/future.h>

#include <stdlib.h>

enum { OFFLOAD_QUEUE = 16384 };

static const sj_time OFFLOAD_IDLE = 10 * SJ_SEC;

/* The one pool of the process; see above why it is one. */
static _Atomic(sj_thread_pool *) shared_pool;

/* The child of a fork has none of its threads, and perhaps a lock that one of them held. */
static void forget_pool(void)
{
        atomic_store(&shared_pool, NULL);
}

static int get_pool(sj_thread_pool **ret)
{
        sj_thread_pool *pool = atomic_load(&shared_pool);
        if (!pool) {
                static const sj_thread_pool_options options = {
                        .name = "offload",
                        .queue = OFFLOAD_QUEUE,
                        .idle = OFFLOAD_IDLE,
                };
                sj_thread_pool *fresh = NULL;
                int error = os_after_fork(forget_pool);
                if (error == 0)
                        error = sj_thread_pool_new(SJ_OFFLOAD_THREADS, &options, &fresh);
                if (error < 0)
                        return error;
                /* Of several that come first at once, one wins. */
                if (atomic_compare_exchange_strong(&shared_pool, &pool, fresh))
                        pool = fresh;
                else
                        sj_thread_pool_free(fresh);
        }
        *ret = pool;
        return 0;
}

/* ── Under the simulator ─────────────────────────────────────────────────────────────────── */

static sj_time some_delay(void)
{
        return (sj_time)os_choose(1000) * SJ_US;
}

/* The wait for a thread: 0, or the call is not made. */
static int simulate_queue(sj_time deadline)
{
        sj_time begin = sj_after(some_delay());
        int error = sj_sleep_until(begin < deadline ? begin : deadline);
        if (error == 0 && begin >= deadline)
                error = -ETIMEDOUT;
        return error;
}

static int simulated_offload(sj_fn *fn, void *arg, sj_time deadline)
{
        int error = simulate_queue(deadline);
        if (error < 0)
                return error;
        int result = fn(arg);
        SJ_SCOPE(shield, sj_after(SJ_HOUR), SJ_SHIELD);
        sj_sleep(some_delay());
        return result;
}

static int simulated_detached(sj_fn *fn, void *arg, int *ret_result, sj_time deadline)
{
        int error = simulate_queue(deadline);
        if (error < 0)
                return error;
        int result = fn(arg);
        sj_time end = sj_after(some_delay());
        error = sj_sleep_until(end < deadline ? end : deadline);
        if (error == 0 && end >= deadline)
                error = -ETIMEDOUT;
        if (error == 0 && ret_result)
                *ret_result = result;
        return error;
}

/* ── In the real world ───────────────────────────────────────────────────────────────────── */

int sj_offload(sj_fn *fn, void *arg, sj_time deadline)
{
        if (!sj_fiber_self())
                return fn(arg);
        if (os_simulated)
                return simulated_offload(fn, arg, deadline);
        sj_thread_pool *pool = NULL;
        sj_future future = SJ_FUTURE_INIT;
        int error = get_pool(&pool);
        if (error == 0)
                error = sj_thread_pool_submit(pool, fn, arg, &future, deadline);
        if (error < 0)
                return error;
        int result = sj_future_get(&future, NULL, deadline);
        if (sj_future_done(&future))
                return await_surely(&future, NULL);
        if (sj_thread_pool_cancel(pool, &future) == 0)
                return result;
        return await_surely(&future, NULL);
}

/* A call that two parties hold: the thread that makes it, and the fiber that waits. */
typedef struct detached {
        sj_fn *fn;
        void *arg;
        void (*release)(void *arg);
        sj_future future;
        int result;
        _Atomic bool left; /* one of the two is done with it */
        bool abandoned;    /* by the fiber; written before it leaves */
} detached;

/* The one who leaves last frees it, and arg with it if nobody else will. */
static void leave(detached *d)
{
        if (!atomic_exchange(&d->left, true))
                return;
        if (d->abandoned && d->release)
                d->release(d->arg);
        free(d);
}

static int run_detached(void *arg)
{
        detached *d = arg;
        d->result = d->fn(d->arg);
        sj_future_set(&d->future, 0, NULL);
        leave(d);
        return 0;
}

/* The call is not made, and nobody but the caller holds it. */
static int give_up(detached *d, int error)
{
        if (d->release)
                d->release(d->arg);
        free(d);
        return error;
}

static int await_detached(sj_thread_pool *pool, detached *d, int *ret_result, sj_time deadline)
{
        int error = sj_future_get(&d->future, NULL, deadline);
        if (error == 0) {
                if (ret_result)
                        *ret_result = d->result;
        } else if (thread_pool_take_back(pool, run_detached, d)) {
                return give_up(d, error);
        } else {
                d->abandoned = true;
        }
        leave(d);
        return error;
}

int sj_offload_detached(sj_fn *fn, void *arg, void (*release)(void *arg), int *ret_result,
                        sj_time deadline)
{
        if (!sj_fiber_self()) {
                int result = fn(arg);
                if (ret_result)
                        *ret_result = result;
                return 0;
        }
        if (os_simulated) {
                int error = simulated_detached(fn, arg, ret_result, deadline);
                if (error < 0 && release)
                        release(arg);
                return error;
        }
        detached *d = malloc(sizeof(*d));
        if (!d) {
                if (release)
                        release(arg);
                return -ENOMEM;
        }
        *d = (detached){.fn = fn, .arg = arg, .release = release, .future = SJ_FUTURE_INIT};
        sj_thread_pool *pool = NULL;
        int error = get_pool(&pool);
        if (error == 0)
                error = sj_thread_pool_submit(pool, run_detached, d, NULL, deadline);
        if (error < 0)
                return give_up(d, error);
        return await_detached(pool, d, ret_result, deadline);
}
