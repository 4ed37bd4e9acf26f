/* SPDX-License-Identifier: MIT */
#include "fiber/debug.h"

#include "fiber/overflow.h"

#include <sanjab/debug.h>

#include <stdio.h>
#include <stdlib.h>

enum { WATCHDOG_DEFAULT_MS = 100, STANDARD_ERROR = 2 };

const char debug_forked[] = "the child of a fork came to the end of a scope or a fiber of its "
                            "parent, which it must not leave but by exec or _exit";

void debug_abort(const sj_fiber *f, const char *mistake)
{
        char text[512];
        int n = f ? snprintf(text, sizeof(text), "sanjab: %s: in fiber \"%s\", spawned at %s\n",
                             mistake, sj_fiber_name(f), f->where)
                  : snprintf(text, sizeof(text), "sanjab: %s\n", mistake);
        os_write(STANDARD_ERROR, text, n < (int)sizeof(text) ? (size_t)n : sizeof(text));
        abort();
}

/* In a signal handler: only looks. */
static bool describe_overflow(void *address, const char **ret_name, const char **ret_where)
{
        const fiber_loop *fl = fiber_loop_of_thread;
        bool in_guard = false;
        if (!fl || !stack_owns(&fl->stacks, address, &in_guard) || !in_guard)
                return false;
        const sj_fiber *f = fiber_current();
        *ret_name = f ? f->name : NULL;
        *ret_where = f ? f->where : NULL;
        return true;
}

void debug_begin(fiber_loop *fl)
{
        (void)fl;
        overflow_install(describe_overflow);
#ifdef SANJAB_DEBUG
        sj_watchdog(WATCHDOG_DEFAULT_MS * SJ_MS);
#endif
}

void debug_end(fiber_loop *fl)
{
        (void)fl;
        sj_watchdog(0);
        overflow_remove();
}
