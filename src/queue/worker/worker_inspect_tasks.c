/* SPDX-License-Identifier: MIT */
/*
 * What a worker answers about tasks: those that it has, and those that it knows.
 *
 * "scheduled" has those that wait here for their turn by a limit of the whole fleet, and those that
 * wait in the broker for their time, of the worker's queues: with Celery each of these is with one
 * worker; here it is nobody's yet, so that each worker that takes from its queue names it.
 */
#include "queue/worker/worker_inspect.h"

#include "base/buf.h"
#include "base/iso8601.h"
#include "codec/json_named.h"

#include <stdio.h>

/* ── Tasks that it has ───────────────────────────────────────────────────────────────────── */

typedef enum held_state { HELD_ACTIVE, HELD_RESERVED, HELD_READY } held_state;

static held_state state_of(const worker *w, const delivery *d)
{
        if (d->ended)
                return HELD_READY;
        return worker_is_running(w, d) ? HELD_ACTIVE : HELD_RESERVED;
}

static void write_start(sj_json_writer *out, const delivery *d, bool active)
{
        sj_json_write_name(out, "time_start");
        if (!active) {
                sj_json_write_null(out);
                return;
        }
        sj_time ran = d->begun ? sj_now() - d->begun : 0;
        sj_json_write_double(out, (double)os_wall().us / 1e6 - (double)ran / 1e9);
}

/* A message, and the delivery if it is with us. */
static void write_request(sj_json_writer *out, const worker *w, const message *m, const delivery *d)
{
        bool active = d && state_of(w, d) == HELD_ACTIVE;
        sj_json_write_object_begin(out);
        json_named_text(out, "id", m->id);
        json_named_text(out, "name", m->task);
        if (m->args) {
                json_named_value(out, "args", m->args);
                json_named_value(out, "kwargs", m->kwargs);
        } else {
                sj_json_write_name(out, "args");
                sj_json_write_array_begin(out);
                sj_json_write_array_end(out);
                json_named_object(out, "kwargs");
                sj_json_write_object_end(out);
        }
        json_named_text(out, "type", m->task);
        json_named_text(out, "hostname", sj_str_of(w->options.name));
        write_start(out, d, active);
        json_named_bool(out, "acknowledged", d && d->acked);
        json_named_object(out, "delivery_info");
        json_named_text(out, "exchange", m->exchange);
        json_named_text(out, "routing_key", m->routing_key);
        json_named_int(out, "priority", m->priority);
        sj_json_write_name(out, "redelivered");
        if (m->redelivered || (d && d->lease->deliveries > 1))
                sj_json_write_bool(out, true);
        else
                sj_json_write_null(out);
        sj_json_write_object_end(out);
        sj_json_write_name(out, "worker_pid");
        if (active)
                sj_json_write_int(out, d->child ? d->child->pid : os_pid());
        else
                sj_json_write_null(out);
        sj_json_write_object_end(out);
}

static void write_task(sj_json_writer *out, const worker *w, const delivery *d)
{
        message m = d->m;
        m.id = d->lease->message.id;
        write_request(out, w, &m, d);
}

static int say_tasks(control_turn *turn, held_state state)
{
        sj_json_write_array_begin(turn->out);
        list_for_each (node, &turn->w->held) {
                const delivery *d = container_of(node, delivery, held);
                if (d->view.info && state_of(turn->w, d) == state)
                        write_task(turn->out, turn->w, d);
        }
        sj_json_write_array_end(turn->out);
        return 0;
}

int worker_inspect_active(control_turn *turn)
{
        return say_tasks(turn, HELD_ACTIVE);
}

int worker_inspect_reserved(control_turn *turn)
{
        return say_tasks(turn, HELD_RESERVED);
}

