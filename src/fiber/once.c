/* SPDX-License-Identifier: MIT */
/*
 * Once: a lock around the first call. A call that fails has not happened, so that a first caller
 * who is cancelled does not take the thing from all others.
 */
#include "fiber/fiber.h"

#include <sanjab/sync.h>

int sj_once_run(sj_once *o, sj_fn *fn, void *arg, sj_time deadline)
{
        int r = fiber_check_of(fiber_current());
        if (r < 0)
                return r;
        if (o->is_done)
                return o->result;
        r = sj_lock_acquire(&o->lock, deadline);
        if (r < 0)
                return r;
        if (!o->is_done) {
                r = fn(arg);
                o->is_done = r >= 0;
                o->result = r;
        }
        r = o->result;
        sj_lock_release(&o->lock);
        return r;
}
