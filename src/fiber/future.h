/* SPDX-License-Identifier: MIT */
/* The inside of a future, for select. */
#ifndef SANJAB_FIBER_FUTURE_H
#define SANJAB_FIBER_FUTURE_H

#include "fiber/wait.h"

/* One fiber that waits for a future, on that fiber's stack. */
typedef struct future_waiter {
        list link; /* in the future's queue, while queued */
        clause *news;
        struct sj_loop *loop;
        loop_post post; /* how the news comes from another thread */
        bool queued;    /* under the future's lock */
        bool arrived;   /* the news has come; the loop's thread only */
} future_waiter;

/* Queues the waiter, whose clause then fires with 0. False: the future is set already. */
bool future_enter(sj_future *f, future_waiter *w, clause *c);
/*
 * After the wait, however it ended: both, in this order, make sure that nobody holds the waiter
 * any more. The first is done at once. The second may have to wait shortly for news that are on
 * their way, and then no clause of another thing may still be in its queue.
 */
void future_leave(sj_future *f, future_waiter *w);
void future_await_news(future_waiter *w);

#endif
