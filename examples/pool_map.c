/* SPDX-License-Identifier: MIT */
/* A map over processes: one item crashes its worker, and all others arrive. */
#include <sanjab/exec.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static int divide(const void *input, size_t n, void *output, size_t capacity)
{
        int by = *(const int *)input;
        if (n != sizeof(int) || capacity < sizeof(int))
                return -EINVAL;
        if (by == 0)
                abort();
        *(int *)output = 100 / by;
        return sizeof(int);
}

int main(int argc, char **argv)
{
        sj_boot(argc, argv);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* no file for the crash */
        static const int by[] = {1, 2, 0, 4, 5};
        enum { N = sizeof(by) / sizeof(by[0]) };
        int quotients[N];
        sj_process_result results[N];
        sj_process_pool *pool;
        int r = sj_process_pool_new(2, NULL, &pool);
        if (r < 0)
                return 1;
        r = sj_process_pool_map(pool, divide, by, sizeof(int), N, quotients, sizeof(int), results,
                                SJ_NEVER);
        printf("the map: %s\n", sj_strerror(r));
        for (int i = 0; i < N; i++) {
                char how[64];
                if (results[i].result >= 0)
                        printf("100 / %d = %d\n", by[i], quotients[i]);
                else
                        printf("100 / %d: %s\n", by[i],
                               sj_process_error(results[i].status, how, sizeof(how)));
        }
        sj_process_pool_free(pool);
        return 0;
}
