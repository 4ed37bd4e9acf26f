/* SPDX-License-Identifier: MIT */
/* From settings to the options of what they are for. What the caller has set himself stays. */
#include "queue/settings/settings_internal.h"

#include "queue/message/message.h"

static const char *choice(const char *row, unsigned value)
{
        return settings_find(row)->choices[value];
}

static void take_text(const char **to, const char *from)
{
        if (!*to)
                *to = from;
}

void settings_app_options(const settings *s, sj_app_options *o)
{
        const settings_values *v = &s->values;
        take_text(&o->broker, v->broker_url);
        take_text(&o->default_queue, v->task_default_queue);
        take_text(&o->result_backend, v->result_backend);
        take_text(&o->transport, s->transport);
        take_text(&o->result_transport, s->result_transport);
        take_text(&o->serializer, choice("task_serializer", v->task_serializer));
        if (v->task_compression)
                take_text(&o->compression, choice("task_compression", v->task_compression));
        if (!o->n_routes) {
                o->routes = s->routes;
                o->n_routes = s->n_routes;
        }
        if (o->result_expires == 0)
                o->result_expires = v->result_expires > 0 ? v->result_expires : -1;
        if (!o->open_deadline)
                o->open_deadline = v->broker_connection_timeout > 0
                                           ? sj_after((sj_time)(v->broker_connection_timeout * 1e9))
                                           : SJ_NEVER;
        o->result_extended |= v->result_extended;
        o->send_sent_event |= v->task_send_sent_event;
        if (o->canvas == SJ_CANVAS_DEFAULT)
                o->canvas = (sj_canvas_form)v->task_canvas_form;
        if (!o->default_priority)
                o->default_priority = (int)v->task_default_priority;
        const sj_retry_policy *p = &o->publish;
        if (!p->max_retries && p->interval_start == 0 && p->interval_step == 0 &&
            p->interval_max == 0)
                o->publish = s->publish;
}

static void take_number(unsigned *to, unsigned from)
{
        if (!*to)
                *to = from;
}

/* In worker_options 0 is the worker's own limit. */
static sj_time warm_limit_of(double seconds)
{
        if (seconds <= 0)
                return 1;
        return seconds * 1e9 < (double)WORKER_WARM_LIMIT_MAX ? (sj_time)(seconds * 1e9)
                                                             : WORKER_WARM_LIMIT_MAX;
}

void settings_worker_options(const settings *s, worker_options *o)
{
        const settings_values *v = &s->values;
        if (!o->pool)
                o->pool = (worker_pool_kind)v->worker_pool;
        take_number(&o->concurrency, v->worker_concurrency);
        if (!o->autoscale_max) {
                o->autoscale_max = v->worker_autoscale.max;
                o->autoscale_min = v->worker_autoscale.min;
        }
        take_number(&o->max_tasks_per_child, v->worker_max_tasks_per_child);
        if (!o->max_memory_per_child)
                o->max_memory_per_child = (size_t)v->worker_max_memory_per_child * 1024;
        if (!o->warm_limit)
                o->warm_limit = warm_limit_of(v->worker_soft_shutdown_timeout);
        if (!v->broker_connection_retry)
                o->reconnects = WORKER_NO_RECONNECT;
        else
                take_number(&o->reconnects, v->broker_connection_max_retries);
        o->shared |= v->worker_shared;
        o->events |= v->worker_send_task_events;
        o->deaf |= !v->worker_enable_remote_control;
        if (o->time_limit == 0)
                o->time_limit = v->task_time_limit;
        if (o->soft_time_limit == 0)
                o->soft_time_limit = v->task_soft_time_limit;
        take_text(&o->rate_limit, v->task_default_rate_limit);
        if (!o->n_queue_rates) {
                o->queue_rates = s->queue_rates;
                o->n_queue_rates = s->n_queue_rates;
        }
        if (!o->accept)
                message_accept_read(v->accept_content, &o->accept);
        if (!o->n_annotations) {
                o->annotations = s->annotations;
                o->n_annotations = s->n_annotations;
        }
}
