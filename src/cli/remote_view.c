/* SPDX-License-Identifier: MIT */
/*
 * What comes from workers is foreign: a member that is missing or of another type is shown as "-",
 * and the table makes each text safe for the terminal. Objects of any shape (stats, conf) become
 * rows with the path to each member, so that they line up and can be searched.
 */
#include "cli/remote_view.h"

#include "base/iso8601.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/terminal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { PATH_DEPTH_MAX = 6, CELL_MAX = 80 };

/* ── Cells ───────────────────────────────────────────────────────────────────────────────── */

/* Any value; a long text is cut. */
static void cell(table *t, sj_arena *arena, const sj_json *v)
{
        sj_str text;
        if (!v || sj_json_is_null(v)) {
                table_text(t, SJ_STR("-"));
                return;
        }
        if (sj_json_string(v, &text) < 0 && sj_json_text(arena, v, SJ_JSON_PYTHON, &text) < 0)
                text = SJ_STR("?");
        if (text.n <= CELL_MAX) {
                table_text(t, text);
                return;
        }
        while (text.n > CELL_MAX ||
               (text.n > 0 && ((unsigned char)text.data[text.n] & 0xc0) == 0x80))
                text.n--;
        table_printf(t, "%.*s...", SJ_STR_ARG(text));
}

static void member(table *t, sj_arena *arena, const sj_json *object, const char *name)
{
        cell(t, arena, sj_json_member(object, name));
}

/* How long ago a moment was that is given in seconds since 1970. */
static void since(table *t, const sj_json *v)
{
        double then;
        if (sj_json_double(v, &then) < 0 || !isfinite(then)) {
                table_text(t, SJ_STR("-"));
                return;
        }
        double ago = (double)sj_wall_now().us / 1e6 - then;
        table_printf(t, "%.1f s", ago > 0 ? ago : 0);
}

/* ── Tasks ───────────────────────────────────────────────────────────────────────────────── */

static void task_cells(table *t, sj_arena *arena, const sj_json *task)
{
        member(t, arena, task, "name");
        member(t, arena, task, "id");
        member(t, arena, task, "args");
        member(t, arena, task, "kwargs");
        member(t, arena, sj_json_member(task, "delivery_info"), "routing_key");
}

static void tasks(table *t, sj_arena *arena, sj_str node, const sj_json *value)
{
        SJ_JSON_EACH (value, i, task) {
                table_text(t, node);
                since(t, sj_json_member(task, "time_start"));
                member(t, arena, task, "worker_pid");
                task_cells(t, arena, task);
        }
}

static void scheduled(table *t, sj_arena *arena, sj_str node, const sj_json *value)
{
        SJ_JSON_EACH (value, i, entry) {
                table_text(t, node);
                member(t, arena, entry, "eta");
                task_cells(t, arena, sj_json_member(entry, "request"));
        }
}

static void states(table *t, sj_arena *arena, sj_str node, const sj_json *value)
{
        SJ_JSON_EACH (value, i, entry) {
                table_text(t, node);
                cell(t, arena, sj_json_at(entry, 0));
                task_cells(t, arena, sj_json_at(entry, 1));
        }
}

#define TASK_HEADS "TASK", "ID", "ARGS", "KWARGS", "QUEUE", NULL
const remote_view remote_view_tasks = {(const char *const[]){"WORKER", "+FOR", "+PID", TASK_HEADS},
                                       tasks};
const remote_view remote_view_scheduled = {(const char *const[]){"WORKER", "ETA", TASK_HEADS},
                                           scheduled};
const remote_view remote_view_states = {(const char *const[]){"WORKER", "STATE", TASK_HEADS},
                                        states};

/* ── Queues, lists, members ──────────────────────────────────────────────────────────────── */

static void queues(table *t, sj_arena *arena, sj_str node, const sj_json *value)
{
        SJ_JSON_EACH (value, i, queue) {
                const sj_json *exchange = sj_json_member(queue, "exchange");
                table_text(t, node);
                member(t, arena, queue, "name");
                member(t, arena, exchange, "name");
                member(t, arena, exchange, "type");
                member(t, arena, queue, "routing_key");
        }
}

static void list_rows(table *t, sj_arena *arena, sj_str node, const sj_json *value)
{
        SJ_JSON_EACH (value, i, element) {
                table_text(t, node);
                cell(t, arena, element);
        }
}

static bool is_flat(const sj_json *v)
{
        sj_json_type type = sj_json_type_of(v);
        return type != SJ_JSON_OBJECT || sj_json_count(v) == 0;
}

