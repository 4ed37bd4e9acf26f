/* SPDX-License-Identifier: MIT */
/* Four fibers at once, one of which fails: the others are cancelled, or all are collected. */
#include "speed.h"

#include <sanjab/fiber.h>
#include <stdio.h>

static int numbers[] = {4, 1, 2, 3};

static int square(void *arg)
{
        int n = *(int *)arg;
        int r = sj_sleep(seconds(n));
        if (r < 0)
                return r;
        return n == 2 ? -EIO : n * n;
}

static int start(sj_scope *s, sj_fiber *ret[4])
{
        for (int i = 0; i < 4; i++) {
                int r = sj_spawn(s, square, &numbers[i], &ret[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void show(const int results[4], double took)
{
        for (int i = 0; i < 4; i++)
                if (results[i] < 0)
                        printf("  %d: %s\n", numbers[i], sj_strerror(results[i]));
                else
                        printf("  %d: %d\n", numbers[i], results[i]);
        printf("  after %.1f s\n", took);
}

static int all_or_nothing(void)
{
        sj_fiber *f[4];
        int results[4];
        sj_time begun = sj_now();
        SJ_SCOPE(s, SJ_NEVER, 0);
        int r = start(s, f);
        if (r < 0)
                return r;
        r = sj_scope_join(s);
        for (int i = 0; i < 4; i++)
                sj_fiber_done(f[i], &results[i]);
        printf("the first failure cancels the others: %s\n", sj_strerror(r));
        show(results, since(begun));
        return 0;
}

static int every_outcome(void)
{
        sj_fiber *f[4];
        int results[4];
        sj_time begun = sj_now();
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        int r = start(s, f);
        if (r >= 0)
                r = sj_gather(f, 4, results, SJ_NEVER);
        if (r < 0)
                return r;
        printf("every outcome is collected:\n");
        show(results, since(begun));
        return 0;
}

static int main_fiber(void *arg)
{
        (void)arg;
        int r = all_or_nothing();
        return r < 0 ? r : every_outcome();
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
