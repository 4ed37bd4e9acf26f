/* SPDX-License-Identifier: MIT */
/*
 * What a worker tells of itself and of its tasks. Of itself always: that it is there, every two
 * seconds that it still is, and that it leaves. Of tasks only when somebody wants to know.
 *
 * A controller sees a task begin only when it looks (worker_tend_duty), or not at all when that
 * was short. Then "started" is told together with its end, and with the time at which it was.
 */
#include "queue/worker/worker_events.h"

#include "base/iso8601.h"
#include "codec/json_named.h"
#include "queue/control/events.h"
#include "queue/worker/worker_control.h"

#include <sanjab/sync.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define SEND_LIMIT (5 * SJ_SEC)

/* ── Of itself ───────────────────────────────────────────────────────────────────────────── */

static size_t active_of(const worker *w)
{
        size_t n = 0;
        list_for_each (node, &w->held) {
                const delivery *d = container_of(node, delivery, held);
                n += !d->ended && worker_is_running(w, d);
        }
        return n;
}

int worker_event_send(worker *w, const char *type)
{
        if (!w->events)
                return 0;
        double load[3];
        os_load(load);
        sj_json_writer *out = events_begin(w->events);
        json_named_double(out, "freq", (double)EVENTS_FREQ / 1e9);
        json_named_int(out, "active", (int64_t)active_of(w));
        json_named_int(out, "processed", (int64_t)worker_processed(w));
        json_named_array(out, "loadavg");
        for (size_t i = 0; i < 3; i++)
                sj_json_write_double(out, round(load[i] * 100) / 100);
        sj_json_write_array_end(out);
        json_named_text(out, "sw_ident", SJ_STR("sanjab"));
        json_named_text(out, "sw_ver", SJ_STR(SANJAB_VERSION));
        json_named_text(out, "sw_sys", sj_str_of(os_system_name()));
        return events_send(w->events, type, sj_after(SEND_LIMIT));
}

/* The next thing to be told, or the time for a heartbeat. */
static int tell_some(worker *w, sj_time *beat)
{
        sj_event_clear(&w->events_event);
        int r = events_held(w->events) > 0 ? 0 : sj_event_wait(&w->events_event, *beat);
        if (r == -ECANCELED)
                return r;
        r = events_flush(w->events, sj_after(SEND_LIMIT));
        if (r >= 0 && sj_now() >= *beat) {
                *beat = sj_after(EVENTS_FREQ);
                r = worker_event_send(w, "worker-heartbeat");
        }
        return r;
}

static int tell(worker *w)
{
        sj_time beat = sj_after(EVENTS_FREQ);
        int r = sj_event_wait(&w->ready, SJ_NEVER);
        if (r >= 0)
                r = worker_event_send(w, "worker-online");
        while (r != -ECANCELED) {
                if (r < 0) {
                        sj_log(SJ_LOG_WARNING, "events cannot be sent: %s", sj_strerror(r));
                        r = sj_sleep(WORKER_RETRY_PAUSE);
                }
                if (r >= 0)
                        r = tell_some(w, &beat);
                size_t lost = events_lost(w->events);
                if (lost > 0)
                        sj_log(SJ_LOG_WARNING, "%zu events were lost", lost);
        }
        return r;
}

int worker_events_duty(void *arg)
{
        worker *w = arg;
        if (!broker_can(w->options.broker, BROKER_PUBSUB))
                return 0;
        int r = events_new(w->options.broker, &w->clock, sj_str_of(w->options.name), &w->events);
        if (r < 0)
                return r;
        w->tells_tasks = w->options.events;
        r = tell(w);
        w->tells_tasks = false;
        if (w->ready.is_set) {
                SJ_SCOPE(shield, sj_after(WORKER_FAREWELL), SJ_SHIELD);
                events_flush(w->events, SJ_NEVER);
                worker_event_send(w, "worker-offline");
        }
        events_free(w->events);
        w->events = NULL;
        return r;
}

bool worker_events_of_tasks(worker *w, bool on)
{
        bool was = w->tells_tasks;
        w->tells_tasks = on && w->events;
        return was;
}

/* ── Of tasks ────────────────────────────────────────────────────────────────────────────── */

