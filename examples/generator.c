/* SPDX-License-Identifier: MIT */
/*
 * A generator is a fiber that gives its values to a chan of capacity 0: it goes on only when the
 * next one is asked for, and ends when the scope that holds it is left.
 */
#include <inttypes.h>
#include <sanjab/fiber.h>
#include <stdio.h>

static int fibonacci(void *arg)
{
        int r = 0;
        for (int64_t a = 0, b = 1; r >= 0;) {
                int64_t next = a + b;
                r = sj_chan_send(arg, &b, SJ_NEVER);
                a = b;
                b = next;
        }
        return r; /* -ECANCELED: nobody asks any more */
}

static int64_t next(sj_chan *values)
{
        int64_t value;
        int r = sj_chan_recv(values, &value, SJ_NEVER);
        return r < 0 ? r : value;
}

static int numbers(sj_chan *values)
{
        SJ_SCOPE(s, SJ_NEVER, 0);
        int r = sj_spawn(s, fibonacci, values, NULL);
        if (r < 0)
                return r;
        printf("by next:");
        for (int i = 0; i < 3; i++)
                printf(" %" PRId64, next(values));
        printf("\nto 1000:");
        for (int64_t n = next(values); n > 0 && n < 1000; n = next(values))
                printf(" %" PRId64, n);
        printf("\n");
        return 0;
}

static int main_fiber(void *arg)
{
        (void)arg;
        sj_chan *values;
        int r = sj_chan_new(sizeof(int64_t), 0, &values);
        if (r < 0)
                return r;
        r = numbers(values);
        sj_chan_free(values);
        return r;
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
