/* SPDX-License-Identifier: MIT */
/* What a worker answers about itself in figures ("stats"), and the queues that it serves. */
#include "queue/worker/worker_inspect.h"

#include "base/buf.h"
#include "codec/json_named.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ── Queues ──────────────────────────────────────────────────────────────────────────────── */

static void write_exchange(sj_json_writer *out, sj_str name)
{
        json_named_object(out, "exchange");
        json_named_text(out, "name", name);
        json_named_text(out, "type", SJ_STR("direct"));
        json_named_null(out, "arguments");
        json_named_bool(out, "durable", true);
        json_named_bool(out, "passive", false);
        json_named_bool(out, "auto_delete", false);
        json_named_null(out, "delivery_mode");
        json_named_bool(out, "no_declare", false);
        sj_json_write_object_end(out);
}

static void write_queue(sj_json_writer *out, sj_str name)
{
        static const char *const nothing[] = {"queue_arguments", "binding_arguments",
                                              "consumer_arguments"};
        static const char *const none[] = {"no_declare", "expires",          "message_ttl",
                                           "max_length", "max_length_bytes", "max_priority"};
        sj_json_write_object_begin(out);
        json_named_text(out, "name", name);
        write_exchange(out, name);
        json_named_text(out, "routing_key", name);
        for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
                json_named_null(out, nothing[i]);
        json_named_bool(out, "durable", true);
        json_named_bool(out, "exclusive", false);
        json_named_bool(out, "auto_delete", false);
        json_named_bool(out, "no_ack", false);
        json_named_null(out, "alias");
        sj_json_write_name(out, "bindings");
        sj_json_write_raw(out, SJ_STR("[]"));
        for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
                json_named_null(out, none[i]);
        sj_json_write_object_end(out);
}

int worker_inspect_queues(control_turn *turn)
{
        const sj_str *queues;
        size_t n = worker_queues(turn->w, &queues);
        sj_json_write_array_begin(turn->out);
        for (size_t i = 0; i < n; i++)
                write_queue(turn->out, queues[i]);
        sj_json_write_array_end(turn->out);
        return 0;
}

/* ── Figures ─────────────────────────────────────────────────────────────────────────────── */

static int write_totals(sj_json_writer *out, const worker *w)
{
        uint64_t *totals = NULL;
        int r = worker_totals(w, &totals);
        json_named_object(out, "total");
        for (size_t i = 0; r == 0 && i < w->manifest.n; i++)
                if (totals[i] > 0) {
                        sj_json_write_key(out, w->manifest.tasks[i].name);
                        sj_json_write_int(out, (int64_t)totals[i]);
                }
        sj_json_write_object_end(out);
        free(totals);
        return r;
}

/* How the work was shared out: in Celery "all" is each child's share, "raw" its tasks. */
static void write_writes(sj_json_writer *out, const worker *w)
{
        buf shares = BUF_INIT(0), counts = BUF_INIT(0);
        uint64_t total = worker_processed(w);
        size_t children = 0, active = 0;
        for (size_t i = 0; i < w->n_children; i++) {
                const worker_child *c = w->children[i];
                if (!c)
                        continue;
                double share = total ? (double)c->done / (double)total : 0;
                buf_printf(&shares, "%s%.2f", children ? ", " : "", share);
                buf_printf(&counts, "%s%" PRIu64, children ? ", " : "", c->done);
                children++;
                active += c->load > 0;
        }
        char mean[32];
        snprintf(mean, sizeof(mean), "%.2f", children && total ? 1.0 / (double)children : 0.0);
        json_named_object(out, "writes");
        json_named_int(out, "total", (int64_t)total);
        json_named_text(out, "avg", sj_str_of(mean));
        json_named_text(out, "all", buf_str(&shares));
        json_named_text(out, "raw", buf_str(&counts));
        json_named_text(out, "strategy", SJ_STR("fair"));
        json_named_object(out, "inqueues");
        json_named_int(out, "total", (int64_t)children);
        json_named_int(out, "active", (int64_t)active);
        sj_json_write_object_end(out);
        sj_json_write_object_end(out);
        buf_fini(&shares);
        buf_fini(&counts);
}

/* As it was most likely set: 30 and not 30.0. */
static void write_limit(sj_json_writer *out, double seconds)
{
        if (seconds == floor(seconds) && seconds < 1e15)
                sj_json_write_int(out, (int64_t)seconds);
        else
                sj_json_write_double(out, seconds);
}

