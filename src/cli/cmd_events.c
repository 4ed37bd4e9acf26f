/* SPDX-License-Identifier: MIT */
/*
 * sanjab events: what happens to workers and tasks, as a picture that is drawn again and again, or
 * as a line for each event.
 *
 *   listener ──► cluster ──► painter       keys, signals ──► the end
 *        └─────► lines
 */
#include "cli/command.h"
#include "cli/events_text.h"
#include "cli/options.h"
#include "cli/screen.h"
#include "cli/session.h"
#include "cli/terminal.h"
#include "queue/control/cluster.h"
#include "queue/control/control.h"
#include "queue/control/events.h"

#include <sanjab/fiber.h>
#include <sanjab/process.h>
#include <sanjab/select.h>
#include <sanjab/sync.h>

#include <signal.h>

#define PAINT_PAUSE (200 * SJ_MS) /* between pictures */
#define PAINT_EVERY (1 * SJ_SEC)  /* also when nothing was heard: ages go on */
#define RETRY_PAUSE (500 * SJ_MS)

typedef struct events_options {
        session_source source;
        bool dump;
        bool json;
        unsigned count;
        /* while it runs */
        session *session;
        cluster *cluster;
        sj_arena *arena; /* of one letter, or of one picture */
        screen *screen;  /* NULL: lines */
        sj_scope *scope;
        sj_event heard;
        unsigned shown;
        int status;
} events_options;

/* clang-format off */
static const option options[] = {
        SESSION_OPTIONS(events_options),
        {'d', "dump", NULL, "print a line for each event, also in a terminal", OPTION_FLAG,
         offsetof(events_options, dump), 0, NULL},
        {'j', "json", NULL, "print each event as a JSON object in a line", OPTION_FLAG,
         offsetof(events_options, json), 0, NULL},
        {0, "count", "N", "end after so many lines", OPTION_COUNT,
         offsetof(events_options, count), 1000000000, NULL},
        {0},
};

#define CAMERA "there are no cameras: keep what you need of --json"
#define DAEMON "this is no daemon: the shell or the service manager sees to it"

/* Celery's that there are not. */
static const option_refused refused[] = {
        {'c', "camera", CAMERA},
        {'F', "frequency", CAMERA},
        {0, "freq", CAMERA},
        {'r', "maxrate", CAMERA},
        {0, "detach", DAEMON},
        {'l', "loglevel", DAEMON},
        {'f', "logfile", DAEMON},
        {0, "pidfile", DAEMON},
        {0, "uid", DAEMON},
        {0, "gid", DAEMON},
        {0, "umask", DAEMON},
        {0, "executable", DAEMON},
        {0},
};
/* clang-format on */

static void finish(events_options *o, int status)
{
        o->status = status;
        sj_scope_cancel(o->scope);
}

/* ── Listening ───────────────────────────────────────────────────────────────────────────── */

static void print(void *arg, const sj_json *event)
{
        events_options *o = arg;
        sj_str text;
        buf line = BUF_INIT(0);
        int r;
        if (o->count && o->shown == o->count)
                return;
        if (!o->json) {
                r = events_text_line(&line, o->arena, event);
        } else {
                r = sj_json_text(o->arena, event, SJ_JSON_PYTHON | SJ_JSON_ASCII, &text);
                if (r >= 0)
                        r = buf_append_str(&line, text);
                if (r >= 0)
                        r = buf_append_char(&line, '\n');
        }
        int status =
                r < 0 ? terminal_fault(STATUS_BROKER, "%s", sj_strerror(r)) : terminal_show(&line);
        buf_fini(&line);
        if (status != STATUS_OK || ++o->shown == o->count)
                finish(o, status);
}

static void hear(events_options *o, sj_str text)
{
        const char *why;
        int r = cluster_take_letter(o->cluster, o->arena, text, sj_now(), o->screen ? NULL : print,
                                    o, &why);
        if (r < 0)
                sj_log(SJ_LOG_WARNING, "an event is not read: %s",
                       r == -ENOMEM ? sj_strerror(r) : why);
        sj_event_set(&o->heard);
}

/* Each worker is asked for a sign of life, so that all are known at once. */
static int greet(const events_options *o, sj_arena *arena)
{
        queue_clock clock = {0};
        const control_reply *replies;
        const control_call call = {.method = "heartbeat",
                                   .silent = true,
                                   .packed = control_is_packed(&o->session->options)};
        return control_broadcast(o->session->broker, &clock, &call, arena, &replies,
                                 sj_after(SESSION_LIMIT));
}

static int take_events(events_options *o, broker_subscription *letters)
{
        int r = greet(o, o->arena);
        while (r >= 0) {
                sj_str channel, text;
                sj_arena_reset(o->arena);
                r = broker_next(letters, o->arena, &channel, &text, SJ_NEVER);
                if (r >= 0)
                        hear(o, text);
                else if (r == -ENOBUFS)
                        r = 0; /* more than we can show */
        }
        return r;
}

