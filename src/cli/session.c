/* SPDX-License-Identifier: MIT */
/* Everything runs in the first fiber of a loop, so that brokers over the network wait by it. */
#include "cli/session.h"

#include "cli/broker_name.h"
#include "cli/command.h"
#include "cli/terminal.h"

#include <sanjab/fiber.h>
#include <sanjab/process.h>

#include <signal.h>

enum { GIVEN_MAX = 32 };
#define FIRST_WAIT (2 * SJ_SEC)
#define LAST_WAIT  (30 * SJ_SEC)

/* ── Settings ────────────────────────────────────────────────────────────────────────────── */

/* Each line of error as a sentence of its own. */
static int complain(sj_str lines)
{
        while (lines.n) {
                const char *end = memchr(lines.data, '\n', lines.n);
                size_t n = end ? (size_t)(end - lines.data) : lines.n;
                terminal_fault(0, "%.*s", (int)n, lines.data);
                n += end != NULL;
                lines = (sj_str){lines.data + n, lines.n - n};
        }
        return STATUS_USAGE;
}

int session_settings(const session_source *source, const settings_given more[], size_t n,
                     settings **ret)
{
        settings_given given[GIVEN_MAX] = {
                {.name = "broker_url", .value = source->broker, .option = "--broker"}};
        buf error = BUF_INIT(0);
        n = n < GIVEN_MAX - 1 ? n : GIVEN_MAX - 1;
        for (size_t i = 0; i < n; i++)
                given[i + 1] = more[i];
        int r = settings_load(source->config, given, n + 1, ret, &error, sj_after(SESSION_LIMIT));
        int status = STATUS_OK;
        if (source->broker)
                broker_name_hide((char *)(uintptr_t)source->broker);
        if (r == -EINVAL)
                status = complain(buf_str(&error));
        else if (r < 0)
                status = terminal_fault(STATUS_BROKER, "the settings cannot be read: %s",
                                        sj_strerror(r));
        buf_fini(&error);
        return status;
}

/* ── The session ─────────────────────────────────────────────────────────────────────────── */

typedef struct plan {
        const settings *settings;
        session_opening opening;
        session_body *body;
        void *arg;
        int status;
} plan;

/* Somebody looks at the command: he is told soon that nothing answers. */
static sj_time open_deadline(const settings *s, sj_time said)
{
        char unused[400];
        const setting *row = settings_find("broker_connection_timeout");
        if (settings_origin_of(s, row, unused, sizeof(unused)) != SETTINGS_DEFAULT)
                return said;
        return sj_after(SESSION_OPEN_LIMIT);
}

static int open_once(session *s, bool must_exist, char *error, size_t size)
{
        s->options.open_deadline = open_deadline(s->settings, s->options.open_deadline);
        return app_open_broker(&s->options, must_exist, &s->broker, error, size);
}

/* Celery's default for the one is the other. */
static bool retries_at_start(const settings *s)
{
        char unused[400];
        const settings_values *v = settings_of(s);
        const setting *row = settings_find("broker_connection_retry_on_startup");
        return settings_origin_of(s, row, unused, sizeof(unused)) == SETTINGS_DEFAULT
                       ? v->broker_connection_retry
                       : v->broker_connection_retry_on_startup;
}

/*
 * A service may be started before its broker. What fails before its time is over will fail again,
 * as a password that is refused; the others are told of each time, and have longer with each.
 */
static int try_again_and_again(session *s, char *error, size_t size)
{
        unsigned most = settings_of(s->settings)->broker_connection_max_retries;
        sj_time wait = FIRST_WAIT;
        for (unsigned n = 0;; n++, wait = wait < LAST_WAIT ? wait + FIRST_WAIT : wait) {
                s->options.open_deadline = sj_after(wait);
                int r = app_open_broker(&s->options, false, &s->broker, error, size);
                if (r >= 0 || sj_now() < s->options.open_deadline || (most && n == most))
                        return r;
                sj_log(SJ_LOG_WARNING, "cannot open %s: %s: trying again", s->name,
                       error[0] ? error : sj_strerror(r));
                error[0] = '\0';
        }
}