/* The moment as text, or null. */
static void write_scheduled(control_turn *turn, sj_wall eta, const message *m, const delivery *d)
{
        sj_json_writer *out = turn->out;
        char text[ISO8601_LENGTH + 1];
        sj_json_write_object_begin(out);
        sj_json_write_name(out, "eta");
        if (eta.us && iso8601_format(eta, text) >= 0)
                sj_json_write_string(out, sj_str_of(text));
        else
                sj_json_write_null(out);
        json_named_int(out, "priority", m->priority);
        sj_json_write_name(out, "request");
        write_request(out, turn->w, m, d);
        sj_json_write_object_end(out);
}

/* Those whose turn by a limit of the fleet is known. */
static void say_turns(control_turn *turn)
{
        list_for_each (node, &turn->w->held) {
                const delivery *d = container_of(node, delivery, held);
                const sj_wall eta = {os_wall().us + (d->turn - sj_now()) / 1000};
                if (d->view.info && !d->ended && d->waits_fleet && d->turn)
                        write_scheduled(turn, eta, &d->m, d);
        }
}

/* How many delayed messages of a queue an answer has, and how long the broker is waited for. */
enum { SCHEDULED_MOST = 1000 };
#define SCHEDULED_LIMIT (5 * SJ_SEC)

/* What cannot be read, or is not accepted, has its facts alone. */
static int say_delayed_one(control_turn *turn, const broker_delayed *d)
{
        const unsigned accept = turn->w->options.accept;
        const broker_message *b = &d->message;
        message m;
        message_error error;
        int r = message_decode_accepting(turn->arena, b->envelope,
                                         accept ? accept : MESSAGE_ACCEPT_JSON, &m, &error);
        if (r < 0 && r != -EBADMSG)
                return r;
        if (r < 0)
                m = (message){.task = b->task, .priority = b->priority, .routing_key = b->queue};
        m.id = b->id;
        write_scheduled(turn, m.eta.us > d->due.us ? m.eta : d->due, &m, NULL);
        return 0;
}

/* Those that were left off are said to be so in an entry of the same shape, since all read that. */
static void say_left_off(control_turn *turn, sj_str queue, uint64_t more)
{
        char text[64];
        int n = snprintf(text, sizeof(text), "and %llu more", (unsigned long long)more);
        const message m = {.task = {text, (size_t)n}, .routing_key = queue};
        write_scheduled(turn, (sj_wall){0}, &m, NULL);
}

static int say_delayed(control_turn *turn, sj_str queue)
{
        const broker_delayed *all = NULL;
        uint64_t more = 0;
        int n = broker_delayed_list(turn->w->options.broker, queue, SCHEDULED_MOST, turn->arena,
                                    &all, &more, sj_after(SCHEDULED_LIMIT));
        int r = n;
        for (int i = 0; r >= 0 && i < n; i++)
                r = say_delayed_one(turn, &all[i]);
        if (r >= 0 && more > 0)
                say_left_off(turn, queue, more);
        return r < 0 ? r : 0;
}

int worker_inspect_scheduled(control_turn *turn)
{
        const sj_str *queues;
        int r = 0;
        sj_json_write_array_begin(turn->out);
        say_turns(turn);
        size_t n = worker_queues(turn->w, &queues);
        for (size_t i = 0; r == 0 && broker_can(turn->w->options.broker, BROKER_DELAYED) && i < n;
             i++)
                r = say_delayed(turn, queues[i]);
        sj_json_write_array_end(turn->out);
        return r;
}

static bool is_among(sj_str id, const sj_str ids[], int n)
{
        for (int i = 0; i < n; i++)
                if (sj_str_equal(ids[i], id))
                        return true;
        return false;
}

int worker_inspect_query_task(control_turn *turn)
{
        static const char *const states[] = {"active", "reserved", "ready"};
        const sj_str *ids;
        int n = control_texts(turn, "ids", &ids);
        if (n < 0)
                return n;
        sj_json_write_object_begin(turn->out);
        list_for_each (node, &turn->w->held) {
                const delivery *d = container_of(node, delivery, held);
                if (!d->view.info || !is_among(d->lease->message.id, ids, n))
                        continue;
                sj_json_write_key(turn->out, d->lease->message.id);
                sj_json_write_array_begin(turn->out);
                sj_json_write_string(turn->out, sj_str_of(states[state_of(turn->w, d)]));
                write_task(turn->out, turn->w, d);
                sj_json_write_array_end(turn->out);
        }
        sj_json_write_object_end(turn->out);
        return 0;
}

