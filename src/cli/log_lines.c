/* SPDX-License-Identifier: MIT */
/* A line is written by one call, so that those of several threads and processes do not mix. The
 * time is UTC, as in results, so that the lines of machines in different places sort. */
#include "cli/log_lines.h"

#include "base/iso8601.h"
#include "base/utf8.h"
#include "cli/terminal.h"
#include "queue/settings/settings.h"

#include <stdint.h>

static const char *const levels[] = {"debug", "info", "warning", "error", "critical"};
static const char *const shown_levels[] = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"};
static const char *const colours[] = {"\033[2m", "", "\033[33m", "\033[31m", "\033[31;1m"};

/* What stands around a text, mostly. */
enum { LINE_ROOM = 200 };

/* ── Text ────────────────────────────────────────────────────────────────────────────────── */

static int make_text(buf *line, const log_lines *lines, sj_log_level level, const char *text)
{
        char when[ISO8601_LENGTH + 1] = "";
        iso8601_format(sj_wall_now(), when);
        int r = buf_printf(line, "%s%.23sZ %-8s ", lines->coloured ? colours[level] : "", when,
                           shown_levels[level]);
        if (r >= 0)
                r = terminal_append_safe(line, sj_str_of(text), false);
        if (r >= 0)
                r = buf_append_str(line, sj_str_of(lines->coloured ? "\033[0m\n" : "\n"));
        return r;
}

/* ── JSON: not by its writer, which refuses the odd bytes that a name from afar may have ─────── */

static int append_character(buf *line, sj_str text, uint32_t c)
{
        if (text.n == 0)
                return buf_append_str(line, SJ_STR("\\ufffd"));
        if (c == '"' || c == '\\')
                return buf_printf(line, "\\%c", (char)c);
        if (c < ' ' || c == 0x7f)
                return buf_printf(line, "\\u%04x", (unsigned)c);
        return buf_append_str(line, text);
}

static int append_member(buf *line, const char *name, sj_str text)
{
        const char *p = text.data, *end = text.data + text.n;
        int r = buf_printf(line, ",\"%s\":\"", name);
        while (r >= 0 && p < end) {
                uint32_t c = 0;
                unsigned n = utf8_decode(p, end, UTF8_STRICT, &c);
                r = append_character(line, (sj_str){p, n}, c);
                p += n > 0 ? n : 1;
        }
        return r < 0 ? r : buf_append_char(line, '"');
}

static int make_json(buf *line, const log_lines *lines, sj_log_level level,
                     const log_subject *subject, const char *text)
{
        char when[ISO8601_LENGTH + 1] = "";
        iso8601_format(sj_wall_now(), when);
        when[strcspn(when, "+")] = '\0';
        const struct {
                const char *name;
                sj_str text;
        } members[] = {
                {"level", sj_str_of(levels[level])},
                {"node", sj_str_of(lines->node ? lines->node : "")},
                {"task", subject ? subject->task : (sj_str){0}},
                {"id", subject ? subject->id : (sj_str){0}},
                {"message", sj_str_of(text)},
        };
        int r = buf_printf(line, "{\"time\":\"%sZ\"", when);
        for (size_t i = 0; i < sizeof(members) / sizeof(*members) && r >= 0; i++)
                if (members[i].text.n > 0)
                        r = append_member(line, members[i].name, members[i].text);
        return r < 0 ? r : buf_append_str(line, SJ_STR("}\n"));
}

/* ── The sink ────────────────────────────────────────────────────────────────────────────── */

static void write_line(void *arg, sj_log_level level, const log_subject *subject, const char *text)
{
        const log_lines *lines = arg;
        buf line = BUF_INIT(0);
        buf_reserve(&line, strlen(text) + LINE_ROOM);
        int r = lines->form == SETTINGS_LOG_JSON ? make_json(&line, lines, level, subject, text)
                                                 : make_text(&line, lines, level, text);
        if (r >= 0)
                terminal_write(TERMINAL_ERR, buf_str(&line));
        buf_fini(&line);
}

void log_lines_begin(log_lines *lines)
{
        lines->coloured = terminal_has_colours(TERMINAL_ERR);
        log_set(write_line, lines, lines->lowest);
}
