/* SPDX-License-Identifier: MIT */
/*
 *   failed ──► waiting (at most WAITING_MAX) ──► AT_ONCE fibers: attempt, pause, attempt, ...
 *
 * A command is executed by itself, never by a shell: what a failed task says of itself is in its
 * environment and on its input, and so is data, whatever stands in it. Its input is a file in
 * memory, so that a command that does not read cannot hold anybody up.
 *
 * The address may hold a secret: it is never logged.
 */
#include "cli/error_hook.h"

#include "base/iso8601.h"
#include "base/list.h"
#include "cli/hook_words.h"
#include "codec/json_named.h"
#include "os/os.h"

#include <sanjab/exec.h>
#include <sanjab/fiber.h>
#include <sanjab/http.h>
#include <sanjab/json.h>
#include <sanjab/process.h>
#include <sanjab/sync.h>

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

extern char **environ;

enum { WAITING_MAX = 256, AT_ONCE = 4, TRIES = 3, VARIABLE_MAX = 4096, VARIABLES = 5 };
#define ATTEMPT_LIMIT (10 * SJ_SEC)
#define FIRST_PAUSE   SJ_SEC
#define DRAIN_LIMIT   (15 * SJ_SEC)
#define SAY_INTERVAL  (10 * SJ_SEC)

/* One failure, in one block of memory. */
typedef struct news {
        list place;
        char *text; /* JSON */
        size_t n;
        char *variables[VARIABLES]; /* "NAME=value" */
} news;

struct error_hook {
        const char *url; /* or NULL */
        char **words;    /* of a command */
        sj_http_session *session;
        list waiting;
        size_t n;    /* waiting */
        size_t busy; /* being told */
        sj_event more;
        sj_event idle;
        uint64_t lost; /* since it was last said */
        char why[200]; /* the last of them was lost */
        sj_time said;
};

/* ── Making ──────────────────────────────────────────────────────────────────────────────── */

static bool is_url(const char *text)
{
        return strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
}

static bool is_program(const char *path)
{
        os_stat stat;
        return os_stat_path(path, false, &stat) >= 0 && S_ISREG(stat.mode) && (stat.mode & 0111);
}

/* A name without a slash is looked for in $PATH, as when it is run. */
static bool is_there(const char *name)
{
        char path[PATH_MAX];
        const char *places = getenv("PATH");
        if (strchr(name, '/') || !places)
                return is_program(name);
        while (*places) {
                int n = (int)strcspn(places, ":");
                snprintf(path, sizeof(path), "%.*s/%s", n, n ? places : ".", name);
                if (is_program(path))
                        return true;
                places += places[n] ? n + 1 : n;
        }
        return false;
}

/* What can be seen at the start to be wrong is not to be found out by the first failure. */
static int check_command(const error_hook *h, char *error, size_t size)
{
        const char *name = h->words[0];
        const char *scheme = strstr(name, "://");
        if (is_there(name))
                return 0;
        if (scheme)
                snprintf(error, size, "is an http or https address, or a command, not %.*s://...",
                         (int)(scheme - name < 32 ? scheme - name : 32), name);
        else
                snprintf(error, size, "names a command that cannot be run: %.100s", name);
        return -EINVAL;
}

int error_hook_new(const char *target, error_hook **ret, char *error, size_t size)
{
        error_hook *h = calloc(1, sizeof(*h));
        if (!h)
                return -ENOMEM;
        list_init(&h->waiting);
        h->idle.is_set = true;
        int r = 0;
        if (is_url(target))
                h->url = target;
        else
                r = hook_words_split(target, &h->words);
        if (r < 0)
                snprintf(error, size, "%s",
                         r == -EINVAL ? "has no command, or a quote that does not end"
                                      : sj_strerror(r));
        if (r >= 0 && h->words)
                r = check_command(h, error, size);
        if (r < 0) {
                error_hook_free(h);
                return r;
        }
        *ret = h;
        return 0;
}

static void news_free(news *n)
{
        if (!n)
                return;
        for (size_t i = 0; i < VARIABLES; i++)
                free(n->variables[i]);
        free(n->text);
        free(n);
}

void error_hook_free(error_hook *h)
{
        if (!h)
                return;
        for (list *node; (node = list_pop(&h->waiting));)
                news_free(container_of(node, news, place));
        sj_http_session_free(h->session);
        free(h->words);
        free(h);
}