static void member_rows(table *t, sj_arena *arena, sj_str node, const sj_json *value, sj_str path,
                        unsigned depth)
{
        if (is_flat(value) || depth == PATH_DEPTH_MAX) {
                table_text(t, node);
                table_text(t, path.n ? path : SJ_STR("-"));
                cell(t, arena, value);
                return;
        }
        SJ_JSON_EACH (value, i, element) {
                buf below = BUF_INIT(0);
                buf_printf(&below, "%.*s%s%.*s", SJ_STR_ARG(path), path.n ? "." : "",
                           SJ_STR_ARG(sj_json_name_at(value, i)));
                member_rows(t, arena, node, element, buf_str(&below), depth + 1);
                buf_fini(&below);
        }
}

static void members(table *t, sj_arena *arena, sj_str node, const sj_json *value)
{
        member_rows(t, arena, node, value, (sj_str){"", 0}, 0);
}

const remote_view remote_view_queues = {
        (const char *const[]){"WORKER", "QUEUE", "EXCHANGE", "TYPE", "KEY", NULL}, queues};
const remote_view remote_view_list = {(const char *const[]){"WORKER", "ITEM", NULL}, list_rows};
const remote_view remote_view_members = {(const char *const[]){"WORKER", "NAME", "VALUE", NULL},
                                         members};

/* ── Showing ─────────────────────────────────────────────────────────────────────────────── */

bool remote_is_error(const sj_json *value, sj_str *ret)
{
        return sj_json_type_of(value) == SJ_JSON_OBJECT && sj_json_count(value) == 1 &&
               sj_json_string(sj_json_member(value, "error"), ret) >= 0;
}

static void done_rows(table *t, sj_arena *arena, sj_str node, const sj_json *value)
{
        const sj_json *ok = sj_json_member(value, "ok");
        table_text(t, node);
        cell(t, arena, ok ? ok : value);
}

static const remote_view view_done = {(const char *const[]){"WORKER", "ANSWER", NULL}, done_rows};

/* A text of many lines, as a report, is shown as it is. */
static bool is_long_text(const sj_json *value, sj_str *ret)
{
        return sj_json_string(sj_json_member(value, "ok"), ret) >= 0 &&
               memchr(ret->data, '\n', ret->n);
}

static int say_errors(const control_reply replies[], size_t n)
{
        int status = STATUS_OK;
        sj_str text;
        for (size_t i = 0; i < n; i++)
                if (remote_is_error(replies[i].value, &text))
                        status = terminal_fault(STATUS_FAILED, "%.*s: %.*s",
                                                SJ_STR_ARG(replies[i].node), SJ_STR_ARG(text));
        return status;
}

static int write_long(buf *out, sj_str node, sj_str text)
{
        int r = terminal_append_safe(out, node, false);
        if (r >= 0)
                r = buf_append_str(out, SJ_STR(":"));
        if (r >= 0)
                r = terminal_append_safe(out, text, true);
        return r < 0 ? r : buf_append_char(out, '\n');
}

int remote_show(const session *s, const remote_word *word, const control_reply replies[], size_t n)
{
        const remote_view *view = word->view ? word->view : &view_done;
        buf out = BUF_INIT(0);
        table t;
        sj_str text;
        int r = 0;
        bool any = false, rows = false;
        table_init(&t, view->heads, s->arena);
        for (size_t i = 0; i < n && r >= 0; i++) {
                if (remote_is_error(replies[i].value, &text))
                        continue;
                if (!word->view && is_long_text(replies[i].value, &text)) {
                        r = write_long(&out, replies[i].node, text);
                        continue;
                }
                view->rows(&t, s->arena, replies[i].node, replies[i].value);
                any = true;
        }
        rows = buf_size(&t.cells) > 0;
        if (r >= 0 && rows)
                r = table_write(&t, &out, terminal_has_colours(TERMINAL_OUT));
        else if (r >= 0 && any)
                r = buf_append_str(&out, SJ_STR("Nothing.\n"));
        table_fini(&t);
        int status = r < 0 ? session_fault(s, "show the answers", r) : terminal_show(&out);
        buf_fini(&out);
        int failed = say_errors(replies, n);
        return status != STATUS_OK ? status : failed;
}

int remote_show_json(const control_reply replies[], size_t n)
{
        sj_json_writer *w = NULL;
        int failed = STATUS_OK;
        sj_str text;
        if (sj_json_writer_new(SJ_JSON_PYTHON, &w) >= 0) {
                sj_json_write_object_begin(w);
                for (size_t i = 0; i < n; i++) {
                        sj_json_write_key(w, replies[i].node);
                        sj_json_write_value(w, replies[i].value);
                        if (remote_is_error(replies[i].value, &text))
                                failed = STATUS_FAILED;
                }
                sj_json_write_object_end(w);
        }
        int status = show_json(w);
        return status != STATUS_OK ? status : failed;
}
