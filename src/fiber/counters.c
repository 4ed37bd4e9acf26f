/* SPDX-License-Identifier: MIT */
/*
 * Counters that the hot paths pay for with three additions: switches, which the scheduler needs
 * itself, how often a fiber was made ready, and stacks taken. The rest follows from them, or is
 * counted where it is rare.
 *
 * Every switch goes to a fiber that was ready or to the thread's own stack, and the latter happens
 * once a turn. So those that are ready are
 *
 *         made ready - (switches - turns)
 *
 * A fiber has a stack from its start to its end, so that the stacks in use are the fibers alive.
 */
#include "fiber/fiber.h"

#include <sanjab/debug.h>

static size_t count_ready(const fiber_loop *fl)
{
        uint64_t switches = atomic_load_explicit(&fl->switches, memory_order_relaxed);
        return (size_t)(fl->readied - (switches - fl->turns));
}

static size_t larger(size_t a, size_t b)
{
        return a > b ? a : b;
}

void counters_turn(fiber_loop *fl)
{
        fl->ready_most = larger(fl->ready_most, count_ready(fl));
        fl->timers_most = larger(fl->timers_most, loop_timers(&fl->loop));
        fl->fds_most = larger(fl->fds_most, fl->loop.fds);
}

int sj_counters_read(sj_counters *ret)
{
        const fiber_loop *fl = fiber_loop_of_thread;
        if (!fl)
                return -EPERM;
        const stack_pool *stacks = &fl->stacks;
        size_t ready = count_ready(fl), timers = loop_timers(&fl->loop);
        *ret = (sj_counters){
                .switches = atomic_load_explicit(&fl->switches, memory_order_relaxed),
                .turns = fl->turns,
                .spawned = stacks->taken,
                .posts = fl->loop.posts_run,
                .stacks_made = stacks->made,
                .stacks_recycled = stacks->taken - stacks->made,
                .fibers = stacks->in_use,
                .fibers_most = stacks->most,
                .ready = ready,
                .ready_most = larger(fl->ready_most, ready),
                .timers = timers,
                .timers_most = larger(fl->timers_most, timers),
                .descriptors = fl->loop.fds,
                .descriptors_most = larger(fl->fds_most, fl->loop.fds),
                .stacks = stacks->slots,
                .stacks_most = stacks->most_slots,
        };
        return 0;
}
