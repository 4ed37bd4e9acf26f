/* SPDX-License-Identifier: MIT */
#include "fiber/real_unit.h"
#include "fiber/sanitize.h"
#include "os/os.h"

#include <sanjab/exec.h>
#include <sanjab/future.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const sj_time LIMIT = 20 * SJ_SEC;

/* ── A gate: calls wait at it until it is opened ─────────────────────────────────────────── */

typedef struct gate {
        _Atomic uint32_t open;
        _Atomic uint32_t arrived;
} gate;

static int pass_gate(void *arg)
{
        gate *g = arg;
        atomic_fetch_add(&g->arrived, 1);
        os_futex_wake(&g->arrived, UINT32_MAX, false);
        while (atomic_load(&g->open) == 0)
                os_futex_wait(&g->open, 0, SJ_NEVER, false);
        return 7;
}

static void open_gate(gate *g)
{
        atomic_store(&g->open, 1);
        os_futex_wake(&g->open, UINT32_MAX, false);
}

static void await_arrivals(gate *g, uint32_t n)
{
        for (uint32_t now; (now = atomic_load(&g->arrived)) < n;)
                expect(os_futex_wait(&g->arrived, now, sj_after(LIMIT), false) != -ETIMEDOUT);
}

static sj_thread_pool *pool_of(size_t n, size_t queue)
{
        sj_thread_pool *pool = NULL;
        sj_thread_pool_options options = {.name = "test", .queue = queue};
        expect(sj_thread_pool_new(n, &options, &pool) == 0);
        return pool;
}

/* ── Submitting ──────────────────────────────────────────────────────────────────────────── */

enum { MANY = 10000 };

typedef struct record {
        int order[1000];
        int n;
} record;

static record written;

static int write_order(void *arg)
{
        written.order[written.n++] = (int)(intptr_t)arg;
        return 0;
}

static void calls_begin_in_the_order_of_submitting(void **state)
{
        (void)state;
        sj_thread_pool *pool = pool_of(1, 0);
        written.n = 0;
        for (intptr_t i = 0; i < 1000; i++)
                assert_int_equal(
                        sj_thread_pool_submit(pool, write_order, (void *)i, NULL, SJ_NEVER), 0);
        assert_int_equal(sj_thread_pool_shutdown(pool, SJ_PENDING_RUN, sj_after(LIMIT)), 0);
        assert_int_equal(written.n, 1000);
        for (int i = 0; i < 1000; i++)
                assert_int_equal(written.order[i], i);
        sj_thread_pool_free(pool);
}

static int twice(void *arg)
{
        return 2 * *(int *)arg;
}

static void every_call_of_many_gets_its_own_result(void **state)
{
        (void)state;
        sj_thread_pool *pool = pool_of(4, 100);
        static int numbers[MANY];
        static sj_future futures[MANY];
        memset(futures, 0, sizeof(futures));
        for (int i = 0; i < MANY; i++) {
                numbers[i] = i;
                assert_int_equal(sj_thread_pool_submit(pool, twice, &numbers[i], &futures[i],
                                                       sj_after(LIMIT)),
                                 0);
        }
        for (int i = 0; i < MANY; i++)
                assert_int_equal(sj_future_get(&futures[i], NULL, sj_after(LIMIT)), 2 * i);
        sj_thread_pool_free(pool);
}

static void a_pool_runs_as_many_blocking_calls_at_once_as_it_has_threads(void **state)
{
        (void)state;
        enum { N = 16 };
        sj_thread_pool *pool = pool_of(N, 0);
        gate g = {0};
        sj_future futures[N] = {0};
        for (int i = 0; i < N; i++)
                sj_thread_pool_submit(pool, pass_gate, &g, &futures[i], SJ_NEVER);
        await_arrivals(&g, N);
        assert_int_equal(sj_thread_pool_threads(pool), N);
        open_gate(&g);
        for (int i = 0; i < N; i++)
                assert_int_equal(sj_future_get(&futures[i], NULL, sj_after(LIMIT)), 7);
        sj_thread_pool_free(pool);
}

