/* SPDX-License-Identifier: MIT */
/* log_lines: the log as lines on the error output: "2026-11-20T08:39:41.123Z WARNING text". */
#ifndef SANJAB_CLI_LOG_LINES_H
#define SANJAB_CLI_LOG_LINES_H

#include <sanjab/base.h>

/* "debug", ..., "critical", then NULL; the index is an sj_log_level. */
extern const char *const log_lines_levels[];

/* From now on what is logged at that level or above is written there. */
void log_lines_begin(sj_log_level lowest);

#endif