/* ── What is lost ────────────────────────────────────────────────────────────────────────── */

static void say_lost(error_hook *h)
{
        sj_log(SJ_LOG_WARNING, "%llu failures were not told to the error hook: %s",
               (unsigned long long)h->lost, h->why);
        h->said = sj_now();
        h->lost = 0;
}

static void lost(error_hook *h, uint64_t n, const char *why)
{
        h->lost += n;
        snprintf(h->why, sizeof(h->why), "%s", why);
        if (!h->said || sj_now() - h->said >= SAY_INTERVAL)
                say_lost(h);
}

/* ── Facts ───────────────────────────────────────────────────────────────────────────────── */

static void write_facts(sj_json_writer *out, const worker_failure *f)
{
        const struct {
                const char *name;
                sj_str text;
        } texts[] = {{"id", f->id},         {"task", f->task},
                     {"queue", f->queue},   {"node", f->node},
                     {"args", f->args},     {"kwargs", f->kwargs},
                     {"type", f->type},     {"error", f->error},
                     {"reason", f->reason}, {"traceback", f->traceback}};
        char when[ISO8601_LENGTH + 1] = "";
        iso8601_format(f->when, when);
        sj_json_write_object_begin(out);
        for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
                sj_json_write_name(out, texts[i].name);
                if (texts[i].text.n > 0)
                        sj_json_write_string(out, texts[i].text);
                else
                        sj_json_write_null(out);
        }
        json_named_int(out, "retries", f->retries);
        json_named_int(out, "deliveries", f->deliveries);
        json_named_text(out, "time", sj_str_of(when));
        json_named_bool(out, "dead", f->dead);
        sj_json_write_object_end(out);
}

static char *variable(const char *name, sj_str value)
{
        size_t n = value.n < VARIABLE_MAX ? value.n : VARIABLE_MAX;
        char *text = malloc(strlen(name) + n + 2);
        if (!text)
                return NULL;
        char *end = stpcpy(text, name);
        *end++ = '=';
        /* What follows a NUL would be lost in silence. */
        for (size_t i = 0; i < n; i++)
                *end++ = value.data[i] ? value.data[i] : ' ';
        *end = '\0';
        return text;
}

static int fill_variables(news *n, const worker_failure *f)
{
        const struct {
                const char *name;
                sj_str value;
        } of[VARIABLES] = {{"SANJAB_TASK", f->task},
                           {"SANJAB_TASK_ID", f->id},
                           {"SANJAB_QUEUE", f->queue},
                           {"SANJAB_NODE", f->node},
                           {"SANJAB_ERROR", f->error}};
        for (size_t i = 0; i < VARIABLES; i++)
                if (!(n->variables[i] = variable(of[i].name, of[i].value)))
                        return -ENOMEM;
        return 0;
}

static int news_new(const worker_failure *f, news **ret)
{
        sj_json_writer *out;
        sj_str text;
        int r = sj_json_writer_new(SJ_JSON_PYTHON | SJ_JSON_ASCII, &out);
        if (r < 0)
                return r;
        news *n = calloc(1, sizeof(*n));
        write_facts(out, f);
        r = n ? sj_json_writer_end(out, &text) : -ENOMEM;
        if (r >= 0) {
                n->text = strndup(text.data, text.n);
                n->n = text.n;
                r = n->text ? fill_variables(n, f) : -ENOMEM;
        }
        sj_json_writer_free(out);
        if (r < 0)
                news_free(n);
        else
                *ret = n;
        return r;
}

void error_hook_failed(void *hook, const worker_failure *failure)
{
        error_hook *h = hook;
        news *n;
        if (h->n == WAITING_MAX) {
                lost(h, 1, "too many wait already");
                return;
        }
        int r = news_new(failure, &n);
        if (r < 0) {
                lost(h, 1, sj_strerror(r));
                return;
        }
        list_append(&h->waiting, &n->place);
        h->n++;
        sj_event_clear(&h->idle);
        sj_event_set(&h->more);
}

/* ── Telling ─────────────────────────────────────────────────────────────────────────────── */