static void *open_soon(void *arg)
{
        sched_yield();
        open_gate(arg);
        return NULL;
}

static void a_full_queue_refuses_or_waits_for_room(void **state)
{
        (void)state;
        sj_thread_pool *pool = pool_of(1, 2);
        gate g = {0};
        sj_future futures[4] = {0};
        assert_int_equal(sj_thread_pool_submit(pool, pass_gate, &g, &futures[0], SJ_NEVER), 0);
        await_arrivals(&g, 1);
        assert_int_equal(sj_thread_pool_submit(pool, pass_gate, &g, &futures[1], SJ_POLL), 0);
        assert_int_equal(sj_thread_pool_submit(pool, pass_gate, &g, &futures[2], SJ_POLL), 0);
        assert_int_equal(sj_thread_pool_waiting(pool), 2);
        assert_int_equal(sj_thread_pool_submit(pool, pass_gate, &g, &futures[3], SJ_POLL),
                         -ETIMEDOUT);
        assert_int_equal(sj_thread_pool_submit(pool, pass_gate, &g, &futures[3], sj_after(SJ_MS)),
                         -ETIMEDOUT);
        assert_false(sj_future_done(&futures[3]));
        os_thread *opener;
        assert_int_equal(os_thread_start(open_soon, &g, "opener", &opener), 0);
        assert_int_equal(sj_thread_pool_submit(pool, pass_gate, &g, &futures[3], sj_after(LIMIT)),
                         0);
        os_thread_join(opener);
        for (int i = 0; i < 4; i++)
                assert_int_equal(sj_future_get(&futures[i], NULL, sj_after(LIMIT)), 7);
        sj_thread_pool_free(pool);
}

static int read_name(void *arg)
{
        return -pthread_getname_np(pthread_self(), arg, 16);
}

static void threads_bear_the_name_of_the_pool(void **state)
{
        (void)state;
        sj_thread_pool *pool = pool_of(1, 0);
        char name[16] = "";
        sj_future f = SJ_FUTURE_INIT;
        assert_int_equal(sj_thread_pool_submit(pool, read_name, name, &f, SJ_NEVER), 0);
        assert_int_equal(sj_future_get(&f, NULL, sj_after(LIMIT)), 0);
        assert_string_equal(name, "test-0");
        sj_thread_pool_free(pool);
}

static void idle_threads_end_and_come_back_by_need(void **state)
{
        (void)state;
        sj_thread_pool *pool = NULL;
        sj_thread_pool_options options = {.idle = SJ_MS};
        assert_int_equal(sj_thread_pool_new(4, &options, &pool), 0);
        for (int round = 0; round < 3; round++) {
                int number = round;
                sj_future f = SJ_FUTURE_INIT;
                assert_int_equal(sj_thread_pool_submit(pool, twice, &number, &f, SJ_NEVER), 0);
                assert_int_equal(sj_future_get(&f, NULL, sj_after(LIMIT)), 2 * round);
                sj_time limit = sj_after(LIMIT);
                while (sj_thread_pool_threads(pool) > 0)
                        assert_true(sj_now() < limit);
        }
        sj_thread_pool_free(pool);
}

static void a_pool_of_too_many_threads_is_refused(void **state)
{
        (void)state;
        sj_thread_pool *pool = NULL;
        assert_int_equal(sj_thread_pool_new(SJ_POOL_WORKERS_MAX + 1, NULL, &pool), -EINVAL);
        assert_null(pool);
        sj_thread_pool_free(NULL);
}

/* ── Cancelling and shutting down ────────────────────────────────────────────────────────── */

