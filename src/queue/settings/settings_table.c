/* SPDX-License-Identifier: MIT */
/*
 * All settings, and all of Celery's that there are not: one row each. What reads a file, the
 * environment and a command line, what `sanjab conf` shows and what the manual is checked against,
 * all go by these two tables.
 */
#include "queue/settings/settings.h"

static const char *const serializers[] = {"json", "msgpack", NULL};
static const char *const compressions[] = {"none", "zlib", "gzip", "zstd", "bzip2", NULL};
/* In the order of sj_canvas_form. */
static const char *const canvas_forms[] = {"auto", "celery", "compact", NULL};
/* In the order of worker_pool_kind. */
static const char *const pools[] = {"prefork", "threads", "fibers", "solo", NULL};
/* In the order of sj_log_level. */
static const char *const levels[] = {"debug", "info", "warning", "error", "critical", NULL};

/* In the order of SETTINGS_LOG_TEXT. */
static const char *const log_formats[] = {"text", "json", NULL};

#define AT(member)  offsetof(settings_values, member)
#define ROW(member) .name = #member, .offset = AT(member)
#define OF_PRODUCER .used_by = SETTINGS_OF_PRODUCER
#define OF_WORKER   .used_by = SETTINGS_OF_WORKER
#define OF_BOTH     .used_by = SETTINGS_OF_PRODUCER | SETTINGS_OF_WORKER
#define COUNT_MAX   2147483647U

