/* SPDX-License-Identifier: MIT */
/*
 *   sources ──cc -E──► text ──┬──► the files that it names: each is trusted?
 *                             └──► key ──► in the cache? ── yes ──► done
 *                                              └─ no ──► cc -o KEY.RANDOM.tmp ──► rename to KEY.so
 *
 * Preprocessing at every start costs some milliseconds, and buys that nobody ever runs tasks that
 * were compiled before a header of theirs has changed. The sources could change between the two
 * runs of the compiler; only somebody who is trusted can do that, and so it is only looked for
 * afterwards: if the key is another one then, all is done again.
 */
#include "cli/compile.h"

#include "base/sha256.h"
#include "cli/cache.h"
#include "cli/capture.h"
#include "cli/includes.h"
#include "cli/terminal.h"
#include "os/os.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define COMPILE_LIMIT (10 * SJ_MIN)

enum {
        ARGS_MAX = 512,
        TEXT_MAX = 256 << 20, /* preprocessed */
        COMPLAINT_MAX = 1 << 20,
        TRIES = 3,
};

static const char *const flags[] = {"-g", "-O2", "-shared", "-fPIC", "-Wall"};

typedef struct job {
        const compile_plan *plan;
        char include[PATH_MAX];
        char cache[PATH_MAX];
        const char *common[ARGS_MAX]; /* the compiler and what every run of it is told */
        size_t n_common;
        buf *error;
        char key[2 * SHA256_BYTES + 1];
} job;

/* ── What the compiler is told ───────────────────────────────────────────────────────────── */

int compile_include_folder(char *ret, size_t size)
{
        char program[PATH_MAX];
        char tries[2][PATH_MAX] = {"", SANJAB_INCLUDE_DIR};
        const char *said = terminal_variable("SANJAB_INCLUDE");
        if (os_self_path(program, sizeof(program)) >= 0) {
                *strrchr(program, '/') = '\0';
                if ((size_t)snprintf(tries[0], PATH_MAX, "%s/../include", program) >= PATH_MAX)
                        tries[0][0] = '\0';
        }
        for (size_t i = 0; i < (said ? 1 : 2); i++) {
                const char *folder = said ? said : tries[i];
                char header[PATH_MAX];
                os_stat stat;
                if ((size_t)snprintf(header, sizeof(header), "%s/sanjab/queue.h", folder) <
                            sizeof(header) &&
                    os_stat_path(header, false, &stat) >= 0)
                        return os_real_path(folder, ret, size);
        }
        return -ENOENT;
}

static int add(job *j, const char *arg)
{
        if (!arg)
                return -ENOMEM;
        if (j->n_common == ARGS_MAX / 2)
                return -E2BIG;
        j->common[j->n_common++] = arg;
        return 0;
}

/* The words of text, which blanks separate, as the shell splits $CC and $CFLAGS. */
static int add_words(job *j, const char *text)
{
        int r = 0;
        text += strspn(text, " \t\n");
        while (*text && r >= 0) {
                size_t n = strcspn(text, " \t\n");
                r = add(j, sj_arena_strndup(j->plan->arena, text, n));
                text += n;
                text += strspn(text, " \t\n");
        }
        return r;
}

static int add_common(job *j)
{
        const char *cc = terminal_variable("CC");
        const char *cflags = terminal_variable("CFLAGS");
        int r = add_words(j, cc ? cc : "cc");
        if (r >= 0 && j->n_common == 0)
                r = add(j, "cc");
        for (size_t i = 0; i < sizeof(flags) / sizeof(*flags) && r >= 0; i++)
                r = add(j, flags[i]);
        char include[PATH_MAX + 2];
        snprintf(include, sizeof(include), "-I%s", j->include);
        if (r >= 0)
                r = add(j, sj_arena_strndup(j->plan->arena, include, strlen(include)));
        return r < 0 || !cflags ? r : add_words(j, cflags);
}

/* ── Running it ──────────────────────────────────────────────────────────────────────────── */

