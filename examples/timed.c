/* SPDX-License-Identifier: MIT */
/* A wrapper that prints the start, the argument and the duration of any fiber function. */
#include "speed.h"

#include <sanjab/fiber.h>
#include <stdio.h>

typedef struct call {
        sj_fn *fn;
        const char *name;
        int n;     /* the argument */
        int depth; /* of the call within calls */
} call;

static int timed(void *arg)
{
        call *c = arg;
        sj_time start = sj_now();
        printf("%*s%s(%d)\n", 2 * c->depth, "", c->name, c->n);
        int r = c->fn(c);
        printf("%*s%s(%d) = %d, %.1f s\n", 2 * c->depth, "", c->name, c->n, r, since(start));
        return r;
}

static int nap(void *arg)
{
        int n = ((call *)arg)->n;
        int r = sj_sleep(seconds(n));
        return r < 0 ? r : n;
}

static int naps(void *arg) /* all from 1 to n, one after the other */
{
        const call *c = arg;
        int sum = 0;
        for (int i = 1; i <= c->n; i++) {
                int r = timed(&(call){nap, "nap", i, c->depth + 1});
                if (r < 0)
                        return r;
                sum += r;
        }
        return sum;
}

static int main_fiber(void *arg)
{
        (void)arg;
        SJ_SCOPE(s, SJ_NEVER, 0);
        call c = {naps, "naps", 3, 0};
        int r = sj_spawn(s, timed, &c, NULL);
        return r < 0 ? r : sj_scope_join(s);
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
