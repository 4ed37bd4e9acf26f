/* SPDX-License-Identifier: MIT */
/* sanjab status: the queues with what is in them, and the workers that live. */
#include "cli/command.h"
#include "cli/options.h"
#include "cli/peers.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "codec/json_named.h"

#include <inttypes.h>

typedef struct status_options {
        session_source source;
        bool json;
} status_options;

/* clang-format off */
static const option options[] = {
        SESSION_OPTIONS(status_options),
        {'j', "json", NULL, "print an object", OPTION_FLAG, offsetof(status_options, json), 0,
         NULL},
        {0},
};

static const option_refused refused[] = {
        {'t', "timeout", "it waits for a second; sanjab inspect ping has --timeout"},
        {'d', "destination", "it shows all; sanjab inspect ping has --destination"},
        {0},
};
/* clang-format on */

typedef struct facts {
        const broker_depth *queues;
        size_t n_queues;
        const broker_node *nodes;
        size_t n_nodes;
} facts;

/* ── As tables ───────────────────────────────────────────────────────────────────────────── */

/* How long ago a moment was, as "3 min"; "-" for 0. */
static void age(table *t, sj_wall when)
{
        static const struct {
                int64_t seconds;
                const char *unit;
        } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {0, "s"}};
        if (when.us == 0) {
                table_text(t, SJ_STR("-"));
                return;
        }
        int64_t seconds = (sj_wall_now().us - when.us) / 1000000;
        if (seconds < 0)
                seconds = 0;
        size_t i = 0;
        while (seconds < 2 * units[i].seconds)
                i++;
        int64_t of = units[i].seconds ? units[i].seconds : 1;
        table_printf(t, "%" PRId64 " %s", seconds / of, units[i].unit);
}

static int queues_table(const session *s, const facts *f, buf *out, bool colours)
{
        static const char *const heads[] = {"QUEUE", "+READY",  "+DELAYED", "+RUNNING",
                                            "+DEAD", "+OLDEST", NULL};
        if (f->n_queues == 0)
                return buf_append_str(out, SJ_STR("No queue holds anything.\n"));
        table t;
        table_init(&t, heads, s->arena);
        for (size_t i = 0; i < f->n_queues; i++) {
                const broker_depth *q = &f->queues[i];
                table_text(&t, q->queue);
                table_printf(&t, "%" PRIu64, q->ready);
                table_printf(&t, "%" PRIu64, q->delayed);
                table_printf(&t, "%" PRIu64 "%s", q->leased, q->more_leased ? "+" : "");
                table_printf(&t, "%" PRIu64 "%s", q->dead, q->more_dead ? "+" : "");
                age(&t, q->oldest);
        }
        int r = table_write(&t, out, colours);
        table_fini(&t);
        return r;
}

/* A member of what a node says of itself, as text; "-" when it says nothing of it. */
static void said(const session *s, table *t, const sj_json *info, const char *name)
{
        const sj_json *v = sj_json_member(info, name);
        sj_str text;
        if (sj_json_type_of(v) == SJ_JSON_ARRAY) {
                buf list = BUF_INIT(0);
                SJ_JSON_EACH (v, i, element) {
                        if (sj_json_string(element, &text) >= 0)
                                buf_printf(&list, "%s%.*s", i ? "," : "", SJ_STR_ARG(text));
                }
                table_text(t, buf_str(&list));
                buf_fini(&list);
        } else if (sj_json_string(v, &text) >= 0 ||
                   (v && sj_json_text(s->arena, v, SJ_JSON_PYTHON, &text) >= 0)) {
                table_text(t, text);
        } else {
                table_text(t, SJ_STR("-"));
        }
}

static int nodes_table(const session *s, const facts *f, buf *out, bool colours)
{
        static const char *const heads[] = {"WORKER", "+PID",   "POOL",   "+SLOTS", "+HELD",
                                            "+DONE",  "+SINCE", "QUEUES", NULL};
        if (f->n_nodes == 0)
                return buf_append_str(out, SJ_STR("No worker is alive.\n"));
        table t;
        table_init(&t, heads, s->arena);
        for (size_t i = 0; i < f->n_nodes; i++) {
                const broker_node *node = &f->nodes[i];
                const sj_json *info = NULL;
                sj_json_parse(s->arena, node->info, SJ_JSON_PYTHON, &info, NULL);
                table_text(&t, node->name);
                said(s, &t, info, "pid");
                said(s, &t, info, "pool");
                said(s, &t, info, "concurrency");
                said(s, &t, info, "held");
                said(s, &t, info, "processed");
                age(&t, node->since);
                said(s, &t, info, "queues");
        }
        int r = table_write(&t, out, colours);
        table_fini(&t);
        return r;
}

