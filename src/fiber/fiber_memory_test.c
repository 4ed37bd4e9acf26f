/* SPDX-License-Identifier: MIT */
/* What a loop does with the stacks of many fibers that have ended. */
#include "fiber/sim_unit.h"

#include "fiber/fiber.h"

enum { FIBERS = 3000, SEEDS = 4 };

static int sleeper(void *arg)
{
        (void)arg;
        return sj_sleep(SJ_MS);
}

static void burst(void)
{
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < FIBERS; i++)
                expect_equal(sj_spawn(s, sleeper, NULL, NULL), 0);
        expect_equal(sj_scope_join(s), 0);
}

static int bursts_keep_their_stacks_and_a_pause_gives_them_back(void *arg)
{
        (void)arg;
        const stack_pool *stacks = &fiber_loop_of_thread->stacks;
        burst();
        size_t slabs = stacks->n_slabs;
        expect(slabs >= FIBERS / 64 / 2);
        burst();
        expect(stacks->n_slabs >= slabs - slabs / 8);
        expect_equal(sj_sleep(3 * SJ_SEC), 0);
        expect(stacks->n_slabs < slabs / 3);
        return 0;
}

static void test_bursts_keep_their_stacks_and_a_pause_gives_them_back(void **state)
{
        (void)state;
        for (uint64_t seed = 1; seed <= SEEDS; seed++)
                sim_unit_once(seed, bursts_keep_their_stacks_and_a_pause_gives_them_back, NULL, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bursts_keep_their_stacks_and_a_pause_gives_them_back),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