const setting settings_table[] = {
        /* where messages and results are */
        {ROW(broker_url), .kind = SETTINGS_ADDRESS, .fallback = "sqlite:sanjab.db", OF_BOTH,
         .help = "where messages wait"},
        {ROW(broker_connection_timeout), .kind = SETTINGS_SECONDS, .fallback = "30", .unit = "s",
         OF_BOTH,
         .help = "how long a command or a program tries to reach the "
                 "broker, commands 5 s if nothing is said; a worker tries again"},
        {ROW(broker_connection_retry), .kind = SETTINGS_BOOL, .fallback = "true", OF_WORKER,
         .help = "reconnect to a broker that was lost; false: the worker ends with an error"},
        {ROW(broker_connection_retry_on_startup), .kind = SETTINGS_BOOL, OF_WORKER,
         .help = "wait for a broker that is not there at the start; if nothing is said: as "
                 "broker_connection_retry"},
        {ROW(broker_connection_max_retries), .kind = SETTINGS_COUNT, .most = COUNT_MAX,
         .fallback = "none", OF_WORKER,
         .help = "attempts to reach it, at the start or again, after which the worker ends with an "
                 "error; none or 0: no limit"},
        {ROW(broker_transport_options), .kind = SETTINGS_PAIRS, OF_BOTH,
         .help = "what a broker in Redis can be told further: kombu's options"},
        {ROW(result_backend), .kind = SETTINGS_ADDRESS, OF_BOTH,
         .help = "where results are kept, if not at the broker"},
        {ROW(result_backend_transport_options), .kind = SETTINGS_PAIRS, OF_BOTH,
         .help = "the same for where results are kept: Celery's options"},
        {ROW(result_expires), .kind = SETTINGS_SECONDS, .fallback = "86400", .unit = "s", OF_BOTH,
         .help = "how long results are kept; none: for ever"},
        {ROW(result_extended), .kind = SETTINGS_BOOL, .fallback = "false", OF_BOTH,
         .help = "results name the task, its arguments and its worker"},

        /* sending */
        {ROW(task_default_queue), .kind = SETTINGS_TEXT, .fallback = SJ_QUEUE_DEFAULT, OF_BOTH,
         .help = "the queue of tasks that no route names"},
        {ROW(task_routes), .kind = SETTINGS_PAIRS, OF_BOTH,
         .help = "which tasks go to which queue: pattern = queue, the first that matches"},
        {ROW(task_default_priority), .kind = SETTINGS_COUNT, .most = BROKER_PRIORITY_MAX,
         .fallback = "none", OF_BOTH, .help = "of tasks that have none: 1 to 9, more is sooner"},
        {ROW(task_serializer), .kind = SETTINGS_CHOICE, .choices = serializers, .fallback = "json",
         OF_BOTH, .help = "how arguments are written"},
        {ROW(task_compression), .kind = SETTINGS_CHOICE, .choices = compressions,
         .fallback = "none", OF_BOTH, .help = "how messages are compressed"},
        {ROW(task_send_sent_event), .kind = SETTINGS_BOOL, .fallback = "false", OF_BOTH,
         .help = "an event task-sent for each task that is sent"},
        {ROW(task_canvas_form), .kind = SETTINGS_CHOICE, .choices = canvas_forms,
         .fallback = "auto", OF_BOTH,
         .help = "how chords and long chains are sent: celery, which every worker can run; "
                 "compact, "
                 "for ours; auto: by the broker"},
        {ROW(task_publish_retry), .kind = SETTINGS_BOOL, .fallback = "true", OF_BOTH,
         .help = "try again when the broker cannot be reached"},
        {ROW(task_publish_retry_policy), .kind = SETTINGS_PAIRS, OF_BOTH,
         .help = "how often and when: max_retries (3), interval_start (0), interval_step (0.2), "
                 "interval_max (1)"},

        /* running */
        {ROW(accept_content), .kind = SETTINGS_CONTENT, .fallback = "json", OF_WORKER,
         .help = "what arguments may be written in: json, msgpack"},
        {ROW(task_queues), .kind = SETTINGS_NAMES, OF_WORKER,
         .help = "the queues that a worker takes from; else task_default_queue"},
        {ROW(task_annotations), .kind = SETTINGS_PAIRS, OF_WORKER,
         .help = "options of single tasks: pattern.option = value"},
        {ROW(task_queue_rates), .kind = SETTINGS_PAIRS, OF_WORKER,
         .help = "how many tasks of a queue all workers may begin: pattern = 10/s, 10/m, 10/h"},
        {ROW(task_acks_late), .kind = SETTINGS_BOOL, .fallback = "true", OF_WORKER,
         .help = "acknowledge when the outcome is stored; false: before it runs, so that a crash "
                 "loses it"},
        {ROW(task_ignore_result), .kind = SETTINGS_BOOL, .fallback = "false", OF_WORKER,
         .help = "store no results of successes"},
        {ROW(task_time_limit), .kind = SETTINGS_SECONDS, .fallback = "none", .unit = "s", OF_WORKER,
         .help = "of tasks that have none: killed after it"},
        {ROW(task_soft_time_limit), .kind = SETTINGS_SECONDS, .fallback = "none", .unit = "s",
         OF_WORKER, .help = "of tasks that have none: cancelled after it"},
        {ROW(task_default_rate_limit), .kind = SETTINGS_RATE, .fallback = "none", OF_WORKER,
         .help = "of tasks that have none, for each task and worker: 10/s, 10/m, 10/h"},

        /* the worker */
        {ROW(worker_pool), .kind = SETTINGS_CHOICE, .choices = pools, .fallback = "prefork",
         OF_WORKER, .help = "what runs tasks: prefork, threads, fibers, solo"},
        {ROW(worker_concurrency), .kind = SETTINGS_COUNT, .most = WORKER_CONCURRENCY_MAX,
         .fallback = "none", OF_WORKER,
         .help = "how many run at once; none: as many as processors, with fibers 1000"},
        {ROW(worker_autoscale), .kind = SETTINGS_BOUNDS, .most = WORKER_CONCURRENCY_MAX,
         .fallback = "none", OF_WORKER,
         .help = "between which two numbers that follows the need: "
                 "10,3"},
        {ROW(worker_max_tasks_per_child), .kind = SETTINGS_COUNT, .most = COUNT_MAX,
         .fallback = "none", OF_WORKER, .help = "tasks after which a child is replaced"},
        {ROW(worker_max_memory_per_child), .kind = SETTINGS_COUNT, .most = COUNT_MAX,
         .fallback = "none", .unit = "KiB", OF_WORKER,
         .help = "resident memory over which a child is replaced"},
        {ROW(worker_soft_shutdown_timeout), .kind = SETTINGS_SECONDS, .fallback = "60", .unit = "s",
         .endless = true, OF_WORKER,
         .help = "how long a stop waits for what runs; 0: not at all; none: as long as it takes"},
        {ROW(worker_send_task_events), .kind = SETTINGS_BOOL, .fallback = "false", OF_WORKER,
         .help = "events of tasks, too"},
        {ROW(worker_enable_remote_control), .kind = SETTINGS_BOOL, .fallback = "true", OF_WORKER,
         .help = "obey sanjab control and celery control"},
        {ROW(worker_hostname), .kind = SETTINGS_TEXT, .fallback = "sanjab@%h", OF_WORKER,
         .help = "the node's name; %h, %n, %d: the host's whole name, its first part, the rest"},
        {ROW(worker_loglevel), .kind = SETTINGS_CHOICE, .choices = levels, .fallback = "info",
         OF_WORKER, .help = "log what is at least: debug, info, warning, error, critical"},
        {ROW(worker_log_format), .kind = SETTINGS_CHOICE, .choices = log_formats,
         .fallback = "text", OF_WORKER,
         .help = "lines of the log as text, or json: not by a pattern as Celery's"},
        {ROW(worker_on_error), .kind = SETTINGS_COMMAND, .fallback = NULL, OF_WORKER,
         .help = "who is told of tasks that have failed: http://..., https://..., or a command"},
        {ROW(worker_shared), .kind = SETTINGS_BOOL, .fallback = "false", OF_WORKER,
         .help = "put tasks of unknown names back for others"},
        {.name = NULL},
};
const size_t settings_table_n = sizeof(settings_table) / sizeof(*settings_table) - 1;

