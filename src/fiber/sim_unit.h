/* SPDX-License-Identifier: MIT */
/*
 * For tests of fibers under the simulator: each test is a fiber function that is run over many
 * seeds, gentle and rough by turns. What must hold is said with expect(), which works on any
 * stack, and aborts. Whatever it aborts for, the line that does it again is printed.
 *
 *         SANJAB_SEEDS=20000    how many seeds (500)
 *         SANJAB_SEED=17        only this one, to replay a failure
 *         SANJAB_FAULTS=LIST    with these faults alone, of those that it draws (sim_keep_faults)
 *         SANJAB_SHRINK=1       of a SANJAB_SEED that fails: which of its faults are enough
 *         SANJAB_TRACE=1        each call as a line (sim_trace_enable)
 */
#ifndef SANJAB_FIBER_SIM_UNIT_H
#define SANJAB_FIBER_SIM_UNIT_H

#include "base/unit.h"
#include "os/sim.h"

#include <sanjab/debug.h>
#include <sanjab/fiber.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* Of which sim_unit.h tells when the program aborts. */
static uint64_t sim_unit_seed;

#define expect(condition)                                                          \
        do {                                                                       \
                if (!(condition)) {                                                \
                        fprintf(stderr, "%s: not so: %s\n", SJ_WHERE, #condition); \
                        abort();                                                   \
                }                                                                  \
        } while (0)

#define expect_equal(a, b)                                                                    \
        do {                                                                                  \
                long long expect_a = (long long)(a), expect_b = (long long)(b);               \
                if (expect_a != expect_b) {                                                   \
                        fprintf(stderr, "%s: %s is %lld, not %lld\n", SJ_WHERE, #a, expect_a, \
                                expect_b);                                                    \
                        abort();                                                              \
                }                                                                             \
        } while (0)

static inline uint64_t sim_unit_env(const char *name, uint64_t otherwise)
{
        const char *text = getenv(name);
        return text ? strtoull(text, NULL, 10) : otherwise;
}

/* Whatever the reason, also a world that is stuck: the line that does it again. */
static inline void sim_unit_aborts(int signo)
{
        const char *faults = getenv("SANJAB_FAULTS");
        fprintf(stderr,
                "replay it: SANJAB_SEED=%llu%s%s%s %s (SANJAB_SHRINK=1: with fewer faults)\n",
                (unsigned long long)sim_unit_seed, faults ? " SANJAB_FAULTS='" : "",
                faults ? faults : "", faults ? "'" : "", program_invocation_name);
        signal(signo, SIG_DFL);
}

static inline void sim_unit_write(void *arg, const char *text, size_t n)
{
        fwrite(text, 1, n, arg);
}

/* Nothing can ever happen again: who waits for what. */
static inline void sim_unit_stuck(void *arg, const char *why)
{
        (void)arg;
        fprintf(stderr, "simulator: %s: the fibers\n", why);
        if (sj_loop_current())
                sj_dump(sim_unit_write, stderr);
}

typedef struct sim_unit_case {
        uint64_t seed;
        const sim_options *options;
        sj_fn *body;
        void *arg;
        int expected;
        const _Atomic long long *live; /* allocations that must be as before; NULL: not looked at */
        uint64_t hash;
} sim_unit_case;

static inline void sim_unit_run_case(void *arg, const char *faults, FILE *log)
{
        sim_unit_case *c = arg;
        long long before = c->live ? *c->live : 0;
        sim_options options = *c->options;
        options.stuck = sim_unit_stuck;
        sim_unit_seed = c->seed;
        signal(SIGABRT, sim_unit_aborts);
        signal(SIGSEGV, sim_unit_aborts);
        sim_begin(c->seed, &options);
        sim_keep_faults(faults);
        sim_log_faults(log);
        if (getenv("SANJAB_TRACE"))
                sim_trace_enable(stderr);
        int r = sj_run_named(c->body, c->arg, "body", SJ_WHERE);
        c->hash = sim_trace_hash();
        expect_equal(r, c->expected);
        expect_equal(sim_count().closed_watched, 0);
        expect_equal(sim_end(), 0);
        expect_equal(c->live ? *c->live : 0, before);
        signal(SIGABRT, SIG_DFL);
        signal(SIGSEGV, SIG_DFL);
}

static inline uint64_t sim_unit_do(sim_unit_case c)
{
        char replay[40];
        snprintf(replay, sizeof(replay), "SANJAB_SEED=%llu ", (unsigned long long)c.seed);
        if (getenv("SANJAB_SHRINK") && sim_shrink(sim_unit_run_case, &c, 400, replay, stderr))
                exit(1);
        sim_unit_run_case(&c, getenv("SANJAB_FAULTS"), NULL);
        return c.hash;
}

/* The seed that SANJAB_SEED names; without it 1, 2, ... up to n: false when none is left. */
static inline bool sim_unit_next(uint64_t *seed, uint64_t n)
{
        uint64_t only = sim_unit_env("SANJAB_SEED", 0);
        if (only) {
                *seed = *seed ? 0 : only;
                return *seed > 0;
        }
        return ++*seed <= n;
}

/* One run of the body in a new world; its trace's hash. */
static inline uint64_t sim_unit_in(uint64_t seed, const sim_options *options, sj_fn *body,
                                   void *arg, int expected)
{
        return sim_unit_do((sim_unit_case){
                .seed = seed, .options = options, .body = body, .arg = arg, .expected = expected});
}

static inline uint64_t sim_unit_once(uint64_t seed, sj_fn *body, void *arg, int expected)
{
        return sim_unit_in(seed, seed % 2 ? &sim_rough : &sim_gentle, body, arg, expected);
}

/* The body over all seeds; it must return `expected` each time. One seed in 50 is run twice. */
static inline void sim_unit_run(sj_fn *body, void *arg, int expected)
{
        for (uint64_t seed = 0; sim_unit_next(&seed, sim_unit_env("SANJAB_SEEDS", 500));) {
                uint64_t hash = sim_unit_once(seed, body, arg, expected);
                if (seed % 50 == 1)
                        expect(sim_unit_once(seed, body, arg, expected) == hash);
        }
}

/*
 * A scenario draws all that it does (sim_draw), asks for each fault of its own (sim_strikes), and
 * must return 0: 1,000 seeds, or ten times SANJAB_SEEDS, in worlds that are quiet, slow or rough by
 * turns. *live, which counts what is allocated, must be as before after each; NULL: not looked at.
 */
static inline void sim_unit_scenario(sj_fn *body, const _Atomic long long *live)
{
        static const sim_options *const worlds[] = {&sim_gentle, &sim_slow, &sim_rough};
        for (uint64_t seed = 0; sim_unit_next(&seed, 10 * sim_unit_env("SANJAB_SEEDS", 100));)
                sim_unit_do((sim_unit_case){
                        .seed = seed, .options = worlds[seed % 3], .body = body, .live = live});
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
