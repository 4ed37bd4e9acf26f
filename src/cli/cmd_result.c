/* SPDX-License-Identifier: MIT */
/* sanjab result: what became of a task. */
#include "cli/command.h"
#include "cli/options.h"
#include "cli/show.h"
#include "cli/terminal.h"

typedef struct result_options {
        const char *id;
        session_source source;
        double wait; /* negative: not */
        bool json;
} result_options;

/* clang-format off */
static const option options[] = {
        SESSION_OPTIONS(result_options),
        {'w', "wait", "S", "wait for its end, at most S seconds", OPTION_WAIT,
         offsetof(result_options, wait), 0, NULL},
        {'j', "json", NULL, "print an object with all that is known", OPTION_FLAG,
         offsetof(result_options, json), 0, NULL},
        {0},
};

static const option_refused refused[] = {
        {'t', "task", "a result is found by its id alone"},
        {0, "traceback", "it is shown with each failure"},
        {0},
};
/* clang-format on */

static int body(session *s, void *arg)
{
        const result_options *o = arg;
        return show_result(s, o->id, o->wait, o->json);
}

static int run(const command *self, int argc, char **argv)
{
        result_options o = {.wait = -1};
        int status;
        int n = options_parse(self, argc, argv, &o, &status);
        if (n < 0)
                return status;
        if (n != 1)
                return terminal_fault(STATUS_USAGE, "%s: sanjab result %s",
                                      n == 0 ? "which task?" : "one id at a time", self->usage);
        o.id = argv[0];
        return session_run(&o.source, SESSION_MUST_EXIST, body, &o);
}

const command cmd_result = {
        .name = "result",
        .usage = "ID [options]",
        .summary = "shows what became of a task",
        .about = "Prints the result as JSON; of a task that failed, its error on the error output; "
                 "of one that has not ended, its state. A number after --wait is its time.",
        .options = options,
        .refused = refused,
        .run = run,
};
