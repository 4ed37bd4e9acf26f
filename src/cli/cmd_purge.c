/* SPDX-License-Identifier: MIT */
/* sanjab purge: removes what waits in queues. */
#include "cli/command.h"
#include "cli/options.h"
#include "cli/queue_list.h"
#include "cli/show.h"
#include "cli/terminal.h"
#include "codec/json_named.h"

#include <stdio.h>

typedef struct purge_options {
        session_source source;
        const char *queues;
        const char *exclude;
        bool yes;
        bool json;
} purge_options;

/* clang-format off */
static const option options[] = {
        SESSION_OPTIONS(purge_options),
        {'Q', "queues", "LIST", "these queues, with commas between (all)", OPTION_TEXT,
         offsetof(purge_options, queues), 0, NULL},
        {'X', "exclude-queues", "LIST", "not these of them", OPTION_TEXT,
         offsetof(purge_options, exclude), 0, NULL},
        {'y', "yes", NULL, "do not ask", OPTION_FLAG, offsetof(purge_options, yes), 0, NULL},
        {'j', "json", NULL, "print an object", OPTION_FLAG, offsetof(purge_options, json), 0, NULL},
        {0},
};

static const option_refused refused[] = {
        {'f', "force", "it is named --yes"},
        {0},
};
/* clang-format on */

/* Those given, or all that hold something. Returns how many; -errno. */
static int named(const session *s, const purge_options *o, sj_str **ret)
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

/* The queues that are meant. Returns how many; else a status below 0 that was said. */
static int queues_of(const session *s, const purge_options *o, sj_str **ret)
{
        sj_str *without = NULL;
        int n = named(s, o, ret), n_without = 0;
        if (n == -EINVAL)
                return -terminal_fault(STATUS_USAGE, QUEUE_LIST_WRONG, "queues", o->queues);
        if (n >= 0 && o->exclude)
                n_without = queue_list_parse(s->arena, o->exclude, &without);
        if (n_without == -EINVAL)
                return -terminal_fault(STATUS_USAGE, QUEUE_LIST_WRONG, "exclude-queues",
                                       o->exclude);
        if (n < 0 || n_without < 0)
                return -session_fault(s, "ask for the queues", n < 0 ? n : n_without);
        return (int)queue_list_without(*ret, (size_t)n, without, (size_t)n_without);
}

static bool agreed(const session *s, const purge_options *o)
{
        if (o->yes)
                return true;
        char question[900];
        snprintf(question, sizeof(question), "Remove all tasks that wait in %s%s of %s%s%s?",
                 o->queues ? "the queues " : "all queues", o->queues ? o->queues : "", s->name,
                 o->exclude ? " but " : "", o->exclude ? o->exclude : "");
        return terminal_confirm(question);
}

static int refuse(void)
{
        if (terminal_is(TERMINAL_IN) && terminal_is(TERMINAL_ERR))
                return terminal_fault(STATUS_FAILED, "nothing was removed");
        return terminal_fault(STATUS_USAGE, "purge removes tasks for ever, and there is nobody to "
                                            "ask: say --yes if you mean it");
}

static int show(const purge_options *o, uint64_t removed, uint64_t awaited)
{
        if (!o->json) {
                buf out = BUF_INIT(0);
                buf_printf(&out, "removed %llu task%s\n", (unsigned long long)removed,
                           removed == 1 ? "" : "s");
                if (awaited)
                        buf_printf(&out,
                                   "%llu of them had a chord, an error link or the rest of a chain "
                                   "behind them, which will not hear of it\n",
                                   (unsigned long long)awaited);
                int status = terminal_show(&out);
                buf_fini(&out);
                return status;
        }
        sj_json_writer *w = NULL;
        if (sj_json_writer_new(0, &w) >= 0) {
                sj_json_write_object_begin(w);
                json_named_int(w, "removed", (int64_t)removed);
                json_named_int(w, "awaited", (int64_t)awaited);
                sj_json_write_object_end(w);
        }
        return show_json(w);
}

static int body(session *s, void *arg)
{
        const purge_options *o = arg;
        sj_str *queues = NULL;
        int n = queues_of(s, o, &queues);
        if (n < 0)
                return -n;
        if (!agreed(s, o))
                return refuse();
        uint64_t removed = 0, awaited = 0, here;
        for (int i = 0; i < n; i++) {
                int r = broker_purge(s->broker, queues[i], &here, sj_after(SESSION_LIMIT));
                if (r < 0)
                        return session_fault(s, "purge a queue", r);
                removed += (uint64_t)r;
                awaited += here;
        }
        return show(o, removed, awaited);
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
        return session_run(&o.source, SESSION_MUST_EXIST, body, &o);
}

const command cmd_purge = {
        .name = "purge",
        .usage = "[options]",
        .summary = "removes the tasks that wait in queues",
        .about =
                "Removes what is ready or delayed, and stores REVOKED for each; what runs goes on. "
                "Asks first on a terminal, and elsewhere does nothing without --yes.",
        .options = options,
        .refused = refused,
        .run = run,
};
