/* SPDX-License-Identifier: MIT */
/*
 * A generator goes on only when its next value is asked for, and ends when the loop over it is
 * left.
 */
#include <inttypes.h>
#include <sanjab/generator.h>
#include <stdio.h>

static int fibonacci(sj_generator *g, void *arg)
{
        (void)arg;
        int r = 0;
        for (int64_t a = 0, b = 1; r == 0;) {
                int64_t next = a + b;
                r = sj_generator_yield(g, &b);
                a = b;
                b = next;
        }
        return r; /* -ECANCELED: nobody asks any more */
}

static int main_fiber(void *arg)
{
        (void)arg;
        SJ_GENERATOR(numbers, fibonacci, NULL);
        printf("by next:");
        for (int i = 0; i < 3; i++) {
                void *n;
                int r = sj_generator_next(numbers, &n, SJ_NEVER);
                if (r < 0)
                        return r;
                printf(" %" PRId64, *(int64_t *)n);
        }
        printf("\nto 1000:");
        SJ_EACH (int64_t, n, numbers) {
                if (*n > 1000)
                        break;
                printf(" %" PRId64, *n);
        }
        printf("\n");
        return sj_generator_error(numbers);
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
