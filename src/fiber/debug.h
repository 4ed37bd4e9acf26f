/* SPDX-License-Identifier: MIT */
/*
 * What helps to find mistakes: the message before an abort, the dump, the watchdog, the overflow
 * of a stack.
 */
#ifndef SANJAB_FIBER_DEBUG_H
#define SANJAB_FIBER_DEBUG_H

#include "fiber/fiber.h"

/* Says on standard error what the program did wrong and in which fiber, and aborts. */
void debug_abort(const sj_fiber *f, const char *mistake) __attribute__((noreturn));

/* The mistake of a process that was forked inside of a fiber, and goes on as if it were it. */
extern const char debug_forked[];

/* A loop begins on this thread, or ends. */
void debug_begin(fiber_loop *fl);
void debug_end(fiber_loop *fl);

#endif