static void a_call_that_waits_can_be_taken_back_and_one_that_runs_cannot(void **state)
{
        (void)state;
        sj_thread_pool *pool = pool_of(1, 0);
        gate g = {0};
        int number = 4;
        sj_future running = SJ_FUTURE_INIT;
        sj_future futures[3] = {0};
        sj_thread_pool_submit(pool, pass_gate, &g, &running, SJ_NEVER);
        await_arrivals(&g, 1);
        for (int i = 0; i < 3; i++)
                sj_thread_pool_submit(pool, twice, &number, &futures[i], SJ_NEVER);
        assert_int_equal(sj_thread_pool_cancel(pool, &futures[1]), 0);
        assert_int_equal(sj_future_get(&futures[1], NULL, SJ_POLL), -ECANCELED);
        assert_int_equal(sj_thread_pool_cancel(pool, &futures[1]), -EALREADY);
        assert_int_equal(sj_thread_pool_cancel(pool, &running), -EALREADY);
        open_gate(&g);
        assert_int_equal(sj_future_get(&running, NULL, sj_after(LIMIT)), 7);
        assert_int_equal(sj_future_get(&futures[0], NULL, sj_after(LIMIT)), 8);
        assert_int_equal(sj_future_get(&futures[2], NULL, sj_after(LIMIT)), 8);
        sj_thread_pool_free(pool);
}

static void a_shutdown_runs_or_cancels_what_waits(void **state)
{
        (void)state;
        for (int how = 0; how < 2; how++) {
                sj_thread_pool *pool = pool_of(2, 0);
                gate g = {0};
                int number = 5;
                sj_future running[2] = {0};
                sj_future waiting[50] = {0};
                for (int i = 0; i < 2; i++)
                        sj_thread_pool_submit(pool, pass_gate, &g, &running[i], SJ_NEVER);
                await_arrivals(&g, 2);
                for (int i = 0; i < 50; i++)
                        sj_thread_pool_submit(pool, twice, &number, &waiting[i], SJ_NEVER);
                sj_pending pending = how ? SJ_PENDING_CANCEL : SJ_PENDING_RUN;
                assert_int_equal(sj_thread_pool_shutdown(pool, pending, SJ_POLL), -ETIMEDOUT);
                sj_future late = SJ_FUTURE_INIT;
                assert_int_equal(sj_thread_pool_submit(pool, twice, &number, &late, SJ_NEVER),
                                 -EPIPE);
                open_gate(&g);
                assert_int_equal(sj_thread_pool_shutdown(pool, pending, sj_after(LIMIT)), 0);
                assert_int_equal(sj_thread_pool_threads(pool), 0);
                for (int i = 0; i < 50; i++)
                        assert_int_equal(sj_future_get(&waiting[i], NULL, SJ_POLL),
                                         how ? -ECANCELED : 10);
                assert_int_equal(sj_future_get(&running[1], NULL, SJ_POLL), 7);
                sj_thread_pool_free(pool);
        }
}

static int shut_down_own(void *arg)
{
        return sj_thread_pool_shutdown(arg, SJ_PENDING_RUN, SJ_NEVER);
}

static void a_thread_of_the_pool_cannot_await_its_own_end(void **state)
{
        (void)state;
        sj_thread_pool *pool = pool_of(1, 0);
        sj_future f = SJ_FUTURE_INIT;
        sj_thread_pool_submit(pool, shut_down_own, pool, &f, SJ_NEVER);
        assert_int_equal(sj_future_get(&f, NULL, sj_after(LIMIT)), -EDEADLK);
        sj_thread_pool_free(pool);
}

typedef struct ordered_gate {
        gate *gate;
        sj_future *before;
} ordered_gate;

static void *open_after(void *arg)
{
        ordered_gate *o = arg;
        (void)sj_future_get(o->before, NULL, sj_after(LIMIT));
        open_gate(o->gate);
        return NULL;
}

