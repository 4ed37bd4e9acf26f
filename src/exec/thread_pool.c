/* SPDX-License-Identifier: MIT */
/*
 * A thread pool: a bounded queue of calls under one mutex, and threads that take from it.
 *
 *     submit ──► │ job │ job │ job │ ──► searching (at most one, spins) ──► running
 *                  queue                      ▲ woken, last in first out
 *                                          parked, parked, parked ... (each on its own word)
 *
 * Waking is the expensive part, so it is done for one thread at a time: while one is searching
 * (it spins, or has been woken or started and is on its way), submit wakes nobody; a thread that
 * takes a call and leaves others behind wakes the next. Invariant, whenever the mutex is free:
 * calls wait => somebody searches, or every thread that may be is alive and runs a call.
 *
 * Threads park last in first out, so the warm ones are used and the others grow old and end.
 *
 * Why a mutex and not a lock-free queue: taking back a call, a bound that can be waited for, and
 * the invariant above need more than one word to change at once. The section is some twenty
 * instructions; work that is finer than that belongs to deques of the threads' own.
 *
 * Under the simulator there are no threads: each submit posts one step to the loop, which runs the
 * call at the head of the queue.
 */
#include "exec/thread_pool.h"

#include "exec/await.h"

#include <sanjab/future.h>

#include <stdio.h>
#include <stdlib.h>

enum {
        SPINS = 200,   /* of a searching thread, before it parks: about what a wake costs */
        NAME_ROOM = 12 /* of a pool's name: a thread's has 15, with a number */
};

typedef struct job {
        sj_fn *fn;
        void *arg;
        sj_future *future;
} job;

typedef struct worker {
        list node; /* in parked or ended */
        sj_thread_pool *pool;
        os_thread *thread;
        _Atomic uint32_t woken; /* parks on this word while it is 0 */
} worker;

struct sj_thread_pool {
        mutex lock;
        _Atomic uint32_t queued; /* count, to be looked at without the lock */
        job *jobs;               /* a circle of `capacity`, a power of two */
        size_t capacity;
        size_t bound; /* the most that wait, at most capacity */
        size_t head;
        size_t count;
        list parked;              /* the latest first */
        list ended;               /* threads to be joined */
        _Atomic uint32_t threads; /* that live; the last one's end is waited for by free */
        size_t limit;
        size_t started; /* ever, for their names */
        size_t searching;
        turnstile room; /* who waits for the queue to have room */
        turnstile done; /* who waits for the shutdown to be complete */
        bool closing;
        bool freed;   /* simulator: the last posted step frees the pool */
        size_t steps; /* simulator: posted, and not yet run */
        int spins;
        sj_time idle;
        char name[NAME_ROOM];
};

/* Which pool the thread works for. */
static _Thread_local sj_thread_pool *own_pool;

size_t thread_pool_limit(const sj_thread_pool *pool)
{
        return pool->limit;
}

/* ── The queue; with the lock ────────────────────────────────────────────────────────────── */

static void set_count(sj_thread_pool *p, size_t count)
{
        p->count = count;
        atomic_store_explicit(&p->queued, (uint32_t)count, memory_order_relaxed);
}

static job *job_at(sj_thread_pool *p, size_t i)
{
        return &p->jobs[(p->head + i) & (p->capacity - 1)];
}

static void push(sj_thread_pool *p, job j)
{
        *job_at(p, p->count) = j;
        set_count(p, p->count + 1);
}

/* Takes the i-th out; those behind it close ranks. */
static job take(sj_thread_pool *p, size_t i)
{
        job j = *job_at(p, i);
        if (i == 0) {
                p->head++;
        } else {
                for (; i + 1 < p->count; i++)
                        *job_at(p, i) = *job_at(p, i + 1);
        }
        set_count(p, p->count - 1);
        turnstile_let_one(&p->room);
        return j;
}

static void finish(const job *j, int result)
{
        if (j->future)
                sj_future_set(j->future, result, NULL);
        else if (result < 0 && result != -ECANCELED)
                sj_log(SJ_LOG_WARNING, "thread pool: a call that nobody awaits failed: %s",
                       sj_strerror(result));
}

static void run(const job *j)
{
        finish(j, j->fn(j->arg));
}

/* ── Threads ─────────────────────────────────────────────────────────────────────────────── */

static void *worker_main(void *arg);

/* With the lock: joins those that have ended, which takes no time worth the name. */
static void join_ended(sj_thread_pool *p)
{
        for (list *node = list_pop(&p->ended); node; node = list_pop(&p->ended)) {
                worker *w = container_of(node, worker, node);
                os_thread_join(w->thread);
                free(w);
        }
}

