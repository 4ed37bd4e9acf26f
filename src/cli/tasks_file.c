/* SPDX-License-Identifier: MIT */
/* The files of a folder are taken in the order of their names, so that it is the same each time. */
#include "cli/tasks_file.h"

#include "cli/compile.h"
#include "os/os.h"
#include "queue/trust.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { SOURCES_MAX = 200 };

typedef struct sources {
        sj_arena *arena;
        const char *folder;
        const char *paths[SOURCES_MAX];
        size_t n;
} sources;

static bool ends_with(const char *text, const char *end)
{
        size_t n = strlen(text);
        size_t m = strlen(end);
        return n > m && strcmp(text + n - m, end) == 0;
}

static int complain(buf *error, int r, const char *format, ...) SJ_PRINTF(3, 4);

static int complain(buf *error, int r, const char *format, ...)
{
        char text[PATH_MAX + 512];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        buf_append_str(error, sj_str_of(text));
        return r;
}

static int add_source(void *arg, const char *name)
{
        sources *s = arg;
        if (!ends_with(name, ".c") || name[0] == '.')
                return 0;
        if (s->n == SOURCES_MAX)
                return -E2BIG;
        char path[PATH_MAX];
        int n = snprintf(path, sizeof(path), "%s/%s", s->folder, name);
        if ((size_t)n >= sizeof(path))
                return -ENAMETOOLONG;
        char real[PATH_MAX];
        int r = os_real_path(path, real, sizeof(real));
        const char *copy = r < 0 ? NULL : sj_arena_strndup(s->arena, real, strlen(real));
        if (!copy)
                return r < 0 ? r : -ENOMEM;
        s->paths[s->n++] = copy;
        return 0;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int find_sources(sources *s, buf *error)
{
        int r = os_read_dir(s->folder, add_source, s);
        if (r == -E2BIG)
                return complain(error, r, "the folder %s has more than %d source files", s->folder,
                                SOURCES_MAX);
        if (r < 0)
                return complain(error, r, "the folder %s cannot be read: %s", s->folder,
                                sj_strerror(r));
        if (s->n == 0)
                return complain(error, -EINVAL,
                                "the folder %s has no .c file in it: tasks are in .c or .so files",
                                s->folder);
        qsort(s->paths, s->n, sizeof(*s->paths), by_name);
        return 0;
}

static int check_trust(const char *path, buf *error)
{
        char why[TRUST_ERROR_SIZE];
        int r = trust_check(path, why);
        if (r == -EPERM)
                return complain(error, r, "%s", why);
        return r < 0 ? complain(error, r, "%s: %s", path, sj_strerror(r)) : 0;
}

static int compile_sources(sources *s, const char **ret, buf *error)
{
        for (size_t i = 0; i < s->n; i++) {
                int r = check_trust(s->paths[i], error);
                if (r < 0)
                        return r;
        }
        const compile_plan plan = {.sources = s->paths, .n_sources = s->n, .arena = s->arena};
        return compile_run(&plan, ret, error);
}

static int prepare(const char *path, sources *s, const char **ret, buf *error)
{
        char real[PATH_MAX];
        os_stat stat;
        int r = os_real_path(path, real, sizeof(real));
        if (r >= 0)
                r = os_stat_path(real, true, &stat);
        if (r < 0)
                return complain(error, r, "the tasks cannot be read from %s: %s", path,
                                sj_strerror(r));
        const char *copy = sj_arena_strndup(s->arena, real, strlen(real));
        if (!copy)
                return -ENOMEM;
        if (S_ISDIR(stat.mode)) {
                s->folder = copy;
                r = check_trust(copy, error);
                if (r >= 0)
                        r = find_sources(s, error);
                return r < 0 ? r : compile_sources(s, ret, error);
        }
        if (!S_ISREG(stat.mode) || (!ends_with(real, ".c") && !ends_with(real, ".so")))
                return complain(error, -EINVAL,
                                "%s has no tasks: it must be a .c file, a .so file, or a folder "
                                "of .c files",
                                path);
        if (ends_with(real, ".c")) {
                s->paths[s->n++] = copy;
                return compile_sources(s, ret, error);
        }
        *ret = copy;
        return check_trust(copy, error);
}

int tasks_file_prepare(const char *path, sj_arena *arena, const char **ret, buf *error)
{
        sources *s = calloc(1, sizeof(*s)); /* a fiber's stack is small */
        if (!s)
                return -ENOMEM;
        s->arena = arena;
        int r = prepare(path, s, ret, error);
        free(s);
        return r;
}