static void freeing_waits_for_what_runs_and_cancels_what_waits(void **state)
{
        (void)state;
        sj_thread_pool *pool = pool_of(1, 0);
        gate g = {0};
        sj_future running = SJ_FUTURE_INIT;
        sj_future waiting = SJ_FUTURE_INIT;
        ordered_gate after_the_cancelled = {&g, &waiting};
        sj_thread_pool_submit(pool, pass_gate, &g, &running, SJ_NEVER);
        await_arrivals(&g, 1);
        sj_thread_pool_submit(pool, pass_gate, &g, &waiting, SJ_NEVER);
        os_thread *opener;
        assert_int_equal(os_thread_start(open_after, &after_the_cancelled, "opener", &opener), 0);
        sj_thread_pool_free(pool);
        os_thread_join(opener);
        assert_int_equal(sj_future_get(&running, NULL, SJ_POLL), 7);
        assert_int_equal(sj_future_get(&waiting, NULL, SJ_POLL), -ECANCELED);
}

/* ── Map ─────────────────────────────────────────────────────────────────────────────────── */

static int negate_odd(void *arg)
{
        int n = *(int *)arg;
        return n % 2 ? -n : n;
}

static void map_calls_every_item_and_reports_the_first_failure(void **state)
{
        (void)state;
        static int items[MANY];
        static int results[MANY];
        sj_thread_pool *pool = pool_of(3, 0);
        for (int i = 0; i < MANY; i++)
                items[i] = 2 * i;
        assert_int_equal(sj_thread_pool_map(pool, negate_odd, items, sizeof(items[0]), MANY,
                                            results, sj_after(LIMIT)),
                         0);
        for (int i = 0; i < MANY; i++)
                assert_int_equal(results[i], 2 * i);
        items[500] = 33;
        items[77] = 11;
        items[9000] = 5;
        assert_int_equal(
                sj_thread_pool_map(pool, negate_odd, items, sizeof(items[0]), MANY, NULL, SJ_NEVER),
                -11);
        assert_int_equal(sj_thread_pool_map(pool, negate_odd, NULL, 0, 0, NULL, SJ_NEVER), 0);
        sj_thread_pool_free(pool);
}

static void map_under_a_deadline_that_has_passed_calls_nothing(void **state)
{
        (void)state;
        enum { N = 50 };
        int items[N] = {0};
        int results[N] = {0};
        sj_thread_pool *pool = pool_of(1, 0);
        gate g = {0};
        sj_future running = SJ_FUTURE_INIT;
        sj_thread_pool_submit(pool, pass_gate, &g, &running, SJ_NEVER);
        await_arrivals(&g, 1);
        assert_int_equal(
                sj_thread_pool_map(pool, twice, items, sizeof(items[0]), N, results, SJ_POLL),
                -ETIMEDOUT);
        for (int i = 0; i < N; i++)
                assert_int_equal(results[i], -ETIMEDOUT);
        open_gate(&g);
        sj_thread_pool_free(pool);
}

typedef struct nested {
        sj_thread_pool *pool;
        int items[64];
        int results[64];
} nested;

static int map_inside(void *arg)
{
        nested *n = arg;
        for (int i = 0; i < 64; i++)
                n->items[i] = i;
        return sj_thread_pool_map(n->pool, twice, n->items, sizeof(n->items[0]), 64, n->results,
                                  SJ_NEVER);
}

static void map_inside_map_does_not_starve(void **state)
{
        (void)state;
        enum { N = 8 };
        sj_thread_pool *pool = pool_of(2, 1);
        nested *all = calloc(N, sizeof(*all));
        for (int i = 0; i < N; i++)
                all[i].pool = pool;
        assert_int_equal(
                sj_thread_pool_map(pool, map_inside, all, sizeof(all[0]), N, NULL, sj_after(LIMIT)),
                0);
        for (int i = 0; i < N; i++)
                assert_int_equal(all[i].results[63], 126);
        free(all);
        sj_thread_pool_free(pool);
}

typedef struct fork_part {
        sj_thread_pool *pool;
        int n;
        int leaves;
} fork_part;

static int fork_and_join(void *arg)
{
        fork_part *part = arg;
        part->leaves = 1;
        if (part->n < 2)
                return 0;
        fork_part halves[] = {{part->pool, part->n - 1, 0}, {part->pool, part->n - 2, 0}};
        int r = sj_thread_pool_map(part->pool, fork_and_join, halves, sizeof(halves[0]), 2, NULL,
                                   SJ_NEVER);
        part->leaves = halves[0].leaves + halves[1].leaves;
        return r;
}

