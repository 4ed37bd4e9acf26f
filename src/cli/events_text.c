/* SPDX-License-Identifier: MIT */
/* What comes from others is made safe for the terminal, here and in the table. */
#include "cli/events_text.h"

#include "base/iso8601.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "queue/control/letter.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* One line about all, two headings, two empty lines. */
enum { LINES_BESIDE = 5 };

/* ── Lines ───────────────────────────────────────────────────────────────────────────────── */

/* A moment in seconds since 1970, as 2026-11-20T06:29:36.107; "-" if it is none. */
static int put_moment(buf *b, const sj_json *v)
{
        double seconds;
        char text[ISO8601_LENGTH + 1];
        if (sj_json_double(v, &seconds) < 0 || !(seconds >= 0 && seconds < 2.5e11) ||
            iso8601_format((sj_wall){(int64_t)(seconds * 1e6)}, text) < 0)
                return buf_append_char(b, '-');
        text[23] = '\0'; /* to the millisecond; it is UTC */
        return buf_append_str(b, sj_str_of(text));
}

static bool is_among(sj_str name, const char *const names[])
{
        for (size_t i = 0; names[i]; i++)
                if (sj_str_equal(name, sj_str_of(names[i])))
                        return true;
        return false;
}

int events_text_line(buf *b, sj_arena *arena, const sj_json *event)
{
        static const char *const said[] = {"type",      "hostname", "timestamp", "uuid",
                                           "utcoffset", "pid",      "clock",     NULL};
        sj_str id = letter_text(event, "uuid");
        put_moment(b, sj_json_member(event, "timestamp"));
        buf_append_char(b, ' ');
        terminal_append_safe(b, letter_text(event, "hostname"), false);
        buf_append_char(b, ' ');
        terminal_append_safe(b, letter_text(event, "type"), false);
        if (id.n)
                buf_append_char(b, ' ');
        int r = terminal_append_safe(b, id, false);
        SJ_JSON_EACH (event, i, value) {
                sj_str name = sj_json_name_at(event, i), text;
                if (is_among(name, said) || sj_json_is_null(value))
                        continue;
                if (sj_json_text(arena, value, SJ_JSON_PYTHON, &text) < 0)
                        continue;
                buf_append_char(b, ' ');
                terminal_append_safe(b, name, false);
                buf_append_char(b, '=');
                r = terminal_append_safe(b, text, false);
        }
        return r < 0 ? r : buf_append_char(b, '\n');
}

/* ── The picture ─────────────────────────────────────────────────────────────────────────── */

static void node_row(table *t, const cluster_node *node, sj_time now)
{
        table_text(t, sj_str_of(node->name));
        table_text(t, sj_str_of(node->heard == 0              ? "unknown"
                                : cluster_is_alive(node, now) ? "alive"
                                                              : "offline"));
        table_printf(t, "%" PRId64, node->active);
        table_printf(t, "%" PRId64, node->processed);
        table_printf(t, "%.2f %.2f %.2f", node->load[0], node->load[1], node->load[2]);
        if (node->heard)
                table_printf(t, "%.1f s", (double)(now - node->heard) / 1e9);
        else
                table_text(t, SJ_STR("-"));
        table_text(t, sj_str_of(node->software));
}

static void task_row(table *t, const cluster_task *task)
{
        char at[ISO8601_LENGTH + 1];
        double when = task->ended > 0      ? task->ended
                      : task->started > 0  ? task->started
                      : task->received > 0 ? task->received
                                           : task->sent;
        if (when > 0 && when < 2.5e11 && iso8601_format((sj_wall){(int64_t)(when * 1e6)}, at) >= 0)
                table_printf(t, "%.8s", at + 11);
        else
                table_text(t, SJ_STR("-"));
        table_text(t, sj_str_of(task->name[0] ? task->name : "-"));
        table_text(t, sj_str_of(task->state));
        if (task->runtime >= 0)
                table_printf(t, "%.3f s", task->runtime);
        else
                table_text(t, SJ_STR("-"));
        table_text(t, sj_str_of(task->node));
        table_text(t, sj_str_of(task->id));
        table_printf(t, "%.40s", task->args);
        table_printf(t, "%.60s", task->outcome);
}

/* The table, its first line a heading. */
static int put_table(buf *b, table *t)
{
        int r = buf_append_str(b, SJ_STR("\1"));
        if (r >= 0)
                r = table_write(t, b, false);
        table_fini(t);
        return r;
}

static int put_nodes(buf *b, sj_arena *arena, const cluster *c, size_t most, sj_time now)
{
        static const char *const heads[] = {"WORKER", "STATE",  "+ACTIVE",  "+DONE",
                                            "LOAD",   "+HEARD", "SOFTWARE", NULL};
        table t;
        table_init(&t, heads, arena);
        const cluster_node *node = NULL;
        for (size_t i = 0; i < most && (node = cluster_next_node(c, node)); i++)
                node_row(&t, node, now);
        return put_table(b, &t);
}

static int put_tasks(buf *b, sj_arena *arena, const cluster *c, size_t most)
{
        static const char *const heads[] = {"AT", "TASK", "STATE",  "+RUNTIME", "WORKER",
                                            "ID", "ARGS", "RESULT", NULL};
        table t;
        table_init(&t, heads, arena);
        const cluster_task *task = NULL;
        for (size_t i = 0; i < most && (task = cluster_next_task(c, task)); i++)
                task_row(&t, task);
        return put_table(b, &t);
}

static size_t count_alive(const cluster *c, sj_time now)
{
        size_t n = 0;
        for (const cluster_node *node = NULL; (node = cluster_next_node(c, node));)
                n += cluster_is_alive(node, now);
        return n;
}

int events_text_picture(buf *b, sj_arena *arena, const cluster *c, const char *broker, size_t rows,
                        sj_time now)
{
        size_t nodes = cluster_count_nodes(c);
        size_t room = rows > LINES_BESIDE + 2 ? rows - LINES_BESIDE : 2;
        size_t shown = nodes < room / 2 ? nodes : room / 2; /* at most half of it is for workers */
        size_t left = room - shown;
        buf_append_str(b, SJ_STR("sanjab events at "));
        terminal_append_safe(b, sj_str_of(broker), false);
        buf_printf(b, ": %zu of %zu workers alive, %zu tasks; q quits\n\n", count_alive(c, now),
                   nodes, cluster_count_tasks(c));
        int r = put_nodes(b, arena, c, shown, now);
        if (r >= 0)
                r = buf_append_char(b, '\n');
        if (r >= 0 && cluster_count_tasks(c) == 0)
                return buf_append_str(b, SJ_STR("No task was heard of yet. Workers tell of tasks "
                                                "after: sanjab control enable_events\n"));
        return r < 0 ? r : put_tasks(b, arena, c, left);
}
