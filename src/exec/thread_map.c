/* SPDX-License-Identifier: MIT */
/*
 * map on a thread pool: not one queued call for each item, but one for each thread that helps,
 * which takes items from a shared counter until there are no more. So an item costs an atomic
 * addition, and uneven items balance themselves.
 *
 * The caller's stack holds the state, so the caller leaves only when no helper uses it: those that
 * have not begun are taken back, those that run are told to stop and awaited.
 *
 * A map within a map, as in fork and join, does not wait for itself. As soon as every item was
 * taken, a helper that has not begun is of no use and is never waited for: all threads may be busy
 * waiting likewise. One that runs has an item of this map, and waits at most for what that item
 * has started: waits lead down the tree of calls only.
 */
#include "exec/await.h"
#include "exec/thread_pool.h"

#include <sanjab/future.h>

#include <stdlib.h>

typedef struct map_state {
        sj_fn *fn;
        char *items;
        size_t size;
        size_t n;
        int *results;
        sj_time deadline; /* of a caller that works too */
        _Atomic size_t next;
        _Atomic int stop; /* 0, or the error of the items that are not called any more */
        mutex lock;       /* of the two below */
        size_t failed_at;
        int failure;
} map_state;

static void record(map_state *m, size_t i, int result)
{
        if (m->results)
                m->results[i] = result;
        if (result >= 0)
                return;
        mutex_lock(&m->lock);
        if (i < m->failed_at) {
                m->failed_at = i;
                m->failure = result;
        }
        mutex_unlock(&m->lock);
}

/* Calls items until there are none, or it is told to stop. */
static int help(void *arg)
{
        map_state *m = arg;
        while (atomic_load_explicit(&m->stop, memory_order_relaxed) == 0) {
                size_t i = atomic_fetch_add_explicit(&m->next, 1, memory_order_relaxed);
                if (i >= m->n)
                        break;
                record(m, i, m->fn(m->items + i * m->size));
        }
        return 0;
}

/* The caller's own part in a thread that has nothing else to do. */
static void help_until(map_state *m)
{
        while (m->deadline == SJ_NEVER || sj_now() < m->deadline) {
                size_t i = atomic_fetch_add_explicit(&m->next, 1, memory_order_relaxed);
                if (i >= m->n)
                        return;
                record(m, i, m->fn(m->items + i * m->size));
        }
        atomic_store(&m->stop, -ETIMEDOUT);
}

/* Submits up to n helpers; how many there are. Only the first waits for room, if somebody must. */
static int submit_helpers(sj_thread_pool *pool, map_state *m, sj_future futures[], size_t n,
                          sj_time deadline, size_t *ret)
{
        for (size_t i = 0; i < n; i++) {
                int error = sj_thread_pool_submit(pool, help, m, &futures[i],
                                                  i == 0 ? deadline : SJ_POLL);
                if (error < 0 && i == 0)
                        return error;
                if (error < 0)
                        break;
                *ret = i + 1;
        }
        return 0;
}

/*
 * Waits until every item was taken, or the wait fails, which stops the helpers; then for those that
 * run.
 */
static void join_helpers(sj_thread_pool *pool, map_state *m, sj_future futures[], size_t n,
                         sj_time deadline)
{
        size_t i = 0;
        for (; i < n && atomic_load(&m->stop) == 0 && atomic_load(&m->next) < m->n; i++) {
                int result = sj_future_get(&futures[i], NULL, deadline);
                if (result < 0 && !sj_future_done(&futures[i]))
                        atomic_store(&m->stop, result);
                else if (result == -ECANCELED && sj_cancelled())
                        atomic_store(&m->stop, result);
        }
        for (size_t k = 0; k < n; k++)
                if (sj_thread_pool_cancel(pool, &futures[k]) < 0)
                        await_surely(&futures[k], NULL);
}

static int conclude(map_state *m)
{
        int stop = atomic_load(&m->stop);
        size_t called = atomic_load(&m->next);
        for (size_t i = called; i < m->n; i++)
                record(m, i, stop ? stop : -ECANCELED);
        return called < m->n ? (stop ? stop : -ECANCELED) : m->failure;
}

static int map_with(sj_thread_pool *pool, map_state *m, sj_future futures[], size_t most,
                    sj_time deadline)
{
        size_t n = 0;
        bool works = sj_fiber_self() == NULL;
        int error = submit_helpers(pool, m, futures, most, works ? SJ_POLL : deadline, &n);
        /* Without helpers a caller that works can still do all by itself, if the pool is open. */
        if (error < 0 && !(works && error == -ETIMEDOUT))
                return error;
        if (works)
                help_until(m);
        join_helpers(pool, m, futures, n, works ? SJ_NEVER : deadline);
        return conclude(m);
}

int sj_thread_pool_map(sj_thread_pool *pool, sj_fn *fn, void *items, size_t size, size_t n,
                       int results[], sj_time deadline)
{
        if (n == 0)
                return sj_cancelled() ? -ECANCELED : 0;
        size_t most = thread_pool_limit(pool) < n ? thread_pool_limit(pool) : n;
        sj_future *futures = calloc(most, sizeof(*futures));
        if (!futures)
                return -ENOMEM;
        map_state m = {
                .fn = fn,
                .items = items,
                .size = size,
                .n = n,
                .results = results,
                .deadline = deadline,
                .failed_at = SIZE_MAX,
        };
        int error = map_with(pool, &m, futures, most, deadline);
        free(futures);
        return error;
}
