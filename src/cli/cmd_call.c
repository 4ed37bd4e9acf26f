/* SPDX-License-Identifier: MIT */
/* sanjab call: sends a task, and waits for its result if it is asked to. */
#include "base/iso8601.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/show.h"
#include "cli/terminal.h"
#include "codec/json_named.h"

#include <sanjab/json.h>

typedef struct call_options {
        const char *name;
        const char *args;
        const char *kwargs;
        session_source source;
        const char *queue;
        double countdown;
        const char *eta;
        sj_wall due; /* what eta says */
        double expires;
        double wait; /* negative: not */
        bool json;
} call_options;

/* clang-format off */
static const option options[] = {
        {'a', "args", "JSON", "the arguments, a JSON array: '[2, 3]'", OPTION_TEXT,
         offsetof(call_options, args), 0, NULL},
        {'k', "kwargs", "JSON", "arguments by name, a JSON object: '{\"b\": 3}'", OPTION_TEXT,
         offsetof(call_options, kwargs), 0, NULL},
        SESSION_OPTIONS(call_options),
        {'q', "queue", "NAME", "the queue (by the settings' routes)", OPTION_TEXT,
         offsetof(call_options, queue), 0, NULL},
        {0, "countdown", "S", "do not run it before S seconds from now", OPTION_SECONDS,
         offsetof(call_options, countdown), 0, NULL},
        {0, "eta", "TIME", "do not run it before that moment, as 2030-01-31T08:00:00+01:00; UTC "
         "where no offset is said", OPTION_TEXT, offsetof(call_options, eta), 0, NULL},
        {0, "expires", "S", "do not run it after S seconds from now: it is revoked then",
         OPTION_SECONDS, offsetof(call_options, expires), 0, NULL},
        {'w', "wait", "S", "wait for its end, at most S seconds, and show its result", OPTION_WAIT,
         offsetof(call_options, wait), 0, NULL},
        {'j', "json", NULL, "print an object with the id, and what became of the task",
         OPTION_FLAG, offsetof(call_options, json), 0, NULL},
        {0},
};

/* Celery's that there are not. */
static const option_refused refused[] = {
        {0, "serializer", "set task_serializer, as SANJAB_TASK_SERIALIZER=msgpack"},
        {0, "exchange", "name the queue, by --queue"},
        {0, "routing-key", "name the queue, by --queue"},
        {0},
};
/* clang-format on */

static int complain_json(const char *which, const char *example, const sj_json_error *e)
{
        return terminal_fault(STATUS_USAGE, "--%s is not JSON, as %s: in line %u, column %u, %s",
                              which, example, e->line, e->column, e->reason);
}

/* Whether text (may be NULL) is JSON of that type; else it is said. */
static int check_json(sj_arena *arena, const char *which, const char *text, sj_json_type type,
                      const char *example)
{
        if (!text)
                return STATUS_OK;
        const sj_json *v;
        sj_json_error error;
        int r = sj_json_parse(arena, sj_str_of(text), SJ_JSON_PYTHON, &v, &error);
        if (r == -EBADMSG || r == -EMSGSIZE)
                return complain_json(which, example, &error);
        if (r < 0)
                return terminal_fault(STATUS_BROKER, "--%s: %s", which, sj_strerror(r));
        if (sj_json_type_of(v) != type)
                return terminal_fault(STATUS_USAGE, "--%s is a JSON %s, as %s, and not %s %s",
                                      which, type == SJ_JSON_ARRAY ? "array" : "object", example,
                                      strchr("aeiou", sj_json_type_name(v)[0]) ? "an" : "a",
                                      sj_json_type_name(v));
        return STATUS_OK;
}

static int show_id(const call_options *o, const char *id)
{
        if (!o->json) {
                buf out = BUF_INIT(0);
                buf_printf(&out, "%s\n", id);
                int status = terminal_show(&out);
                buf_fini(&out);
                return status;
        }
        sj_json_writer *w = NULL;
        if (sj_json_writer_new(0, &w) >= 0) {
                sj_json_write_object_begin(w);
                json_named_text(w, "id", sj_str_of(id));
                sj_json_write_object_end(w);
        }
        return show_json(w);
}

static int not_sent(const session *s, const call_options *o, int error)
{
        if (error == -EINVAL || error == -ENAMETOOLONG)
                return terminal_fault(STATUS_USAGE,
                                      "'%s' cannot be called: a task and a queue have names of 1 "
                                      "to %d bytes without control characters",
                                      o->name, SJ_TASK_NAME_MAX);
        if (error == -EMSGSIZE)
                return terminal_fault(STATUS_USAGE, "the arguments of '%s' are too large for %s",
                                      o->name, s->name);
        return session_fault(s, "send the task", error);
}

/* Before the broker is opened, so that a mistake makes no new one. */
static int check_arguments(call_options *o)
{
        if (o->eta && o->countdown > 0)
                return terminal_fault(STATUS_USAGE, "--eta and --countdown both say when");
        if (o->eta && iso8601_parse(sj_str_of(o->eta), &o->due) < 0)
                return terminal_fault(STATUS_USAGE,
                                      "--eta is a moment, as 2030-01-31T08:00:00+01:00, not '%s'",
                                      o->eta);
        sj_arena *arena = NULL;
        if (sj_arena_new(&arena) < 0)
                return terminal_fault(STATUS_BROKER, "%s", sj_strerror(-ENOMEM));
        int status = check_json(arena, "args", o->args, SJ_JSON_ARRAY, "'[2, 3]'");
        if (status == STATUS_OK)
                status = check_json(arena, "kwargs", o->kwargs, SJ_JSON_OBJECT, "'{\"b\": 3}'");
        sj_arena_free(arena);
        return status;
}

static int body(session *s, void *arg)
{
        const call_options *o = arg;
        const sj_call call = {.countdown = o->countdown,
                              .eta = o->due,
                              .expires = o->expires,
                              .queue = o->queue,
                              .deadline = sj_after(SESSION_LIMIT)};
        sj_result result;
        int r = sj_send_task(s->app, o->name, o->args, o->kwargs, &call, &result);
        if (r < 0)
                return not_sent(s, o, r);
        return o->wait < 0 ? show_id(o, result.id) : show_result(s, result.id, o->wait, o->json);
}

static int run(const command *self, int argc, char **argv)
{
        call_options o = {.wait = -1};
        int status;
        int n = options_parse(self, argc, argv, &o, &status);
        if (n < 0)
                return status;
        if (n != 1)
                return terminal_fault(STATUS_USAGE, "%s: sanjab call %s",
                                      n == 0 ? "which task?" : "one task can be called at a time",
                                      self->usage);
        o.name = argv[0];
        status = check_arguments(&o);
        if (status != STATUS_OK)
                return status;
        return session_run(&o.source, SESSION_MAY_MAKE, body, &o);
}

const command cmd_call = {
        .name = "call",
        .usage = "NAME [options]",
        .summary = "sends a task to the queue",
        .about = "Prints the id of the task; with --wait, its result as JSON, and if it failed "
                 "its error on the error output. A number after --wait is its time.",
        .options = options,
        .refused = refused,
        .run = run,
};
