/* SPDX-License-Identifier: MIT */
/*
 * The public side of a process pool: queues calls, takes them back, waits for them.
 *
 * A call is one of a fixed number of items, so submitting takes no memory. Its input and output
 * stay the caller's until the future is set, which the manager does as its last touch of the call;
 * before that it has given the item back, under the lock. So cancel, which looks for the item that
 * bears the future, either finds it in use or is too late.
 */
#include "exec/process_pool.h"

#include <sanjab/future.h>

#include <stdlib.h>

enum { RING = 256 * 1024 };

/* Raises news for the manager: it sees them before it sleeps, or is woken. */
static void tell_manager(sj_process_pool *p)
{
        atomic_store(&p->news, 1);
        if (atomic_load(&p->asleep) && atomic_exchange(&p->asleep, 0))
                os_poller_wake(p->poller);
}

/* ── New and free ────────────────────────────────────────────────────────────────────────── */

static void release(sj_process_pool *p)
{
        if (!p)
                return;
        zygote_free(p->zygote);
        os_poller_free(p->poller);
        free(p->workers);
        free(p->items);
        free(p->pids);
        free(p);
}

static int allocate(sj_process_pool *p, size_t queue)
{
        p->n_items = queue + p->n * PROCESS_DEPTH;
        p->items = calloc(p->n_items, sizeof(*p->items));
        p->workers = calloc(p->n, sizeof(*p->workers));
        p->pids = calloc(p->n, sizeof(*p->pids));
        if (!p->items || !p->workers || !p->pids)
                return -ENOMEM;
        for (size_t i = 0; i < p->n_items; i++)
                list_append(&p->free, &p->items[i].node);
        for (size_t i = 0; i < p->n; i++)
                p->workers[i] = (process_worker){.pidfd = -1, .link = DUPLEX_INIT};
        return 0;
}

static int start(sj_process_pool *p)
{
        int error = os_poller_new(&p->poller);
        if (error == 0)
                error = zygote_new(p->name, &p->zygote);
        if (error == 0)
                error = os_poller_watch(p->poller, zygote_fd(p->zygote), p);
        if (error == 0)
                error = os_thread_start(process_manager, p, p->name, &p->thread);
        return error;
}

int sj_process_pool_new(size_t n, const sj_process_pool_options *options, sj_process_pool **ret)
{
        static const sj_process_pool_options defaults = {0};
        if (!options)
                options = &defaults;
        size_t capacity = RING_CAPACITY_MIN;
        while (capacity < (options->ring ? options->ring : RING) && capacity < RING_CAPACITY_MAX)
                capacity *= 2;
        size_t queue = options->queue ? options->queue : SJ_POOL_QUEUE;
        if (n > SJ_POOL_WORKERS_MAX || queue > UINT32_MAX)
                return -EINVAL;
        if (os_simulated)
                return -ENOSYS;
        sj_process_pool *p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        p->n = n ? n : os_processors();
        p->ring = capacity;
        list_init(&p->free);
        list_init(&p->incoming);
        list_init(&p->pending);
        turnstile_init(&p->room);
        turnstile_init(&p->done);
        strncpy(p->name, options->name ? options->name : "pool", ZYGOTE_NAME_MAX);
        int error = allocate(p, queue);
        if (error == 0)
                error = start(p);
        if (error < 0) {
                release(p);
                return error;
        }
        *ret = p;
        return 0;
}

void sj_process_pool_free(sj_process_pool *p)
{
        if (!p)
                return;
        mutex_lock(&p->lock);
        p->closing = p->cancel_pending = p->kill_running = true;
        turnstile_let_all(&p->room);
        mutex_unlock(&p->lock);
        tell_manager(p);
        os_thread_join(p->thread);
        release(p);
}

int sj_process_pool_shutdown(sj_process_pool *p, sj_pending pending, sj_time deadline)
{
        mutex_lock(&p->lock);
        p->closing = true;
        p->cancel_pending = p->cancel_pending || pending == SJ_PENDING_CANCEL;
        turnstile_let_all(&p->room);
        mutex_unlock(&p->lock);
        tell_manager(p);
        mutex_lock(&p->lock);
        int error = 0;
        while (error == 0 && !p->ended)
                error = turnstile_wait(&p->done, &p->lock, deadline);
        mutex_unlock(&p->lock);
        return error;
}

/* ── Submitting ──────────────────────────────────────────────────────────────────────────── */

/* With the lock. Most programs call the same function again and again. */
static int find_function(sj_process_pool *p, sj_process_fn *fn, uint64_t *ret)
{
        if (!fn || fn != p->last_fn) {
                uint64_t offset = 0;
                int error = os_code_offset((uintptr_t)fn, &offset);
                if (error < 0)
                        return error;
                p->last_fn = fn;
                p->last_offset = offset;
        }
        *ret = p->last_offset;
        return 0;
}

/* With the lock, given up while it waits: an item that may be used. */
static int get_item(sj_process_pool *p, process_item **ret, sj_time deadline)
{
        int error = 0;
        while (error == 0 && !p->closing && !p->broken && list_empty(&p->free))
                error = turnstile_wait(&p->room, &p->lock, deadline);
        if (error == 0 && (p->closing || p->broken))
                error = -EPIPE;
        if (error < 0)
                return error;
        *ret = container_of(list_pop(&p->free), process_item, node);
        return 0;
}

