/* SPDX-License-Identifier: MIT */
/*
 * worker_rate: the rate limit of one task in one worker, as Celery's: a bucket that holds one
 * token, and gets another 1 / rate after the last was taken. No I/O and no clock.
 */
#ifndef SANJAB_QUEUE_WORKER_RATE_H
#define SANJAB_QUEUE_WORKER_RATE_H

#include <sanjab/base.h>
#include <sanjab/time.h>

/* Zero at first. */
typedef struct worker_rate {
        sj_time free;   /* when there is a token */
        sj_time last;   /* the last turn that was promised */
        size_t waiting; /* those that wait for a token here */
} worker_rate;

/* The time from now until there is a token, at that many a second; 0: there is one. */
sj_time worker_rate_wait(const worker_rate *r, sj_time now);
/* Takes it. */
void worker_rate_take(worker_rate *r, double a_second, sj_time now);
/* The time from now until one that comes now would get a token, behind those that wait here. */
sj_time worker_rate_ahead(const worker_rate *r, double a_second, sj_time now);
/*
 * Promises a turn, behind those that wait and all that was promised before: the time from now
 * until then.
 */
sj_time worker_rate_promise(worker_rate *r, double a_second, sj_time now);

#endif
