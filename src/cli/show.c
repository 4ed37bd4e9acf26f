/* SPDX-License-Identifier: MIT */
/* A result is shown as the JSON that is stored, in one line: what a script reads back. */
#include "cli/show.h"

#include "base/iso8601.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "codec/json_named.h"

#include <sanjab/fiber.h>

#include <math.h>

static int status_of(const sj_outcome *outcome)
{
        if (outcome->state == SJ_SUCCESS)
                return STATUS_OK;
        return sj_state_is_final(outcome->state) ? STATUS_FAILED : STATUS_TIMEOUT;
}

void show_json_moment(sj_json_writer *w, const char *name, sj_wall when)
{
        char text[ISO8601_LENGTH + 1];
        sj_json_write_name(w, name);
        if (when.us != 0 && iso8601_format(when, text) >= 0)
                sj_json_write_string(w, sj_str_of(text));
        else
                sj_json_write_null(w);
}

int show_json(sj_json_writer *w)
{
        sj_str text;
        int r = w ? sj_json_writer_end(w, &text) : -ENOMEM;
        buf out = BUF_INIT(0);
        if (r >= 0)
                r = buf_append_str(&out, text);
        if (r >= 0)
                r = buf_append_char(&out, '\n');
        sj_json_writer_free(w);
        int status = r < 0 ? terminal_fault(STATUS_BROKER, "cannot write JSON: %s", sj_strerror(r))
                           : terminal_show(&out);
        buf_fini(&out);
        return status;
}

static void write_text(sj_json_writer *w, const char *name, const char *text)
{
        sj_json_write_name(w, name);
        if (text)
                sj_json_write_string(w, sj_str_of(text));
        else
                sj_json_write_null(w);
}

static void write_error(sj_json_writer *w, const sj_error *error)
{
        sj_json_write_name(w, "error");
        if (!error->type || !error->type[0]) {
                sj_json_write_null(w);
                return;
        }
        sj_json_write_object_begin(w);
        write_text(w, "type", error->type);
        write_text(w, "module", error->module);
        write_text(w, "message", error->message);
        write_text(w, "traceback", error->traceback);
        sj_json_write_object_end(w);
}

static int outcome_json(const char *id, const sj_outcome *outcome)
{
        sj_json_writer *w = NULL;
        if (sj_json_writer_new(SJ_JSON_PYTHON, &w) >= 0) {
                sj_json_write_object_begin(w);
                write_text(w, "id", id);
                write_text(w, "state", outcome->state_name);
                json_named_value(w, "result", outcome->value);
                write_error(w, &outcome->error);
                show_json_moment(w, "done", outcome->done);
                sj_json_write_object_end(w);
        }
        return show_json(w);
}

static int value_text(const session *s, const sj_json *value)
{
        sj_str text;
        int r = sj_json_text(s->arena, value, SJ_JSON_PYTHON, &text);
        buf out = BUF_INIT(0);
        if (r >= 0)
                r = buf_append_str(&out, text);
        if (r >= 0)
                r = buf_append_char(&out, '\n');
        int status = r < 0 ? session_fault(s, "show the result", r) : terminal_show(&out);
        buf_fini(&out);
        return status;
}

static int error_text(const char *id, const sj_outcome *outcome)
{
        const sj_error *e = &outcome->error;
        const char *what = outcome->state == SJ_REVOKED ? "was revoked" : "failed";
        terminal_fault(0, "task %s %s: %s%s%s", id, what, e->type, e->message[0] ? ": " : "",
                       e->message);
        if (e->traceback && e->traceback[0]) {
                buf text = BUF_INIT(0);
                terminal_append_safe(&text, sj_str_of(e->traceback), true);
                if (e->traceback[strlen(e->traceback) - 1] != '\n')
                        buf_append_char(&text, '\n');
                terminal_write(TERMINAL_ERR, buf_str(&text));
                buf_fini(&text);
        }
        return STATUS_FAILED;
}

/* A state that is not the end: its name is all that there is, but for what the task said. */
static int state_text(const session *s, const sj_outcome *outcome)
{
        buf out = BUF_INIT(0);
        int r = terminal_append_safe(&out, sj_str_of(outcome->state_name), false);
        sj_str text;
        if (r >= 0 && outcome->value) {
                r = sj_json_text(s->arena, outcome->value, SJ_JSON_PYTHON, &text);
                if (r >= 0)
                        r = buf_printf(&out, " %.*s", SJ_STR_ARG(text));
        }
        if (r >= 0)
                r = buf_append_char(&out, '\n');
        int status = r < 0 ? session_fault(s, "show the state", r) : terminal_show(&out);
        buf_fini(&out);
        return status;
}

int show_outcome(const session *s, const char *id, const sj_outcome *outcome, bool json)
{
        int status = status_of(outcome);
        int shown;
        if (json)
                shown = outcome_json(id, outcome);
        else if (status == STATUS_OK)
                shown = value_text(s, outcome->value);
        else if (status == STATUS_FAILED)
                shown = (error_text(id, outcome), STATUS_OK);
        else
                shown = state_text(s, outcome);
        return shown != STATUS_OK ? shown : status;
}

static int no_outcome(const session *s, const char *id, double wait, int error)
{
        if (error == -ENOENT)
                return terminal_fault(STATUS_UNKNOWN,
                                      "%s knows no task %s: it was never sent there, or its "
                                      "result has expired",
                                      s->name, id);
        if (error == -ETIMEDOUT && wait >= 0)
                return terminal_fault(STATUS_TIMEOUT,
                                      "task %s has not ended within %g seconds; "
                                      "ask again by: sanjab result %s --wait",
                                      id, wait, id);
        if (error == -EBADMSG)
                return terminal_fault(STATUS_BROKER,
                                      "what %s holds for task %s is not the result of a task",
                                      s->name, id);
        return session_fault(s, "get the result", error);
}

int show_result(const session *s, const char *id, double wait, bool json)
{
        if (strlen(id) > SJ_TASK_ID_MAX || !*id)
                return terminal_fault(STATUS_UNKNOWN, "'%s' is not the id of a task", id);
        sj_result result = {.app = s->app};
        strcpy(result.id, id);
        sj_outcome outcome;
        int r;
        if (wait < 0)
                r = sj_result_state(&result, s->arena, &outcome, sj_after(SESSION_LIMIT));
        else
                r = sj_result_get(&result, s->arena, &outcome,
                                  wait < HUGE_VAL ? sj_after((sj_time)(wait * (double)SJ_SEC))
                                                  : SJ_NEVER);
        return r < 0 ? no_outcome(s, id, wait, r) : show_outcome(s, id, &outcome, json);
}
