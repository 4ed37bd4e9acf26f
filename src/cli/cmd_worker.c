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
#include "cli/command.h"
#include "cli/conf_values.h"
#include "cli/error_hook.h"
#include "cli/log_lines.h"
#include "cli/node_name.h"
#include "cli/notify.h"
#include "cli/options.h"
#include "cli/pid_file.h"
#include "cli/queue_list.h"
#include "cli/session.h"
#include "cli/tasks_file.h"
#include "cli/terminal.h"
#include "os/os.h"
#include "queue/worker/worker.h"

#include <sanjab/debug.h>
#include <sanjab/fiber.h>
#include <sanjab/process.h>

#include <signal.h>
#include <stdio.h>

typedef struct worker_command {
        const char *app;
        session_source source;
        /* settings */
        const char *pool;
        const char *concurrency;
        const char *queues;
        const char *hostname;
        const char *level;
        const char *log_format;
        const char *autoscale;
        const char *tasks_per_child;
        const char *memory_per_child;
        const char *time_limit;
        const char *soft_time_limit;
        const char *on_error;
        bool events;
        bool shared;
        /* of this start alone */
        const char *excluded;
        const char *pid_path;
        bool purge;
        /* found out */
        settings *settings;
        log_lines log;
        notify notify;
        error_hook *hook;
        worker *worker;
        sj_arena *arena;
        char node[NODE_NAME_MAX + 1];
        sj_str *queue_list;
        size_t n_queues;
        const char *object; /* the shared object with the tasks */
        char broker_shown[400];
        int status;
} worker_command;

/* clang-format off */
static const option options[] = {
        {'A', "app", "TASKS", "the tasks: a .c file or a folder of them, which are compiled, or a "
         ".so file", OPTION_TEXT, offsetof(worker_command, app), 0, NULL},
        SESSION_OPTIONS(worker_command),
        {'P', "pool", "POOL", "what runs them: prefork (processes, one task each), threads, fibers "
         "(for tasks that wait) or solo (this process itself, one at a time); prefork",
         OPTION_TEXT, offsetof(worker_command, pool), 0, NULL},
        {'c', "concurrency", "N", "how many tasks run at once (as many as there are processors; "
         "with fibers 1000)", OPTION_TEXT, offsetof(worker_command, concurrency), 0, NULL},
        {'Q', "queues", "LIST", "the queues, with commas between (" SJ_QUEUE_DEFAULT ")",
         OPTION_TEXT, offsetof(worker_command, queues), 0, NULL},
        {'n', "hostname", "NAME", "the node's name, in which %h, %n and %d are the host's whole "
         "name, its first part and the rest (sanjab@%h)", OPTION_TEXT,
         offsetof(worker_command, hostname), 0, NULL},
        {'l', "loglevel", "LEVEL", "log what is at least: debug, info, warning, error or critical; "
         "info", OPTION_TEXT, offsetof(worker_command, level), 0, NULL},
        {0, "log-format", "FORM", "how lines of the log are written: text, or json with the task's "
         "name and id as members; text", OPTION_TEXT, offsetof(worker_command, log_format), 0,
         NULL},
        {'X', "exclude-queues", "LIST", "not from these of the queues", OPTION_TEXT,
         offsetof(worker_command, excluded), 0, NULL},
        {'E', "task-events", NULL, "send events of tasks, too, for monitors", OPTION_FLAG,
         offsetof(worker_command, events), 0, NULL},
        {0, "autoscale", "MAX,MIN", "run between so many tasks at once, by need (MIN: 1)",
         OPTION_TEXT, offsetof(worker_command, autoscale), 0, NULL},
        {0, "max-tasks-per-child", "N", "replace a child after so many tasks", OPTION_TEXT,
         offsetof(worker_command, tasks_per_child), 0, NULL},
        {0, "max-memory-per-child", "KIB", "replace a child that has more than so many KiB resident "
         "after a task", OPTION_TEXT, offsetof(worker_command, memory_per_child), 0, NULL},
        {0, "time-limit", "SECONDS", "end tasks that have no limit of their own after this time",
         OPTION_TEXT, offsetof(worker_command, time_limit), 0, NULL},
        {0, "soft-time-limit", "SECONDS", "tell tasks that have no limit of their own after this "
         "time to end", OPTION_TEXT, offsetof(worker_command, soft_time_limit), 0, NULL},
        {0, "on-error", "HOOK", "tell of each task that has failed: to an http or https address, "
         "which gets a POST, or to a command; as JSON", OPTION_TEXT,
         offsetof(worker_command, on_error), 0, NULL},
        {0, "pidfile", "PATH", "write the process's number there, and be refused while another "
         "runs with that file", OPTION_TEXT, offsetof(worker_command, pid_path), 0, NULL},
        {0, "purge", NULL, "remove what waits in the queues before the start; they become REVOKED",
         OPTION_FLAG, offsetof(worker_command, purge), 0, NULL},
        {0, "shared", NULL, "other workers may know the tasks that these do not: put those back "
         "for them", OPTION_FLAG, offsetof(worker_command, shared), 0, NULL},
        {0},
};

