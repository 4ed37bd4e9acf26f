/* SPDX-License-Identifier: MIT */
/* The inside of a future, for select and for waits for several. */
#ifndef SANJAB_FIBER_FUTURE_H
#define SANJAB_FIBER_FUTURE_H

#include "fiber/wait.h"

#include <sanjab/future.h>

/* One fiber that waits for a future, on that fiber's stack. */
typedef struct future_waiter {
        sj_then then;
        clause *news; /* NULL: nobody is to be woken */
        tally *tally; /* of a wait for several, who share the clause; or NULL */
        struct sj_loop *loop;
        loop_post post; /* how the news comes from another thread */
        int result;     /* with the news */
        bool arrived;   /* the news has come; the loop's thread only */
} future_waiter;

/* To be cancelled is none. */
static inline bool future_failed(int result)
{
        return result < 0 && result != -ECANCELED;
}

/*
 * Queues the waiter, whose clause then fires with 0; t: when that tally is complete. False: the
 * future is set already.
 */
bool future_enter(sj_future *f, future_waiter *w, clause *c, tally *t);
/*
 * After the wait, however it ended: both, in this order, make sure that nobody holds the waiter
 * any more. The first is done at once. The second may have to wait shortly for news that are on
 * their way, and then no clause of another thing may still be in its queue, and the first must have
 * been done for all futures of that wait.
 */
void future_leave(sj_future *f, future_waiter *w);
void future_await_news(future_waiter *w);

#endif
