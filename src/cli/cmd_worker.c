/* SPDX-License-Identifier: MIT */
/*
 * sanjab worker: a node that runs tasks until it is told to stop.
 *
 *   command line ─► tasks file ─► broker ─► worker_run
 *                                              ▲
 *                       a fiber for signals ───┘ worker_stop
 *
 * The tasks are prepared before the broker is opened, so that a mistake in them changes nothing.
 */
#include "cli/broker_name.h"
#include "cli/command.h"
#include "cli/log_lines.h"
#include "cli/node_name.h"
#include "cli/options.h"
#include "cli/queue_list.h"
#include "cli/session.h"
#include "cli/tasks_file.h"
#include "cli/terminal.h"
#include "os/os.h"
#include "queue/worker.h"

#include <sanjab/fiber.h>

#include <signal.h>

typedef struct worker_command {
        const char *app;
        const char *broker;
        unsigned pool;
        unsigned concurrency;
        const char *queues;
        const char *name;
        unsigned level;
        bool shared;
        /* found out */
        sj_arena *arena;
        char node[NODE_NAME_MAX + 1];
        sj_str *queue_list;
        size_t n_queues;
        const char *object; /* the shared object with the tasks */
        char broker_shown[400];
        int status;
} worker_command;

/* In the order of worker_pool_kind. */
static const char *const pools[] = {"prefork", "threads", "fibers", "solo", NULL};

/* clang-format off */
static const option options[] = {
        {'A', "app", "TASKS", "the tasks: a .c file or a folder of them, which are compiled, or a "
         ".so file", OPTION_TEXT, offsetof(worker_command, app), 0, NULL},
        {'b', "broker", "URL", "the broker, as sqlite:jobs.db", OPTION_TEXT,
         offsetof(worker_command, broker), 0, NULL},
        {'P', "pool", "POOL", "what runs them: prefork (processes, one task each), threads, fibers "
         "(for tasks that wait) or solo (this process itself, one at a time); prefork",
         OPTION_CHOICE, offsetof(worker_command, pool), 0, pools},
        {'c', "concurrency", "N", "how many tasks run at once (as many as there are processors; "
         "with fibers 1000)", OPTION_COUNT, offsetof(worker_command, concurrency),
         WORKER_CONCURRENCY_MAX, NULL},
        {'Q', "queues", "LIST", "the queues, with commas between (" SJ_QUEUE_DEFAULT ")",
         OPTION_TEXT, offsetof(worker_command, queues), 0, NULL},
        {'n', "hostname", "NAME", "the node's name, in which %h, %n and %d are the host's whole "
         "name, its first part and the rest (sanjab@%h)", OPTION_TEXT,
         offsetof(worker_command, name), 0, NULL},
        {'l', "loglevel", "LEVEL", "log what is at least: debug, info, warning, error or critical; "
         "info", OPTION_CHOICE, offsetof(worker_command, level), 0, log_lines_levels},
        {0, "shared", NULL, "other workers may know the tasks that these do not: put those back "
         "for them", OPTION_FLAG, offsetof(worker_command, shared), 0, NULL},
        {0},
};
/* clang-format on */

/* ── Signals ─────────────────────────────────────────────────────────────────────────────── */

static void write_dump(void *arg, const char *text, size_t n)
{
        (void)arg;
        terminal_write(TERMINAL_ERR, (sj_str){text, n});
}

typedef struct signal_duty {
        sj_signals *signals;
        worker *w;
} signal_duty;

static void stop(worker *w, worker_stop_kind kind, const char *why)
{
        if (kind == WORKER_STOP_WARM)
                sj_log(SJ_LOG_INFO, "%s: stopping when what runs has ended", why);
        else
                sj_log(SJ_LOG_WARNING, "%s: stopping at once; what runs is given back", why);
        worker_stop(w, kind);
}

