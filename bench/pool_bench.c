/* SPDX-License-Identifier: MIT */
/*
 * The pools, with two workers each:
 *   thread_get      submit one call, get its result, and so on
 *   thread_batch    submit a thousand calls, get a thousand results
 *   process_call    one call to a worker process, and its result, and so on
 *   process_map     map a thousand items, one in each message
 * The peers in bench/peers/pool.py do the same.
 */
#include <sanjab/exec.h>
#include <sanjab/future.h>

#include "measure.h"

#include <string.h>

enum { WORKERS = 2, BATCH = 1000 };

static int add_one(void *arg)
{
        return *(int *)arg + 1;
}

static int thread_get(void *arg, int64_t n)
{
        for (int64_t i = 0; i < n; i++) {
                int number = (int)i & 0xffff;
                sj_future f = SJ_FUTURE_INIT;
                int r = sj_thread_pool_submit(arg, add_one, &number, &f, SJ_NEVER);
                if (r == 0)
                        r = sj_future_get(&f, NULL, SJ_NEVER);
                if (r != number + 1)
                        return r < 0 ? r : -EBADMSG;
        }
        return 0;
}

static int thread_batch(void *arg, int64_t n)
{
        static int numbers[BATCH];
        static sj_future futures[BATCH];
        for (int64_t done = 0; done < n; done += BATCH) {
                memset(futures, 0, sizeof(futures));
                for (int i = 0; i < BATCH; i++) {
                        numbers[i] = i;
                        int r = sj_thread_pool_submit(arg, add_one, &numbers[i], &futures[i],
                                                      SJ_NEVER);
                        if (r < 0)
                                return r;
                }
                for (int i = 0; i < BATCH; i++)
                        if (sj_future_get(&futures[i], NULL, SJ_NEVER) != i + 1)
                                return -EBADMSG;
        }
        return 0;
}

static int add_one_there(const void *input, size_t n, void *output, size_t capacity)
{
        int64_t number;
        if (n != sizeof(number) || capacity < sizeof(number))
                return -EINVAL;
        memcpy(&number, input, sizeof(number));
        number++;
        memcpy(output, &number, sizeof(number));
        return sizeof(number);
}

static int process_call(void *arg, int64_t n)
{
        for (int64_t i = 0; i < n; i++) {
                int64_t out = 0;
                int r = sj_process_pool_call(arg, add_one_there, &i, sizeof(i), &out, sizeof(out),
                                             NULL, SJ_NEVER);
                if (r < 0)
                        return r;
                if (out != i + 1)
                        return -EBADMSG;
        }
        return 0;
}

static int process_map(void *arg, int64_t n)
{
        static int64_t inputs[BATCH];
        static int64_t outputs[BATCH];
        for (int64_t done = 0; done < n; done += BATCH) {
                for (int i = 0; i < BATCH; i++)
                        inputs[i] = done + i;
                int r = sj_process_pool_map(arg, add_one_there, inputs, sizeof(inputs[0]), BATCH,
                                            outputs, sizeof(outputs[0]), NULL, SJ_NEVER);
                if (r < 0)
                        return r;
                for (int i = 0; i < BATCH; i++)
                        if (outputs[i] != inputs[i] + 1)
                                return -EBADMSG;
        }
        return 0;
}

static const struct {
        const char *name;
        int (*work)(void *arg, int64_t n);
        bool processes;
} cases[] = {
        {"thread_get", thread_get, false},
        {"thread_batch", thread_batch, false},
        {"process_call", process_call, true},
        {"process_map", process_map, true},
};

static int run_case(size_t i)
{
        if (cases[i].processes) {
                sj_process_pool *pool = NULL;
                int r = sj_process_pool_new(WORKERS, NULL, &pool);
                if (r == 0)
                        r = measure(cases[i].work, pool);
                sj_process_pool_free(pool);
                return r;
        }
        sj_thread_pool *pool = NULL;
        int r = sj_thread_pool_new(WORKERS, NULL, &pool);
        if (r == 0)
                r = measure(cases[i].work, pool);
        sj_thread_pool_free(pool);
        return r;
}

int main(int argc, char **argv)
{
        sj_boot(argc, argv);
        for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(cases[0]); i++) {
                if (strcmp(argv[1], cases[i].name) != 0)
                        continue;
                int r = run_case(i);
                if (r < 0)
                        fprintf(stderr, "%s: %s\n", argv[1], sj_strerror(r));
                return r < 0;
        }
        fprintf(stderr, "usage: pool_bench thread_get|thread_batch|process_call|process_map\n");
        return 2;
}
