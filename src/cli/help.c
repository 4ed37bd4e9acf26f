/* SPDX-License-Identifier: MIT */
/* Lines are filled up to 80 columns; the second column of a list begins where its longest name
 * allows. */
#include "cli/help.h"

#include <stdio.h>

enum { COLUMNS = 80, INDENT = 2, GAP = 2, NAME_SIZE = 80 };

static int pad(buf *b, size_t n)
{
        return buf_printf(b, "%*s", (int)n, "");
}

/* Appends the words of text from column `at` on, each line but the first indented by `left`. */
static int fill(buf *b, const char *text, size_t left, size_t at)
{
        int r = 0;
        bool first = true;
        while (*text && r >= 0) {
                size_t word = strcspn(text, " ");
                if (!first && at + 1 + word > COLUMNS) {
                        r = buf_append_char(b, '\n');
                        if (r >= 0)
                                r = pad(b, left);
                        at = left;
                } else if (!first) {
                        r = buf_append_char(b, ' ');
                        at++;
                }
                if (r >= 0)
                        r = buf_append(b, text, word);
                at += word;
                text += word;
                text += strspn(text, " ");
                first = false;
        }
        return r < 0 ? r : buf_append_char(b, '\n');
}

/* A name and what it means, which begins in column `left`. */
static int entry(buf *b, const char *name, const char *text, size_t left)
{
        int r = buf_printf(b, "%*s%-*s", INDENT, "", (int)(left - INDENT), name);
        return r < 0 ? r : fill(b, text, left, left);
}

static void option_name(const option *o, char ret[NAME_SIZE])
{
        char letter[] = {'-', o->letter, ',', ' ', '\0'};
        bool may_lack = o->kind == OPTION_WAIT;
        snprintf(ret, NAME_SIZE, "%s--%s%s%s%s", o->letter ? letter : "    ", o->name,
                 o->value ? (may_lack ? " [" : " ") : "", o->value ? o->value : "",
                 o->value && may_lack ? "]" : "");
}

static const option help_option = {
        .letter = 'h', .name = "help", .help = "show this text", .kind = OPTION_FLAG};

static int options_list(buf *b, const option *options)
{
        char name[NAME_SIZE];
        option_name(&help_option, name);
        size_t widest = strlen(name);
        for (const option *o = options; o->name; o++) {
                option_name(o, name);
                widest = strlen(name) > widest ? strlen(name) : widest;
        }
        int r = 0;
        for (const option *o = options; o->name && r >= 0; o++) {
                option_name(o, name);
                r = entry(b, name, o->help, INDENT + widest + GAP);
        }
        option_name(&help_option, name);
        return r < 0 ? r : entry(b, name, help_option.help, INDENT + widest + GAP);
}

/* Paragraphs, which a line end separates; one that begins with a blank is kept as it is. */
static int paragraphs(buf *b, const char *text)
{
        int r = 0;
        while (*text && r >= 0) {
                size_t n = strcspn(text, "\n");
                char line[1024];
                snprintf(line, sizeof(line), "%.*s", (int)n, text);
                r = line[0] == ' ' ? buf_printf(b, "%s\n", line) : fill(b, line, 0, 0);
                text += n + (text[n] == '\n');
        }
        return r;
}

int help_of_command(buf *b, const command *c)
{
        int r = buf_printf(b, "sanjab %s: %s\n\nusage: sanjab %s %s\n\n", c->name, c->summary,
                           c->name, c->usage);
        if (r >= 0)
                r = paragraphs(b, c->about);
        if (r >= 0)
                r = buf_append_str(b, SJ_STR("\noptions:\n"));
        return r < 0 ? r : options_list(b, c->options);
}

int help_of_program(buf *b, const command *const commands[])
{
        int r = buf_append_str(b, SJ_STR("sanjab runs background tasks that are C functions.\n\n"
                                         "usage: sanjab COMMAND [options]\n"
                                         "       sanjab COMMAND --help\n\n"
                                         "commands:\n"));
        for (const command *const *c = commands; *c && r >= 0; c++)
                r = entry(b, (*c)->name, (*c)->summary, INDENT + 8 + GAP);
        if (r < 0)
                return r;
        return buf_append_str(
                b, SJ_STR("\noptions:\n"
                          "  -h, --help     show this text\n"
                          "  -V, --version  show the version\n"
                          "\n"
                          "The broker is where messages wait: sqlite:PATH, redis://HOST/DB\n"
                          "(shared with Celery) or memory:. It is named by --broker, else by the\n"
                          "settings (sanjab conf), else it is sqlite:sanjab.db in the current "
                          "folder.\n"
                          "\n"
                          "exit status:\n"
                          "  0  done\n"
                          "  1  the task failed, or was revoked\n"
                          "  2  the command line or the tasks file is wrong\n"
                          "  3  the task has not ended, or not in time\n"
                          "  4  the broker or the system could not do it\n"
                          "  5  there is no such task or dead letter\n"));
}
