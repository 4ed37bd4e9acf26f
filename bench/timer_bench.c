/* SPDX-License-Identifier: MIT */
/*
 * A timer that is set and cancelled while a million others are pending, which is what a call with
 * a deadline does that ends in time. A thousand such calls are under way: each operation cancels
 * the oldest and sets it anew. The moments are spread over an hour, as those of many kinds of
 * calls are.
 */
#include "loop/loop.h"

#include "measure.h"

#include <stdlib.h>

enum { PENDING = 1000000, OURS = 1024, MOMENTS = 65536 };

typedef struct timers {
        struct sj_loop loop;
        loop_timer pending[PENDING];
        loop_timer ours[OURS];
        sj_time moments[MOMENTS]; /* drawn before the clock runs */
        uint64_t seed;
} timers;

static void fire(loop_timer *timer)
{
        (void)timer;
        abort(); /* none is due */
}

static sj_time some_moment(timers *t)
{
        t->seed = t->seed * 6364136223846793005u + 1442695040888963407u;
        return sj_now() + SJ_SEC + (sj_time)((t->seed >> 16) % (uint64_t)SJ_HOUR);
}

static int set_and_cancel(void *arg, int64_t n)
{
        timers *t = arg;
        for (int64_t i = 0; i < n; i++) {
                loop_timer *timer = &t->ours[i % OURS];
                loop_timer_cancel(&t->loop, timer);
                loop_timer_set(&t->loop, timer, t->moments[i % MOMENTS]);
        }
        return 0;
}

int main(void)
{
        timers *t = calloc(1, sizeof(*t));
        if (!t || loop_init(&t->loop) < 0)
                return 1;
        for (size_t i = 0; i < OURS; i++)
                t->ours[i].fire = fire;
        for (size_t i = 0; i < PENDING; i++) {
                t->pending[i].fire = fire;
                loop_timer_set(&t->loop, &t->pending[i], some_moment(t));
        }
        for (size_t i = 0; i < MOMENTS; i++)
                t->moments[i] = some_moment(t);
        int r = measure(set_and_cancel, t);
        loop_fini(&t->loop);
        free(t);
        return r < 0;
}