/* With the lock, which keeps the thread from its first step until it is accounted for. */
static int start_thread(sj_thread_pool *p)
{
        join_ended(p);
        worker *w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->pool = p;
        list_init(&w->node);
        char name[32];
        snprintf(name, sizeof(name), "%s-%zu", p->name, p->started);
        name[15] = '\0';
        int error = os_thread_start(worker_main, w, name, &w->thread);
        if (error < 0) {
                free(w);
                return error;
        }
        p->started++;
        atomic_fetch_add(&p->threads, 1);
        p->searching++;
        return 0;
}

/*
 * With the lock: sees to it that a call that waits is taken. *ret_wake is a thread to be woken
 * after the lock is given up. Fails only when no thread could be started.
 */
static int rouse(sj_thread_pool *p, worker **ret_wake)
{
        if (p->count == 0 || p->searching > 0)
                return 0;
        list *node = list_pop(&p->parked);
        if (node) {
                worker *w = container_of(node, worker, node);
                p->searching++;
                atomic_store_explicit(&w->woken, 1, memory_order_relaxed);
                *ret_wake = w;
                return 0;
        }
        return p->threads < p->limit ? start_thread(p) : 0;
}

static void wake(worker *w)
{
        if (w)
                os_futex_wake(&w->woken, 1, false);
}

/* With the lock, given up meanwhile: looks out for a call before it sleeps. */
static void search(sj_thread_pool *p)
{
        if (p->searching > 0 || p->spins == 0)
                return;
        p->searching++;
        mutex_unlock(&p->lock);
        for (int i = 0; i < p->spins; i++) {
                if (atomic_load_explicit(&p->queued, memory_order_relaxed) > 0)
                        break;
                cpu_relax();
        }
        mutex_lock(&p->lock);
        p->searching--;
}

/* With the lock, given up meanwhile. False: nobody woke it for so long that it may end. */
static bool park(sj_thread_pool *p, worker *w)
{
        sj_time deadline = p->idle ? sj_after(p->idle) : SJ_NEVER;
        int error = 0;
        atomic_store_explicit(&w->woken, 0, memory_order_relaxed);
        list_prepend(&p->parked, &w->node);
        mutex_unlock(&p->lock);
        while (error != -ETIMEDOUT && atomic_load_explicit(&w->woken, memory_order_relaxed) == 0)
                error = os_futex_wait(&w->woken, 0, deadline, false);
        mutex_lock(&p->lock);
        if (atomic_load_explicit(&w->woken, memory_order_relaxed) == 0) {
                list_remove(&w->node);
                return false;
        }
        p->searching--;
        return true;
}

/* With the lock, given up meanwhile. */
static void run_first(sj_thread_pool *p)
{
        worker *next = NULL;
        job j = take(p, 0);
        rouse(p, &next);
        mutex_unlock(&p->lock);
        wake(next);
        run(&j);
        mutex_lock(&p->lock);
}

static void *worker_main(void *arg)
{
        worker *w = arg;
        sj_thread_pool *p = w->pool;
        own_pool = p;
        mutex_lock(&p->lock);
        p->searching--;
        for (;;) {
                if (p->count == 0 && !p->closing)
                        search(p);
                if (p->count > 0)
                        run_first(p);
                else if (p->closing || !park(p, w))
                        break;
        }
        list_append(&p->ended, &w->node);
        if (atomic_fetch_sub(&p->threads, 1) == 1 && p->closing) {
                turnstile_let_all(&p->done);
                os_futex_wake(&p->threads, 1, false);
        }
        mutex_unlock(&p->lock);
        return NULL;
}

/* ── Under the simulator ─────────────────────────────────────────────────────────────────── */

static void pool_release(sj_thread_pool *p)
{
        free(p->jobs);
        free(p);
}

static int simulated_step(void *arg)
{
        sj_thread_pool *p = arg;
        if (p->count > 0) {
                job j = take(p, 0);
                run(&j);
        }
        if (p->closing && p->count == 0)
                turnstile_let_all(&p->done);
        if (--p->steps == 0 && p->freed)
                pool_release(p);
        return 0;
}

static int simulated_rouse(sj_thread_pool *p)
{
        sj_loop *loop = sj_loop_current();
        int error = loop ? sj_post(loop, simulated_step, p) : -EPERM;
        if (error == 0)
                p->steps++;
        return error;
}

/* ── The public side ─────────────────────────────────────────────────────────────────────── */

static size_t power_of_two(size_t n)
{
        size_t power = 16;
        while (power < n)
                power *= 2;
        return power;
}

