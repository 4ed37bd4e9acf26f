/* SPDX-License-Identifier: MIT */
/*
 * Two multiplications that take 10 s each: the states of the first as it goes, and both results
 * after 10 s, not 20. Run with: sanjab worker -A results.c -c 2
 */
#include "speed.h"

#include <inttypes.h>
#include <sanjab/queue.h>
#include <stdio.h>

SJ_TASK(multiply, int64_t, (int64_t, a), (int64_t, b))
{
        block(10);
        *ret = a * b;
        return 0;
}

/* Prints each new state until the last one. */
static int watch(const sj_result *result, sj_arena *arena, sj_time start)
{
        sj_outcome outcome;
        sj_state before = SJ_CUSTOM;
        do {
                int r = sj_result_state(result, arena, &outcome, SJ_NEVER);
                if (r < 0)
                        return r;
                if (outcome.state != before)
                        printf("%.1f s: %s\n", since(start), outcome.state_name);
                before = outcome.state;
                block(0.1);
        } while (!sj_state_is_final(outcome.state));
        return 0;
}

static int show(const sj_result *result, sj_arena *arena, sj_time start)
{
        sj_outcome outcome;
        int64_t product = 0;
        int r = sj_result_get(result, arena, &outcome, sj_after(60 * SJ_SEC));
        if (r < 0)
                return r;
        r = sj_json_int(outcome.value, &product);
        printf("%.1f s: %" PRId64 "\n", since(start), product);
        return r;
}

static int multiply_twice(sj_app *app, sj_arena *arena)
{
        const sj_call call = {.countdown = scaled(2)}; /* so that there is time to see PENDING */
        sj_result results[2];
        sj_time start = sj_now();
        int r = multiply_apply_async(app, &call, &results[0], 6, 7);
        if (r >= 0)
                r = multiply_apply_async(app, &call, &results[1], 8, 9);
        if (r >= 0)
                r = watch(&results[0], arena, start);
        for (int i = 0; r >= 0 && i < 2; i++)
                r = show(&results[i], arena, start);
        return r;
}

int main(void)
{
        sj_app *app = NULL;
        sj_arena *arena = NULL;
        int r = sj_app_new(NULL, &app);
        if (r >= 0)
                r = sj_arena_new(&arena);
        if (r >= 0)
                r = multiply_twice(app, arena);
        sj_arena_free(arena);
        sj_app_free(app);
        return r < 0;
}