#define BEAT      "periodic tasks are sent by celery beat, which works with these workers, too"
#define HEARTBEAT "a sign of life is what lets others take over soon from a worker that has died"
#define NOTICE_LIMIT (2 * SJ_SEC)
#define MANAGER "that is the service manager's: see the example of a unit, sanjab-worker.service"

/* Celery's that there are not. */
static const option_refused refused[] = {
        {'O', "optimization", "tasks are always handed out as by -O fair"},
        {0, "prefetch-multiplier", "a worker takes what it has room for, and what waits behind a "
         "long task is given to another one"},
        {0, "disable-prefetch", "what waits behind a long task is given to another worker"},
        {0, "without-gossip", "there is no gossip between workers: leave it out"},
        {0, "without-mingle", "a worker starts without waiting for others: leave it out"},
        {0, "without-heartbeat", HEARTBEAT},
        {0, "heartbeat-interval", HEARTBEAT},
        {'f', "logfile", "the log goes to the error output: 2>>FILE, or the service manager's"},
        {'D', "detach", MANAGER},
        {0, "uid", MANAGER},
        {0, "gid", MANAGER},
        {0, "umask", MANAGER},
        {0, "executable", "the tasks are in C: --app names them"},
        {'B', "beat", BEAT},
        {'s', "schedule", BEAT},
        {0, "schedule-filename", BEAT},
        {0, "scheduler", BEAT},
        {'S', "statedb", "what is revoked is kept in the broker: leave it out"},
        {'I', "include", "give --app a folder, or several sources in one shared object"},
        {'q', "quiet", "use --loglevel error"},
        {0, "discard", "it is named --purge"},
        {0, "events", "it is named --task-events, or -E"},
        {0},
};
/* clang-format on */

/* ── Signals ─────────────────────────────────────────────────────────────────────────────── */

typedef struct signal_duty {
        sj_signals *signals;
        const worker_command *c;
} signal_duty;

static void stop(const worker_command *c, worker_stop_kind kind, const char *why)
{
        notify_say(&c->notify, "STOPPING=1\nSTATUS=stopping by %s", why);
        if (kind == WORKER_STOP_WARM)
                sj_log(SJ_LOG_INFO, "%s: stopping when what runs has ended", why);
        else
                sj_log(SJ_LOG_WARNING, "%s: stopping at once; what runs is given back", why);
        worker_stop(c->worker, kind);
}

static int heed_signals(void *arg)
{
        const signal_duty *duty = arg;
        unsigned interrupts = 0;
        for (;;) {
                int number = sj_signals_next(duty->signals, SJ_NEVER);
                if (number == SIGTERM)
                        stop(duty->c, WORKER_STOP_WARM, "SIGTERM");
                else if (number == SIGQUIT)
                        stop(duty->c, WORKER_STOP_COLD, "SIGQUIT");
                else if (number == SIGINT)
                        stop(duty->c, interrupts++ ? WORKER_STOP_COLD : WORKER_STOP_WARM, "SIGINT");
                else if (number == SIGUSR1)
                        terminal_dump();
                else if (number < 0)
                        return number;
        }
}

/* ── Saying what begins ──────────────────────────────────────────────────────────────────── */

/* How many tasks run at once, as worker.h says. */
static unsigned at_once(const settings_values *v)
{
        if (v->worker_pool == WORKER_SOLO)
                return 1;
        if (v->worker_autoscale.max)
                return v->worker_autoscale.max;
        if (v->worker_concurrency)
                return v->worker_concurrency;
        return v->worker_pool == WORKER_FIBERS_POOL ? WORKER_FIBERS : os_processors();
}

static void say_ready(void *arg, size_t tasks)
{
        const worker_command *c = arg;
        const settings_values *v = settings_of(c->settings);
        buf text = BUF_INIT(0);
        buf_printf(&text, "sanjab %s, node %s\n", SANJAB_VERSION, c->node);
        buf_printf(&text, "  broker  ");
        terminal_append_safe(&text, sj_str_of(c->broker_shown), false);
        buf_printf(&text, "\n  pool    %s, ",
                   settings_find("worker_pool")->choices[v->worker_pool]);
        if (v->worker_autoscale.max)
                buf_printf(&text, "%u to ", v->worker_autoscale.min);
        buf_printf(&text, "%u at once", at_once(v));
        buf_printf(&text, "\n  queues  ");
        for (size_t i = 0; i < c->n_queues; i++) {
                buf_printf(&text, "%s", i ? ", " : "");
                terminal_append_safe(&text, c->queue_list[i], false);
        }
        buf_printf(&text, "\n  tasks   %zu in ", tasks);
        terminal_append_safe(&text, sj_str_of(c->app), false);
        buf_append_char(&text, '\n');
        /* Where every line is to be JSON, this is none. */
        if (c->log.form == SETTINGS_LOG_TEXT)
                terminal_write(TERMINAL_ERR, buf_str(&text));
        buf_fini(&text);
        sj_log(SJ_LOG_INFO, "%s is ready", c->node);
        notify_say(&c->notify, "READY=1\nSTATUS=ready");
}