static int heed_signals(void *arg)
{
        const signal_duty *duty = arg;
        unsigned interrupts = 0;
        for (;;) {
                int number = sj_signals_next(duty->signals, SJ_NEVER);
                if (number == SIGTERM)
                        stop(duty->w, WORKER_STOP_WARM, "SIGTERM");
                else if (number == SIGQUIT)
                        stop(duty->w, WORKER_STOP_COLD, "SIGQUIT");
                else if (number == SIGINT)
                        stop(duty->w, interrupts++ ? WORKER_STOP_COLD : WORKER_STOP_WARM, "SIGINT");
                else if (number == SIGUSR1)
                        sj_dump(write_dump, NULL);
                else if (number < 0)
                        return number;
        }
}

/* ── Saying what begins ──────────────────────────────────────────────────────────────────── */

/* How many tasks run at once, as worker.h says. */
static unsigned at_once(const worker_command *c)
{
        if (c->pool == WORKER_SOLO)
                return 1;
        if (c->concurrency)
                return c->concurrency;
        return c->pool == WORKER_FIBERS_POOL ? WORKER_FIBERS : os_processors();
}

static void say_ready(void *arg, size_t tasks)
{
        const worker_command *c = arg;
        buf text = BUF_INIT(0);
        buf_printf(&text, "sanjab %s, node %s\n", SANJAB_VERSION, c->node);
        buf_printf(&text, "  broker  ");
        terminal_append_safe(&text, sj_str_of(c->broker_shown), false);
        buf_printf(&text, "\n  pool    %s, %u at once", pools[c->pool], at_once(c));
        buf_printf(&text, "\n  queues  ");
        for (size_t i = 0; i < c->n_queues; i++) {
                buf_printf(&text, "%s", i ? ", " : "");
                terminal_append_safe(&text, c->queue_list[i], false);
        }
        buf_printf(&text, "\n  tasks   %zu in ", tasks);
        terminal_append_safe(&text, sj_str_of(c->app), false);
        buf_append_char(&text, '\n');
        terminal_write(TERMINAL_ERR, buf_str(&text));
        buf_fini(&text);
        sj_log(SJ_LOG_INFO, "%s is ready", c->node);
}

static void say_end(const worker *w)
{
        worker_counts n = worker_count(w);
        sj_log(SJ_LOG_INFO,
               "stopped: %llu succeeded, %llu failed, %llu to be retried, %llu revoked, %llu dead, "
               "%llu given back",
               (unsigned long long)n.succeeded, (unsigned long long)n.failed,
               (unsigned long long)n.retried, (unsigned long long)n.revoked,
               (unsigned long long)n.dead, (unsigned long long)n.returned);
}

/* ── Working ─────────────────────────────────────────────────────────────────────────────── */

static int explain(const worker_command *c, const worker *w, int r)
{
        const char *why = worker_error(w);
        if (!why || !why[0])
                why = sj_strerror(r);
        if (r == -EBADMSG)
                return terminal_fault(STATUS_USAGE, "%s: %s", c->app, why);
        return terminal_fault(STATUS_BROKER, "%s", why);
}

static int work(const worker_command *c, worker *w, sj_signals *signals)
{
        signal_duty duty = {signals, w};
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        int r = sj_spawn(s, heed_signals, &duty, NULL);
        if (r >= 0)
                r = worker_run(w);
        sj_scope_cancel(s);
        if (r < 0)
                return explain(c, w, r);
        say_end(w);
        return STATUS_OK;
}

static int body(session *s, void *arg)
{
        static const int numbers[] = {SIGTERM, SIGQUIT, SIGINT, SIGUSR1};
        worker_command *c = arg;
        const char *notice = broker_notice(s->broker);
        if (notice)
                sj_log(SJ_LOG_INFO, "%s", notice);
        memcpy(c->broker_shown, s->name, sizeof(c->broker_shown));
        const worker_options o = {.broker = s->broker,
                                  .name = c->node,
                                  .queues = c->queue_list,
                                  .n_queues = c->n_queues,
                                  .tasks = c->object,
                                  .pool = (worker_pool_kind)c->pool,
                                  .concurrency = c->concurrency,
                                  .shared = c->shared,
                                  .ready = say_ready,
                                  .arg = c};
        worker *w = NULL;
        sj_signals *signals = NULL;
        int r = sj_signals_open(numbers, sizeof(numbers) / sizeof(*numbers), &signals);
        if (r >= 0)
                r = worker_new(&o, &w);
        int status =
                r < 0 ? terminal_fault(STATUS_BROKER, "the worker cannot start: %s", sj_strerror(r))
                      : work(c, w, signals);
        worker_free(w);
        sj_signals_close(signals);
        return status;
}

