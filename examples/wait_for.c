/* SPDX-License-Identifier: MIT */
/*
 * Whose deadline is it? A scope's deadline ends the work in it. A deadline of a join ends the wait,
 * and the work, which belongs to a scope further out, goes on.
 */
#include "speed.h"

#include <sanjab/fiber.h>
#include <stdio.h>

static int work(void *arg)
{
        (void)arg;
        int r = sj_sleep(seconds(2));
        return r < 0 ? r : 42;
}

static int limited(void)
{
        SJ_SCOPE(s, sj_after(seconds(1)), 0);
        sj_fiber *f;
        int r = sj_spawn(s, work, NULL, &f);
        if (r < 0)
                return r;
        int outcome = 0;
        r = sj_scope_join(s);
        sj_fiber_done(f, &outcome);
        printf("the scope: %s; the work: %s\n", sj_strerror(r), sj_strerror(outcome));
        return 0;
}

static int patient(sj_scope *outer)
{
        sj_fiber *f;
        int r = sj_spawn(outer, work, NULL, &f);
        if (r < 0)
                return r;
        r = sj_join(f, sj_after(seconds(1)));
        if (r == -ETIMEDOUT) {
                printf("it takes longer than expected\n");
                r = sj_join(f, SJ_NEVER);
        }
        printf("its result: %d\n", r);
        return r;
}

static int main_fiber(void *arg)
{
        (void)arg;
        sj_time start = sj_now();
        int r = limited();
        printf("after %.1f s\n", since(start));
        if (r < 0)
                return r;
        start = sj_now();
        SJ_SCOPE(outer, SJ_NEVER, 0);
        r = patient(outer);
        printf("after %.1f s\n", since(start));
        return r;
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
