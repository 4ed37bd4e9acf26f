/* SPDX-License-Identifier: MIT */
/* The public clock, which is the same over both worlds. */
#include "os/os.h"

sj_time sj_now(void)
{
        return os_now();
}

sj_time sj_after(sj_time duration)
{
        sj_time t;
        if (__builtin_add_overflow(os_now(), duration, &t))
                return duration > 0 ? SJ_NEVER : INT64_MIN;
        return t;
}

sj_wall sj_wall_now(void)
{
        return os_wall();
}
