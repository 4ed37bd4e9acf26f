/* SPDX-License-Identifier: MIT */
/*
 * What a worker is told to do from afar. What is answered are Celery's words, since programs look
 * at them; what cannot be done is answered by an error that says why.
 *
 * A revoke is first kept in the broker and then applied here: who was told "flagged as revoked" may
 * rely on it, whoever is restarted meanwhile.
 */
#include "codec/json_named.h"
#include "queue/worker/worker_control.h"
#include "queue/worker/worker_events.h"

#include "base/buf.h"

#include <math.h>
#include <signal.h>

#define LOGGED_MAX 20 /* ids in one line of the log */

/* ── Ending tasks ────────────────────────────────────────────────────────────────────────── */

/* "SIGTERM", "TERM", "15" or 15; -EINVAL raised. */
static int signal_of(control_turn *turn, int *ret)
{
        static const struct {
                const char *name;
                int number;
        } signals[] = {{"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT},
                       {"ABRT", SIGABRT}, {"KILL", SIGKILL}, {"USR1", SIGUSR1},
                       {"USR2", SIGUSR2}, {"ALRM", SIGALRM}, {"TERM", SIGTERM}};
        double number;
        sj_str text = control_text(turn, "signal");
        if (text.n > 3 && memcmp(text.data, "SIG", 3) == 0)
                text = (sj_str){text.data + 3, text.n - 3};
        for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
                if (sj_str_equal(text, sj_str_of(signals[i].name))) {
                        *ret = signals[i].number;
                        return 0;
                }
        int r = control_number(turn, "signal", &number);
        if (r == -ENOENT) {
                *ret = SIGTERM;
                return 0;
        }
        if (r < 0 || number < 1 || number > 64 || number != floor(number))
                return control_raise(turn, "ValueError('there is no signal %.*s')",
                                     (int)(text.n < 32 ? text.n : 32), text.data);
        *ret = (int)number;
        return 0;
}

/* The ids with commas between. */
static void join(buf *b, const sj_str ids[], int n)
{
        for (int i = 0; i < n; i++)
                buf_printf(b, "%s%.*s", i ? ", " : "", SJ_STR_ARG(ids[i]));
}

static int say_with_ids(control_turn *turn, const char *before, const sj_str ids[], int n,
                        const char *after)
{
        buf text = BUF_INIT(0);
        int r = buf_append_str(&text, sj_str_of(before));
        join(&text, ids, n);
        if (r >= 0)
                r = buf_append_str(&text, sj_str_of(after));
        sj_json_write_object_begin(turn->out);
        json_named_text(turn->out, "ok", buf_str(&text));
        sj_json_write_object_end(turn->out);
        buf_fini(&text);
        return r;
}

/* Those of the ids that we hold now: as in Celery, the ones that are said to be terminated. */
static int held_of(control_turn *turn, const sj_str ids[], int n, sj_str ret[])
{
        int k = 0;
        for (int i = 0; i < n; i++)
                list_for_each (node, &turn->w->held) {
                        const delivery *d = container_of(node, delivery, held);
                        if (!d->ended && sj_str_equal(d->lease->message.id, ids[i])) {
                                ret[k++] = ids[i];
                                break;
                        }
                }
        return k;
}

static void log_revoke(const sj_str ids[], int n, bool terminate)
{
        buf text = BUF_INIT(0);
        join(&text, ids, n < LOGGED_MAX ? n : LOGGED_MAX);
        sj_log(SJ_LOG_INFO, "told to revoke%s %.*s%s", terminate ? " and terminate" : "",
               SJ_STR_ARG(buf_str(&text)), n > LOGGED_MAX ? " and more" : "");
        buf_fini(&text);
}

static int revoke_ids(control_turn *turn, bool terminate)
{
        const sj_str *ids;
        int signal = 0;
        int n = control_texts(turn, "task_id", &ids);
        int r = n >= 0 && terminate ? signal_of(turn, &signal) : n;
        sj_str *held = r >= 0 ? sj_arena_alloc(turn->arena, ((size_t)n + 1) * sizeof(*held)) : NULL;
        if (r < 0 || !held)
                return r < 0 ? r : -ENOMEM;
        int n_held = held_of(turn, ids, n, held);
        worker_revoked_keep(turn->w, ids, (size_t)n);
        r = worker_revoke(turn->w, ids, (size_t)n, terminate, signal);
        if (r < 0)
                return r;
        log_revoke(ids, n, terminate);
        if (!terminate)
                return say_with_ids(turn, "tasks ", ids, n, " flagged as revoked");
        if (n_held == 0)
                return control_ok(turn, "terminate: tasks unknown");
        return say_with_ids(turn, "terminate: ", held, n_held, "");
}

static int do_revoke(control_turn *turn)
{
        bool terminate = false;
        sj_json_bool(sj_json_member(turn->arguments, "terminate"), &terminate);
        return revoke_ids(turn, terminate);
}

static int do_terminate(control_turn *turn)
{
        return revoke_ids(turn, true);
}

static int add_stamp(control_turn *turn, sj_str name, const sj_json *value)
{
        char id[REVOKED_STAMP_SIZE];
        int r = revoked_stamp_id(name, value, id);
        sj_str view = {id, sizeof(id) - 1};
        return r < 0 ? r : worker_revoked_keep(turn->w, &view, 1);
}

/* Those that we hold and that bear one of the stamps, as ids in the arena; how many. */
static int stamped(control_turn *turn, const sj_str **ret)
{
        worker *w = turn->w;
        sj_str *ids = sj_arena_alloc(turn->arena, (w->n_held + 1) * sizeof(*ids));
        int n = 0;
        if (!ids)
                return -ENOMEM;
        list_for_each (node, &w->held) {
                const delivery *d = container_of(node, delivery, held);
                sj_str id = d->lease->message.id;
                if (d->ended || !revoked_has_stamp(w->revoked, d->m.stamps, os_wall()))
                        continue;
                /* A copy: the delivery may end while the others are told. */
                ids[n] = (sj_str){sj_arena_strndup(turn->arena, id.data, id.n), id.n};
                if (!ids[n++].data)
                        return -ENOMEM;
        }
        *ret = ids;
        return n;
}

static int do_revoke_by_stamps(control_turn *turn)
{
        const sj_json *headers = sj_json_member(turn->arguments, "headers");
        bool terminate = false;
        int signal = 0, r = 0;
        sj_json_bool(sj_json_member(turn->arguments, "terminate"), &terminate);
        if (sj_json_type_of(headers) != SJ_JSON_OBJECT)
                return control_raise(turn, "TypeError('headers is not an object')");
        SJ_JSON_EACH (headers, i, value) {
                sj_str name = sj_json_name_at(headers, i);
                if (sj_json_type_of(value) != SJ_JSON_ARRAY) {
                        r = r < 0 ? r : add_stamp(turn, name, value);
                        continue;
                }
                SJ_JSON_EACH (value, k, element)
                        r = r < 0 ? r : add_stamp(turn, name, element);
        }
        const sj_str *ids = NULL;
        if (r >= 0 && terminate)
                r = signal_of(turn, &signal);
        int n = r < 0 ? r : stamped(turn, &ids);
        r = n > 0 ? worker_revoke(turn->w, ids, (size_t)n, terminate, signal) : n;
        sj_str shown;
        if (r >= 0)
                r = message_value_repr(turn->arena, headers, &shown);
        if (r < 0)
                return r;
        sj_log(SJ_LOG_INFO, "told to revoke%s what bears the stamps %.*s",
               terminate ? " and terminate" : "", SJ_STR_ARG(shown));
        return control_ok(turn, "headers %.*s flagged as revoked%s", SJ_STR_ARG(shown),
                          terminate ? ", and terminated" : ", but not terminated");
}

/* ── Limits ──────────────────────────────────────────────────────────────────────────────── */

/* "10/m" as a text that can be parsed; a number is a second's. */
static int rate_of(control_turn *turn, const char **ret)
{
        const sj_json *v = sj_json_member(turn->arguments, "rate_limit");
        sj_str text = {"", 0};
        double parsed;
        *ret = NULL;
        if (sj_json_is_null(v))
                return 0;
        if (sj_json_string(v, &text) < 0) {
                int r = sj_json_text(turn->arena, v, 0, &text);
                if (r < 0)
                        return r;
        }
        const char *slash = memchr(text.data, '/', text.n);
        const char *unit = slash ? slash + 1 : "s";
        if (text.n && !strchr("smh", *unit))
                return control_raise(turn, "KeyError('%.*s')",
                                     (int)(text.data + text.n - unit) < 16
                                             ? (int)(text.data + text.n - unit)
                                             : 16,
                                     unit);
        if (task_parse_rate(text.data, &parsed) < 0) {
                control_nok(turn, "Invalid rate limit string: ValueError('%.*s')",
                            (int)(text.n < 32 ? text.n : 32), text.data);
                return 1;
        }
        *ret = parsed > 0 ? text.data : NULL;
        return 0;
}

static int do_rate_limit(control_turn *turn)
{
        sj_str task;
        const char *rate;
        int r = control_need_text(turn, "task_name", &task);
        if (r >= 0)
                r = rate_of(turn, &rate);
        if (r != 0)
                return r < 0 ? r : 0;
        r = worker_set_rate(turn->w, task, rate);
        if (r == -ENOENT)
                return control_nok(turn, "unknown task");
        if (r < 0)
                return r;
        sj_log(SJ_LOG_INFO, "the rate limit of %.*s is %s now", SJ_STR_ARG(task),
               rate ? rate : "off");
        return control_ok(turn, rate ? "new rate limit set successfully"
                                     : "rate limit disabled successfully");
}

static int do_time_limit(control_turn *turn)
{
        sj_str task;
        double soft = 0, hard = 0;
        int r = control_need_text(turn, "task_name", &task);
        if (r >= 0)
                r = control_number(turn, "soft", &soft);
        if (r >= 0 || r == -ENOENT)
                r = control_number(turn, "hard", &hard);
        if (r < 0 && r != -ENOENT)
                return r;
        r = worker_set_limits(turn->w, task, soft, hard);
        if (r == -ENOENT)
                return control_nok(turn, "unknown task");
        if (r < 0)
                return r;
        sj_log(SJ_LOG_INFO,
               "the time limits of %.*s are %g s (soft) and %g s (hard) now; 0 is none",
               SJ_STR_ARG(task), soft, hard);
        return control_ok(turn, "time limits set successfully");
}

/* ── The pool ────────────────────────────────────────────────────────────────────────────── */

static int resize(control_turn *turn, int sign, const char *said)
{
        worker *w = turn->w;
        double n = 1;
        int r = control_number(turn, "n", &n);
        if (r < 0 && r != -ENOENT)
                return r;
        if (w->options.autoscale_max)
                return control_nok(turn,
                                   "%.*s is not supported with autoscale. Adjust autoscale range "
                                   "instead.",
                                   SJ_STR_ARG(turn->request->method));
        double to = (double)worker_concurrency(w) + sign * n;
        r = n != floor(n) || to < 1 || to > WORKER_CONCURRENCY_MAX
                    ? -EINVAL
                    : worker_set_concurrency(w, (unsigned)to);
        if (r == -EINVAL)
                return control_raise(turn,
                                     "ValueError('the concurrency is %u, and must be from 1 "
                                     "to %u')",
                                     worker_concurrency(w), WORKER_CONCURRENCY_MAX);
        if (r == -EOPNOTSUPP)
                return control_raise(turn, "NotImplementedError('this pool runs one task at a "
                                           "time')");
        if (r < 0)
                return r;
        sj_log(SJ_LOG_INFO, "told to run %g at once", to);
        return control_ok(turn, "%s", said);
}

static int do_grow(control_turn *turn)
{
        return resize(turn, 1, "pool will grow");
}

static int do_shrink(control_turn *turn)
{
        return resize(turn, -1, "pool will shrink");
}

static int do_restart(control_turn *turn)
{
        return control_raise(turn, "ValueError('Pool restarts not enabled')");
}

static int do_autoscale(control_turn *turn)
{
        worker *w = turn->w;
        double most = w->options.autoscale_max, least = w->options.autoscale_min;
        if (!w->options.autoscale_max)
                return control_raise(turn, "ValueError('Autoscale not enabled')");
        int r = control_number(turn, "max", &most);
        if (r >= 0 || r == -ENOENT)
                r = control_number(turn, "min", &least);
        if (r < 0 && r != -ENOENT)
                return r;
        bool fits = least >= 0 && least <= most && most >= 1 && most <= WORKER_CONCURRENCY_MAX;
        r = fits ? worker_set_autoscale(w, (unsigned)least, (unsigned)most) : -EINVAL;
        if (r == -EINVAL)
                return control_raise(turn, "ValueError('no range: max=%g min=%g')", most, least);
        if (r < 0)
                return r;
        sj_log(SJ_LOG_INFO, "told to run %g to %g at once", least, most);
        return control_ok(turn, "autoscale now max=%g min=%g", most, least);
}

static int do_shutdown(control_turn *turn)
{
        sj_log(SJ_LOG_WARNING, "told to shut down: stopping when what runs has ended");
        turn->silent = true;
        worker_stop(turn->w, WORKER_STOP_WARM);
        return 0;
}

/* ── Queues ──────────────────────────────────────────────────────────────────────────────── */

static int do_add_consumer(control_turn *turn)
{
        sj_str queue, type = control_text(turn, "exchange_type");
        sj_str exchange = control_text(turn, "exchange"), key = control_text(turn, "routing_key");
        int r = control_need_text(turn, "queue", &queue);
        if (r < 0)
                return r;
        bool plain = (type.n == 0 || sj_str_equal(type, SJ_STR("direct"))) &&
                     (exchange.n == 0 || sj_str_equal(exchange, queue)) &&
                     (key.n == 0 || sj_str_equal(key, queue));
        if (!plain)
                return control_raise(turn, "NotImplementedError('this worker binds no exchanges: "
                                           "give the queue alone')");
        r = worker_add_queue(turn->w, queue);
        if (r == -EINVAL)
                return control_raise(turn, "ValueError('this is no name of a queue')");
        if (r < 0)
                return r;
        sj_log(SJ_LOG_INFO, "takes from queue %.*s, too", SJ_STR_ARG(queue));
        return control_ok(turn, "add consumer %.*s", SJ_STR_ARG(queue));
}

static int do_cancel_consumer(control_turn *turn)
{
        sj_str queue;
        int r = control_need_text(turn, "queue", &queue);
        if (r >= 0)
                r = worker_cancel_queue(turn->w, queue);
        if (r < 0 && r != -ENOENT)
                return r;
        if (r >= 0)
                sj_log(SJ_LOG_INFO, "takes from queue %.*s no more", SJ_STR_ARG(queue));
        return control_ok(turn, "no longer consuming from %.*s", SJ_STR_ARG(queue));
}

/* ── Events ──────────────────────────────────────────────────────────────────────────────── */

static int do_enable_events(control_turn *turn)
{
        bool was = worker_events_of_tasks(turn->w, true);
        if (!was)
                sj_log(SJ_LOG_INFO, "events of tasks are sent from now on");
        return control_ok(turn, was ? "task events already enabled" : "task events enabled");
}

static int do_disable_events(control_turn *turn)
{
        bool was = worker_events_of_tasks(turn->w, false);
        if (was)
                sj_log(SJ_LOG_INFO, "events of tasks are sent no more");
        return control_ok(turn, was ? "task events disabled" : "task events already disabled");
}

static int do_heartbeat(control_turn *turn)
{
        sj_json_write_null(turn->out);
        return worker_event_send(turn->w, "worker-heartbeat");
}

/* Elections are for workers that agree on one of them; nothing of ours needs that. */
static int do_nothing(control_turn *turn)
{
        sj_json_write_null(turn->out);
        return 0;
}

const control_method worker_steer_methods[] = {
        {"revoke", do_revoke},
        {"revoke_by_stamped_headers", do_revoke_by_stamps},
        {"terminate", do_terminate},
        {"rate_limit", do_rate_limit},
        {"time_limit", do_time_limit},
        {"pool_grow", do_grow},
        {"pool_shrink", do_shrink},
        {"pool_restart", do_restart},
        {"autoscale", do_autoscale},
        {"shutdown", do_shutdown},
        {"add_consumer", do_add_consumer},
        {"cancel_consumer", do_cancel_consumer},
        {"enable_events", do_enable_events},
        {"disable_events", do_disable_events},
        {"heartbeat", do_heartbeat},
        {"election", do_nothing},
        {NULL, NULL},
};
