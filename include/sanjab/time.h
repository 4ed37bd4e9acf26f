/* SPDX-License-Identifier: MIT */
/*
 * sanjab/time.h: deadlines and wall time.
 *
 * A deadline is an absolute sj_time and the last parameter of every call that can block:
 *
 *         sj_read(stream, buffer, sizeof(buffer), sj_after(2 * SJ_SEC));
 *
 * It is absolute, so that a sequence of calls can share one. The two clocks have different types,
 * so that the compiler keeps them apart: sj_time measures durations within this process and means
 * nothing to another one; sj_wall is a moment that other machines understand.
 */
#ifndef SANJAB_TIME_H
#define SANJAB_TIME_H

#include <sanjab/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Nanoseconds on CLOCK_MONOTONIC; also a duration in nanoseconds. */
typedef int64_t sj_time;

#define SJ_US   ((sj_time)1000)
#define SJ_MS   ((sj_time)1000000)
#define SJ_SEC  ((sj_time)1000000000)
#define SJ_MIN  (60 * SJ_SEC)
#define SJ_HOUR (60 * SJ_MIN)

/* A deadline that never passes. */
#define SJ_NEVER INT64_MAX
/* A deadline that has always passed: the call is tried once and never blocks. */
#define SJ_POLL ((sj_time)0)

/* The present moment. Under the simulator it is the virtual clock. */
SJ_PUBLIC sj_time sj_now(void);

/* The moment that lies duration after now; saturates at SJ_NEVER. Negative: a past moment. */
SJ_PUBLIC sj_time sj_after(sj_time duration);

/* A moment that other processes and reboots understand: microseconds since 1970-01-01 UTC. */
typedef struct sj_wall {
        int64_t us;
} sj_wall;

/* The present moment on the wall clock, which may jump. */
SJ_PUBLIC sj_wall sj_wall_now(void);

#ifdef __cplusplus
}
#endif

#endif
