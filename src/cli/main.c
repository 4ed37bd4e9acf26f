/* SPDX-License-Identifier: MIT */
/* sanjab: finds the sub-command and runs it. */
#include "base/suggest.h"
#include "cli/command.h"
#include "cli/help.h"
#include "cli/log_lines.h"
#include "cli/terminal.h"

#include <sanjab/exec.h>

static const command *const commands[] = {&cmd_worker,  &cmd_call,    &cmd_result, &cmd_status,
                                          &cmd_inspect, &cmd_control, &cmd_events, &cmd_dead,
                                          &cmd_purge,   &cmd_conf,    NULL};
enum { COMMANDS = sizeof(commands) / sizeof(*commands) - 1 };

static const command *find(const char *name)
{
        for (const command *const *c = commands; *c; c++)
                if (strcmp((*c)->name, name) == 0)
                        return *c;
        return NULL;
}

/* Shows what `r`, the result of writing into text, allows; frees text. */
static int show(buf *text, int r)
{
        int status =
                r < 0 ? terminal_fault(STATUS_BROKER, "%s", sj_strerror(r)) : terminal_show(text);
        buf_fini(text);
        return status;
}

/* Celery's commands that there are not, and what to do. */
static const char *elsewhere(const char *name)
{
        static const char *const table[][2] = {
                {"beat", "periodic tasks are sent by celery beat, to these workers, too"},
                {"multi", "several workers are started by the service manager, as by "
                          "sanjab-worker.service"},
                {"report", "sanjab inspect report asks the workers"},
                {"shell", "tasks are called by sanjab call"},
                {"list", "queues are shown by sanjab status"},
                {"amqp", "queues are made as they are named; see sanjab status, sanjab purge"},
                {"graph", "workers are shown by sanjab status"},
                {"logtool", "worker --log-format json is for programs that read logs"},
                {"migrate", "messages stay where they are: workers of both kinds read them"},
                {"upgrade", "sanjab conf says what is wrong with each setting"},
        };
        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
                if (strcmp(table[i][0], name) == 0)
                        return table[i][1];
        return NULL;
}

static int unknown(const char *name)
{
        const char *why = elsewhere(name);
        if (why)
                return terminal_fault(STATUS_USAGE, "there is no command '%s': %s", name, why);
        const char *names[COMMANDS + 2] = {"help"};
        for (size_t i = 0; i < COMMANDS; i++)
                names[i + 1] = commands[i]->name;
        const char *near = suggest_nearest(name, names);
        if (near)
                return terminal_fault(STATUS_USAGE, "there is no command '%s': did you mean '%s'?",
                                      name, near);
        return terminal_fault(STATUS_USAGE, "there is no command '%s': see sanjab --help", name);
}

static int help(const char *name)
{
        const command *c = name ? find(name) : NULL;
        if (name && !c)
                return unknown(name);
        buf text = BUF_INIT(0);
        return show(&text, c ? help_of_command(&text, c) : help_of_program(&text, commands));
}

static int version(void)
{
        buf text = BUF_INIT(0);
        return show(&text, buf_printf(&text, "sanjab %s\n", SANJAB_VERSION));
}

static int no_command(void)
{
        buf text = BUF_INIT(0);
        help_of_program(&text, commands);
        terminal_write(TERMINAL_ERR, buf_str(&text));
        buf_fini(&text);
        return STATUS_USAGE;
}

int main(int argc, char **argv)
{
        sj_boot(argc, argv);
        terminal_begin();
        log_lines lines = {.lowest = SJ_LOG_WARNING};
        log_lines_begin(&lines);
        const char *name = argc > 1 ? argv[1] : NULL;
        if (!name)
                return no_command();
        if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
                return help(argc > 2 ? argv[2] : NULL);
        if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
                return version();
        if (name[0] == '-')
                return terminal_fault(STATUS_USAGE,
                                      "sanjab itself has no option %s: options stand behind the "
                                      "command; see sanjab --help",
                                      name);
        const command *c = find(name);
        return c ? c->run(c, argc - 1, argv + 1) : unknown(name);
}
