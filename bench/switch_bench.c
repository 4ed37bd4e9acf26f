/* SPDX-License-Identifier: MIT */
/*
 * The bare switch: two contexts that do nothing but switch to each other. One operation is one
 * switch, so that a round trip counts two.
 */
#include "fiber/context.h"

#include "measure.h"

#include <stdlib.h>

static context here, there;

static void other_side(void *arg)
{
        (void)arg;
        for (;;)
                context_switch(&there, &here);
}

static int switches(void *arg, int64_t n)
{
        (void)arg;
        for (int64_t i = 0; i < n; i += 2)
                context_switch(&here, &there);
        return 0;
}

int main(void)
{
        size_t size = (size_t)64 * 1024;
        void *stack = aligned_alloc(4096, size);
        if (!stack)
                return 1;
        context_thread(&here);
        context_make(&there, stack, size, other_side, NULL);
        int r = measure(switches, NULL);
        free(stack);
        return r < 0;
}
