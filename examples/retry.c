/* SPDX-License-Identifier: MIT */
/*
 * A gateway that fails three times. First the task is retried by itself, each time after a random
 * part of 60 s, 120 s, 240 s; then by hand, after just as long, with an error of its own choice.
 */
#include "speed.h"

#include <sanjab/queue.h>
#include <stdio.h>

#ifndef BACKOFF /* the tests do not wait for minutes */
#define BACKOFF 60
#endif

SJ_TASK(charge, int64_t, (double, amount)) /* the attempt that succeeded */
{
        if (self->retries < 3) /* it is the gateway that does so */
                return sj_raise(self, "GatewayError", "%g was not taken", amount);
        *ret = self->retries + 1;
        return 0;
}
SJ_TASK_OPTIONS(charge, .autoretry = "GatewayError", .retry_backoff = BACKOFF, .max_retries = 5);

SJ_TASK(charge_by_hand, int64_t, (double, amount))
{
        if (self->retries < 3) {
                char text[64];
                snprintf(text, sizeof(text), "attempt %u: %g", self->retries + 1, amount);
                const sj_retry_options options = {.countdown = scaled(60 << self->retries),
                                                  .exc_type = "shop.errors.Busy",
                                                  .exc_message = text};
                return sj_retry(self, &options);
        }
        *ret = self->retries + 1;
        return 0;
}
SJ_TASK_OPTIONS(charge_by_hand, .max_retries = 5);

static int by_itself(sj_app *app, sj_arena *arena)
{
        sj_result result;
        sj_outcome outcome;
        int64_t attempt = 0;
        sj_time start = sj_now();
        int r = charge_delay(app, 9.5, &result);
        if (r >= 0)
                r = sj_result_get(&result, arena, &outcome, SJ_NEVER);
        if (r >= 0)
                r = sj_json_int(outcome.value, &attempt);
        if (r >= 0)
                printf("by itself: %s at attempt %d, after %.0f ms of at most 420 s\n",
                       outcome.state_name, (int)attempt, 1000 * since(start));
        return r;
}

/* Prints each error that is recorded, and how it ended. */
static int by_hand(sj_app *app, sj_arena *arena)
{
        sj_result result;
        sj_outcome outcome;
        char before[64] = "";
        sj_time start = sj_now();
        int r = charge_by_hand_delay(app, 9.5, &result);
        printf("by hand:\n");
        for (; r >= 0; block(1)) {
                sj_arena_reset(arena);
                r = sj_result_state(&result, arena, &outcome, SJ_NEVER);
                if (r < 0 || sj_state_is_final(outcome.state))
                        break;
                if (outcome.state != SJ_RETRY || strcmp(outcome.error.message, before) == 0)
                        continue;
                snprintf(before, sizeof(before), "%s", outcome.error.message);
                printf("  %.1f s: RETRY, %s: %s\n", since(start), outcome.error.type, before);
        }
        if (r >= 0)
                printf("  %.1f s: %s\n", since(start), outcome.state_name);
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
                r = by_itself(app, arena);
        if (r >= 0)
                r = by_hand(app, arena);
        sj_arena_free(arena);
        sj_app_free(app);
        return r < 0;
}
