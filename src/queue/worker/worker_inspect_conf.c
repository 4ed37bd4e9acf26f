/* SPDX-License-Identifier: MIT */
/* What a worker answers about its settings, by the names that Celery gives them. */
#include "queue/worker/worker_inspect.h"

#include "codec/json_named.h"

/* Those of Celery's names whose meaning is ours too. */
static void write_conf(sj_json_writer *out, const worker *w, bool defaults)
{
        const worker_options *o = &w->options;
        const sj_app_options *app = o->app;
        if (o->address)
                json_named_text(out, "broker_url", sj_str_of(o->address));
        if (app && app->result_backend)
                json_named_text(out, "result_backend", SJ_STR("(not shown)"));
        json_named_int(out, "worker_concurrency", worker_concurrency(w));
        json_named_text(out, "worker_pool", sj_str_of(worker_inspect_pools[o->pool]));
        if (defaults || (app && app->default_queue))
                json_named_text(out, "task_default_queue",
                                sj_str_of(app && app->default_queue ? app->default_queue
                                                                    : SJ_QUEUE_DEFAULT));
        if (defaults || o->events)
                json_named_bool(out, "worker_send_task_events", o->events);
        if (defaults || (app && app->send_sent_event))
                json_named_bool(out, "task_send_sent_event", app && app->send_sent_event);
        if (defaults || o->max_tasks_per_child)
                json_named_int(out, "worker_max_tasks_per_child", o->max_tasks_per_child);
        if (defaults || o->max_memory_per_child)
                json_named_int(out, "worker_max_memory_per_child",
                               (int64_t)(o->max_memory_per_child / 1024));
        if (o->time_limit > 0)
                json_named_double(out, "task_time_limit", o->time_limit);
        if (o->soft_time_limit > 0)
                json_named_double(out, "task_soft_time_limit", o->soft_time_limit);
        if (o->rate_limit)
                json_named_text(out, "task_default_rate_limit", sj_str_of(o->rate_limit));
        if (defaults)
                json_named_bool(out, "task_acks_late", true);
}

/* Those that say how it is now, whatever it was started with. */
static bool is_told(sj_str name)
{
        static const char *const told[] = {"broker_url",
                                           "result_backend",
                                           "worker_concurrency",
                                           "worker_pool",
                                           "task_default_queue",
                                           "worker_send_task_events",
                                           "task_send_sent_event",
                                           "worker_max_tasks_per_child",
                                           "worker_max_memory_per_child",
                                           "task_time_limit",
                                           "task_soft_time_limit",
                                           "task_default_rate_limit",
                                           "task_acks_late"};
        for (size_t i = 0; i < sizeof(told) / sizeof(*told); i++)
                if (sj_str_equal(name, sj_str_of(told[i])))
                        return true;
        return false;
}

/* What else it was started with: all of it, or what somebody has said. */
static void write_settings(sj_json_writer *out, const sj_json *settings, bool defaults)
{
        SJ_JSON_EACH (settings, i, row) {
                sj_str from = {NULL, 0};
                sj_json_string(sj_json_member(row, "from"), &from);
                if (is_told(sj_json_name_at(settings, i)) ||
                    (!defaults && sj_str_equal(from, SJ_STR("default"))))
                        continue;
                sj_json_write_key(out, sj_json_name_at(settings, i));
                sj_json_write_value(out, sj_json_member(row, "value"));
        }
}

int worker_inspect_conf(control_turn *turn)
{
        bool defaults = false;
        sj_json_bool(sj_json_member(turn->arguments, "with_defaults"), &defaults);
        sj_json_write_object_begin(turn->out);
        write_conf(turn->out, turn->w, defaults);
        if (turn->w->options.settings)
                write_settings(turn->out, turn->w->options.settings, defaults);
        sj_json_write_object_end(turn->out);
        return 0;
}
