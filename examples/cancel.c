/* SPDX-License-Identifier: MIT */
/* A fiber that would take 100 s is watched every second, and cancelled after five. */
#include "speed.h"

#include <sanjab/fiber.h>
#include <stdio.h>

static int work(void *arg)
{
        int r = sj_sleep(seconds(100)); /* whatever a fiber waits in returns when it is cancelled */
        *(int *)arg = r;                /* and so it can clean up */
        return r;
}

static int main_fiber(void *arg)
{
        (void)arg;
        sj_time start = sj_now();
        int seen = 0;
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *f;
        int r = sj_spawn(s, work, &seen, &f);
        if (r < 0)
                return r;
        for (int i = 1; i <= 5; i++) {
                r = sj_sleep(seconds(1)); /* the loop is never blocked */
                if (r < 0)
                        return r;
                printf("%.1f s: %s\n", since(start), sj_fiber_done(f, NULL) ? "ended" : "at work");
        }
        sj_cancel(f);
        r = sj_join(f, SJ_NEVER);
        printf("%.1f s: it saw \"%s\", and ended with \"%s\"\n", since(start), sj_strerror(seen),
               sj_strerror(r));
        return 0;
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
