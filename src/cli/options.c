/* SPDX-License-Identifier: MIT */
/* Each kind of option is one function that reads a text into its variable. */
#include "cli/options.h"

#include "base/suggest.h"
#include "cli/help.h"
#include "cli/terminal.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAMES_MAX = 32, LIST_SIZE = 200 };

static int read_text(const option *o, const char *text, void *ret)
{
        (void)o;
        *(const char **)ret = text;
        return 0;
}

static int read_count(const option *o, const char *text, void *ret)
{
        char *end;
        errno = 0;
        unsigned long value = strtoul(text, &end, 10);
        if (!isdigit((unsigned char)text[0]) || *end || errno || value < 1 || value > o->most)
                return terminal_fault(-1, "--%s is a number from 1 to %u, not '%s'", o->name,
                                      o->most, text);
        *(unsigned *)ret = (unsigned)value;
        return 0;
}

static int read_seconds(const option *o, const char *text, void *ret)
{
        char *end;
        double value = strtod(text, &end);
        bool begins = isdigit((unsigned char)text[0]) || text[0] == '.';
        if (!begins || *end || !(value >= 0 && value <= OPTIONS_SECONDS_MAX))
                return terminal_fault(-1, "--%s is a number of seconds, as 10 or 0.5, not '%s'",
                                      o->name, text);
        *(double *)ret = value;
        return 0;
}

static int read_choice(const option *o, const char *text, void *ret)
{
        char list[LIST_SIZE] = "";
        for (unsigned i = 0; o->choices[i]; i++) {
                if (strcmp(o->choices[i], text) == 0) {
                        *(unsigned *)ret = i;
                        return 0;
                }
                const char *joint = i == 0 ? "" : o->choices[i + 1] ? ", " : " or ";
                size_t n = strlen(list);
                snprintf(list + n, sizeof(list) - n, "%s%s", joint, o->choices[i]);
        }
        return terminal_fault(-1, "--%s is %s, not '%s'", o->name, list, text);
}

static int (*const readers[])(const option *o, const char *text, void *ret) = {
        [OPTION_TEXT] = read_text,     [OPTION_COUNT] = read_count,
        [OPTION_CHOICE] = read_choice, [OPTION_SECONDS] = read_seconds,
        [OPTION_WAIT] = read_seconds,
};

static void *variable(const option *o, void *target)
{
        return (char *)target + o->offset;
}

/* Where the parser is. */
typedef struct cursor {
        const command *command;
        int argc;
        char **argv;
        int at; /* the argument after the present one */
        void *target;
} cursor;

/* The option's value: what is stuck to it, or the next argument. */
static int take_value(cursor *c, const option *o, const char *stuck)
{
        const char *text = stuck;
        if (o->kind == OPTION_WAIT && !stuck) {
                const char *next = c->at < c->argc ? c->argv[c->at] : "";
                *(double *)variable(o, c->target) = HUGE_VAL;
                if (!isdigit((unsigned char)next[0]) || next[strspn(next, "0123456789.")])
                        return 0; /* what follows is an operand, or nothing */
        }
        if (!text) {
                if (c->at == c->argc)
                        return terminal_fault(-1, "--%s needs a value: --%s %s", o->name, o->name,
                                              o->value);
                text = c->argv[c->at++];
        }
        return readers[o->kind](o, text, variable(o, c->target));
}

static int show_help(const command *c, int *ret_status)
{
        buf text = BUF_INIT(0);
        int r = help_of_command(&text, c);
        *ret_status =
                r < 0 ? terminal_fault(STATUS_BROKER, "%s", sj_strerror(r)) : terminal_show(&text);
        buf_fini(&text);
        return -1;
}

/* clang-format off */
/* Celery's for each command, which no command has. */
static const option_refused refused_everywhere[] = {
        {'A', "app", "only a worker loads tasks; the broker is found by --broker, or the settings"},
        {0, "result-backend", "set SANJAB_RESULT_BACKEND, or result_backend in sanjab.conf"},
        {0, "loader", "tasks are loaded by worker --app alone"},
        {0, "workdir", "change to the folder first, or say WorkingDirectory= in the unit"},
        {'C', "no-color", "set NO_COLOR in the environment"},
        {'q', "quiet", "send the output elsewhere: >/dev/null"},
        {0, "skip-checks", "there are no checks of Django's to be left out"},
        {0},
};
/* clang-format on */