/* Helpers that have not begun lie behind others, and every thread is inside a map of its own. */
static void maps_that_fork_and_join_do_not_wait_for_each_other(void **state)
{
        (void)state;
        fork_part whole = {pool_of(2, 0), 17, 0};
        assert_int_equal(fork_and_join(&whole), 0);
        assert_int_equal(whole.leaves, 2584);
        sj_thread_pool_free(whole.pool);
}

static void map_on_a_pool_that_is_shut_down_calls_nothing(void **state)
{
        (void)state;
        sj_thread_pool *pool = pool_of(2, 0);
        sj_thread_pool_shutdown(pool, SJ_PENDING_RUN, SJ_NEVER);
        int item = 1;
        int result = 99;
        assert_int_equal(sj_thread_pool_map(pool, twice, &item, sizeof(item), 1, &result, SJ_NEVER),
                         -EPIPE);
        assert_int_equal(result, 99);
        sj_thread_pool_free(pool);
}

/* ── In fibers ───────────────────────────────────────────────────────────────────────────── */

static int tick(void *arg)
{
        while (!atomic_load((_Atomic bool *)arg))
                expect(sj_yield() == 0);
        return 0;
}

/* The call waits at a gate that only a fiber of the same loop opens. */
static int opener_fiber(void *arg)
{
        gate *g = arg;
        while (atomic_load(&g->arrived) == 0)
                expect(sj_yield() == 0);
        open_gate(g);
        return 0;
}

static int loop_goes_on(void *arg)
{
        (void)arg;
        gate g = {0};
        _Atomic bool stop = false;
        SJ_SCOPE(s, sj_after(LIMIT), 0);
        expect(sj_spawn(s, opener_fiber, &g, NULL) == 0);
        expect(sj_spawn(s, tick, (void *)&stop, NULL) == 0);
        expect(sj_offload(pass_gate, &g, SJ_NEVER) == 7);
        atomic_store(&stop, true);
        return sj_scope_join(s);
}

static void an_offloaded_call_does_not_hold_up_the_loop(void **state)
{
        (void)state;
        assert_int_equal(sj_run(loop_goes_on, NULL), 0);
}

static int returns_7(void *arg)
{
        (void)arg;
        return 7;
}

static int offloads(void *arg)
{
        return sj_offload(returns_7, arg, SJ_NEVER);
}

static int offloads_here_and_in_a_forked_child(void *arg)
{
        int status;
        expect(offloads(arg) == 7);
        pid_t child = fork();
        expect(child >= 0);
        if (child == 0)
                _exit(sj_run(offloads, NULL));
        expect(TEMP_FAILURE_RETRY(waitpid(child, &status, 0)) == child);
        expect(WIFEXITED(status) && WEXITSTATUS(status) == 7);
        return offloads(arg);
}

static void the_child_of_a_fork_has_threads_of_its_own(void **state)
{
        (void)state;
        if (SANITIZE_THREAD) /* it allows no threads there */
                skip();
        assert_int_equal(sj_run(offloads_here_and_in_a_forked_child, NULL), 7);
}

static int offload_at(void *arg)
{
        return sj_offload(pass_gate, arg, SJ_NEVER);
}

static int cancelled_while_running(void *arg)
{
        (void)arg;
        gate g = {0};
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        sj_fiber *f = NULL;
        expect(sj_spawn(s, offload_at, &g, &f) == 0);
        while (atomic_load(&g.arrived) == 0)
                expect(sj_yield() == 0);
        sj_cancel(f);
        for (int i = 0; i < 100; i++)
                expect(sj_yield() == 0);
        expect(!sj_fiber_done(f, NULL));
        open_gate(&g);
        expect(sj_join(f, sj_after(LIMIT)) == 7);
        return 0;
}

