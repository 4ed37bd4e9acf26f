/* SPDX-License-Identifier: MIT */
/*
 * Memory that is refused to executors with real threads and processes: each allocation of this
 * process in turn, alone and with all after it. Every run ends, with an error or without; where
 * nothing was refused it goes well; nothing is left; and the next run goes well.
 */
#include "base/refusal.h"
#include "fiber/real_unit.h"

#include <sanjab/exec.h>
#include <sanjab/fiber.h>
#include <sanjab/future.h>

#include <sys/wait.h>

enum { CALLS = 6 };

static int add_one(void *arg)
{
        return ++*(int *)arg;
}

static int square(const void *input, size_t n, void *output, size_t capacity)
{
        (void)n, (void)capacity;
        int x = *(const int *)input;
        *(int *)output = x * x;
        return sizeof(x);
}

static sj_time soon(void)
{
        return sj_after(30 * SJ_SEC);
}

static void note(int *error, int r)
{
        if (r < 0 && *error == 0)
                *error = r;
}

static int use_processes(void)
{
        sj_process_pool *pool = NULL;
        int inputs[CALLS], outputs[CALLS] = {0};
        int error = sj_process_pool_new(2, NULL, &pool);
        if (error < 0)
                return error;
        for (int i = 0; i < CALLS; i++)
                inputs[i] = i;
        note(&error, sj_process_pool_call(pool, square, &inputs[3], sizeof(int), &outputs[3],
                                          sizeof(int), NULL, soon()));
        note(&error, sj_process_pool_map(pool, square, inputs, sizeof(int), CALLS, outputs,
                                         sizeof(int), NULL, soon()));
        for (int i = 0; error == 0 && i < CALLS; i++)
                expect_equal(outputs[i], i * i);
        sj_process_pool_free(pool);
        return error;
}

static int use_threads(void)
{
        sj_thread_pool *pool = NULL;
        int items[CALLS] = {0}, results[CALLS];
        sj_future futures[CALLS] = {0};
        int error = sj_thread_pool_new(2, NULL, &pool);
        if (error < 0)
                return error;
        for (int i = 0; i < CALLS; i++) {
                int r = sj_thread_pool_submit(pool, add_one, &items[i], &futures[i], soon());
                note(&error, r);
                if (r == 0)
                        expect_equal(sj_future_get(&futures[i], NULL, SJ_NEVER), 1);
        }
        note(&error, sj_thread_pool_map(pool, add_one, items, sizeof(int), CALLS, results, soon()));
        for (int i = 0; error == 0 && i < CALLS; i++)
                expect_equal(items[i], 2);
        sj_thread_pool_free(pool);
        return error;
}

static int in_a_fiber(void *arg)
{
        int (*use)(void) = *(int (**)(void))arg;
        return use();
}

/* Returns whether an allocation was refused. */
static bool use_refusing(int (*use)(void), bool by_fiber, size_t nth, bool for_good)
{
        long long before = memory.live;
        memory.left = (long long)nth;
        memory.refused = 0;
        memory.for_good = for_good;
        memory.armed = true;
        int r = by_fiber ? sj_run(in_a_fiber, &use) : use();
        memory.armed = false;
        if (!memory.refused)
                expect_equal(r, 0);
        expect_equal(memory.live, before);
        expect(waitpid(-1, NULL, WNOHANG) < 0); /* no process is left */
        return memory.refused > 0;
}

static void refuse_each(int (*use)(void), size_t least)
{
        for (int way = 0; way < 4; way++) {
                size_t nth = 0;
                while (use_refusing(use, way / 2, nth, way % 2))
                        nth++;
                assert_true(nth >= least);
                assert_int_equal(use(), 0);
        }
}

static void any_allocation_of_a_thread_pool_may_fail(void **state)
{
        (void)state;
        refuse_each(use_threads, 4);
}

static void any_allocation_of_a_process_pool_may_fail(void **state)
{
        (void)state;
        refuse_each(use_processes, 4);
}

int main(int argc, char **argv)
{
        sj_boot(argc, argv);
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(any_allocation_of_a_thread_pool_may_fail),
                cmocka_unit_test(any_allocation_of_a_process_pool_may_fail),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