/* Queues a copy of the call; what identifies it is filled in by the caller. */
static int submit(sj_process_pool *p, sj_process_fn *fn, const process_item *call, sj_time deadline)
{
        if (call->n > SJ_PROCESS_BYTES_MAX || call->capacity > SJ_PROCESS_BYTES_MAX)
                return -EMSGSIZE;
        if (sj_cancelled())
                return -ECANCELED;
        uint64_t function = 0;
        process_item *item = NULL;
        mutex_lock(&p->lock);
        int error = find_function(p, fn, &function);
        if (error == 0)
                error = get_item(p, &item, deadline);
        if (error == 0) {
                list node = item->node;
                *item = *call;
                item->node = node;
                item->function = function;
                item->used = true;
                list_append(&p->incoming, &item->node);
        }
        mutex_unlock(&p->lock);
        if (error == 0)
                tell_manager(p);
        return error;
}

int sj_process_pool_submit(sj_process_pool *p, sj_process_fn *fn, const void *input, size_t n,
                           void *output, size_t capacity, sj_future *future, sj_time deadline)
{
        if (!future)
                return -EINVAL;
        process_item call = {
                .input = input,
                .n = n,
                .output = output,
                .capacity = capacity,
                .future = future,
        };
        return submit(p, fn, &call, deadline);
}

/* Marks the items in use that bear the future or the group. */
static bool cancel(sj_process_pool *p, const sj_future *future, const process_group *group)
{
        bool found = false;
        mutex_lock(&p->lock);
        for (size_t i = 0; i < p->n_items; i++) {
                process_item *item = &p->items[i];
                if (!item->used || item->future != future || item->group != group)
                        continue;
                atomic_store(&item->cancel, true);
                p->cancels = found = true;
        }
        mutex_unlock(&p->lock);
        if (found)
                tell_manager(p);
        return found;
}

int sj_process_pool_cancel(sj_process_pool *p, sj_future *future)
{
        return cancel(p, future, NULL) ? 0 : -EALREADY;
}

int sj_process_pool_call(sj_process_pool *p, sj_process_fn *fn, const void *input, size_t n,
                         void *output, size_t capacity, int *ret_status, sj_time deadline)
{
        sj_future future = SJ_FUTURE_INIT;
        void *value = NULL;
        int error = sj_process_pool_submit(p, fn, input, n, output, capacity, &future, deadline);
        if (error < 0)
                return error;
        int result = sj_future_get(&future, &value, deadline);
        if (!sj_future_done(&future)) {
                sj_process_pool_cancel(p, &future);
                int outcome = await_surely(&future, &value);
                /* It may have ended at that very moment. */
                result = outcome == -ECANCELED ? result : outcome;
        } else {
                result = await_surely(&future, &value);
        }
        if (result == -EOWNERDEAD && ret_status)
                *ret_status = (int)(intptr_t)value;
        return result;
}

/* ── Map ─────────────────────────────────────────────────────────────────────────────────── */

void process_group_settle(process_group *g, size_t index, int result, int status)
{
        if (g->results)
                g->results[index] = (sj_process_result){result, status};
        if (result < 0) {
                mutex_lock(&g->lock);
                if (index < g->failed_at) {
                        g->failed_at = index;
                        g->failure = result;
                }
                mutex_unlock(&g->lock);
        }
        if (atomic_fetch_sub(&g->left, 1) == 1)
                sj_future_set(&g->done, 0, NULL);
}

/* Submits all; how many were. */
static int submit_group(sj_process_pool *p, sj_process_fn *fn, process_item call, size_t n,
                        size_t *ret, sj_time deadline)
{
        for (size_t i = 0; i < n; i++) {
                call.index = i;
                int error = submit(p, fn, &call, deadline);
                if (error < 0)
                        return error;
                *ret = i + 1;
                call.input = (const char *)call.input + call.n;
                if (call.capacity > 0)
                        call.output = (char *)call.output + call.capacity;
        }
        return 0;
}

int sj_process_pool_map(sj_process_pool *p, sj_process_fn *fn, const void *inputs,
                        size_t input_size, size_t n, void *outputs, size_t output_size,
                        sj_process_result results[], sj_time deadline)
{
        if (n == 0)
                return sj_cancelled() ? -ECANCELED : 0;
        process_group g = {
                .results = results,
                .left = n,
                .failed_at = SIZE_MAX,
                .done = SJ_FUTURE_INIT,
        };
        process_item call = {
                .input = inputs,
                .n = input_size,
                .output = outputs,
                .capacity = output_size,
                .group = &g,
        };
        size_t submitted = 0;
        int error = submit_group(p, fn, call, n, &submitted, deadline);
        if (submitted == 0)
                return error;
        if (error == 0) {
                int result = sj_future_get(&g.done, NULL, deadline);
                error = sj_future_done(&g.done) ? 0 : result;
        }
        if (error == -ETIMEDOUT || error == -ECANCELED)
                cancel(p, NULL, &g);
        for (size_t i = submitted; i < n; i++)
                process_group_settle(&g, i, error, 0);
        await_surely(&g.done, NULL);
        return error < 0 && error != -EPIPE ? error : g.failure;
}

/* ── Looking inside ──────────────────────────────────────────────────────────────────────── */

size_t sj_process_pool_pids(sj_process_pool *p, int ret[], size_t n)
{
        size_t found = 0;
        mutex_lock(&p->lock);
        for (size_t i = 0; i < p->n; i++) {
                if (p->pids[i] == 0)
                        continue;
                if (found < n)
                        ret[found] = p->pids[i];
                found++;
        }
        mutex_unlock(&p->lock);
        return found;
}
