/* SPDX-License-Identifier: MIT */
/*
 * A client of the queue:
 *
 *   redis_client publish|round_trip|one URL
 *
 * publish     tasks a second that 256 fibers publish, each one after another
 * round_trip  tasks a second of which 256 fibers await the result, each one after another; a
 *             worker with bench/redis_tasks.c runs them
 * one         the median time in us from a call to its result, one task at a time
 */
#include <sanjab/fiber.h>
#include <sanjab/queue.h>

#include "measure.h"

#include <stdlib.h>
#include <string.h>

enum { FIBERS = 256, ONES = 2000 };

SJ_TASK_DECLARE(noop, void);
SJ_TASK_DECLARE(add, int64_t, (int64_t, a), (int64_t, b));

static const char *verb, *url;
static sj_app *app;
static int64_t each; /* tasks of one fiber */

static int publish(void *arg)
{
        (void)arg;
        int r = 0;
        for (int64_t i = 0; r >= 0 && i < each; i++)
                r = noop_delay(app, NULL);
        return r;
}

static int one_trip(sj_arena *arena, int64_t i)
{
        sj_result result;
        sj_outcome outcome;
        int64_t sum = 0;
        int r = add_delay(app, i, 3, &result);
        if (r >= 0)
                r = sj_result_get(&result, arena, &outcome, sj_after(SJ_MIN));
        if (r >= 0)
                r = sj_json_int(outcome.value, &sum);
        sj_arena_reset(arena);
        return r >= 0 && sum != i + 3 ? -EPROTO : r;
}

static int trips(void *arg)
{
        (void)arg;
        sj_arena *arena;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        for (int64_t i = 0; r >= 0 && i < each; i++)
                r = one_trip(arena, i);
        sj_arena_free(arena);
        return r;
}

static int all(sj_fn *fn)
{
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < FIBERS; i++) {
                int r = sj_spawn(s, fn, NULL, NULL);
                if (r < 0)
                        return r;
        }
        return sj_scope_join(s);
}

static int rates(sj_fn *fn)
{
        each = 16;
        for (int printed = -1; printed < MEASURE_ROUNDS;) {
                int64_t start = measure_now();
                int r = all(fn);
                int64_t took = measure_now() - start;
                if (r < 0)
                        return r;
                if (took < 3 * (int64_t)MEASURE_MIN) {
                        each *= 2;
                        continue;
                }
                if (printed++ >= 0)
                        printf("%.0f\n", (double)(FIBERS * each) * 1e9 / (double)took);
        }
        return 0;
}

static int by_size(const void *a, const void *b)
{
        const int64_t *x = a, *y = b;
        return (*x > *y) - (*x < *y);
}

static int ones(void)
{
        static int64_t took[ONES];
        sj_arena *arena;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        for (int64_t i = -100; r >= 0 && i < ONES; i++) {
                int64_t start = measure_now();
                r = one_trip(arena, i);
                if (i >= 0)
                        took[i] = measure_now() - start;
        }
        sj_arena_free(arena);
        qsort(took, ONES, sizeof(took[0]), by_size);
        if (r >= 0)
                printf("%.1f\n", (double)took[ONES / 2] / 1e3);
        return r;
}

static int run(void *arg)
{
        (void)arg;
        int r = sj_app_new(&(sj_app_options){.broker = url}, &app);
        if (r < 0)
                return r;
        r = strcmp(verb, "publish") == 0      ? rates(publish)
            : strcmp(verb, "round_trip") == 0 ? rates(trips)
            : strcmp(verb, "one") == 0        ? ones()
                                              : -EINVAL;
        sj_app_free(app);
        return r;
}

int main(int argc, char **argv)
{
        if (argc != 3) {
                fprintf(stderr, "usage: redis_client publish|round_trip|one URL\n");
                return 2;
        }
        verb = argv[1];
        url = argv[2];
        int r = sj_run(run, NULL);
        if (r < 0)
                fprintf(stderr, "redis_client: %s\n", sj_strerror(r));
        return r < 0;
}
