/* SPDX-License-Identifier: MIT */
/* sanjab purge: removes what waits in queues. */
#include "cli/broker_name.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/queue_list.h"
#include "cli/show.h"
#include "cli/terminal.h"

#include <stdio.h>

typedef struct purge_options {
        const char *broker;
        const char *queues;
        bool yes;
        bool json;
} purge_options;

/* clang-format off */
static const option options[] = {
        {'b', "broker", "URL", "the broker, as sqlite:jobs.db", OPTION_TEXT,
         offsetof(purge_options, broker), 0, NULL},
        {'Q', "queues", "LIST", "these queues, with commas between (all)", OPTION_TEXT,
         offsetof(purge_options, queues), 0, NULL},
        {'y', "yes", NULL, "do not ask", OPTION_FLAG, offsetof(purge_options, yes), 0, NULL},
        {'j', "json", NULL, "print an object", OPTION_FLAG, offsetof(purge_options, json), 0, NULL},
        {0},
};
/* clang-format on */

/* The queues that are meant: those given, or all that hold something. Returns how many; -errno. */
static int queues_of(const session *s, const purge_options *o, sj_str **ret)
{
        if (o->queues)
                return queue_list_parse(s->arena, o->queues, ret);
        const broker_depth *depths;
        int n = broker_queues(s->broker, s->arena, &depths, sj_after(SESSION_LIMIT));
        if (n < 0)
                return n;
        sj_str *queues = sj_arena_alloc(s->arena, (size_t)n * sizeof(*queues));
        if (!queues)
                return -ENOMEM;
        for (int i = 0; i < n; i++)
                queues[i] = depths[i].queue;
        *ret = queues;
        return n;
}

static bool agreed(const session *s, const purge_options *o)
{
        if (o->yes)
                return true;
        char question[600];
        snprintf(question, sizeof(question), "Remove all tasks that wait in %s%s of %s?",
                 o->queues ? "the queues " : "all queues", o->queues ? o->queues : "", s->name);
        return terminal_confirm(question);
}

static int refuse(void)
{
        if (terminal_is(TERMINAL_IN) && terminal_is(TERMINAL_ERR))
                return terminal_fault(STATUS_FAILED, "nothing was removed");
        return terminal_fault(STATUS_USAGE, "purge removes tasks for ever, and there is nobody to "
                                            "ask: say --yes if you mean it");
}

static int show(const purge_options *o, uint64_t removed)
{
        if (!o->json) {
                buf out = BUF_INIT(0);
                buf_printf(&out, "removed %llu task%s\n", (unsigned long long)removed,
                           removed == 1 ? "" : "s");
                int status = terminal_show(&out);
                buf_fini(&out);
                return status;
        }
        sj_json_writer *w = NULL;
        if (sj_json_writer_new(0, &w) >= 0) {
                sj_json_write_object_begin(w);
                sj_json_write_name(w, "removed");
                sj_json_write_int(w, (int64_t)removed);
                sj_json_write_object_end(w);
        }
        return show_json(w);
}

static int body(session *s, void *arg)
{
        const purge_options *o = arg;
        sj_str *queues = NULL;
        int n = queues_of(s, o, &queues);
        if (n == -EINVAL)
                return terminal_fault(STATUS_USAGE, QUEUE_LIST_WRONG, o->queues);
        if (n < 0)
                return session_fault(s, "ask for the queues", n);
        if (!agreed(s, o))
                return refuse();
        uint64_t removed = 0;
        for (int i = 0; i < n; i++) {
                int r = broker_purge(s->broker, queues[i], sj_after(SESSION_LIMIT));
                if (r < 0)
                        return session_fault(s, "purge a queue", r);
                removed += (uint64_t)r;
        }
        return show(o, removed);
}

static int run(const command *self, int argc, char **argv)
{
        purge_options o = {0};
        int status;
        int n = options_parse(self, argc, argv, &o, &status);
        if (n < 0)
                return status;
        if (n > 0)
                return terminal_fault(STATUS_USAGE,
                                      "purge does not take '%s': name queues by --queues", argv[0]);
        return session_run(broker_name_or_default(o.broker), true, body, &o);
}

const command cmd_purge = {
        .name = "purge",
        .usage = "[options]",
        .summary = "removes the tasks that wait in queues",
        .about =
                "Removes what is ready or delayed, and stores REVOKED for each; what runs goes on. "
                "Asks first on a terminal, and elsewhere does nothing without --yes.",
        .options = options,
        .run = run,
};
