/* SPDX-License-Identifier: MIT */
#include "fiber/debug.h"

#include <stdio.h>
#include <stdlib.h>

enum { WATCHDOG_DEFAULT_MS = 100, STANDARD_ERROR = 2 };

void debug_abort(const sj_fiber *f, const char *mistake)
{
        char text[512];
        int n = f ? snprintf(text, sizeof(text), "sanjab: %s: in fiber \"%s\", spawned at %s\n",
                             mistake, sj_fiber_name(f), f->where)
                  : snprintf(text, sizeof(text), "sanjab: %s\n", mistake);
        os_write(STANDARD_ERROR, text, n < (int)sizeof(text) ? (size_t)n : sizeof(text));
        abort();
}

void debug_begin(fiber_loop *fl)
{
        (void)fl;
#ifdef SANJAB_DEBUG
        sj_watchdog(WATCHDOG_DEFAULT_MS * SJ_MS);
#endif
}

void debug_end(fiber_loop *fl)
{
        (void)fl;
        sj_watchdog(0);
}
