/* SPDX-License-Identifier: MIT */
/* Executors under the simulator: blocking calls and pools without a thread, by the seed. */
#include "fiber/sim_unit.h"

#include <sanjab/exec.h>
#include <sanjab/future.h>

static int count_call(void *arg)
{
        return ++*(int *)arg;
}

static int an_offloaded_call_returns_its_result(void *arg)
{
        (void)arg;
        int calls = 0;
        expect_equal(sj_offload(count_call, &calls, SJ_NEVER), 1);
        expect_equal(sj_offload(count_call, &calls, sj_after(SJ_SEC)), 2);
        return 0;
}

/* It is either called, and its result is returned, or it was not called. */
static int call_within_half_a_millisecond(void *arg)
{
        int *calls = arg;
        int result = sj_offload(count_call, calls, sj_after(SJ_MS / 2));
        expect(result == -ETIMEDOUT ? *calls == 0 : result == 1 && *calls == 1);
        return 0;
}

static int a_deadline_means_that_it_was_not_called(void *arg)
{
        (void)arg;
        int calls[20] = {0};
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < 20; i++)
                sj_spawn(s, call_within_half_a_millisecond, &calls[i], NULL);
        expect_equal(sj_scope_join(s), 0);
        return 0;
}

static int call_or_be_cancelled(void *arg)
{
        int *calls = arg;
        int result = sj_offload(count_call, calls, SJ_NEVER);
        expect(result == -ECANCELED ? *calls == 0 : result == 1 && *calls == 1);
        return 0;
}

static int cancelled_means_that_it_was_not_called(void *arg)
{
        (void)arg;
        int calls[20] = {0};
        SJ_SCOPE(s, sj_after(SJ_MS / 2), SJ_COLLECT);
        for (int i = 0; i < 20; i++)
                sj_spawn(s, call_or_be_cancelled, &calls[i], NULL);
        int r = sj_scope_join(s);
        return r == -ETIMEDOUT ? 0 : r;
}

typedef struct owned {
        int calls;
        int *released;
} owned;

static void release(void *arg)
{
        owned *o = arg;
        ++*o->released;
        free(o);
}

static int a_detached_argument_belongs_to_one_of_the_two(void *arg)
{
        (void)arg;
        int released = 0;
        int kept = 0;
        for (int i = 0; i < 20; i++) {
                owned *o = malloc(sizeof(*o));
                *o = (owned){.released = &released};
                int result = 0;
                if (sj_offload_detached(count_call, o, release, &result, sj_after(SJ_MS)) == 0) {
                        expect_equal(result, 1);
                        free(o);
                        kept++;
                }
        }
        expect_equal(kept + released, 20);
        return 0;
}

static int twice(void *arg)
{
        return 2 * *(int *)arg;
}

static int pools_run_map_cancel_and_shut_down(void *arg)
{
        (void)arg;
        sj_thread_pool *pool = NULL;
        int items[50];
        int results[50];
        sj_future futures[10] = {0};
        expect_equal(sj_thread_pool_new(4, NULL, &pool), 0);
        for (int i = 0; i < 50; i++)
                items[i] = i;
        for (int i = 0; i < 10; i++)
                expect_equal(sj_thread_pool_submit(pool, twice, &items[i], &futures[i], SJ_NEVER),
                             0);
        expect_equal(sj_thread_pool_cancel(pool, &futures[7]), 0);
        expect_equal(sj_thread_pool_map(pool, twice, items, sizeof(items[0]), 50, results,
                                        sj_after(SJ_SEC)),
                     0);
        for (int i = 0; i < 50; i++)
                expect_equal(results[i], 2 * i);
        for (int i = 0; i < 10; i++)
                expect_equal(sj_future_get(&futures[i], NULL, SJ_NEVER),
                             i == 7 ? -ECANCELED : 2 * i);
        expect_equal(sj_thread_pool_shutdown(pool, SJ_PENDING_RUN, SJ_NEVER), 0);
        expect_equal(sj_thread_pool_submit(pool, twice, &items[0], NULL, SJ_NEVER), -EPIPE);
        sj_thread_pool_free(pool);
        return 0;
}

static int a_pool_that_is_freed_cancels_what_waits(void *arg)
{
        (void)arg;
        sj_thread_pool *pool = NULL;
        int item = 1;
        sj_future futures[10] = {0};
        expect_equal(sj_thread_pool_new(1, NULL, &pool), 0);
        for (int i = 0; i < 10; i++)
                expect_equal(sj_thread_pool_submit(pool, twice, &item, &futures[i], SJ_NEVER), 0);
        sj_thread_pool_free(pool);
        for (int i = 0; i < 10; i++)
                expect_equal(sj_future_get(&futures[i], NULL, SJ_POLL), -ECANCELED);
        /* The steps that were posted find it gone. */
        return sj_sleep(SJ_MS);
}

static int a_full_queue_makes_the_caller_wait(void *arg)
{
        (void)arg;
        sj_thread_pool *pool = NULL;
        sj_thread_pool_options options = {.queue = 3};
        int item = 1;
        sj_future futures[20] = {0};
        expect_equal(sj_thread_pool_new(1, &options, &pool), 0);
        for (int i = 0; i < 20; i++)
                expect_equal(sj_thread_pool_submit(pool, twice, &item, &futures[i], SJ_NEVER), 0);
        for (int i = 0; i < 20; i++)
                expect_equal(sj_future_get(&futures[i], NULL, SJ_NEVER), 2);
        sj_thread_pool_free(pool);
        return 0;
}

static int a_process_pool_is_refused(void *arg)
{
        (void)arg;
        sj_process_pool *pool = NULL;
        return sj_process_pool_new(2, NULL, &pool) == -ENOSYS ? 0 : -EINVAL;
}

#define CASES(X)                                         \
        X(an_offloaded_call_returns_its_result)          \
        X(a_deadline_means_that_it_was_not_called)       \
        X(cancelled_means_that_it_was_not_called)        \
        X(a_detached_argument_belongs_to_one_of_the_two) \
        X(pools_run_map_cancel_and_shut_down)            \
        X(a_pool_that_is_freed_cancels_what_waits)       \
        X(a_full_queue_makes_the_caller_wait)            \
        X(a_process_pool_is_refused)

CASES(SIM_UNIT_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {CASES(SIM_UNIT_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
