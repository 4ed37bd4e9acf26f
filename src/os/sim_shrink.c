/* SPDX-License-Identifier: MIT */
/*
 * Shrinking: of all that went wrong in a run that fails, what matters.
 *
 * Parts of the list are left out, halves first and then smaller ones, and what still fails is the
 * new list (Zeller and Hildebrandt's delta debugging, without its complements' order). A run that
 * fails aborts, so each try is a child process; what it logs comes back through a file that both
 * have open.
 */
#include "os/sim.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct shrinking {
        void (*run)(void *arg, const char *list, FILE *log);
        void *arg;
        unsigned tries;
} shrinking;

static bool fails(shrinking *s, const char *list, FILE *log)
{
        fflush(NULL);
        s->tries--;
        pid_t child = fork();
        if (child < 0)
                return false;
        if (child == 0) {
                if (!freopen("/dev/null", "w", stderr))
                        _exit(0);
                s->run(s->arg, list, log);
                _exit(0);
        }
        int status;
        while (waitpid(child, &status, 0) < 0)
                continue;
        return status != 0;
}

/* The list without its names from `from` up to `to`. */
static char *without(const char *list, size_t from, size_t to)
{
        char *rest = malloc(strlen(list) + 1), *end = rest;
        if (!rest)
                abort();
        for (size_t i = 0; *list; i++) {
                size_t n = strcspn(list, ",");
                n += list[n] == ',';
                if (i < from || i >= to) {
                        memcpy(end, list, n);
                        end += n;
                }
                list += n;
        }
        *end = '\0';
        return rest;
}

static size_t count_names(const char *list)
{
        size_t n = 0;
        for (; *list; list++)
                n += *list == ',';
        return n;
}

/* Leaves out parts of that size while it still fails. Whether any could be. */
static bool leave_out(shrinking *s, char **list, size_t size)
{
        bool any = false;
        for (size_t at = 0; at < count_names(*list) && s->tries > 0;) {
                char *rest = without(*list, at, at + size);
                if (fails(s, rest, NULL)) {
                        free(*list);
                        *list = rest;
                        any = true;
                } else {
                        free(rest);
                        at += size;
                }
        }
        return any;
}

static void reduce(shrinking *s, char **list)
{
        size_t size = count_names(*list);
        while (size > 0 && s->tries > 0) {
                bool any = leave_out(s, list, size);
                if (size > 1)
                        size = (size + 1) / 2;
                else if (!any)
                        break;
        }
}

static char *read_all(FILE *from)
{
        fflush(from);
        long n = fseek(from, 0, SEEK_END) == 0 ? ftell(from) : -1;
        char *text = n < 0 ? NULL : calloc(1, (size_t)n + 1);
        if (!text)
                abort();
        rewind(from);
        if (fread(text, 1, (size_t)n, from) != (size_t)n)
                abort();
        return text;
}

bool sim_shrink(void (*run)(void *arg, const char *list, FILE *log), void *arg, unsigned tries,
                FILE *print)
{
        shrinking s = {.run = run, .arg = arg, .tries = tries + 1};
        FILE *log = tmpfile();
        if (!log)
                abort();
        setvbuf(log, NULL, _IONBF, 0);
        bool failed = fails(&s, NULL, log);
        if (failed) {
                char *list = read_all(log);
                size_t whole = count_names(list);
                reduce(&s, &list);
                size_t n = strlen(list);
                if (n > 0)
                        list[n - 1] = '\0';
                fprintf(print, "of %zu faults these are enough: SANJAB_FAULTS='%s'\n", whole, list);
                free(list);
        }
        fclose(log);
        return failed;
}