static void a_call_that_runs_is_waited_for_even_when_cancelled(void **state)
{
        (void)state;
        assert_int_equal(sj_run(cancelled_while_running, NULL), 0);
}

static int all_threads_taken(void *arg)
{
        (void)arg;
        gate g = {0};
        gate never = {0};
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        for (int i = 0; i < SJ_OFFLOAD_THREADS; i++)
                expect(sj_spawn(s, offload_at, &g, NULL) == 0);
        while (atomic_load(&g.arrived) < SJ_OFFLOAD_THREADS)
                expect(sj_yield() == 0);
        expect(sj_offload(pass_gate, &never, sj_after(SJ_MS)) == -ETIMEDOUT);
        sj_fiber *f = NULL;
        expect(sj_spawn(s, offload_at, &never, &f) == 0);
        for (int i = 0; i < 10; i++)
                expect(sj_yield() == 0);
        sj_cancel(f);
        expect(sj_join(f, SJ_NEVER) == -ECANCELED);
        open_gate(&g);
        expect(sj_scope_join(s) == 0);
        expect(atomic_load(&never.arrived) == 0);
        return 0;
}

static void a_call_without_a_free_thread_is_taken_back_at_its_deadline(void **state)
{
        (void)state;
        assert_int_equal(sj_run(all_threads_taken, NULL), 0);
}

typedef struct owned {
        gate gate;
        _Atomic uint32_t *released;
} owned;

static int pass_owned(void *arg)
{
        return pass_gate(&((owned *)arg)->gate);
}

static void release_owned(void *arg)
{
        owned *o = arg;
        _Atomic uint32_t *released = o->released;
        free(o);
        atomic_fetch_add(released, 1);
        os_futex_wake(released, 1, false);
}

static int abandon(void *arg)
{
        owned *o = arg;
        int result = 0;
        expect(sj_offload_detached(pass_owned, o, release_owned, &result, sj_after(SJ_MS)) ==
               -ETIMEDOUT);
        return 0;
}

static int use_to_the_end(void *arg)
{
        owned *o = arg;
        int result = 0;
        atomic_store(&o->gate.open, 1);
        expect(sj_offload_detached(pass_owned, o, release_owned, &result, SJ_NEVER) == 0);
        expect(result == 7);
        return 0;
}

static void an_abandoned_call_releases_its_argument_when_it_ends(void **state)
{
        (void)state;
        _Atomic uint32_t released = 0;
        owned *o = calloc(1, sizeof(*o));
        o->released = &released;
        assert_int_equal(sj_run(abandon, o), 0);
        assert_int_equal(atomic_load(&released), 0);
        open_gate(&o->gate);
        while (atomic_load(&released) == 0)
                expect(os_futex_wait(&released, 0, sj_after(LIMIT), false) != -ETIMEDOUT);

        o = calloc(1, sizeof(*o));
        o->released = &released;
        assert_int_equal(sj_run(use_to_the_end, o), 0);
        assert_int_equal(atomic_load(&released), 1);
        free(o);
}

static void outside_of_a_fiber_the_function_is_just_called(void **state)
{
        (void)state;
        int number = 21;
        assert_int_equal(sj_offload(twice, &number, SJ_POLL), 42);
        int result = 0;
        assert_int_equal(sj_offload_detached(twice, &number, NULL, &result, SJ_POLL), 0);
        assert_int_equal(result, 42);
}

static int map_in_fiber(void *arg)
{
        sj_thread_pool *pool = arg;
        int items[300];
        int results[300];
        for (int i = 0; i < 300; i++)
                items[i] = i;
        expect(sj_thread_pool_map(pool, twice, items, sizeof(items[0]), 300, results,
                                  sj_after(LIMIT)) == 0);
        for (int i = 0; i < 300; i++)
                expect(results[i] == 2 * i);
        return sj_thread_pool_shutdown(pool, SJ_PENDING_RUN, sj_after(LIMIT));
}