static int complain(job *j, int r, const char *format, ...) SJ_PRINTF(3, 4);

static int complain(job *j, int r, const char *format, ...)
{
        char text[1024];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        buf_append_str(j->error, sj_str_of(text));
        return r;
}

/*
 * Runs the compiler with further arguments. What it says is kept if it fails; warnings are shown
 * if they are asked for.
 */
static int run(job *j, const char *const more[], size_t n, buf *out, bool show_warnings)
{
        char *argv[2 * ARGS_MAX];
        size_t count = 0;
        for (size_t i = 0; i < j->n_common; i++)
                argv[count++] = (char *)(uintptr_t)j->common[i];
        for (size_t i = 0; i < n; i++)
                argv[count++] = (char *)(uintptr_t)more[i];
        argv[count] = NULL;
        buf said = BUF_INIT(COMPLAINT_MAX);
        int status = 0;
        int r = capture_run(argv, out, &said, &status, sj_after(COMPILE_LIMIT));
        if (r == -ENOENT)
                r = complain(j, r, "there is no C compiler '%s': install one, or name yours by CC",
                             argv[0]);
        else if (r < 0)
                r = complain(j, r, "the C compiler '%s' cannot be run: %s", argv[0],
                             sj_strerror(r));
        else if (status != 0) {
                terminal_append_safe(j->error, buf_str(&said), true);
                r = complain(j, -EBADMSG, "the tasks do not compile: see above what %s says",
                             argv[0]);
        } else if (show_warnings) {
                terminal_write(TERMINAL_ERR, buf_str(&said));
        }
        buf_fini(&said);
        return r;
}

/* The sources behind other arguments, in an array of ARGS_MAX. */
static int with_sources(const job *j, const char *argv[], size_t *n)
{
        if (*n + j->plan->n_sources > ARGS_MAX)
                return -E2BIG;
        for (size_t i = 0; i < j->plan->n_sources; i++)
                argv[(*n)++] = j->plan->sources[i];
        return 0;
}

/* ── The key ─────────────────────────────────────────────────────────────────────────────── */

static void hash_text(sha256 *h, const char *text)
{
        sha256_add(h, text, strlen(text) + 1); /* with its end, so that "a" "bc" is not "ab" "c" */
}

static void hash_arguments(const job *j, sha256 *h)
{
        const char *flags_of_link[] = {terminal_variable("LDFLAGS"), terminal_variable("LDLIBS")};
        hash_text(h, SANJAB_VERSION);
        for (size_t i = 0; i < j->n_common; i++)
                hash_text(h, j->common[i]);
        for (size_t i = 0; i < 2; i++)
                hash_text(h, flags_of_link[i] ? flags_of_link[i] : "");
        for (size_t i = 0; i < j->plan->n_sources; i++)
                hash_text(h, j->plan->sources[i]);
}

static int make_key(job *j)
{
        const char *argv[ARGS_MAX] = {"-E"};
        size_t n = 1;
        int r = with_sources(j, argv, &n);
        if (r < 0)
                return complain(j, r, "there are too many source files");
        buf version = BUF_INIT(COMPLAINT_MAX);
        buf text = BUF_INIT(TEXT_MAX);
        const char *ask[] = {"--version"};
        r = run(j, argv, n, &text, false);
        char why[TRUST_ERROR_SIZE];
        if (r >= 0 && (r = includes_check(buf_str(&text), j->include, why)) < 0)
                complain(j, r, "%s", why);
        if (r >= 0)
                r = run(j, ask, 1, &version, false);
        if (r >= 0) {
                sha256 h;
                unsigned char digest[SHA256_BYTES];
                sha256_init(&h);
                hash_arguments(j, &h);
                sha256_add(&h, buf_data(&version), buf_size(&version));
                sha256_add(&h, buf_data(&text), buf_size(&text));
                sha256_end(&h, digest);
                sha256_hex(digest, sizeof(digest), j->key);
        }
        buf_fini(&text);
        buf_fini(&version);
        return r;
}

