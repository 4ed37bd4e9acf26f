/* SPDX-License-Identifier: MIT */
#include <sanjab/exec.h>
#include <signal.h>
#include <stdio.h>

/* For threads: it computes, and would hold up a loop. */
static int digits(void *arg)
{
        int sum = 0;
        for (int n = *(int *)arg; n > 0; n /= 10)
                sum += n % 10;
        return sum;
}

/* For processes: input and output are bytes; a crash costs this call alone. */
static int square(const void *input, size_t n, void *output, size_t capacity)
{
        int value;
        if (n != sizeof(value) || capacity < sizeof(value))
                return -EINVAL;
        memcpy(&value, input, n);
        if (value == 3)
                raise(SIGKILL);
        value *= value;
        memcpy(output, &value, sizeof(value));
        return sizeof(value);
}

static int with_threads(void)
{
        int numbers[] = {12, 345, 6789};
        int sums[3];
        sj_thread_pool *pool;
        int r = sj_thread_pool_new(2, NULL, &pool);
        if (r < 0)
                return r;
        r = sj_thread_pool_map(pool, digits, numbers, sizeof(int), 3, sums, SJ_NEVER);
        if (r >= 0)
                printf("digits: %d %d %d\n", sums[0], sums[1], sums[2]);
        r = sj_thread_pool_shutdown(pool, SJ_PENDING_RUN, SJ_NEVER);
        sj_thread_pool_free(pool);
        return r;
}

static int with_processes(void)
{
        const int numbers[] = {2, 3, 4};
        int squares[3] = {0};
        sj_process_result results[3];
        sj_process_pool *pool;
        int r = sj_process_pool_new(2, NULL, &pool);
        if (r < 0)
                return r;
        sj_process_pool_map(pool, square, numbers, sizeof(int), 3, squares, sizeof(int), results,
                            SJ_NEVER);
        for (int i = 0; i < 3; i++) {
                char why[64];
                if (results[i].result >= 0)
                        printf("%d squared: %d\n", numbers[i], squares[i]);
                else
                        printf("%d squared: %s\n", numbers[i],
                               sj_process_error(results[i].status, why, sizeof(why)));
        }
        sj_process_pool_free(pool);
        return 0;
}

static int main_fiber(void *arg)
{
        int number = 777;
        /* One call that would block: this fiber waits, the others run. */
        printf("offloaded: %d\n", sj_offload(digits, &number, SJ_NEVER));
        int r = with_threads();
        (void)arg;
        return r < 0 ? r : with_processes();
}

int main(int argc, char **argv)
{
        sj_boot(argc, argv); /* the processes of a pool begin here, too */
        return sj_run(main_fiber, NULL) < 0;
}
