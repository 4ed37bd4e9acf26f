/* SPDX-License-Identifier: MIT */
/*
 * log_lines: the log as lines on the error output.
 *
 *   text   2026-11-20T08:39:41.123Z WARNING text
 *   json   {"time":"2026-11-20T08:39:41.123456Z","level":"warning","node":"w@host",
 *           "task":"shop.pay","id":"...","message":"text"}
 *
 * The members "task" and "id" are those of lines about one task, "node" that of a worker.
 */
#ifndef SANJAB_CLI_LOG_LINES_H
#define SANJAB_CLI_LOG_LINES_H

#include "base/log.h"

typedef struct log_lines {
        sj_log_level lowest;
        unsigned form;    /* SETTINGS_LOG_TEXT, SETTINGS_LOG_JSON */
        const char *node; /* or NULL */
        bool coloured;    /* written by log_lines_begin */
} log_lines;

/* From now on what is logged is written there so. *lines stays the caller's, and must live on. */
void log_lines_begin(log_lines *lines);

#endif