/* ── What the command line means ─────────────────────────────────────────────────────────── */

static int name_node(worker_command *c)
{
        char host[256] = "localhost";
        char error[400];
        os_host_name(host, sizeof(host));
        if (node_name_expand(c->name, host, c->node, error, sizeof(error)) < 0)
                return terminal_fault(STATUS_USAGE, "%s", error);
        return STATUS_OK;
}

static int name_queues(worker_command *c)
{
        int n = queue_list_parse(c->arena, c->queues ? c->queues : SJ_QUEUE_DEFAULT,
                                 &c->queue_list);
        if (n == -EINVAL)
                return terminal_fault(STATUS_USAGE, QUEUE_LIST_WRONG, c->queues);
        if (n < 0)
                return terminal_fault(STATUS_BROKER, "%s", sj_strerror(n));
        c->n_queues = (size_t)n;
        return STATUS_OK;
}

/* In a fiber of a loop that ends before the worker's begins. */
static int prepare_tasks(void *arg)
{
        worker_command *c = arg;
        buf error = BUF_INIT(0);
        int r = tasks_file_prepare(c->app, c->arena, &c->object, &error);
        if (r >= 0) {
                buf_fini(&error);
                return 0;
        }
        /* What the compiler has said comes first, as it came; our sentence is the last line. */
        if (buf_size(&error) == 0)
                buf_append_str(&error, sj_str_of(sj_strerror(r)));
        buf_append_char(&error, '\0');
        char *text = buf_data(&error);
        char *line = strrchr(text, '\n');
        if (line)
                terminal_write(TERMINAL_ERR, (sj_str){text, (size_t)(line + 1 - text)});
        bool theirs = r == -EBADMSG || r == -EINVAL || r == -EPERM || r == -ENOENT;
        c->status =
                terminal_fault(theirs ? STATUS_USAGE : STATUS_BROKER, "%s", line ? line + 1 : text);
        buf_fini(&error);
        return 0;
}

static int prepare(worker_command *c)
{
        int status = name_node(c);
        if (status == STATUS_OK)
                status = name_queues(c);
        if (status != STATUS_OK)
                return status;
        int r = sj_run(prepare_tasks, c);
        return r < 0 ? terminal_fault(STATUS_BROKER, "cannot start: %s", sj_strerror(r))
                     : c->status;
}

static int run(const command *self, int argc, char **argv)
{
        worker_command c = {.level = SJ_LOG_INFO};
        int status;
        int n = options_parse(self, argc, argv, &c, &status);
        if (n < 0)
                return status;
        if (n > 0)
                return terminal_fault(STATUS_USAGE, "worker does not take '%s': sanjab worker %s",
                                      argv[0], self->usage);
        if (!c.app)
                return terminal_fault(STATUS_USAGE,
                                      "which tasks? sanjab worker -A tasks.c, or a .so file, or a "
                                      "folder");
        log_lines_begin((sj_log_level)c.level);
        int r = sj_arena_new(&c.arena);
        status = r < 0 ? terminal_fault(STATUS_BROKER, "%s", sj_strerror(r)) : prepare(&c);
        if (status == STATUS_OK)
                status = session_run(broker_name_or_default(c.broker), false, body, &c);
        sj_arena_free(c.arena);
        return status;
}

const command cmd_worker = {
        .name = "worker",
        .usage = "-A TASKS [options]",
        .summary = "runs tasks",
        .about = "Takes tasks from the queues and runs them, until it is told to stop. A .c file "
                 "is compiled with cc (or $CC, with $CFLAGS, $LDFLAGS and $LDLIBS) into a cache of "
                 "your own, and refused if others may write it.\n"
                 "\n"
                 "signals:\n"
                 "  TERM       stop when what runs has ended; what has not begun is given back\n"
                 "  QUIT       stop at once; what runs is given back, too\n"
                 "  INT        as TERM; the second time as QUIT\n"
                 "  USR1       write a line for each fiber to the error output",
        .options = options,
        .run = run,
};
