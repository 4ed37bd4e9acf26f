/* SPDX-License-Identifier: MIT */
/*
 * Nanoseconds of one switch between contexts: two contexts that only switch to each other.
 * Prints one JSON array, a number for each sample.
 *
 *         switch_bench [SAMPLES [SWITCHES]]
 */
#include "fiber/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { STACK = 64 * 1024 };

static context main_context;
static context fiber_context;

static void body(void *arg)
{
        (void)arg;
        for (;;)
                context_switch(&fiber_context, &main_context);
}

static double now(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double sample(long switches)
{
        double start = now();
        for (long i = 0; i < switches; i += 2)
                context_switch(&main_context, &fiber_context);
        return (now() - start) / (double)switches;
}

int main(int argc, char **argv)
{
        int samples = argc > 1 ? atoi(argv[1]) : 15;
        long switches = argc > 2 ? atol(argv[2]) : 10000000;
        char *stack = malloc(STACK);
        if (!stack)
                return 1;
        context_thread(&main_context);
        context_make(&fiber_context, stack, STACK, body, NULL);
        sample(switches / 10 + 2);
        printf("[");
        for (int i = 0; i < samples; i++)
                printf("%s%.3f", i ? ", " : "", sample(switches));
        printf("]\n");
        context_fini(&fiber_context);
        free(stack);
        return 0;
}
