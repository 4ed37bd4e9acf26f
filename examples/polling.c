/* SPDX-License-Identifier: MIT */
/*
 * News of a task that takes 5.5 s: by asking every second whether it has ended, and by waiting to
 * be told. Run with: sanjab worker -A polling.c
 */
#include "speed.h"

#include <sanjab/queue.h>
#include <stdio.h>

SJ_TASK(write_news, int64_t)
{
        block(5.5);
        *ret = sj_wall_now().us; /* when it was news */
        return 0;
}

static int by_polling(const sj_result *result, sj_arena *arena, sj_outcome *ret, int *ret_requests)
{
        for (*ret_requests = 1;; ++*ret_requests) {
                int r = sj_result_state(result, arena, ret, SJ_NEVER);
                if (r < 0 || sj_state_is_final(ret->state))
                        return r;
                block(1);
        }
}

static int by_waiting(const sj_result *result, sj_arena *arena, sj_outcome *ret, int *ret_requests)
{
        *ret_requests = 1;
        return sj_result_get(result, arena, ret, sj_after(60 * SJ_SEC));
}

typedef int await_fn(const sj_result *, sj_arena *, sj_outcome *, int *);

static int news(sj_app *app, sj_arena *arena, const char *name, await_fn *await)
{
        sj_result result;
        sj_outcome outcome;
        int64_t written;
        int requests, r = write_news_delay(app, &result);
        if (r >= 0)
                r = await(&result, arena, &outcome, &requests);
        if (r >= 0)
                r = sj_json_int(outcome.value, &written);
        if (r >= 0)
                printf("%s: asked %d time%s, %.0f ms late\n", name, requests,
                       requests == 1 ? "" : "s",
                       (double)(sj_wall_now().us - written) / 1e3 * example_speed());
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
                r = news(app, arena, "asking every second", by_polling);
        if (r >= 0)
                r = news(app, arena, "waiting to be told", by_waiting);
        sj_arena_free(arena);
        sj_app_free(app);
        return r < 0;
}