/* ── The object ──────────────────────────────────────────────────────────────────────────── */

static int link_words(job *j, const char *argv[], size_t *n)
{
        static const char *const names[] = {"LDFLAGS", "LDLIBS"};
        size_t before = j->n_common;
        int r = 0;
        for (size_t i = 0; i < 2 && r >= 0; i++) {
                const char *text = terminal_variable(names[i]);
                r = text ? add_words(j, text) : 0;
        }
        /* They stand behind the sources, where a linker wants its libraries. */
        for (size_t i = before; i < j->n_common; i++)
                argv[(*n)++] = j->common[i];
        j->n_common = before;
        return r;
}

static int build(job *j, const char *to)
{
        char temporary[PATH_MAX];
        const char *argv[2 * ARGS_MAX] = {"-o", temporary};
        size_t n = 2;
        uint64_t random; /* no process id: containers that share the folder have the same */
        os_random(&random, sizeof(random));
        if ((size_t)snprintf(temporary, sizeof(temporary), "%s/%.40s.%016" PRIx64 ".tmp", j->cache,
                             j->key, random) >= sizeof(temporary))
                return complain(j, -ENAMETOOLONG, "the path of the cache is too long: %s",
                                j->cache);
        int r = with_sources(j, argv, &n);
        if (r >= 0)
                r = link_words(j, argv, &n);
        if (r < 0)
                return complain(j, r, "there are too many source files or flags");
        buf out = BUF_INIT(COMPLAINT_MAX);
        r = run(j, argv, n, &out, true);
        buf_fini(&out);
        char before[sizeof(j->key)];
        memcpy(before, j->key, sizeof(before));
        if (r >= 0)
                r = make_key(j);
        if (r >= 0 && strcmp(before, j->key) != 0)
                r = -ESTALE; /* the sources have changed meanwhile */
        if (r >= 0 && (r = cache_keep(temporary, to)) < 0)
                complain(j, r, "the compiled tasks cannot be kept in %s: %s", j->cache,
                         sj_strerror(r));
        if (r < 0)
                os_unlink(temporary);
        return r;
}

static int find_or_build(job *j, const char **ret)
{
        char path[PATH_MAX];
        if ((size_t)snprintf(path, sizeof(path), "%s/%.40s.so", j->cache, j->key) >= sizeof(path))
                return complain(j, -ENAMETOOLONG, "the path of the cache is too long: %s",
                                j->cache);
        if (!cache_has(path)) {
                sj_log(SJ_LOG_INFO, "compiling the tasks");
                cache_tidy(j->cache);
                int r = build(j, path);
                if (r < 0)
                        return r;
        }
        *ret = sj_arena_strndup(j->plan->arena, path, strlen(path));
        return *ret ? 0 : -ENOMEM;
}

static int prepare(job *j)
{
        char why[CACHE_ERROR_SIZE] = "";
        int r = compile_include_folder(j->include, sizeof(j->include));
        if (r < 0)
                return complain(j, r,
                                "the headers of sanjab are not where this program expects them: "
                                "set SANJAB_INCLUDE to the folder that has sanjab/queue.h in it");
        r = cache_open(j->cache, sizeof(j->cache), why);
        if (r < 0)
                return complain(j, r, "%s", why);
        r = add_common(j);
        return r == -E2BIG ? complain(j, r, "CC and CFLAGS have too many words") : r;
}

int compile_run(const compile_plan *plan, const char **ret, buf *error)
{
        job *j = calloc(1, sizeof(*j)); /* a fiber's stack is small */
        if (!j)
                return -ENOMEM;
        j->plan = plan;
        j->error = error;
        int r = prepare(j);
        for (int tries = 0; r >= 0; tries++) {
                r = make_key(j);
                if (r >= 0)
                        r = find_or_build(j, ret);
                if (r != -ESTALE)
                        break;
                r = tries + 1 < TRIES
                            ? 0
                            : complain(j, -EAGAIN, "the tasks change while they are compiled");
        }
        free(j);
        return r;
}
