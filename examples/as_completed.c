/* SPDX-License-Identifier: MIT */
/* Results in the order in which they come, not in that of the start. */
#include "speed.h"

#include <sanjab/fiber.h>
#include <stdio.h>

static int nap(void *arg)
{
        int n = *(int *)arg;
        int r = sj_sleep(seconds(n));
        return r < 0 ? r : n;
}

static int main_fiber(void *arg)
{
        (void)arg;
        static int naps[] = {3, 1, 2};
        sj_time start = sj_now();
        sj_fiber *f;
        int r = 0, result;
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; r >= 0 && i < 3; i++)
                r = sj_spawn(s, nap, &naps[i], &f); /* sj_scope_next gives those with a handle */
        while ((r = sj_scope_next(s, &f, SJ_NEVER)) >= 0) {
                sj_fiber_done(f, &result);
                printf("%.1f s: the nap of %d\n", since(start), result);
        }
        return r == -ENOENT ? 0 : r; /* none is left */
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
