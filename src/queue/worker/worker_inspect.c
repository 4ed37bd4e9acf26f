/* SPDX-License-Identifier: MIT */
/*
 * What a worker says of itself when it is asked, in the shapes of Celery's workers, so that what
 * reads theirs (celery inspect, monitors) reads ours. Where we have nothing of the kind, the value
 * is the one that says so in theirs.
 */
#include "queue/worker/worker_inspect.h"

#include "codec/json_named.h"

const char *const worker_inspect_pools[] = {"prefork", "threads", "fibers", "solo"};

/* ── Small things ────────────────────────────────────────────────────────────────────────── */

static int say_pong(control_turn *turn)
{
        return control_ok(turn, "pong");
}

static int say_clock(control_turn *turn)
{
        sj_json_write_object_begin(turn->out);
        json_named_int(turn->out, "clock", queue_clock_value(&turn->w->clock));
        sj_json_write_object_end(turn->out);
        return 0;
}

static int say_report(control_turn *turn)
{
        const worker *w = turn->w;
        return control_ok(turn,
                          "\nsoftware -> sanjab:%s\nplatform -> system:%s processors:%u\n"
                          "worker   -> %s pid:%d pool:%s concurrency:%u tasks:%zu\n"
                          "settings -> transport:%s broker:%s\n",
                          SANJAB_VERSION, os_system_name(), os_processors(), w->options.name,
                          os_pid(), worker_inspect_pools[w->options.pool], worker_concurrency(w),
                          w->manifest.n, w->options.broker->class->scheme,
                          w->options.address ? w->options.address : "(unnamed)");
}

/* Those that look into a Python interpreter. */
static int say_not_here(control_turn *turn)
{
        return control_raise(turn, "NotImplementedError('%.*s: this worker has no Python inside')",
                             SJ_STR_ARG(turn->request->method));
}

/* ── Mingling ────────────────────────────────────────────────────────────────────────────── */

/*
 * Moments are the sender's monotonic seconds, as in Celery; to whoever hears them they only say
 * in which order the ids came.
 */
static int say_hello(control_turn *turn)
{
        sj_str from;
        int r = control_need_text(turn, "from_node", &from);
        if (r < 0)
                return r;
        if (sj_str_equal(from, sj_str_of(turn->w->options.name))) {
                sj_json_write_null(turn->out);
                return 0;
        }
        const sj_json *theirs = sj_json_member(turn->arguments, "revoked");
        if (sj_json_type_of(theirs) == SJ_JSON_OBJECT)
                worker_revoked_take(turn->w, theirs);
        const void *place = NULL;
        broker_revoked entry;
        sj_wall now = os_wall();
        revoked_purge(turn->w->revoked, now);
        sj_json_write_object_begin(turn->out);
        json_named_object(turn->out, "revoked");
        while (revoked_next(turn->w->revoked, &place, &entry)) {
                double ago = (double)(now.us - entry.since.us) / 1e6;
                double then = (double)sj_now() / 1e9 - ago;
                if (revoked_is_stamp(entry.id))
                        continue;
                sj_json_write_key(turn->out, entry.id);
                sj_json_write_array_begin(turn->out);
                sj_json_write_double(turn->out, then > 0 ? then : 0);
                sj_json_write_string(turn->out, entry.id);
                sj_json_write_array_end(turn->out);
        }
        sj_json_write_object_end(turn->out);
        json_named_int(turn->out, "clock", queue_clock_forward(&turn->w->clock));
        sj_json_write_object_end(turn->out);
        return 0;
}

const control_method worker_inspect_methods[] = {
        {"ping", say_pong},
        {"clock", say_clock},
        {"active", worker_inspect_active},
        {"dump_active", worker_inspect_active},
        {"reserved", worker_inspect_reserved},
        {"dump_reserved", worker_inspect_reserved},
        {"scheduled", worker_inspect_scheduled},
        {"dump_schedule", worker_inspect_scheduled},
        {"query_task", worker_inspect_query_task},
        {"revoked", worker_inspect_revoked},
        {"dump_revoked", worker_inspect_revoked},
        {"registered", worker_inspect_registered},
        {"dump_tasks", worker_inspect_registered},
        {"active_queues", worker_inspect_queues},
        {"stats", worker_inspect_stats},
        {"conf", worker_inspect_conf},
        {"dump_conf", worker_inspect_conf},
        {"report", say_report},
        {"hello", say_hello},
        {"memsample", say_not_here},
        {"memdump", say_not_here},
        {"objgraph", say_not_here},
        {NULL, NULL},
};