static void write_pool(sj_json_writer *out, const worker *w)
{
        json_named_object(out, "pool");
        json_named_text(out, "implementation", sj_str_of(worker_inspect_pools[w->options.pool]));
        json_named_int(out, "max-concurrency", worker_concurrency(w));
        json_named_array(out, "processes");
        for (size_t i = 0; i < w->n_children; i++)
                if (w->children[i] && w->children[i]->state == CHILD_READY)
                        sj_json_write_int(out, w->children[i]->pid);
        if (w->options.pool == WORKER_SOLO)
                sj_json_write_int(out, os_pid());
        sj_json_write_array_end(out);
        sj_json_write_name(out, "max-tasks-per-child");
        if (w->options.max_tasks_per_child)
                sj_json_write_int(out, w->options.max_tasks_per_child);
        else
                sj_json_write_string(out, SJ_STR("N/A"));
        json_named_bool(out, "put-guarded-by-semaphore", false);
        json_named_array(out, "timeouts");
        write_limit(out, w->options.soft_time_limit);
        write_limit(out, w->options.time_limit);
        sj_json_write_array_end(out);
        write_writes(out, w);
        sj_json_write_object_end(out);
}

/* The parts of SCHEME://[USER@]HOST[:PORT][/DATABASE]; of SCHEME:PLACE the place is the host. */
typedef struct address {
        sj_str host;
        sj_str database;
        int64_t port; /* 0: none */
} address;

static address address_of(const char *url)
{
        sj_str rest = sj_str_of(url);
        const char *colon = url ? strstr(url, "://") : NULL;
        address a = {.database = SJ_STR("/")};
        if (!colon) {
                const char *place = url ? strchr(url, ':') : NULL;
                a.host = sj_str_of(place ? place + 1 : "");
                return a;
        }
        rest = sj_str_of(colon + 3);
        const char *slash = memchr(rest.data, '/', rest.n);
        if (slash && slash + 1 < rest.data + rest.n)
                a.database = (sj_str){slash + 1, (size_t)(rest.data + rest.n - slash - 1)};
        if (slash)
                rest.n = (size_t)(slash - rest.data);
        const char *at = memrchr(rest.data, '@', rest.n);
        if (at)
                rest = (sj_str){at + 1, (size_t)(rest.data + rest.n - at - 1)};
        const char *port = memrchr(rest.data, ':', rest.n);
        if (port && !memchr(port, ']', (size_t)(rest.data + rest.n - port))) {
                a.port = strtol(port + 1, NULL, 10);
                rest.n = (size_t)(port - rest.data);
        }
        a.host = rest;
        return a;
}

static void write_broker(sj_json_writer *out, const worker *w)
{
        const char *scheme = w->options.broker->class->scheme;
        address a = address_of(w->options.address);
        json_named_object(out, "broker");
        json_named_text(out, "hostname", a.host.n ? a.host : SJ_STR(""));
        json_named_null(out, "userid");
        json_named_text(out, "virtual_host", a.database);
        sj_json_write_name(out, "port");
        if (a.port)
                sj_json_write_int(out, a.port);
        else
                sj_json_write_null(out);
        json_named_bool(out, "insist", false);
        json_named_bool(out, "ssl", strcmp(scheme, "rediss") == 0);
        json_named_text(out, "transport", sj_str_of(scheme));
        json_named_int(out, "connect_timeout", 4);
        sj_json_write_name(out, "transport_options");
        sj_json_write_raw(out, SJ_STR("{}"));
        json_named_null(out, "login_method");
        json_named_null(out, "uri_prefix");
        json_named_double(out, "heartbeat", 0);
        json_named_text(out, "failover_strategy", SJ_STR("round-robin"));
        sj_json_write_name(out, "alternates");
        sj_json_write_raw(out, SJ_STR("[]"));
        sj_json_write_object_end(out);
}

static void write_usage(sj_json_writer *out)
{
        os_usage u;
        os_usage_self(&u);
        const struct {
                const char *name;
                long value;
        } counts[] = {
                {"maxrss", u.max_resident},
                {"ixrss", 0},
                {"idrss", 0},
                {"isrss", 0},
                {"minflt", u.minor_faults},
                {"majflt", u.major_faults},
                {"nswap", 0},
                {"inblock", u.blocks_read},
                {"oublock", u.blocks_written},
                {"msgsnd", 0},
                {"msgrcv", 0},
                {"nsignals", 0},
                {"nvcsw", u.switches_by_itself},
                {"nivcsw", u.switches_forced},
        };
        json_named_object(out, "rusage");
        json_named_double(out, "utime", u.user_time);
        json_named_double(out, "stime", u.system_time);
        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
                json_named_int(out, counts[i].name, counts[i].value);
        sj_json_write_object_end(out);
}

int worker_inspect_stats(control_turn *turn)
{
        const worker *w = turn->w;
        sj_json_writer *out = turn->out;
        char clock[32];
        snprintf(clock, sizeof(clock), "%" PRId64, queue_clock_value(&w->clock));
        sj_json_write_object_begin(out);
        int r = write_totals(out, w);
        json_named_int(out, "pid", os_pid());
        json_named_text(out, "clock", sj_str_of(clock));
        json_named_int(out, "uptime", (sj_now() - w->since) / SJ_SEC);
        write_pool(out, w);
        write_broker(out, w);
        json_named_int(out, "prefetch_count", (int64_t)(w->n_held + w->n_asked + worker_room(w)));
        write_usage(out);
        sj_json_write_object_end(out);
        return r;
}
