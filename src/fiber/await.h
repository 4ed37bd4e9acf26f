/* SPDX-License-Identifier: MIT */
#ifndef SANJAB_FIBER_AWAIT_H
#define SANJAB_FIBER_AWAIT_H

#include <sanjab/future.h>

/*
 * Waits until the future is set, cancelled or not: for one whose setter uses the caller's memory.
 * Its result, and its value in *ret (may be NULL).
 */
int await_surely(sj_future *future, void **ret);

#endif
