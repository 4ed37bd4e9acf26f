/* SPDX-License-Identifier: MIT */
/* What the machine says of itself to those who watch. */
#include "os/os.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

void os_load(double ret[3])
{
        if (getloadavg(ret, 3) < 3)
                ret[0] = ret[1] = ret[2] = 0;
}

const char *os_system_name(void)
{
        return "Linux";
}

int os_hours_west(sj_wall when)
{
        time_t seconds = (time_t)(when.us / 1000000);
        struct tm tm;
        if (!localtime_r(&seconds, &tm))
                return 0;
        long west = -tm.tm_gmtoff;
        return (int)(west >= 0 ? west / 3600 : -((-west + 3599) / 3600));
}

static double seconds_of(struct timeval t)
{
        return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

void os_usage_self(os_usage *ret)
{
        struct rusage u;
        *ret = (os_usage){0};
        if (getrusage(RUSAGE_SELF, &u) < 0)
                return;
        *ret = (os_usage){.user_time = seconds_of(u.ru_utime),
                          .system_time = seconds_of(u.ru_stime),
                          .max_resident = u.ru_maxrss,
                          .minor_faults = u.ru_minflt,
                          .major_faults = u.ru_majflt,
                          .blocks_read = u.ru_inblock,
                          .blocks_written = u.ru_oublock,
                          .switches_by_itself = u.ru_nvcsw,
                          .switches_forced = u.ru_nivcsw};
}
