/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <stdio.h>

enum { LINE_MAX_BYTES = 4096 };

/* The one setting of the process: who reads the log. It is set before threads start. */
static struct {
        sj_log_sink *sink; /* one of the two, or none */
        log_sink *rich;
        void *arg;
        sj_log_level lowest;
} target = {.lowest = SJ_LOG_OFF};

void sj_log_set(sj_log_sink *sink, void *arg, sj_log_level lowest)
{
        target.sink = sink;
        target.rich = NULL;
        target.arg = arg;
        target.lowest = sink ? lowest : SJ_LOG_OFF;
}

void log_set(log_sink *sink, void *arg, sj_log_level lowest)
{
        target.sink = NULL;
        target.rich = sink;
        target.arg = arg;
        target.lowest = sink ? lowest : SJ_LOG_OFF;
}

static bool is_wanted(sj_log_level level)
{
        return level >= target.lowest && level < SJ_LOG_OFF;
}

static void hand_on(sj_log_level level, const log_subject *subject, const char *line)
{
        if (target.rich)
                target.rich(target.arg, level, subject, line);
        else
                target.sink(target.arg, level, line);
}

void sj_log(sj_log_level level, const char *format, ...)
{
        if (!is_wanted(level))
                return;
        char line[LINE_MAX_BYTES];
        va_list args;
        va_start(args, format);
        vsnprintf(line, sizeof(line), format, args);
        va_end(args);
        hand_on(level, NULL, line);
}

void log_about(sj_log_level level, sj_str task, sj_str id, const char *format, ...)
{
        if (!is_wanted(level))
                return;
        char line[LINE_MAX_BYTES];
        int n = snprintf(line, sizeof(line), "task %.*s[%.*s] ", SJ_STR_ARG(task), SJ_STR_ARG(id));
        va_list args;
        va_start(args, format);
        if (n > 0 && (size_t)n < sizeof(line))
                vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
        va_end(args);
        hand_on(level, &(log_subject){task, id}, line);
}
