/* SPDX-License-Identifier: MIT */
/* A line is written by one call, so that those of several threads and processes do not mix. The
 * time is UTC, as in results, so that the lines of machines in different places sort. */
#include "cli/log_lines.h"

#include "base/iso8601.h"
#include "cli/terminal.h"

#include <stdint.h>

const char *const log_lines_levels[] = {"debug", "info", "warning", "error", "critical", NULL};

static const char *const shown_levels[] = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"};
static const char *const colours[] = {"\033[2m", "", "\033[33m", "\033[31m", "\033[31;1m"};

static void write_line(void *arg, sj_log_level level, const char *text)
{
        bool coloured = arg != NULL;
        char when[ISO8601_LENGTH + 1] = "";
        iso8601_format(sj_wall_now(), when);
        buf line = BUF_INIT(0);
        int r = buf_printf(&line, "%s%.23sZ %-8s ", coloured ? colours[level] : "", when,
                           shown_levels[level]);
        if (r >= 0)
                r = terminal_append_safe(&line, sj_str_of(text), false);
        if (r >= 0)
                r = buf_append_str(&line, sj_str_of(coloured ? "\033[0m\n" : "\n"));
        if (r >= 0)
                terminal_write(TERMINAL_ERR, buf_str(&line));
        buf_fini(&line);
}

void log_lines_begin(sj_log_level lowest)
{
        static char yes;
        sj_log_set(write_line, terminal_has_colours(TERMINAL_ERR) ? &yes : NULL, lowest);
}
