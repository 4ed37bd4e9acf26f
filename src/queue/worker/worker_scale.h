/* SPDX-License-Identifier: MIT */
/*
 * worker_scale: how many tasks are to run at once, by need. No I/O and no clock.
 *
 * Up, by half of what there is, when all places have been taken and more waits. Down, by one at a
 * time, after some place has been free for WORKER_SCALE_KEEP, as Celery's autoscaler keeps them.
 */
#ifndef SANJAB_QUEUE_WORKER_SCALE_H
#define SANJAB_QUEUE_WORKER_SCALE_H

#include <sanjab/base.h>
#include <sanjab/time.h>

#define WORKER_SCALE_INTERVAL (250 * SJ_MS)
#define WORKER_SCALE_KEEP     (30 * SJ_SEC)
#define WORKER_SCALE_STEP     SJ_SEC /* between one that goes and the next */

/* Zero at first. */
typedef struct worker_scale {
        sj_time since; /* when a place was first free, or the last went; 0: all are taken */
        bool shrinks;  /* one has gone since then */
} worker_scale;

/* What is seen now. */
typedef struct worker_need {
        unsigned places; /* there are */
        unsigned busy;   /* of these */
        bool more;       /* something waits for one */
        unsigned min;
        unsigned max;
} worker_need;

/* How many places there are to be. */
unsigned worker_scale_decide(worker_scale *s, const worker_need *need, sj_time now);

#endif
