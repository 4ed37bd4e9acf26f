/* SPDX-License-Identifier: MIT */
/* Three fibers that sleep for 3 s each, and the scope that waits for them. */
#include "speed.h"

#include <sanjab/fiber.h>
#include <stdio.h>

static int nap(void *arg)
{
        (void)arg;
        return sj_sleep(seconds(3));
}

static int main_fiber(void *arg)
{
        (void)arg;
        sj_time start = sj_now();
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < 3; i++) {
                int r = sj_spawn(s, nap, NULL, NULL);
                if (r < 0)
                        return r;
        }
        int r = sj_scope_join(s);
        printf("three sleeps of 3 s took %.1f s\n", since(start));
        return r;
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