int worker_inspect_revoked(control_turn *turn)
{
        const void *place = NULL;
        broker_revoked entry;
        sj_json_write_array_begin(turn->out);
        while (revoked_next(turn->w->revoked, &place, &entry))
                if (!revoked_is_stamp(entry.id))
                        sj_json_write_string(turn->out, entry.id);
        sj_json_write_array_end(turn->out);
        return 0;
}

/* ── Tasks that it knows ─────────────────────────────────────────────────────────────────── */

static void put_rate(buf *b, double rate)
{
        if (rate >= 1 || rate * 60 < 1)
                buf_printf(b, rate * 60 < 1 ? "%g/h" : "%g/s", rate * 60 < 1 ? rate * 3600 : rate);
        else
                buf_printf(b, "%g/m", rate * 60);
}

/* What an attribute of a task is called in Celery; false: it has none. */
static bool put_attribute(buf *b, const task_info *info, sj_str name)
{
        const struct {
                const char *name;
                double number;
                bool set;
        } numbers[] = {
                {"max_retries", (double)info->max_retries, info->max_retries >= 0},
                {"default_retry_delay", info->default_retry_delay, true},
                {"time_limit", info->time_limit, info->time_limit > 0},
                {"soft_time_limit", info->soft_time_limit, info->soft_time_limit > 0},
                {"priority", (double)info->priority, info->priority > 0},
        };
        if (sj_str_equal(name, SJ_STR("rate_limit"))) {
                if (info->rate > 0)
                        put_rate(b, info->rate);
                return info->rate > 0;
        }
        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
                if (!sj_str_equal(name, sj_str_of(numbers[i].name)))
                        continue;
                if (numbers[i].set)
                        buf_printf(b, "%g", numbers[i].number);
                return numbers[i].set;
        }
        if (sj_str_equal(name, SJ_STR("acks_late")) ||
            sj_str_equal(name, SJ_STR("ignore_result"))) {
                bool on = name.data[0] == 'a' ? !info->acks_early : info->ignore_result;
                return buf_append_str(b, sj_str_of(on ? "True" : "False")) >= 0;
        }
        if (sj_str_equal(name, SJ_STR("queue")) && info->queue.n)
                return buf_append_str(b, info->queue) >= 0;
        return false;
}

int worker_inspect_registered(control_turn *turn)
{
        static const sj_str usual[] = {{"exchange", 8}, {"routing_key", 11}, {"rate_limit", 10}};
        const sj_str *items = usual;
        const task_manifest *tasks = &turn->w->manifest;
        int n = 0;
        if (sj_json_count(sj_json_member(turn->arguments, "taskinfoitems")) > 0)
                n = control_texts(turn, "taskinfoitems", &items);
        if (n < 0)
                return n;
        if (n == 0)
                n = (int)(sizeof(usual) / sizeof(usual[0]));
        buf text = BUF_INIT(0);
        sj_json_write_array_begin(turn->out);
        for (size_t i = 0; i < tasks->n; i++) {
                buf_clear(&text);
                buf_append_str(&text, tasks->tasks[i].name);
                bool any = false;
                for (int k = 0; k < n; k++) {
                        size_t before = buf_size(&text);
                        buf_printf(&text, "%s%.*s=", any ? " " : " [", SJ_STR_ARG(items[k]));
                        bool has = put_attribute(&text, &tasks->tasks[i], items[k]);
                        if (!has)
                                text.end -= buf_size(&text) - before;
                        any |= has;
                }
                if (any)
                        buf_append_char(&text, ']');
                sj_json_write_string(turn->out, buf_str(&text));
        }
        sj_json_write_array_end(turn->out);
        buf_fini(&text);
        return 0;
}
