/* SPDX-License-Identifier: MIT */
/*
 * The sum of the square roots of 1 to 50,000,000, cut in a hundred parts: in turn, by a pool of
 * threads, and by a pool of processes, with the sums returned. All three agree.
 */
#include <math.h>
#include <sanjab/exec.h>
#include <stdio.h>

enum { N = 50000000, PARTS = 100 };

typedef struct part {
        int from;
        double sum;
} part;

static int sum_part(void *arg)
{
        part *p = arg;
        double sum = 0;
        for (int i = p->from; i < p->from + N / PARTS; i++)
                sum += sqrt(i);
        p->sum = sum;
        return 0;
}

static int sum_in_process(const void *input, size_t n, void *output, size_t capacity)
{
        if (n != sizeof(part) || capacity < n)
                return -EINVAL;
        memcpy(output, input, n);
        sum_part(output);
        return (int)n;
}

static int in_turn(part parts[])
{
        for (int i = 0; i < PARTS; i++)
                sum_part(&parts[i]);
        return 0;
}

static int by_threads(part parts[])
{
        sj_thread_pool *pool;
        int r = sj_thread_pool_new(0, NULL, &pool);
        if (r < 0)
                return r;
        r = sj_thread_pool_map(pool, sum_part, parts, sizeof(part), PARTS, NULL, SJ_NEVER);
        sj_thread_pool_free(pool);
        return r;
}

static int by_processes(part parts[])
{
        sj_process_pool *pool;
        int r = sj_process_pool_new(0, NULL, &pool);
        if (r < 0)
                return r;
        r = sj_process_pool_map(pool, sum_in_process, parts, sizeof(part), PARTS, parts,
                                sizeof(part), NULL, SJ_NEVER);
        sj_process_pool_free(pool);
        return r;
}

static int measure(const char *name, int (*way)(part parts[]))
{
        part parts[PARTS];
        for (int i = 0; i < PARTS; i++)
                parts[i] = (part){.from = 1 + i * (N / PARTS)};
        sj_time start = sj_now();
        int r = way(parts);
        double sum = 0;
        for (int i = 0; i < PARTS; i++)
                sum += parts[i].sum;
        printf("%s: %.0f, %lld ms\n", name, sum, (long long)((sj_now() - start) / SJ_MS));
        return r;
}

int main(int argc, char **argv)
{
        sj_boot(argc, argv);
        int r = measure("in turn", in_turn);
        if (r >= 0)
                r = measure("threads", by_threads);
        if (r >= 0)
                r = measure("processes", by_processes);
        return r < 0;
}
