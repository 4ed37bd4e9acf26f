/* SPDX-License-Identifier: MIT */
#include <sanjab/base.h>

#include <stdio.h>

enum { LINE_MAX_BYTES = 4096 };

/* The one setting of the process: who reads the log. It is set before threads start. */
static struct {
        sj_log_sink *sink;
        void *arg;
        sj_log_level lowest;
} target = {.lowest = SJ_LOG_OFF};

void sj_log_set(sj_log_sink *sink, void *arg, sj_log_level lowest)
{
        target.sink = sink;
        target.arg = arg;
        target.lowest = sink ? lowest : SJ_LOG_OFF;
}

void sj_log(sj_log_level level, const char *format, ...)
{
        if (level < target.lowest || level >= SJ_LOG_OFF)
                return;
        char line[LINE_MAX_BYTES];
        va_list args;
        va_start(args, format);
        vsnprintf(line, sizeof(line), format, args);
        va_end(args);
        target.sink(target.arg, level, line);
}
