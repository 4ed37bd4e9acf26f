/* SPDX-License-Identifier: MIT */
/* The executors: a call for each site, and a future for each call. */
#include "mode.h"

#include <sanjab/exec.h>
#include <sanjab/future.h>

#include <stdio.h>
#include <stdlib.h>

enum { THREADS_MOST = 64, PROCESSES_MOST = 16 };

static size_t workers_of(const mode_run *run, size_t most)
{
        size_t n = run->workers ? run->workers : most;
        return n < run->list->n ? n : run->list->n;
}

/* ── Threads ─────────────────────────────────────────────────────────────────────────────── */

typedef struct call {
        mode_run *run;
        size_t i;
        sj_future done;
} call;

static int check_in_pool(void *arg)
{
        call *c = arg;
        check_site_in_thread(c->run->list->sites[c->i].url, c->run->timeout, &c->run->checks[c->i]);
        progress_step(c->run->progress);
        return 0;
}

static int submit_all(mode_run *run, sj_thread_pool *pool, call calls[])
{
        int r = 0;
        size_t n = 0;
        for (; n < run->list->n && r >= 0; n++) {
                calls[n] = (call){.run = run, .i = n, .done = SJ_FUTURE_INIT};
                r = sj_thread_pool_submit(pool, check_in_pool, &calls[n], &calls[n].done, SJ_NEVER);
        }
        if (r < 0)
                n--;
        for (size_t i = 0; i < n; i++)
                sj_future_get(&calls[i].done, NULL, SJ_NEVER);
        return r;
}

int mode_futures(mode_run *run)
{
        sj_thread_pool *pool;
        call *calls = calloc(run->list->n, sizeof(*calls));
        int r = calls ? sj_thread_pool_new(workers_of(run, THREADS_MOST), NULL, &pool) : -ENOMEM;
        if (r >= 0) {
                r = submit_all(run, pool, calls);
                sj_thread_pool_free(pool);
        }
        free(calls);
        return r;
}

/* ── Processes ───────────────────────────────────────────────────────────────────────────── */

/* What a worker process is told. */
typedef struct order {
        sj_time timeout;
        char url[SITE_URL_MAX + 1];
} order;

static int check_in_process(const void *input, size_t n, void *output, size_t capacity)
{
        const order *o = input;
        if (n != sizeof(*o) || capacity < sizeof(check))
                return -EINVAL;
        check_site_in_thread(o->url, o->timeout, output);
        return (int)sizeof(check);
}

/* The outcome of a call whose process may have died in it. */
static void take_outcome(int result, void *value, check *ret)
{
        if (result >= 0)
                return;
        check_failed(result, ret);
        if (result == -EOWNERDEAD) {
                char how[64];
                sj_process_error((int)(intptr_t)value, how, sizeof(how));
                snprintf(ret->why, sizeof(ret->why), "the process that checked it was %s", how);
        }
}

static int submit_orders(mode_run *run, sj_process_pool *pool, order orders[], sj_future futures[])
{
        int r = 0;
        size_t n = 0;
        for (; n < run->list->n && r >= 0; n++) {
                orders[n].timeout = run->timeout;
                strcpy(orders[n].url, run->list->sites[n].url);
                futures[n] = (sj_future)SJ_FUTURE_INIT;
                r = sj_process_pool_submit(pool, check_in_process, &orders[n], sizeof(order),
                                           &run->checks[n], sizeof(check), &futures[n], SJ_NEVER);
        }
        if (r < 0)
                n--;
        for (size_t i = 0; i < n; i++) {
                void *value = NULL;
                int result = sj_future_get(&futures[i], &value, SJ_NEVER);
                take_outcome(result, value, &run->checks[i]);
                progress_step(run->progress);
        }
        return r;
}

int mode_processes(mode_run *run)
{
        sj_process_pool *pool;
        order *orders = calloc(run->list->n, sizeof(*orders));
        sj_future *futures = calloc(run->list->n, sizeof(*futures));
        int r = -ENOMEM;
        if (orders && futures)
                r = sj_process_pool_new(workers_of(run, PROCESSES_MOST), NULL, &pool);
        if (r >= 0) {
                r = submit_orders(run, pool, orders, futures);
                sj_process_pool_free(pool);
        }
        free(orders);
        free(futures);
        return r;
}
