/* SPDX-License-Identifier: MIT */
/*
 * log: lines about a task, for a sink that wants to know which one without reading it out of the
 * text, where a task's name could say anything.
 *
 *   log_about(SJ_LOG_INFO, name, id, "done: %s", state)   "task NAME[ID] done: SUCCESS"
 */
#ifndef SANJAB_BASE_LOG_H
#define SANJAB_BASE_LOG_H

#include <sanjab/base.h>

typedef struct log_subject {
        sj_str task; /* its name */
        sj_str id;
} log_subject;

/* subject is NULL for lines about none. */
typedef void log_sink(void *arg, sj_log_level level, const log_subject *subject, const char *text);

/* As sj_log_set, which it replaces until that is called again. */
void log_set(log_sink *sink, void *arg, sj_log_level lowest);

/* As sj_log, about a task: the text begins with it. */
void log_about(sj_log_level level, sj_str task, sj_str id, const char *format, ...) SJ_PRINTF(4, 5);

#endif
