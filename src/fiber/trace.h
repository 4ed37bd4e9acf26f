/* SPDX-License-Identifier: MIT */
/* What the scheduler tells the trace, when there is one: fl->trace. */
#ifndef SANJAB_FIBER_TRACE_H
#define SANJAB_FIBER_TRACE_H

#include "fiber/fiber.h"

typedef struct trace trace;

/* A fiber was spawned, and is ready. */
void trace_spawned(fiber_loop *fl, sj_fiber *f) FIBER_RARE;
/* Sets when the loop is polled next, whether there is a trace or not. */
void trace_poll_at(fiber_loop *fl, uint64_t switches);

#endif