static const char *why_not(const option_refused *o, const char *name, size_t n)
{
        for (; o && o->why; o++)
                if (o->name && strncmp(o->name, name, n) == 0 && !o->name[n])
                        return o->why;
        return NULL;
}

static int unknown_long(const command *c, const char *name, size_t n)
{
        const char *why = why_not(c->refused, name, n);
        if (!why)
                why = why_not(refused_everywhere, name, n);
        if (why)
                return terminal_fault(-1, "'%s' has no option --%.*s: %s", c->name, (int)n, name,
                                      why);
        const char *names[NAMES_MAX] = {"help"};
        size_t count = 1;
        for (const option *o = c->options; o->name && count + 1 < NAMES_MAX; o++)
                names[count++] = o->name;
        names[count] = NULL;
        char word[64];
        snprintf(word, sizeof(word), "%.*s", (int)n, name);
        const char *near = suggest_nearest(word, names);
        if (near)
                return terminal_fault(-1, "'%s' has no option --%s: did you mean --%s?", c->name,
                                      word, near);
        return terminal_fault(-1, "'%s' has no option --%s: see sanjab %s --help", c->name, word,
                              c->name);
}

static int parse_long(cursor *c, const char *text, int *ret_status)
{
        size_t n = strcspn(text, "=");
        const char *stuck = text[n] ? text + n + 1 : NULL;
        if (n == 4 && strncmp(text, "help", n) == 0 && !stuck)
                return show_help(c->command, ret_status);
        const option *o = c->command->options;
        while (o->name && (strncmp(o->name, text, n) != 0 || o->name[n] != '\0'))
                o++;
        if (!o->name)
                return unknown_long(c->command, text, n);
        if (o->kind != OPTION_FLAG)
                return take_value(c, o, stuck);
        if (stuck)
                return terminal_fault(-1, "--%s takes no value, but it is given '%s'", o->name,
                                      stuck);
        *(bool *)variable(o, c->target) = true;
        return 0;
}

static int unknown_letter(const command *c, char letter)
{
        const option_refused *const tables[] = {c->refused, refused_everywhere};
        for (size_t i = 0; i < 2; i++)
                for (const option_refused *o = tables[i]; o && o->why; o++)
                        if (o->letter == letter)
                                return terminal_fault(-1, "'%s' has no option -%c: %s", c->name,
                                                      letter, o->why);
        return terminal_fault(-1, "'%s' has no option -%c: see sanjab %s --help", c->name, letter,
                              c->name);
}

static int parse_letters(cursor *c, const char *text, int *ret_status)
{
        for (; *text; text++) {
                if (*text == 'h')
                        return show_help(c->command, ret_status);
                const option *o = c->command->options;
                while (o->name && o->letter != *text)
                        o++;
                if (!o->name)
                        return unknown_letter(c->command, *text);
                if (o->kind != OPTION_FLAG)
                        return take_value(c, o, text[1] ? text + 1 : NULL);
                *(bool *)variable(o, c->target) = true;
        }
        return 0;
}

int options_parse(const command *of, int argc, char **argv, void *target, int *ret_status)
{
        cursor c = {.command = of, .argc = argc, .argv = argv, .at = 1, .target = target};
        int operands = 0;
        bool only_operands = false;
        *ret_status = STATUS_USAGE;
        while (c.at < argc) {
                char *text = argv[c.at++];
                int r = 0;
                if (only_operands || text[0] != '-' || text[1] == '\0')
                        argv[operands++] = text;
                else if (strcmp(text, "--") == 0)
                        only_operands = true;
                else if (text[1] == '-')
                        r = parse_long(&c, text + 2, ret_status);
                else
                        r = parse_letters(&c, text + 1, ret_status);
                if (r < 0)
                        return r;
        }
        return operands;
}