/* For systemctl status. */
static void write_status(void *arg, char *ret, size_t size)
{
        const worker_command *c = arg;
        worker_counts n = worker_count(c->worker);
        snprintf(ret, size, "%zu held, %llu succeeded, %llu failed", n.held,
                 (unsigned long long)n.succeeded, (unsigned long long)(n.failed + n.dead));
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

static int work(worker_command *c, sj_signals *signals)
{
        signal_duty duty = {signals, c};
        notify_duty beat = {&c->notify, write_status, c};
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        int r = sj_spawn(s, heed_signals, &duty, NULL);
        if (r >= 0)
                r = sj_spawn(s, notify_beat, &beat, NULL);
        if (r >= 0 && c->hook)
                r = sj_spawn(s, error_hook_duty, c->hook, NULL);
        if (r >= 0)
                r = worker_run(c->worker);
        notify_say(&c->notify, "STOPPING=1");
        if (c->hook)
                error_hook_drain(c->hook);
        sj_scope_cancel(s);
        if (r < 0)
                return explain(c, c->worker, r);
        say_end(c->worker);
        return STATUS_OK;
}

/* What waits, before anything of it is run. */
static int purge_queues(const worker_command *c, const session *s)
{
        for (size_t i = 0; c->purge && i < c->n_queues; i++) {
                uint64_t awaited;
                int n = broker_purge(s->broker, c->queue_list[i], &awaited,
                                     sj_after(SESSION_LIMIT));
                if (n < 0)
                        return session_fault(s, "purge", n);
                sj_log(SJ_LOG_WARNING, "%d messages were removed from %.*s", n,
                       SJ_STR_ARG(c->queue_list[i]));
                if (awaited)
                        sj_log(SJ_LOG_WARNING,
                               "of these, %llu had a chord, an error link or the rest of a chain "
                               "behind them, which will not hear of it",
                               (unsigned long long)awaited);
        }
        return STATUS_OK;
}

static int make_hook(worker_command *c)
{
        char error[200];
        const char *target = settings_of(c->settings)->worker_on_error;
        if (!target)
                return STATUS_OK;
        if (error_hook_new(target, &c->hook, error, sizeof(error)) < 0)
                return terminal_fault(STATUS_USAGE, "--on-error %s", error);
        return STATUS_OK;
}

static worker_options options_of(worker_command *c, const session *s)
{
        worker_options o = {.broker = s->broker,
                            .name = c->node,
                            .queues = c->queue_list,
                            .n_queues = c->n_queues,
                            .tasks = c->object,
                            .app = &s->options,
                            .address = s->name,
                            .ready = say_ready,
                            .arg = c};
        if (c->hook) {
                o.failed = error_hook_failed;
                o.failed_arg = c->hook;
        }
        settings_worker_options(s->settings, &o);
        if (conf_values(s->settings, c->arena, &o.settings) < 0)
                o.settings = NULL;
        return o;
}

static int body(session *s, void *arg)
{
        worker_command *c = arg;
        sj_log_level level;
        const char *notice = broker_notice(s->broker, &level, sj_after(NOTICE_LIMIT));
        if (notice)
                sj_log(level, "%s", notice);
        memcpy(c->broker_shown, s->name, sizeof(c->broker_shown));
        int status = purge_queues(c, s);
        if (status != STATUS_OK)
                return status;
        status = make_hook(c);
        if (status != STATUS_OK)
                return status;
        const worker_options o = options_of(c, s);
        int r = worker_new(&o, &c->worker);
        status =
                r < 0 ? terminal_fault(STATUS_BROKER, "the worker cannot start: %s", sj_strerror(r))
                      : work(c, s->signals);
        worker_free(c->worker);
        error_hook_free(c->hook);
        return status;
}

/* ── What the command line means ─────────────────────────────────────────────────────────── */

static int name_node(worker_command *c)
{
        char host[256] = "localhost";
        char error[400];
        os_host_name(host, sizeof(host));
        if (node_name_expand(settings_of(c->settings)->worker_hostname, host, c->node, error,
                             sizeof(error)) < 0)
                return terminal_fault(STATUS_USAGE, "%s", error);
        return STATUS_OK;
}

static int exclude_queues(worker_command *c)
{
        sj_str *without;
        if (!c->excluded)
                return STATUS_OK;
        int n = queue_list_parse(c->arena, c->excluded, &without);
        if (n == -EINVAL)
                return terminal_fault(STATUS_USAGE, QUEUE_LIST_WRONG, "exclude-queues",
                                      c->excluded);
        if (n < 0)
                return terminal_fault(STATUS_BROKER, "%s", sj_strerror(n));
        c->n_queues = queue_list_without(c->queue_list, c->n_queues, without, (size_t)n);
        if (c->n_queues == 0)
                return terminal_fault(STATUS_USAGE, "--exclude-queues leaves no queue");
        return STATUS_OK;
}

static int name_queues(worker_command *c)
{
        const settings_values *v = settings_of(c->settings);
        const char *names = v->task_queues ? v->task_queues : v->task_default_queue;
        int n = queue_list_parse(c->arena, names, &c->queue_list);
        if (n == -EINVAL)
                return terminal_fault(STATUS_USAGE, QUEUE_LIST_WRONG, "queues", names);
        if (n < 0)
                return terminal_fault(STATUS_BROKER, "%s", sj_strerror(n));
        c->n_queues = (size_t)n;
        return exclude_queues(c);
}

static int check_autoscale(const settings_values *v)
{
        if (v->worker_autoscale.max && v->worker_pool == WORKER_SOLO)
                return terminal_fault(STATUS_USAGE, "--autoscale does not go with the pool solo");
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
        if (status == STATUS_OK)
                status = check_autoscale(settings_of(c->settings));
        if (status != STATUS_OK)
                return status;
        int r = sj_run(prepare_tasks, c);
        return r < 0 ? terminal_fault(STATUS_BROKER, "cannot start: %s", sj_strerror(r))
                     : c->status;
}

/* What the command line says over the settings. */
static int load_settings(worker_command *c)
{
        const settings_given given[] = {
                {"worker_pool", c->pool, "--pool"},
                {"worker_concurrency", c->concurrency, "--concurrency"},
                {"task_queues", c->queues, "--queues"},
                {"worker_hostname", c->hostname, "--hostname"},
                {"worker_loglevel", c->level, "--loglevel"},
                {"worker_log_format", c->log_format, "--log-format"},
                {"worker_autoscale", c->autoscale, "--autoscale"},
                {"worker_max_tasks_per_child", c->tasks_per_child, "--max-tasks-per-child"},
                {"worker_max_memory_per_child", c->memory_per_child, "--max-memory-per-child"},
                {"task_time_limit", c->time_limit, "--time-limit"},
                {"task_soft_time_limit", c->soft_time_limit, "--soft-time-limit"},
                {"worker_send_task_events", c->events ? "true" : NULL, "--task-events"},
                {"worker_on_error", c->on_error, "--on-error"},
                {"worker_shared", c->shared ? "true" : NULL, "--shared"},
        };
        return session_settings(&c->source, given, sizeof(given) / sizeof(*given), &c->settings);
}

/* With the pid file, so that what is started twice by mistake does nothing at all. */
static int run_alone(worker_command *c)
{
        pid_file pid = PID_FILE_INIT;
        int other = 0;
        int r = c->pid_path ? pid_file_take(&pid, c->pid_path, &other) : 0;
        if (r == -EBUSY)
                return terminal_fault(STATUS_BROKER, "process %d runs with the pid file %s already",
                                      other, c->pid_path);
        if (r < 0)
                return terminal_fault(STATUS_BROKER, "the pid file %s cannot be written: %s",
                                      c->pid_path, sj_strerror(r));
        r = notify_open(&c->notify);
        if (r < 0)
                sj_log(SJ_LOG_WARNING, "the service manager cannot be told anything: %s",
                       sj_strerror(r));
        int status = session_run_with(c->settings, SESSION_PATIENT, body, c);
        notify_close(&c->notify);
        pid_file_drop(&pid);
        return status;
}

static int run_prepared(worker_command *c)
{
        const settings_values *v = settings_of(c->settings);
        c->log = (log_lines){.lowest = (sj_log_level)v->worker_loglevel,
                             .form = v->worker_log_format,
                             .node = c->node};
        log_lines_begin(&c->log);
        int r = sj_arena_new(&c->arena);
        int status = r < 0 ? terminal_fault(STATUS_BROKER, "%s", sj_strerror(r)) : prepare(c);
        if (status == STATUS_OK)
                status = run_alone(c);
        sj_arena_free(c->arena);
        sj_log_set(NULL, NULL, SJ_LOG_OFF);
        return status;
}

static int run(const command *self, int argc, char **argv)
{
        worker_command c = {.notify = NOTIFY_INIT};
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
        status = load_settings(&c);
        if (status == STATUS_OK)
                status = run_prepared(&c);
        settings_free(c.settings);
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
        .refused = refused,
        .run = run,
};
