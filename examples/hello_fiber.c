/* SPDX-License-Identifier: MIT */
/* A function that waits is called like any other, or spawned as a fiber: then the waits overlap. */
#include "speed.h"

#include <sanjab/fiber.h>
#include <stdio.h>

typedef struct job {
        double nap;
        int number;
} job;

static int add_one(void *arg)
{
        const job *j = arg;
        int r = sj_sleep(seconds(j->nap));
        return r < 0 ? r : j->number + 1;
}

static int main_fiber(void *arg)
{
        (void)arg;
        sj_time start = sj_now();
        int first = add_one(&(job){1, 10});
        int second = add_one(&(job){2, first});
        printf("in turn, 1 s and 2 s: %d and %d after %.1f s\n", first, second, since(start));

        start = sj_now();
        job jobs[] = {{2, 10}, {5, 20}}; /* what a fiber is given must outlive it */
        sj_fiber *two, *five;
        SJ_SCOPE(s, SJ_NEVER, 0);
        int r = sj_spawn(s, add_one, &jobs[0], &two);
        if (r >= 0)
                r = sj_spawn(s, add_one, &jobs[1], &five);
        if (r < 0)
                return r;
        first = sj_join(two, SJ_NEVER);
        second = sj_join(five, SJ_NEVER);
        printf("together, 2 s and 5 s: %d and %d after %.1f s\n", first, second, since(start));
        return 0;
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
