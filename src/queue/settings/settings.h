/* SPDX-License-Identifier: MIT */
/*
 * settings: what a program, a worker or a command is told beside its code, by Celery's lower-case
 * names where the meaning is Celery's.
 *
 *   command line  >  environment  >  sanjab.conf  >  default
 *                    SANJAB_NAME     NAME = value
 *
 * The file is the first of: the one that is named (--config, sj_app_options.config),
 * $SANJAB_CONFIG,
 * ./sanjab.conf, $XDG_CONFIG_HOME/sanjab/sanjab.conf (~/.config/...), /etc/sanjab/sanjab.conf. One
 * file is read, not several. One that names a command to be run must not be others' to write.
 *
 * A setting that consists of pairs (routes, annotations, transport options, the retry policy) is a
 * section of its own in the file, or a JSON object as a value.
 */
#ifndef SANJAB_QUEUE_SETTINGS_H
#define SANJAB_QUEUE_SETTINGS_H

#include "base/buf.h"
#include "queue/worker/worker.h"

#define SETTINGS_FILE_MAX ((size_t)1 << 20) /* bytes of a file */

typedef enum settings_kind {
        SETTINGS_TEXT,
        SETTINGS_ADDRESS, /* text that may hold a password */
        SETTINGS_COMMAND, /* text that may be run: the file that has it must be ours */
        SETTINGS_BOOL,    /* true, false; also yes, no, on, off, 1, 0 */
        SETTINGS_COUNT,   /* unsigned: 0 to `most`, or none, which is 0 */
        SETTINGS_SECONDS, /* double: 0 or more, or none, which is 0, or HUGE_VAL */
        SETTINGS_CHOICE,  /* unsigned: the index in `choices` */
        SETTINGS_NAMES,   /* text: names with commas between */
        SETTINGS_CONTENT, /* text: names of what is decoded, with commas between */
        SETTINGS_RATE,    /* text, as "10/m" */
        SETTINGS_BOUNDS,  /* settings_bounds, as "10,3" */
        SETTINGS_PAIRS,   /* settings_pairs */
} settings_kind;

/* Who has a use for it: for the manual. */
enum {
        SETTINGS_OF_PRODUCER = 1 << 0,
        SETTINGS_OF_WORKER = 1 << 1,
};

typedef struct settings_bounds {
        unsigned max;
        unsigned min;
} settings_bounds;

typedef struct settings_pair {
        const char *name;
        const char *text; /* a string's characters; of any other value its JSON */
        bool is_json;     /* it is of the latter kind */
        unsigned line;    /* of the file; 0: not from a section */
} settings_pair;

typedef struct settings_pairs {
        settings_pair *pairs;
        size_t n;
} settings_pairs;

/* One row of the table of all settings; it ends with a name of NULL. */
typedef struct setting {
        const char *name;
        settings_kind kind;
        size_t offset;        /* in settings_values */
        const char *fallback; /* what it is where nothing is said, as text; NULL: none */
        const char *unit;     /* "s", "KiB"; or NULL */
        const char *help;
        unsigned used_by;
        unsigned most;
        bool endless;               /* SECONDS: none is HUGE_VAL */
        const char *const *choices; /* ends with NULL */
} setting;

extern const setting settings_table[];
extern const size_t settings_table_n;

/* A setting of Celery's that there is not, and why. */
typedef struct settings_refusal {
        const char *pattern; /* a name, or the beginning of names before a * */
        const char *only;    /* a value that says what is so anyway, and is let pass; or NULL */
        const char *reason;  /* what follows "because ", or what to do instead */
} settings_refusal;

extern const settings_refusal settings_refusals[];
/* The refusal for that name, or NULL. */
const settings_refusal *settings_refused(const char *name);

/* The row with that name, or NULL. */
const setting *settings_find(const char *name);

/* How logs are written, in the order of the choices of worker_log_format. */
enum { SETTINGS_LOG_TEXT, SETTINGS_LOG_JSON };

/* Every setting as what it means. Texts that are not set are NULL. */
typedef struct settings_values {
        const char *broker_url;
        double broker_connection_timeout;
        bool broker_connection_retry;
        bool broker_connection_retry_on_startup;
        unsigned broker_connection_max_retries; /* 0: no limit */
        settings_pairs broker_transport_options;
        const char *result_backend;
        settings_pairs result_backend_transport_options;
        double result_expires; /* 0: for ever */
        bool result_extended;

        const char *task_default_queue;
        settings_pairs task_routes;
        unsigned task_default_priority;
        unsigned task_serializer;
        unsigned task_compression;
        const char *accept_content;
        bool task_send_sent_event;
        unsigned task_canvas_form; /* sj_canvas_form */
        bool task_publish_retry;
        settings_pairs task_publish_retry_policy;

        settings_pairs task_annotations;
        settings_pairs task_queue_rates;
        bool task_acks_late;
        bool task_ignore_result;
        double task_time_limit;
        double task_soft_time_limit;
        const char *task_default_rate_limit;
        const char *task_queues;

        unsigned worker_pool;
        unsigned worker_concurrency;
        settings_bounds worker_autoscale;
        unsigned worker_max_tasks_per_child;
        unsigned worker_max_memory_per_child; /* KiB */
        double worker_soft_shutdown_timeout;
        bool worker_send_task_events;
        bool worker_enable_remote_control;
        const char *worker_hostname;
        unsigned worker_loglevel; /* sj_log_level */
        unsigned worker_log_format;
        const char *worker_on_error;
        bool worker_shared;
} settings_values;

typedef enum settings_origin {
        SETTINGS_DEFAULT,
        SETTINGS_FROM_FILE,
        SETTINGS_FROM_ENVIRONMENT,
        SETTINGS_FROM_COMMAND_LINE,
} settings_origin;

typedef struct settings settings;

/* What a command line says: "--broker" gives "broker_url" a value. NULL value: it does not. */
typedef struct settings_given {
        const char *name;
        const char *value;
        const char *option;
} settings_given;

/*
 * Collects all settings. config: the file; NULL: the search above; "": none. Blocks (the file is
 * read), at most until the deadline.
 * -EINVAL something is wrong: error then has a line for each mistake, all of them, with the place;
 * a file that was named and cannot be read is one. -ENOMEM.
 */
int settings_load(const char *config, const settings_given given[], size_t n, settings **ret,
                  buf *error, sj_time deadline);
void settings_free(settings *s);

const settings_values *settings_of(const settings *s);

/* The file that was read, or NULL. */
const char *settings_path(const settings *s);
/* Where the value of the row comes from, for people: "sanjab.conf:3", "$SANJAB_X", "--x". */
settings_origin settings_origin_of(const settings *s, const setting *row, char *ret, size_t size);
/* As text, as it would be written in a file; NULL: it is not set, or consists of pairs. */
const char *settings_text(const settings *s, const setting *row);

/* ── What they are for ───────────────────────────────────────────────────────────────────── */

/* Each member of *o that is not set (zero) is set. They point into s. */
void settings_app_options(const settings *s, sj_app_options *o);
/* The same; broker, name, queues, tasks, app and ready are left alone. */
void settings_worker_options(const settings *s, worker_options *o);

#endif
