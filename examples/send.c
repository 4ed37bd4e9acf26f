/* SPDX-License-Identifier: MIT */
/*
 * Ways to send a task. This file is both sides: the worker loads its task, and as a program it
 * sends.
 *
 *         sanjab worker -A send.c &
 *         cc send.c $(pkg-config --cflags --libs sanjab) -o send && ./send
 */
#include "speed.h"

#include <sanjab/queue.h>
#include <stdio.h>

SJ_TASK(print_after_a_second, void, (const char *, text))
{
        block(1);
        printf("%s\n", text); /* where the worker prints */
        return 0;
}

enum { CALLS = 4 };

static const char *const how[CALLS] = {"by delay", "by apply_async", "with an expiry",
                                       "with a countdown"};

static int send_all(sj_app *app, sj_result ret[CALLS])
{
        int r = print_after_a_second_delay(app, how[0], &ret[0]);
        if (r >= 0)
                r = print_after_a_second_apply_async(app, NULL, &ret[1], how[1]);
        if (r >= 0) { /* it would have to be run before it may */
                const sj_call call = {.countdown = scaled(4), .expires = scaled(3)};
                r = print_after_a_second_apply_async(app, &call, &ret[2], how[2]);
        }
        if (r >= 0) {
                const sj_call call = {.countdown = scaled(6)};
                r = print_after_a_second_apply_async(app, &call, &ret[3], how[3]);
        }
        return r;
}

static int show(const sj_result *result, const char *name, sj_time start)
{
        sj_arena *arena;
        sj_outcome outcome;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        r = sj_result_get(result, arena, &outcome, sj_after(30 * SJ_SEC));
        printf("%s: %s after %.1f s\n", name, r < 0 ? sj_strerror(r) : outcome.state_name,
               since(start));
        sj_arena_free(arena);
        return r;
}

int main(void)
{
        sj_app *app;
        sj_result results[CALLS];
        int r = sj_app_new(NULL, &app);
        if (r < 0)
                return 1;
        sj_time start = sj_now();
        r = send_all(app, results);
        printf("all were sent after %.1f s\n", since(start));
        for (int i = 0; r >= 0 && i < CALLS; i++)
                r = show(&results[i], how[i], start);
        sj_app_free(app);
        return r < 0;
}