static int show_tables(const session *s, const facts *f)
{
        bool colours = terminal_has_colours(TERMINAL_OUT);
        buf out = BUF_INIT(0);
        int r = queues_table(s, f, &out, colours);
        if (r >= 0)
                r = buf_append_char(&out, '\n');
        if (r >= 0)
                r = nodes_table(s, f, &out, colours);
        int status = r < 0 ? session_fault(s, "show the queues", r) : terminal_show(&out);
        buf_fini(&out);
        return status;
}

/* ── As JSON ─────────────────────────────────────────────────────────────────────────────── */

static void write_number(sj_json_writer *w, const char *name, uint64_t n)
{
        json_named_int(w, name, (int64_t)n);
}

static void write_queue(sj_json_writer *w, const broker_depth *q)
{
        sj_json_write_object_begin(w);
        json_named_text(w, "queue", q->queue);
        write_number(w, "ready", q->ready);
        write_number(w, "delayed", q->delayed);
        write_number(w, "running", q->leased);
        write_number(w, "dead", q->dead);
        if (q->more_leased)
                json_named_bool(w, "more_running", true);
        if (q->more_dead)
                json_named_bool(w, "more_dead", true);
        show_json_moment(w, "oldest", q->oldest);
        sj_json_write_object_end(w);
}

static void write_node(const session *s, sj_json_writer *w, const broker_node *node)
{
        const sj_json *info = NULL;
        sj_json_parse(s->arena, node->info, SJ_JSON_PYTHON, &info, NULL);
        sj_json_write_object_begin(w);
        json_named_text(w, "name", node->name);
        show_json_moment(w, "since", node->since);
        json_named_value(w, "info", info);
        sj_json_write_object_end(w);
}

static int show_facts_json(const session *s, const facts *f)
{
        sj_json_writer *w = NULL;
        if (sj_json_writer_new(SJ_JSON_PYTHON, &w) >= 0) {
                sj_json_write_object_begin(w);
                json_named_text(w, "broker", sj_str_of(s->name));
                json_named_array(w, "queues");
                for (size_t i = 0; i < f->n_queues; i++)
                        write_queue(w, &f->queues[i]);
                sj_json_write_array_end(w);
                json_named_array(w, "workers");
                for (size_t i = 0; i < f->n_nodes; i++)
                        write_node(s, w, &f->nodes[i]);
                sj_json_write_array_end(w);
                sj_json_write_object_end(w);
        }
        return show_json(w);
}

static int body(session *s, void *arg)
{
        const status_options *o = arg;
        facts f = {0};
        int n = broker_queues(s->broker, s->arena, &f.queues, sj_after(SESSION_LIMIT));
        if (n < 0)
                return session_fault(s, "ask for the queues", n);
        f.n_queues = (size_t)n;
        n = broker_nodes(s->broker, s->arena, &f.nodes, sj_after(SESSION_LIMIT));
        if (n < 0)
                return session_fault(s, "ask for the workers", n);
        n = peers_add(s, &f.nodes, (size_t)n);
        if (n < 0)
                return session_fault(s, "ask the workers", n);
        f.n_nodes = (size_t)n;
        return o->json ? show_facts_json(s, &f) : show_tables(s, &f);
}

static int run(const command *self, int argc, char **argv)
{
        status_options o = {0};
        int status;
        int n = options_parse(self, argc, argv, &o, &status);
        if (n < 0)
                return status;
        if (n > 0)
                return terminal_fault(STATUS_USAGE, "status does not take '%s': sanjab status %s",
                                      argv[0], self->usage);
        return session_run(&o.source, SESSION_MUST_EXIST, body, &o);
}

const command cmd_status = {
        .name = "status",
        .usage = "[options]",
        .summary = "shows the queues and the workers",
        .about = "For each queue that holds something: the tasks that are ready, that wait for "
                 "their time, that a worker has, and that are dead; and the age of the oldest "
                 "that is ready. A + behind a number says that it is more. Then the workers that "
                 "are alive: how many tasks each can run at "
                 "once, has now, and has done.",
        .options = options,
        .refused = refused,
        .run = run,
};