static void a_fiber_maps_and_shuts_down(void **state)
{
        (void)state;
        sj_thread_pool *pool = pool_of(2, 0);
        assert_int_equal(sj_run(map_in_fiber, pool), 0);
        sj_thread_pool_free(pool);
}

typedef struct stopped_map {
        sj_thread_pool *pool;
        gate gate;
        int results[8];
} stopped_map;

static int pass_shared_gate(void *arg)
{
        return pass_gate(*(gate **)arg);
}

static int map_at_gate(void *arg)
{
        stopped_map *m = arg;
        gate *items[8];
        for (int i = 0; i < 8; i++)
                items[i] = &m->gate;
        return sj_thread_pool_map(m->pool, pass_shared_gate, items, sizeof(items[0]), 8, m->results,
                                  SJ_NEVER);
}

static int cancel_map(void *arg)
{
        stopped_map *m = arg;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        sj_fiber *f = NULL;
        expect(sj_spawn(s, map_at_gate, m, &f) == 0);
        while (atomic_load(&m->gate.arrived) < 2)
                expect(sj_yield() == 0);
        sj_cancel(f);
        for (int i = 0; i < 20; i++)
                expect(sj_yield() == 0);
        open_gate(&m->gate);
        expect(sj_join(f, sj_after(LIMIT)) == -ECANCELED);
        return 0;
}

static void a_cancelled_map_ends_what_it_began_and_begins_no_more(void **state)
{
        (void)state;
        stopped_map m = {.pool = pool_of(2, 0)};
        assert_int_equal(sj_run(cancel_map, &m), 0);
        assert_int_equal(atomic_load(&m.gate.arrived), 2);
        int called = 0;
        for (int i = 0; i < 8; i++) {
                assert_true(m.results[i] == 7 || m.results[i] == -ECANCELED);
                called += m.results[i] == 7;
        }
        assert_int_equal(called, 2);
        sj_thread_pool_free(m.pool);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(calls_begin_in_the_order_of_submitting),
                cmocka_unit_test(every_call_of_many_gets_its_own_result),
                cmocka_unit_test(a_pool_runs_as_many_blocking_calls_at_once_as_it_has_threads),
                cmocka_unit_test(a_full_queue_refuses_or_waits_for_room),
                cmocka_unit_test(threads_bear_the_name_of_the_pool),
                cmocka_unit_test(idle_threads_end_and_come_back_by_need),
                cmocka_unit_test(a_pool_of_too_many_threads_is_refused),
                cmocka_unit_test(a_call_that_waits_can_be_taken_back_and_one_that_runs_cannot),
                cmocka_unit_test(a_shutdown_runs_or_cancels_what_waits),
                cmocka_unit_test(a_thread_of_the_pool_cannot_await_its_own_end),
                cmocka_unit_test(freeing_waits_for_what_runs_and_cancels_what_waits),
                cmocka_unit_test(map_calls_every_item_and_reports_the_first_failure),
                cmocka_unit_test(map_under_a_deadline_that_has_passed_calls_nothing),
                cmocka_unit_test(map_inside_map_does_not_starve),
                cmocka_unit_test(maps_that_fork_and_join_do_not_wait_for_each_other),
                cmocka_unit_test(map_on_a_pool_that_is_shut_down_calls_nothing),
                cmocka_unit_test(an_offloaded_call_does_not_hold_up_the_loop),
                cmocka_unit_test(the_child_of_a_fork_has_threads_of_its_own),
                cmocka_unit_test(a_call_that_runs_is_waited_for_even_when_cancelled),
                cmocka_unit_test(a_call_without_a_free_thread_is_taken_back_at_its_deadline),
                cmocka_unit_test(an_abandoned_call_releases_its_argument_when_it_ends),
                cmocka_unit_test(outside_of_a_fiber_the_function_is_just_called),
                cmocka_unit_test(a_fiber_maps_and_shuts_down),
                cmocka_unit_test(a_cancelled_map_ends_what_it_began_and_begins_no_more),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
