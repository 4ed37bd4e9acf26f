/* SPDX-License-Identifier: MIT */
/*
 * Shrinking: of all that went wrong in a run that fails, what matters.
 *
 * Parts of the list are left out, halves first and then smaller ones, and what still fails is the
 * new list (Zeller and Hildebrandt's delta debugging, without its complements' order). A run that
 * fails aborts, so each try is a child process; what it logs and what it says come back through
 * files that both have open. With fewer faults another failure may come to light, which is another
 * story: only a try that fails in the same place counts.
 */
#include "os/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct shrinking {
        void (*run)(void *arg, const char *list, FILE *log);
        void *arg;
        unsigned tries;
        FILE *said;   /* by the last try */
        char *failed; /* where the whole run did; NULL: it has not run yet */
} shrinking;

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

static FILE *temporary(void)
{
        FILE *f = tmpfile();
        if (!f)
                abort();
        setvbuf(f, NULL, _IONBF, 0);
        return f;
}

/* Of what was said: "file.c:12:" of a check, "simulator: livelock:". */
static char *place_of_failure(FILE *said)
{
        char *text = read_all(said);
        char *end = strchr(text, ':');
        end = end ? strpbrk(end + 1, ":\n") : NULL;
        if (end)
                *end = '\0';
        return text;
}

static bool fails_so(shrinking *s)
{
        char *place = place_of_failure(s->said);
        if (!s->failed) {
                s->failed = place;
                return true;
        }
        bool same = strcmp(place, s->failed) == 0;
        free(place);
        return same;
}

static bool fails(shrinking *s, const char *list, FILE *log)
{
        fflush(NULL);
        s->tries--;
        rewind(s->said);
        if (ftruncate(fileno(s->said), 0) < 0)
                abort();
        pid_t child = fork();
        if (child < 0)
                return false;
        if (child == 0) {
                if (dup2(fileno(s->said), STDERR_FILENO) < 0)
                        _exit(0);
                s->run(s->arg, list, log);
                _exit(0);
        }
        int status;
        while (waitpid(child, &status, 0) < 0)
                continue;
        return status != 0 && fails_so(s);
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

bool sim_shrink(void (*run)(void *arg, const char *list, FILE *log), void *arg, unsigned tries,
                const char *replay, FILE *print)
{
        shrinking s = {.run = run, .arg = arg, .tries = tries + 1, .said = temporary()};
        FILE *log = temporary();
        bool failed = fails(&s, NULL, log);
        if (failed) {
                char *list = read_all(log);
                size_t whole = count_names(list);
                reduce(&s, &list);
                size_t n = strlen(list), left = count_names(list);
                if (n > 0)
                        list[n - 1] = '\0';
                fprintf(print, "%s: of %zu faults %zu are enough: %sSANJAB_FAULTS='%s' %s\n",
                        s.failed, whole, left, replay, list, program_invocation_name);
                free(list);
        }
        fclose(log);
        fclose(s.said);
        free(s.failed);
        return failed;
}
