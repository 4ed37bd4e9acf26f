/* SPDX-License-Identifier: MIT */
/*
 * Work on threads: one greeter, two, a hundred; one that is asked to stop; and one that is left
 * behind, and does not keep the program from ending.
 */
#include "speed.h"

#include <sanjab/exec.h>
#include <sanjab/future.h>
#include <stdio.h>

static int greet(void *arg)
{
        (void)arg;
        block(1);
        return 0;
}

static int greeters(size_t n)
{
        sj_thread_pool *pool;
        sj_future greeted[100] = {SJ_FUTURE_INIT};
        sj_time start = sj_now();
        int r = sj_thread_pool_new(n, NULL, &pool);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = sj_thread_pool_submit(pool, greet, NULL, &greeted[i], SJ_NEVER);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = sj_future_get(&greeted[i], NULL, SJ_NEVER); /* the join */
        printf("%zu on a thread each: %s after %.1f s\n", n, sj_strerror(r), since(start));
        sj_thread_pool_free(pool);
        return r;
}

static int count_until(void *arg) /* a round takes a second, the request is seen at once */
{
        int rounds = 0;
        while (sj_future_get(arg, NULL, sj_after(seconds(1))) == -ETIMEDOUT)
                rounds++;
        return rounds;
}

static int stopped(void)
{
        sj_thread_pool *pool;
        sj_future stop = SJ_FUTURE_INIT, done = SJ_FUTURE_INIT;
        int r = sj_thread_pool_new(1, NULL, &pool);
        if (r < 0)
                return r;
        sj_time start = sj_now();
        r = sj_thread_pool_submit(pool, count_until, &stop, &done, SJ_NEVER);
        block(3.5);
        sj_future_set(&stop, 0, NULL);
        if (r >= 0)
                r = sj_future_get(&done, NULL, SJ_NEVER);
        printf("asked to stop after 3.5 s: %d rounds, ended after %.1f s\n", r, since(start));
        sj_thread_pool_free(pool);
        return r;
}

static int work_for_an_hour(void *arg)
{
        (void)arg;
        block(3600);
        return 0;
}

static int left_behind(void *arg)
{
        (void)arg;
        int r = sj_offload_detached(work_for_an_hour, NULL, NULL, NULL, sj_after(seconds(1)));
        printf("left behind: %s; the program ends without it\n", sj_strerror(r));
        return r == -ETIMEDOUT ? 0 : r;
}

int main(void)
{
        int r = greeters(1);
        if (r >= 0)
                r = greeters(2);
        if (r >= 0)
                r = greeters(100);
        if (r >= 0)
                r = stopped();
        if (r >= 0)
                r = sj_run(left_behind, NULL);
        return r < 0;
}