/* Of several that match the first counts. */
const settings_refusal settings_refusals[] = {
        {"result_accept_content", "json", "results are JSON"},
        {"enable_utc", "true", "moments are sent in UTC, which every reader understands"},
        {"timezone", "UTC", "moments are sent in UTC, which every reader understands"},
        {"imports", NULL, "the tasks are named by sanjab worker --app"},
        {"include", NULL, "the tasks are named by sanjab worker --app"},
        {"override_backends", NULL, "the address in result_backend says its kind"},

        {"task_protocol", "2",
         "messages are sent in version 2, which all Celery since 4.0 reads; "
         "version 1 is read"},
        {"task_always_eager", "false", "a task is a C function: a test calls it by its name"},
        {"task_eager_propagates", "false", "a task is a C function: a test calls it by its name"},
        {"task_store_eager_result", "false", "a task is a C function: a test calls it by its name"},
        {"task_remote_tracebacks", "false",
         "a failure says its type and message; C has no "
         "tracebacks to rebuild"},
        {"task_store_errors_even_if_ignored", "true", "a failure is stored always"},
        {"task_track_started", "true", "STARTED is stored for each task that runs for a while"},
        {"task_allow_error_cb_on_chord_header", "false",
         "an error link belongs to the signature that it was given to: give it to the header's "
         "tasks"},
        {"task_acks_on_failure_or_timeout", "true",
         "a failure is an outcome: it is stored, and "
         "the message acknowledged"},
        {"task_acks_on_failure", "true",
         "a failure is an outcome: it is stored, and the message "
         "acknowledged"},
        {"task_acks_on_timeout", "true",
         "a failure is an outcome: it is stored, and the message "
         "acknowledged"},
        {"task_reject_on_worker_lost", "true",
         "a task whose worker was lost is delivered again, "
         "as often as its max_deliveries"},
        {"task_queue_max_priority", NULL, "priorities are 0 to 9 in every queue"},
        {"task_inherit_parent_priority", "false",
         "a task's priority is its call's, its route's or "
         "its own"},
        {"task_create_missing_queue*", NULL, "a queue is there as soon as it is named"},
        {"task_default_queue_type", NULL, "a queue is there as soon as it is named"},
        {"task_default_exchange*", NULL, "messages go to queues by their names"},
        {"task_default_routing_key", NULL, "messages go to queues by their names"},
        {"task_default_delivery_mode", "persistent", "published means durable"},

        {"result_serializer", "json", "results are JSON"},
        {"result_compression", NULL, "results are not compressed"},
        {"result_backend_*", NULL,
         "a result is stored again until it is, as long as the lease is "
         "ours"},
        {"result_cache_max", NULL, "no results are kept in the program's memory"},
        {"result_persistent", NULL, "results are not sent as messages"},
        {"result_exchange*", NULL, "results are not sent as messages"},
        {"result_chord_*", NULL, "the broker counts a chord's tasks: nobody asks again and again"},
        {"database_*", NULL, "results are kept at the broker, or where result_backend says"},
        {"cache_backend*", NULL, "results are kept at the broker, or where result_backend says"},
        {"mongodb_*", NULL, "results are kept at the broker, or where result_backend says"},
        {"cassandra_*", NULL, "results are kept at the broker, or where result_backend says"},
        {"s3_*", NULL, "results are kept at the broker, or where result_backend says"},
        {"azureblockblob_*", NULL, "results are kept at the broker, or where result_backend says"},
        {"gcs_*", NULL, "results are kept at the broker, or where result_backend says"},
        {"elasticsearch_*", NULL, "results are kept at the broker, or where result_backend says"},
        {"couchbase_*", NULL, "results are kept at the broker, or where result_backend says"},
        {"arangodb_*", NULL, "results are kept at the broker, or where result_backend says"},
        {"cosmosdbsql_*", NULL, "results are kept at the broker, or where result_backend says"},
        {"redis_backend_use_ssl", NULL, "write rediss:// in result_backend"},
        {"redis_*", NULL,
         "write it into the address in result_backend, or into "
         "[result_backend_transport_options]"},

        {"broker_host", NULL, "it stands in broker_url"},
        {"broker_port", NULL, "it stands in broker_url"},
        {"broker_user", NULL, "it stands in broker_url"},
        {"broker_password", NULL, "it stands in broker_url"},
        {"broker_vhost", NULL, "it stands in broker_url"},
        {"broker_read_url", NULL, "one broker is used both ways: broker_url"},
        {"broker_write_url", NULL, "one broker is used both ways: broker_url"},
        {"broker_failover_strategy", NULL,
         "name the Sentinels in broker_url; they know who is "
         "the master"},
        {"broker_heartbeat*", NULL, "a connection that does not answer any more is made anew"},
        {"broker_use_ssl", NULL, "write rediss:// in broker_url"},
        {"broker_pool_*", NULL, "all fibers share one connection"},
        {"broker_channel_error_retry", "true",
         "a connection that is lost is made anew, with "
         "growing pauses"},
        {"broker_login_method", NULL, "name and password stand in broker_url"},
        {"broker_native_delayed_delivery*", NULL, "a task with an eta waits in the broker"},
        {"broker_transport", NULL, "the address in broker_url says its kind"},

        {"worker_prefetch_multiplier", "1",
         "a worker takes what it has room for, and one task "
         "ahead while tasks are short, which it gives back "
         "when they are not"},
        {"worker_disable_prefetch", "true", "a worker takes what it has room for"},
        {"worker_enable_prefetch_count_reduction", NULL, "a worker takes what it has room for"},
        {"worker_eta_task_limit", NULL, "a task with an eta waits in the broker"},
        {"worker_lost_wait", NULL, "a child that is lost is seen at once"},
        {"worker_disable_rate_limits", "false", "say *.rate_limit = none in [task_annotations]"},
        {"worker_state_db", NULL, "which tasks are revoked is kept in the broker"},
        {"worker_timer_precision", NULL, "timers are exact"},
        {"worker_proc_alive_timeout", NULL, "a child says when it is ready"},
        {"worker_cancel_long_running_tasks_on_connection_loss", "false",
         "a task whose lease was lost meanwhile cannot settle, so it may go on"},
        {"worker_detect_quorum_queues", NULL, "a task with an eta waits in the broker"},
        {"worker_enable_soft_shutdown_on_idle", NULL, "a worker that has nothing stops at once"},
        {"worker_deduplicate_successful_tasks", NULL,
         "an idempotency key does it: idempotent in "
         "the task's options"},
        {"worker_direct", "false", "name a queue for the worker: --queues"},
        {"worker_pool_putlocks", NULL, "children are fed from rings of their own"},
        {"worker_pool_restarts", NULL, "start the worker again; nothing is lost by it"},
        {"worker_autoscaler", NULL, "say between which numbers: worker_autoscale = 10,3"},
        {"worker_consumer", NULL, "there is one"},
        {"worker_timer", NULL, "there is one"},
        {"worker_agent", NULL, "there is none"},
        {"worker_hijack_root_logger", NULL, "a program gives the log its sink: sj_log_set"},
        {"worker_log_color", NULL, "log lines have no colours"},
        {"worker_task_log_format", NULL, "each line about a task has its id and name"},
        {"worker_redirect_stdouts*", NULL, "what tasks print goes where the worker's does"},
        {"worker_logfile", NULL,
         "the log goes to the error output: let the shell or systemd take "
         "it"},
        {"worker_pidfile", NULL, "say it on the command line: --pidfile"},
        {"worker_uid", NULL, "start it as that user"},
        {"worker_gid", NULL, "start it as that user"},
        {"worker_umask", NULL, "start it with that umask"},
        {"worker_executable", NULL, "tasks are not run by an interpreter"},

        {"event_*", NULL, "events go by Celery's own names, where its monitors look for them"},
        {"events_*", NULL, "sanjab events is no daemon"},
        {"control_*", NULL, "commands go by Celery's own names"},
        {"beat_*", NULL, "there is no scheduler: celery beat can send the tasks"},
        {"security_*", NULL, "messages are not signed: rediss:// keeps others out"},
        {NULL, NULL, NULL},
};

const setting *settings_find(const char *name)
{
        for (const setting *row = settings_table; row->name; row++)
                if (strcmp(row->name, name) == 0)
                        return row;
        return NULL;
}

const settings_refusal *settings_refused(const char *name)
{
        if (settings_find(name))
                return NULL;
        for (const settings_refusal *r = settings_refusals; r->pattern; r++) {
                size_t n = strcspn(r->pattern, "*");
                if (strncmp(r->pattern, name, n) == 0 && (r->pattern[n] || !name[n]))
                        return r;
        }
        return NULL;
}
