/* SPDX-License-Identifier: MIT */
/*
 * fib(40) and fib(41): in turn, on a thread each, and by fork and join, where each call splits in
 * two until the parts are small, so that one number alone uses every core.
 */
#include <inttypes.h>
#include <sanjab/exec.h>
#include <stdio.h>

typedef struct part {
        int n;
        int64_t fib;
} part;

static sj_thread_pool *pool;

static int64_t fib(int n)
{
        return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static int serial(void *arg)
{
        part *p = arg;
        p->fib = fib(p->n);
        return 0;
}

static int forked(void *arg)
{
        part *p = arg;
        if (p->n < 30)
                return serial(p);
        part halves[2] = {{p->n - 1, 0}, {p->n - 2, 0}};
        int r = sj_thread_pool_map(pool, forked, halves, sizeof(part), 2, NULL, SJ_NEVER);
        p->fib = halves[0].fib + halves[1].fib;
        return r;
}

static int in_turn(part parts[2])
{
        int r = serial(&parts[0]);
        return r < 0 ? r : serial(&parts[1]);
}

static int two_threads(part parts[2])
{
        return sj_thread_pool_map(pool, serial, parts, sizeof(part), 2, NULL, SJ_NEVER);
}

static int fork_join(part parts[2])
{
        int r = forked(&parts[0]);
        return r < 0 ? r : forked(&parts[1]);
}

static int measure(const char *name, int (*way)(part parts[2]))
{
        part parts[2] = {{40, 0}, {41, 0}};
        sj_time start = sj_now();
        int r = way(parts);
        printf("%s: %" PRId64 " and %" PRId64 ", %lld ms\n", name, parts[0].fib, parts[1].fib,
               (long long)((sj_now() - start) / SJ_MS));
        return r;
}

int main(void)
{
        int r = sj_thread_pool_new(0, NULL, &pool); /* a thread for each core */
        if (r >= 0)
                r = measure("in turn", in_turn);
        if (r >= 0)
                r = measure("two threads", two_threads);
        if (r >= 0)
                r = measure("fork and join", fork_join);
        sj_thread_pool_free(pool);
        return r < 0;
}
