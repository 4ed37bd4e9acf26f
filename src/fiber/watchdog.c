/* SPDX-License-Identifier: MIT */
/*
 * The watchdog: a thread that looks at the loop from outside, several times within the limit. If
 * the same fiber has run since the last looks without a single switch, it is named in the log.
 *
 * It reads the fiber while the fiber runs. That is safe because a fiber's struct is never unmapped
 * while its loop lives, and it is right because the count of switches is read before and after:
 * if it moved, what was read is thrown away.
 */
#include "fiber/fiber.h"

#include <sanjab/debug.h>

#include <stdatomic.h>
#include <stdlib.h>

enum { LOOKS_A_LIMIT = 4 };

typedef struct watchdog {
        fiber_loop *fl;
        sj_time limit;
        os_thread *thread;
        _Atomic uint32_t stop;
        /* What it saw, of its thread alone. */
        uint64_t switches;
        sj_time since;
        bool reported;
} watchdog;

/* With AddressSanitizer the fiber may be freed at this moment: then they are thrown away. */
__attribute__((no_sanitize("address"))) static void read_names(const sj_fiber *f,
                                                               const char **ret_name,
                                                               const char **ret_where)
{
        *ret_name = atomic_load_explicit(&f->name, memory_order_relaxed);
        *ret_where = atomic_load_explicit(&f->where, memory_order_relaxed);
}

static void look(watchdog *w)
{
        fiber_loop *fl = w->fl;
        sj_time now = os_now();
        uint64_t switches = atomic_load_explicit(&fl->switches, memory_order_acquire);
        if (switches != w->switches) {
                w->switches = switches;
                w->since = now;
                w->reported = false;
                return;
        }
        sj_fiber *f = atomic_load_explicit(&fl->current, memory_order_acquire);
        if (!f || w->reported || now - w->since < w->limit)
                return;
        const char *name, *where;
        read_names(f, &name, &where);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&fl->switches, memory_order_relaxed) != switches)
                return;
        w->reported = true;
        sj_log(SJ_LOG_WARNING,
               "fiber \"%s\", spawned at %s, has held its loop for %lld ms without waiting", name,
               where, (long long)((now - w->since) / SJ_MS));
}

static void *body(void *arg)
{
        watchdog *w = arg;
        while (!atomic_load(&w->stop)) {
                os_futex_wait(&w->stop, 0, os_now() + w->limit / LOOKS_A_LIMIT, false);
                if (!atomic_load(&w->stop))
                        look(w);
        }
        return NULL;
}

static void stop(fiber_loop *fl)
{
        watchdog *w = fl->watchdog;
        if (!w)
                return;
        atomic_store(&w->stop, 1);
        os_futex_wake(&w->stop, 1, false);
        os_thread_join(w->thread);
        free(w);
        fl->watchdog = NULL;
}

void sj_watchdog(sj_time limit)
{
        fiber_loop *fl = fiber_loop_of_thread;
        if (!fl)
                return;
        stop(fl);
        if (limit <= 0)
                return;
        watchdog *w = calloc(1, sizeof(*w));
        if (!w)
                return;
        w->fl = fl;
        w->limit = limit;
        w->switches = UINT64_MAX;
        if (os_thread_start(body, w, "sj-watchdog", &w->thread) < 0) {
                free(w);
                return;
        }
        fl->watchdog = w;
}
