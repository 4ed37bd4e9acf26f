/* SPDX-License-Identifier: MIT */
/* What sj_offload needs of a thread pool beyond <sanjab/exec.h>. */
#ifndef SANJAB_EXEC_THREAD_POOL_H
#define SANJAB_EXEC_THREAD_POOL_H

#include <sanjab/exec.h>

/* The most threads it may have. */
size_t thread_pool_limit(const sj_thread_pool *pool);

/* Takes back the call fn(arg) that has not begun, with no future set; whether there was one. */
bool thread_pool_take_back(sj_thread_pool *pool, sj_fn *fn, const void *arg);

#endif