int sj_thread_pool_new(size_t n, const sj_thread_pool_options *options, sj_thread_pool **ret)
{
        static const sj_thread_pool_options defaults = {0};
        if (!options)
                options = &defaults;
        size_t queue = options->queue ? options->queue : SJ_POOL_QUEUE;
        if (n > SJ_POOL_WORKERS_MAX || queue > UINT32_MAX / 2)
                return -EINVAL;
        sj_thread_pool *p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        p->bound = queue;
        p->capacity = power_of_two(queue);
        p->jobs = calloc(p->capacity, sizeof(*p->jobs));
        if (!p->jobs) {
                free(p);
                return -ENOMEM;
        }
        p->limit = n ? n : os_processors();
        p->spins = os_processors() > 1 ? SPINS : 0;
        p->idle = options->idle;
        list_init(&p->parked);
        list_init(&p->ended);
        turnstile_init(&p->room);
        turnstile_init(&p->done);
        strncpy(p->name, options->name ? options->name : "pool", NAME_ROOM - 1);
        *ret = p;
        return 0;
}

/* With the lock: queues the call, and finds who is to be woken for it. */
static int enqueue(sj_thread_pool *p, job j, worker **ret_wake)
{
        push(p, j);
        int error = os_simulated ? simulated_rouse(p) : rouse(p, ret_wake);
        if (error == 0 || (!os_simulated && p->threads > 0))
                return 0;
        set_count(p, p->count - 1);
        return error;
}

int sj_thread_pool_submit(sj_thread_pool *p, sj_fn *fn, void *arg, sj_future *future,
                          sj_time deadline)
{
        worker *next = NULL;
        if (sj_cancelled())
                return -ECANCELED;
        mutex_lock(&p->lock);
        int error = 0;
        while (error == 0 && !p->closing && p->count >= p->bound)
                error = turnstile_wait(&p->room, &p->lock, deadline);
        if (error == 0)
                error = p->closing ? -EPIPE : enqueue(p, (job){fn, arg, future}, &next);
        mutex_unlock(&p->lock);
        wake(next);
        return error;
}

int sj_thread_pool_cancel(sj_thread_pool *p, sj_future *future)
{
        job j = {0};
        mutex_lock(&p->lock);
        for (size_t i = 0; i < p->count && !j.fn; i++)
                if (job_at(p, i)->future == future)
                        j = take(p, i);
        mutex_unlock(&p->lock);
        if (!j.fn)
                return -EALREADY;
        finish(&j, -ECANCELED);
        return 0;
}

bool thread_pool_take_back(sj_thread_pool *p, sj_fn *fn, const void *arg)
{
        bool found = false;
        mutex_lock(&p->lock);
        for (size_t i = 0; i < p->count && !found; i++) {
                found = job_at(p, i)->fn == fn && job_at(p, i)->arg == arg;
                if (found)
                        take(p, i);
        }
        mutex_unlock(&p->lock);
        return found;
}

/* With the lock, given up for each. */
static void cancel_pending(sj_thread_pool *p)
{
        while (p->count > 0) {
                job j = take(p, 0);
                mutex_unlock(&p->lock);
                finish(&j, -ECANCELED);
                mutex_lock(&p->lock);
        }
}

/* With the lock: no more calls, and threads that find none end. */
static void close_pool(sj_thread_pool *p)
{
        p->closing = true;
        turnstile_let_all(&p->room);
        for (list *node = list_pop(&p->parked); node; node = list_pop(&p->parked)) {
                worker *w = container_of(node, worker, node);
                p->searching++;
                atomic_store_explicit(&w->woken, 1, memory_order_relaxed);
                wake(w);
        }
}

/* With the lock. */
static bool all_ended(const sj_thread_pool *p)
{
        return p->threads == 0 && p->count == 0;
}

int sj_thread_pool_shutdown(sj_thread_pool *p, sj_pending pending, sj_time deadline)
{
        if (own_pool == p)
                return -EDEADLK;
        mutex_lock(&p->lock);
        close_pool(p);
        if (pending == SJ_PENDING_CANCEL)
                cancel_pending(p);
        int error = 0;
        while (error == 0 && !all_ended(p))
                error = turnstile_wait(&p->done, &p->lock, deadline);
        join_ended(p);
        mutex_unlock(&p->lock);
        return error;
}

void sj_thread_pool_free(sj_thread_pool *p)
{
        if (!p)
                return;
        mutex_lock(&p->lock);
        close_pool(p);
        cancel_pending(p);
        mutex_unlock(&p->lock);
        for (uint32_t n = atomic_load(&p->threads); n > 0; n = atomic_load(&p->threads))
                os_futex_wait(&p->threads, n, SJ_NEVER, false);
        mutex_lock(&p->lock);
        join_ended(p);
        mutex_unlock(&p->lock);
        p->freed = true;
        if (p->steps == 0)
                pool_release(p);
}

size_t sj_thread_pool_waiting(sj_thread_pool *p)
{
        return atomic_load_explicit(&p->queued, memory_order_relaxed);
}

size_t sj_thread_pool_threads(sj_thread_pool *p)
{
        mutex_lock(&p->lock);
        size_t n = p->threads;
        mutex_unlock(&p->lock);
        return n;
}
