/* SPDX-License-Identifier: MIT */
/* Fibers that other threads have spawned, for the loop's own life. */
#ifndef SANJAB_FIBER_REMOTE_H
#define SANJAB_FIBER_REMOTE_H

#include "fiber/fiber.h"

/* Cancels all of the loop. */
void remotes_cancel(fiber_loop *fl, int reason);

#endif