static void name_moment(sj_json_writer *out, const char *name, sj_wall when)
{
        char text[ISO8601_LENGTH + 1];
        bool known = when.us != 0 && iso8601_format(when, text) >= 0;
        json_named_maybe(out, name, known ? sj_str_of(text) : (sj_str){0});
}

static sj_json_writer *begin(worker *w, const delivery *d)
{
        sj_json_writer *out = events_begin(w->events);
        json_named_maybe(out, "uuid", d->lease->message.id);
        return out;
}

static void gather(worker *w, const char *type, sj_wall when)
{
        events_gather(w->events, type, when);
        sj_event_set(&w->events_event);
}

void worker_event_received_(worker *w, delivery *d)
{
        sj_str args = d->m.argsrepr, kwargs = d->m.kwargsrepr;
        if (!args.data)
                message_args_repr(d->arena, d->m.args, &args);
        if (!kwargs.data)
                message_kwargs_repr(d->arena, d->m.kwargs, &kwargs);
        sj_json_writer *out = begin(w, d);
        json_named_maybe(out, "name", d->m.task);
        json_named_maybe(out, "args", args);
        json_named_maybe(out, "kwargs", kwargs);
        json_named_maybe(out, "root_id", d->m.root_id.data ? d->m.root_id : d->lease->message.id);
        json_named_maybe(out, "parent_id", d->m.parent_id);
        json_named_int(out, "retries", d->m.retries);
        name_moment(out, "eta", d->m.eta);
        name_moment(out, "expires", d->m.expires);
        gather(w, "task-received", (sj_wall){0});
}

void worker_event_started_(worker *w, delivery *d, sj_time ago)
{
        d->told_started = true;
        begin(w, d);
        gather(w, "task-started", (sj_wall){os_wall().us - ago / 1000});
}

static bool is_every_events(sj_str name)
{
        static const char *const names[] = {"hostname",  "utcoffset", "pid", "clock",
                                            "timestamp", "type",      "uuid"};
        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
                if (sj_str_equal(name, sj_str_of(names[i])))
                        return true;
        return false;
}

static void write_own(worker *w, const delivery *d, sj_str type, const sj_json *fields)
{
        char name[65];
        snprintf(name, sizeof(name), "%.*s", SJ_STR_ARG(type));
        sj_json_writer *out = begin(w, d);
        SJ_JSON_EACH (fields, i, value) {
                if (is_every_events(sj_json_name_at(fields, i)))
                        continue;
                sj_json_write_key(out, sj_json_name_at(fields, i));
                sj_json_write_value(out, value);
        }
        gather(w, name, (sj_wall){0});
}

void worker_event_own(worker *w, delivery *d, sj_str type, sj_str fields)
{
        const sj_json *all;
        sj_arena *arena; /* not the delivery's: it may run for days, and tell much */
        if (!w->events || !task_event_ok(type, fields) || sj_arena_new(&arena) < 0)
                return;
        if (sj_json_parse(arena, fields, SJ_JSON_PYTHON, &all, NULL) >= 0 &&
            sj_json_type_of(all) == SJ_JSON_OBJECT)
                write_own(w, d, type, all);
        sj_arena_free(arena);
}

/* What is stored of this task itself, NULL: nothing. */
static const sj_json *stored_of(const delivery *d)
{
        const sj_json *v;
        for (size_t i = 0; i < d->settlement.n_results; i++) {
                const broker_result *result = &d->settlement.results[i];
                if (sj_str_equal(result->id, d->lease->message.id) &&
                    sj_json_parse(d->arena, result->content, SJ_JSON_PYTHON, &v, NULL) >= 0)
                        return v;
        }
        return NULL;
}

/* The exception that ended it, as Python would show it. */
static void name_error(sj_json_writer *out, const delivery *d, const sj_json *stored)
{
        const sj_json *error = sj_json_member(stored, "result");
        const sj_json *args = sj_json_member(error, "exc_message");
        sj_str type = {0}, traceback = {0}, shown = SJ_STR("None");
        sj_json_string(sj_json_member(error, "exc_type"), &type);
        sj_json_string(sj_json_member(stored, "traceback"), &traceback);
        if (!type.data && d->came && d->came->type.n) {
                type = d->came->type;
                sj_json_parse(d->arena, d->came->args, SJ_JSON_PYTHON, &args, NULL);
                traceback = d->came->traceback.n ? d->came->traceback : (sj_str){0};
        }
        if (type.data)
                message_error_repr(d->arena, type, args, &shown);
        json_named_maybe(out, "exception", shown);
        json_named_maybe(out, "traceback", traceback);
}

