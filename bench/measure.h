/* SPDX-License-Identifier: MIT */
/*
 * measure: how a measuring program of bench/ takes and prints its samples.
 *
 * A program is called with a case's name. It prints one number a line, each the mean of one
 * round, in the unit of the case (bench/run knows it); the runner takes the median over many
 * rounds of many runs. Each sample is long enough (MEASURE_MIN) that the clock costs nothing.
 */
#ifndef SANJAB_BENCH_MEASURE_H
#define SANJAB_BENCH_MEASURE_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>

/* Samples that one run prints, after one that is thrown away to warm up. */
#define MEASURE_ROUNDS 5
/* The least time of a sample, in ns. */
#define MEASURE_MIN 40000000

static inline int64_t measure_now(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* As measure, with the n to begin with. */
static inline int measure_from(int64_t n, int (*work)(void *arg, int64_t n), void *arg)
{
        for (int printed = -1; printed < MEASURE_ROUNDS;) {
                int64_t start = measure_now();
                int r = work(arg, n);
                if (r < 0)
                        return r;
                int64_t took = measure_now() - start;
                if (took < MEASURE_MIN) {
                        n *= 2;
                        continue;
                }
                if (printed >= 0)
                        printf("%.3f\n", (double)took / (double)n);
                printed++;
        }
        return 0;
}

/* Bytes of this process's own memory that are there, or -1: exact, where statm is an estimate. */
static inline int64_t measure_memory(void)
{
        long long kib = -1;
        char line[256];
        FILE *f = fopen("/proc/self/smaps_rollup", "r");
        while (f && fgets(line, sizeof(line), f))
                if (sscanf(line, "Anonymous: %lld", &kib) == 1)
                        break;
        if (f)
                fclose(f);
        return kib < 0 ? -1 : kib * 1024;
}

/*
 * Calls work(arg, n), which does n operations, and prints the ns that one took; n is doubled until
 * a sample is long enough. Returns the first negative value of work, or 0.
 */
static inline int measure(int (*work)(void *arg, int64_t n), void *arg)
{
        return measure_from(1000, work, arg);
}

#endif
