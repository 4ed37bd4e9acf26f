/* SPDX-License-Identifier: MIT */
/*
 * What the examples share: SJ_EXAMPLE_SPEED=10 makes their waits ten times shorter. The times that
 * they print are always those of the program at full speed.
 */
#ifndef EXAMPLES_SPEED_H
#define EXAMPLES_SPEED_H

#include <sanjab/time.h>
#include <stdlib.h>
#include <time.h>

static inline double example_speed(void)
{
        const char *text = getenv("SJ_EXAMPLE_SPEED");
        double speed = text ? strtod(text, NULL) : 1;
        return speed > 0 ? speed : 1;
}

/* A duration of n seconds. */
static inline sj_time seconds(double n)
{
        return (sj_time)(n * (double)SJ_SEC / example_speed());
}

/* The same for what is said in seconds, as a countdown. */
static inline double scaled(double n)
{
        return n / example_speed();
}

/* Blocks the thread for n seconds, as a program without fibers does. */
static inline void block(double n)
{
        sj_time t = seconds(n);
        nanosleep(&(struct timespec){t / SJ_SEC, t % SJ_SEC}, NULL);
}

/* The seconds that have passed since the moment. */
static inline double since(sj_time moment)
{
        return (double)(sj_now() - moment) / (double)SJ_SEC * example_speed();
}

#endif
