/* SPDX-License-Identifier: MIT */
/*
 * For tests of fibers under the simulator: each test is a fiber function that is run over many
 * seeds, gentle and rough by turns. What must hold is said with expect(), which works on any
 * stack: it names the seed and aborts.
 *
 *         SANJAB_SEEDS=20000    how many seeds (500)
 *         SANJAB_SEED=17        only this one, to replay a failure
 */
#ifndef SANJAB_FIBER_SIM_UNIT_H
#define SANJAB_FIBER_SIM_UNIT_H

#include "base/unit.h"
#include "os/sim.h"

#include <sanjab/fiber.h>

#include <stdio.h>
#include <stdlib.h>

static uint64_t sim_unit_seed;

#define expect(condition)                                                                    \
        do {                                                                                 \
                if (!(condition)) {                                                          \
                        fprintf(stderr, "%s: not so: %s\nreplay it with SANJAB_SEED=%llu\n", \
                                SJ_WHERE, #condition, (unsigned long long)sim_unit_seed);    \
                        abort();                                                             \
                }                                                                            \
        } while (0)

#define expect_equal(a, b)                                                                     \
        do {                                                                                   \
                long long expect_a = (long long)(a), expect_b = (long long)(b);                \
                if (expect_a != expect_b) {                                                    \
                        fprintf(stderr,                                                        \
                                "%s: %s is %lld, not %lld\nreplay it with SANJAB_SEED=%llu\n", \
                                SJ_WHERE, #a, expect_a, expect_b,                              \
                                (unsigned long long)sim_unit_seed);                            \
                        abort();                                                               \
                }                                                                              \
        } while (0)

static inline uint64_t sim_unit_env(const char *name, uint64_t otherwise)
{
        const char *text = getenv(name);
        return text ? strtoull(text, NULL, 10) : otherwise;
}

/* One run of the body in a new world; its trace's hash. */
static inline uint64_t sim_unit_once(uint64_t seed, sj_fn *body, void *arg, int expected)
{
        sim_unit_seed = seed;
        sim_begin(seed, seed % 2 ? &sim_rough : &sim_gentle);
        int r = sj_run(body, arg);
        uint64_t hash = sim_trace_hash();
        expect_equal(r, expected);
        expect_equal(sim_end(), 0);
        return hash;
}

/* The body over all seeds; it must return `expected` each time. One seed in 50 is run twice. */
static inline void sim_unit_run(sj_fn *body, void *arg, int expected)
{
        uint64_t only = sim_unit_env("SANJAB_SEED", 0);
        uint64_t seeds = only ? 1 : sim_unit_env("SANJAB_SEEDS", 500);
        for (uint64_t i = 0; i < seeds; i++) {
                uint64_t seed = only ? only : i + 1;
                uint64_t hash = sim_unit_once(seed, body, arg, expected);
                if (i % 50 == 0)
                        expect(sim_unit_once(seed, body, arg, expected) == hash);
        }
}

/*
 * A list of such bodies, X(this_holds) X(that_holds), as functions and as rows of cmocka's table.
 */
#define SIM_UNIT_DEFINE(fn)                 \
        static void test_##fn(void **state) \
        {                                   \
                (void)state;                \
                sim_unit_run(fn, NULL, 0);  \
        }
#define SIM_UNIT_ROW(fn) {#fn, test_##fn, NULL, NULL, NULL},

#endif
