/* SPDX-License-Identifier: MIT */
/*
 * A lock between threads, for sections of a few instructions: a word, that is spun on for a
 * moment and then slept on.
 *
 * Why not pthread's: outside of src/os nothing asks the system but through the seam, and a lock
 * that nobody holds never does.
 */
#ifndef SANJAB_FIBER_MUTEX_H
#define SANJAB_FIBER_MUTEX_H

#include "fiber/cpu.h"
#include "os/os.h"

#include <stdatomic.h>

enum { MUTEX_FREE, MUTEX_HELD, MUTEX_AWAITED };

/* All zero: free. */
typedef struct mutex {
        _Atomic uint32_t state;
} mutex;

static inline bool mutex_try(mutex *m)
{
        uint32_t expected = MUTEX_FREE;
        return atomic_load_explicit(&m->state, memory_order_relaxed) == MUTEX_FREE &&
               atomic_compare_exchange_strong_explicit(&m->state, &expected, MUTEX_HELD,
                                                       memory_order_acquire, memory_order_relaxed);
}

static inline void mutex_lock(mutex *m)
{
        for (int i = 0; i < 64; i++) {
                if (mutex_try(m))
                        return;
                cpu_relax();
        }
        /* From here on it counts as awaited, so that its holder wakes somebody. */
        while (atomic_exchange_explicit(&m->state, MUTEX_AWAITED, memory_order_acquire) !=
               MUTEX_FREE)
                os_futex_wait(&m->state, MUTEX_AWAITED, SJ_NEVER, false);
}

static inline void mutex_unlock(mutex *m)
{
        if (atomic_exchange_explicit(&m->state, MUTEX_FREE, memory_order_release) == MUTEX_AWAITED)
                os_futex_wake(&m->state, 1, false);
}

#endif