static int listen_to_all(void *arg)
{
        static const sj_str all = {EVENTS_EXCHANGE "/*", sizeof(EVENTS_EXCHANGE) + 1};
        events_options *o = arg;
        for (bool first = true;; first = false) {
                broker_subscription *letters;
                int r = broker_subscribe(o->session->broker, &all, 1, &letters,
                                         sj_after(SESSION_LIMIT));
                if (r >= 0) {
                        r = take_events(o, letters);
                        broker_unsubscribe(letters);
                }
                if (r == -ECANCELED)
                        return r;
                if (first && r == -EOPNOTSUPP) {
                        finish(o, terminal_fault(STATUS_BROKER, "no events go over %s",
                                                 o->session->name));
                        return 0;
                }
                sj_log(SJ_LOG_WARNING, "no events from %s at the moment: %s", o->session->name,
                       sj_strerror(r));
                r = sj_sleep(RETRY_PAUSE);
                if (r < 0)
                        return r;
        }
}

/* ── Ending ──────────────────────────────────────────────────────────────────────────────── */

static int heed_signals(void *arg)
{
        static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
        events_options *o = arg;
        sj_signals *signals;
        int r = sj_signals_open(numbers, sizeof(numbers) / sizeof(*numbers), &signals);
        if (r < 0)
                return r;
        while ((r = sj_signals_next(signals, SJ_NEVER)) >= 0) {
                if (r == SIGWINCH)
                        sj_event_set(&o->heard);
                else
                        finish(o, STATUS_OK);
        }
        sj_signals_close(signals);
        return r;
}

static int heed_keys(void *arg)
{
        events_options *o = arg;
        int r = 0;
        while (r >= 0) {
                r = sj_fd_wait(TERMINAL_IN, SJ_READABLE, SJ_NEVER);
                int key = r >= 0 ? screen_key(o->screen) : r;
                if (key == 'q' || key == 'Q' || key == 4 || (key < 0 && key != -ECANCELED))
                        finish(o, STATUS_OK); /* or the terminal is gone */
        }
        sj_fd_forget(TERMINAL_IN);
        return r;
}

/* ── Painting ────────────────────────────────────────────────────────────────────────────── */

static int paint(events_options *o, sj_arena *arena)
{
        size_t rows, columns;
        buf picture = BUF_INIT(0);
        screen_size(o->screen, &rows, &columns);
        int r = events_text_picture(&picture, arena, o->cluster, o->session->name, rows, sj_now());
        if (r >= 0)
                r = screen_draw(o->screen, buf_str(&picture));
        buf_fini(&picture);
        sj_arena_reset(arena);
        return r;
}

static int paint_again_and_again(void *arg)
{
        events_options *o = arg;
        sj_arena *arena;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        while (r >= 0) {
                sj_event_clear(&o->heard);
                r = paint(o, arena);
                if (r < 0) {
                        finish(o, STATUS_OK); /* nobody sees it any more */
                        break;
                }
                r = sj_sleep(PAINT_PAUSE);
                if (r >= 0)
                        r = sj_event_wait(&o->heard, sj_after(PAINT_EVERY));
                if (r == -ETIMEDOUT)
                        r = 0;
        }
        sj_arena_free(arena);
        return r;
}

/* ── The command ─────────────────────────────────────────────────────────────────────────── */

static void watch(events_options *o)
{
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        o->scope = s;
        sj_spawn(s, heed_signals, o, NULL);
        if (o->screen) {
                sj_spawn(s, heed_keys, o, NULL);
                sj_spawn(s, paint_again_and_again, o, NULL);
        }
        sj_spawn(s, listen_to_all, o, NULL);
        sj_scope_join(s);
}

static int body(session *s, void *arg)
{
        events_options *o = arg;
        o->session = s;
        int r = sj_arena_new(&o->arena);
        if (r >= 0)
                r = cluster_new(&o->cluster);
        if (r >= 0 && !o->dump && !o->json) {
                r = screen_open(&o->screen);
                if (r == -ENOTTY)
                        r = 0;
        }
        if (r >= 0)
                watch(o);
        else
                o->status = session_fault(s, "watch", r);
        screen_close(o->screen);
        cluster_free(o->cluster);
        sj_arena_free(o->arena);
        return o->status;
}

static int run(const command *self, int argc, char **argv)
{
        events_options o = {0};
        int status;
        int n = options_parse(self, argc, argv, &o, &status);
        if (n < 0)
                return status;
        if (n > 0)
                return terminal_fault(STATUS_USAGE, "events does not take '%s': sanjab events %s",
                                      argv[0], self->usage);
        return session_run(&o.source, SESSION_MUST_EXIST, body, &o);
}

const command cmd_events = {
        .name = "events",
        .usage = "[--dump | --json] [options]",
        .summary = "shows what happens, while it happens",
        .about = "In a terminal: a table of the workers and of the tasks that were last heard of, "
                 "drawn anew as they change; q or Ctrl-C ends it. Else, or with --dump: a line for "
                 "each event.\n"
                 "\n"
                 "Workers always tell of themselves, and of tasks when they were started with -E "
                 "or told to by sanjab control enable_events. Times are UTC.",
        .options = options,
        .refused = refused,
        .run = run,
};
