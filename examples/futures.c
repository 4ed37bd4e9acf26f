/* SPDX-License-Identifier: MIT */
/* Calls on threads and their futures: the first to be done, the first failure, and all. */
#include "speed.h"

#include <sanjab/exec.h>
#include <sanjab/future.h>
#include <sanjab/select.h>
#include <stdio.h>

enum { CALLS = 4 };

static int nap(void *arg) /* one of 2 s fails */
{
        int n = *(int *)arg;
        block(n);
        return n == 2 ? -EIO : n;
}

/* As they are completed: *pending is the cases of those that are not. */
static int next_done(sj_case pending[], size_t *n, int *ret)
{
        int i = sj_select(pending, *n, SJ_NEVER);
        if (i < 0)
                return i;
        *ret = pending[i].result;
        pending[i] = pending[--*n];
        return 0;
}

static int wait_for_all(sj_future futures[])
{
        sj_case pending[CALLS];
        sj_time start = sj_now();
        size_t n = CALLS;
        bool failed = false;
        for (int i = 0; i < CALLS; i++)
                pending[i] = (sj_case){.kind = SJ_CASE_FUTURE, .future = &futures[i]};
        while (n > 0) {
                int result, r = next_done(pending, &n, &result);
                if (r < 0)
                        return r;
                const char *what = n == CALLS - 1 ? ", the first"
                                   : n == 0       ? ", and that is all"
                                                  : "";
                if (result < 0 && !failed)
                        what = ", the first failure";
                failed = failed || result < 0;
                printf("%.1f s: ", since(start));
                if (result < 0)
                        printf("%s%s\n", sj_strerror(result), what);
                else
                        printf("%d%s\n", result, what);
        }
        return 0;
}

static int main_fiber(void *arg)
{
        static int naps[CALLS] = {4, 1, 3, 2};
        sj_future futures[CALLS] = {SJ_FUTURE_INIT};
        int r = 0;
        for (int i = 0; r >= 0 && i < CALLS; i++)
                r = sj_thread_pool_submit(arg, nap, &naps[i], &futures[i], SJ_NEVER);
        return r < 0 ? r : wait_for_all(futures);
}

int main(void)
{
        sj_thread_pool *pool;
        if (sj_thread_pool_new(CALLS, NULL, &pool) < 0)
                return 1;
        int r = sj_run(main_fiber, pool);
        sj_thread_pool_free(pool);
        return r < 0;
}