/* What came of an attempt: 0, or -EAGAIN (why says it) that another may help, or -EBADMSG. */
static int post(error_hook *h, const news *n, char *why, size_t size)
{
        sj_http_response *response;
        sj_http_error error;
        int r = sj_http_post(h->session, h->url, "application/json", (sj_str){n->text, n->n},
                             &response, &error, sj_after(ATTEMPT_LIMIT));
        if (r < 0) {
                snprintf(why, size, "%.180s", error.text);
                return r == -ECANCELED ? r : r == -EINVAL ? -EBADMSG : -EAGAIN;
        }
        int status = sj_http_response_status(response);
        sj_http_response_free(response);
        snprintf(why, size, "it answers %d", status);
        if (status < 300)
                return 0;
        return status >= 500 || status == 408 || status == 429 ? -EAGAIN : -EBADMSG;
}

/* The environment of a command: this one's, with the facts. */
static char **environment_with(const news *n)
{
        size_t count = 0;
        while (environ && environ[count])
                count++;
        char **all = calloc(count + VARIABLES + 1, sizeof(*all));
        if (!all)
                return NULL;
        memcpy(all, n->variables, sizeof(n->variables));
        for (size_t i = 0; i < count; i++)
                all[VARIABLES + i] = environ[i];
        return all;
}

static int input_of(const news *n)
{
        int fd = os_shared_new("sanjab-error", n->n);
        if (fd < 0)
                return fd;
        ssize_t written = os_pwrite(fd, n->text, n->n, 0);
        if (written == (ssize_t)n->n)
                return fd;
        os_close(fd);
        return written < 0 ? (int)written : -EIO;
}

static int wait_for(sj_child *child, char *why, size_t size)
{
        int status;
        int r = sj_child_wait(child, &status, sj_after(ATTEMPT_LIMIT));
        if (r == -ECANCELED)
                return r;
        if (r < 0) {
                snprintf(why, size, "the command does not end: it is killed");
                return -EAGAIN;
        }
        if (status == 0)
                return 0;
        char how[64];
        snprintf(why, size, "the command has ended: %s",
                 sj_process_error(status, how, sizeof(how)));
        return -EAGAIN;
}

static int execute(error_hook *h, const news *n, char *why, size_t size)
{
        char **environment = environment_with(n);
        int in = environment ? input_of(n) : -ENOMEM;
        sj_child *child = NULL;
        const sj_child_options options = {
                .environment = environment, .in = in, .die_with_parent = true};
        int r = in < 0 ? in : sj_child_start(h->words, &options, &child);
        if (r >= 0)
                r = wait_for(child, why, size);
        else
                snprintf(why, size, "the command cannot be started: %s", sj_strerror(r));
        sj_child_free(child);
        if (in >= 0)
                os_close(in);
        free(environment);
        return r;
}

static int tell(error_hook *h, const news *n)
{
        char why[200] = "";
        sj_time pause = FIRST_PAUSE;
        for (int i = 1;; i++) {
                int r = h->url ? post(h, n, why, sizeof(why)) : execute(h, n, why, sizeof(why));
                if (r >= 0 || r == -ECANCELED)
                        return r;
                if (r != -EAGAIN || i == TRIES) {
                        lost(h, 1, why);
                        return 0;
                }
                r = sj_sleep(pause);
                if (r < 0)
                        return r;
                pause *= 3;
        }
}

static int tell_all(void *hook)
{
        error_hook *h = hook;
        for (;;) {
                while (list_empty(&h->waiting)) {
                        sj_event_clear(&h->more);
                        int r = sj_event_wait(&h->more, SJ_NEVER);
                        if (r < 0)
                                return r;
                }
                news *n = container_of(list_pop(&h->waiting), news, place);
                h->n--;
                h->busy++;
                int r = tell(h, n);
                h->busy--;
                news_free(n);
                if (h->n + h->busy == 0)
                        sj_event_set(&h->idle);
                if (r < 0)
                        return r;
        }
}

int error_hook_duty(void *hook)
{
        error_hook *h = hook;
        int r = h->url ? sj_http_session_new(NULL, &h->session) : 0;
        if (r < 0)
                return r;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        for (int i = 0; i < AT_ONCE && r >= 0; i++)
                r = sj_spawn(s, tell_all, h, NULL);
        return r < 0 ? r : sj_scope_join(s);
}

void error_hook_drain(error_hook *h)
{
        if (sj_event_wait(&h->idle, sj_after(DRAIN_LIMIT)) < 0)
                lost(h, h->n + h->busy, "the worker has ended");
        if (h->lost > 0)
                say_lost(h);
}