/* Who stops what has not begun yet. */
typedef struct stopper {
        sj_signals *signals;
        sj_scope *scope; /* that ends with it */
        int number;      /* of the signal; 0: none has come */
} stopper;

static int await_stop(void *arg)
{
        stopper *stop = arg;
        int number;
        while ((number = sj_signals_next(stop->signals, SJ_NEVER)) == SIGUSR1)
                terminal_dump();
        if (number < 0)
                return number;
        stop->number = number;
        sj_scope_cancel(stop->scope);
        return 0;
}

/* -EINTR: it was told to stop; that has been said. */
static int open_patiently(session *s, char *error, size_t size)
{
        static const int numbers[] = {SIGTERM, SIGQUIT, SIGINT, SIGUSR1};
        int r = sj_signals_open(numbers, sizeof(numbers) / sizeof(*numbers), &s->signals);
        if (r < 0)
                return r;
        stopper stop = {.signals = s->signals};
        {
                SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
                stop.scope = scope;
                r = sj_spawn(scope, await_stop, &stop, NULL);
                if (r >= 0 && retries_at_start(s->settings))
                        r = try_again_and_again(s, error, size);
                else if (r >= 0)
                        r = open_once(s, false, error, size);
                sj_scope_cancel(scope);
        }
        if (!stop.number)
                return r;
        sj_log(SJ_LOG_INFO, "%s: stopped before %s was open",
               stop.number == SIGTERM   ? "SIGTERM"
               : stop.number == SIGQUIT ? "SIGQUIT"
                                        : "SIGINT",
               s->name);
        return -EINTR;
}

static int open_broker(session *s, const plan *p)
{
        char error[400] = "";
        int r;
        if (p->opening == SESSION_PATIENT) {
                r = open_patiently(s, error, sizeof(error));
        } else {
                r = open_once(s, p->opening == SESSION_MUST_EXIST, error, sizeof(error));
        }
        if (r >= 0)
                return STATUS_OK;
        if (r == -EINTR)
                return r;
        bool usage = r == -EINVAL || r == -EPROTONOSUPPORT;
        return terminal_fault(usage ? STATUS_USAGE : STATUS_BROKER, "cannot open %s: %s", s->name,
                              error[0] ? error : sj_strerror(r));
}

static int run(void *arg)
{
        plan *p = arg;
        session s = {.settings = p->settings};
        settings_app_options(p->settings, &s.options);
        broker_name_show(s.options.broker, s.name, sizeof(s.name));
        int opened = open_broker(&s, p);
        p->status = opened == -EINTR ? STATUS_OK : opened;
        if (opened == STATUS_OK) {
                if (!broker_can(s.broker, BROKER_PROCESSES))
                        sj_log(SJ_LOG_WARNING, "%s is seen by this process alone, and ends with it",
                               s.name);
                int r = sj_arena_new(&s.arena);
                if (r >= 0)
                        r = app_new_over(s.broker, &s.options, &s.app);
                p->status = r < 0 ? session_fault(&s, "begin", r) : p->body(&s, p->arg);
        }
        sj_app_free(s.app);
        sj_arena_free(s.arena);
        broker_close(s.broker);
        sj_signals_close(s.signals);
        return 0;
}

int session_run_with(const settings *as, session_opening opening, session_body *body, void *arg)
{
        plan p = {.settings = as, .opening = opening, .body = body, .arg = arg};
        int r = sj_run(run, &p);
        if (r < 0)
                return terminal_fault(STATUS_BROKER, "cannot start: %s", sj_strerror(r));
        return p.status;
}

int session_run(const session_source *source, session_opening opening, session_body *body,
                void *arg)
{
        settings *as;
        int status = session_settings(source, NULL, 0, &as);
        if (status != STATUS_OK)
                return status;
        status = session_run_with(as, opening, body, arg);
        settings_free(as);
        return status;
}

int session_fault(const session *s, const char *doing, int error)
{
        return terminal_fault(error == -ETIMEDOUT ? STATUS_TIMEOUT : STATUS_BROKER,
                              "cannot %s at %s: %s", doing, s->name, sj_strerror(error));
}
