/* SPDX-License-Identifier: MIT */
#include "notify.h"

#include <sanjab/json.h>
#include <sanjab/process.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

enum { AT_ONCE = 16 };
#define NOTICE_LIMIT (30 * SJ_SEC)

typedef struct sender {
        const char *target;
        sj_http_session *session; /* NULL: the target is a command */
        const notice *notices;
        size_t n;
        size_t next;
        int failed;
} sender;

static void complain(sender *s, const notice *n, const char *why)
{
        s->failed++;
        fprintf(stderr, "squirrel: the owner of %s was not notified: %s\n", n->site->url, why);
}

/* ── To a URL ────────────────────────────────────────────────────────────────────────────── */

static int facts_as_json(const notice *n, sj_json_writer *w, sj_str *ret)
{
        sj_json_write_object_begin(w);
        sj_json_write_name(w, "url");
        sj_json_write_string(w, sj_str_of(n->site->url));
        sj_json_write_name(w, "owner");
        sj_json_write_string(w, sj_str_of(n->site->owner));
        sj_json_write_name(w, "status");
        sj_json_write_int(w, n->check->status);
        sj_json_write_name(w, "reason");
        sj_json_write_string(w, sj_str_of(n->check->why));
        sj_json_write_object_end(w);
        return sj_json_writer_end(w, ret);
}

static void post_text(sender *s, const notice *n, sj_str text)
{
        sj_http_response *response;
        sj_http_error why;
        int r = sj_http_post(s->session, s->target, "application/json", text, &response, &why,
                             sj_after(NOTICE_LIMIT));
        if (r < 0) {
                complain(s, n, why.text);
                return;
        }
        int status = sj_http_response_status(response);
        if (status >= 300) {
                char text_of_status[64];
                snprintf(text_of_status, sizeof(text_of_status), "the answer is %d", status);
                complain(s, n, text_of_status);
        }
        sj_http_response_free(response);
}

static void post(sender *s, const notice *n)
{
        sj_json_writer *w;
        sj_str text;
        int r = sj_json_writer_new(0, &w);
        if (r >= 0) {
                r = facts_as_json(n, w, &text);
                if (r >= 0)
                        post_text(s, n, text);
                sj_json_writer_free(w);
        }
        if (r < 0)
                complain(s, n, sj_strerror(r));
}

/* ── To a command ────────────────────────────────────────────────────────────────────────── */

static char *variable(const char *name, const char *value)
{
        char *text;
        return asprintf(&text, "%s=%s", name, value) < 0 ? NULL : text;
}

/* The facts, then this process's environment: of two with one name, getenv finds the first. */
static char **environment_of(const notice *n, char *facts[4])
{
        extern char **environ;
        char status[16];
        snprintf(status, sizeof(status), "%d", n->check->status);
        facts[0] = variable("SQUIRREL_URL", n->site->url);
        facts[1] = variable("SQUIRREL_OWNER", n->site->owner);
        facts[2] = variable("SQUIRREL_STATUS", status);
        facts[3] = variable("SQUIRREL_REASON", n->check->why);
        size_t count = 0;
        while (environ[count])
                count++;
        char **all = calloc(count + 5, sizeof(char *));
        for (size_t i = 0; i < 4; i++)
                if (!facts[i])
                        return free(all), NULL;
        if (all) {
                memcpy(all, facts, 4 * sizeof(char *));
                memcpy(all + 4, environ, count * sizeof(char *));
        }
        return all;
}

static void run_with(sender *s, const notice *n, char **environment)
{
        char shell[] = "/bin/sh", option[] = "-c";
        char *argv[] = {shell, option, (char *)(uintptr_t)s->target, NULL};
        sj_child *child;
        int status = 0;
        int r = sj_child_start(
                argv, &(sj_child_options){.environment = environment, .die_with_parent = true},
                &child);
        if (r < 0) {
                complain(s, n, sj_strerror(r));
                return;
        }
        r = sj_child_wait(child, &status, sj_after(NOTICE_LIMIT));
        sj_child_free(child);
        if (r < 0)
                complain(s, n, sj_strerror(r));
        else if (status != 0)
                complain(s, n,
                         WIFEXITED(status) ? "the command has failed" : "the command was killed");
}

static void run_command(sender *s, const notice *n)
{
        char *facts[4] = {NULL};
        char **environment = environment_of(n, facts);
        if (environment)
                run_with(s, n, environment);
        else
                complain(s, n, sj_strerror(-ENOMEM));
        free(environment);
        for (size_t i = 0; i < 4; i++)
                free(facts[i]);
}

/* ── Both ────────────────────────────────────────────────────────────────────────────────── */

static int send_rest(void *arg)
{
        sender *s = arg;
        while (s->next < s->n) {
                const notice *n = &s->notices[s->next++];
                if (s->session)
                        post(s, n);
                else
                        run_command(s, n);
        }
        return 0;
}

static int send_all(void *arg)
{
        sender *s = arg;
        int r = 0;
        bool is_url =
                strncmp(s->target, "http://", 7) == 0 || strncmp(s->target, "https://", 8) == 0;
        if (is_url)
                r = sj_http_session_new(NULL, &s->session);
        if (r < 0)
                return r;
        {
                SJ_SCOPE(all, SJ_NEVER, 0);
                for (size_t i = 0; r >= 0 && i < AT_ONCE && i < s->n; i++)
                        r = sj_spawn(all, send_rest, s, NULL);
                int joined = sj_scope_join(all);
                r = r < 0 ? r : joined;
        }
        sj_http_session_free(s->session);
        return r;
}

int notify(const char *target, const notice notices[], size_t n)
{
        sender s = {.target = target, .notices = notices, .n = n};
        int r = sj_run(send_all, &s);
        if (r >= 0)
                return s.failed;
        fprintf(stderr, "squirrel: the owners were not notified: %s\n", sj_strerror(r));
        return (int)n;
}