static void tell_success(worker *w, delivery *d, const sj_json *stored)
{
        const sj_json *value = sj_json_member(stored, "result");
        sj_str shown = SJ_STR("None");
        if (!stored && d->came)
                sj_json_parse(d->arena, d->came->value, SJ_JSON_PYTHON, &value, NULL);
        message_value_repr(d->arena, value, &shown);
        sj_json_writer *out = begin(w, d);
        json_named_maybe(out, "result", shown);
        json_named_double(out, "runtime", (double)d->took / 1e9);
        gather(w, "task-succeeded", (sj_wall){0});
}

static void tell_revoked(worker *w, delivery *d, const sj_json *stored)
{
        const sj_json *args = sj_json_member(sj_json_member(stored, "result"), "exc_message");
        sj_str reason = {"", 0};
        sj_json_string(sj_json_at(args, 0), &reason);
        bool terminated = d->terminated || sj_str_equal(reason, SJ_STR("terminated"));
        sj_json_writer *out = begin(w, d);
        json_named_bool(out, "terminated", terminated);
        sj_json_write_name(out, "signum");
        if (terminated)
                sj_json_write_int(out, d->signal ? d->signal : SIGTERM);
        else
                sj_json_write_null(out);
        json_named_bool(out, "expired", sj_str_equal(reason, SJ_STR("expired")));
        gather(w, "task-revoked", (sj_wall){0});
}

static void tell_error(worker *w, delivery *d, const sj_json *stored, const char *type)
{
        sj_json_writer *out = begin(w, d);
        name_error(out, d, stored);
        gather(w, type, (sj_wall){0});
}

static void tell_done(worker *w, delivery *d)
{
        const sj_json *stored = stored_of(d);
        sj_str state = {"", 0};
        sj_json_string(sj_json_member(stored, "status"), &state);
        if (sj_str_equal(state, SJ_STR("REVOKED")))
                tell_revoked(w, d, stored);
        else if (sj_str_equal(state, SJ_STR("FAILURE")) ||
                 (!stored && d->came && d->came->end == TASK_FAILED))
                tell_error(w, d, stored, "task-failed");
        else
                tell_success(w, d, stored);
}

static void tell_end(worker *w, delivery *d)
{
        sj_json_writer *out;
        if (d->came && !d->told_started)
                worker_event_started_(w, d, d->took);
        /* Celery says nothing of those: their end is another's. */
        if (d->came && (d->came->end == TASK_REPLACED || d->came->end == TASK_IGNORED))
                return;
        switch (d->settlement.verdict) {
        case BROKER_DONE:
                tell_done(w, d);
                break;
        case BROKER_RETRY:
                tell_error(w, d, stored_of(d), "task-retried");
                break;
        case BROKER_DEAD:
                tell_error(w, d, stored_of(d), "task-failed");
                break;
        case BROKER_RETURN:
                /* Else it was not begun: another worker will receive it. */
                if (!d->interrupted && (!d->came || d->came->end != TASK_REQUEUED))
                        break;
                /* fall through */
        case BROKER_REQUEUE:
                out = begin(w, d);
                json_named_bool(out, "requeue", true);
                gather(w, "task-rejected", (sj_wall){0});
                break;
        }
}

/* The place of a task's total: behind those of the manifest that of all built-in ones. */
size_t worker_total_at(const worker *w, const task_info *info)
{
        size_t at = (uintptr_t)info - (uintptr_t)w->manifest.tasks;
        return at < w->manifest.n * sizeof(*info) ? at / sizeof(*info) : w->manifest.n;
}

void worker_event_ended(worker *w, delivery *d)
{
        const task_info *info = d->view.info;
        if (info && (d->came || d->begun)) {
                if (!w->totals)
                        w->totals = calloc(w->manifest.n + 1, sizeof(*w->totals));
                if (w->totals)
                        w->totals[worker_total_at(w, info)]++;
        }
        if (w->tells_tasks)
                tell_end(w, d);
}
