/* SPDX-License-Identifier: MIT */
/* The inside of a lock, for what is built on it. */
#ifndef SANJAB_FIBER_LOCK_H
#define SANJAB_FIBER_LOCK_H

#include "fiber/wait.h"

#include <sanjab/sync.h>

/* As sj_lock_acquire by one who does not hold it, and whom nothing keeps from it. */
void lock_take_shielded(sj_lock *l);

#endif
