/* SPDX-License-Identifier: MIT */
/*
 * task: the tasks that this process has, and how one is run.
 *
 * A program's tasks register themselves before main or in dlopen (SJ_TASK). A registry is a
 * checked table of them: a name is looked up in it, and never turned into a symbol.
 *
 * A worker's controller never loads the tasks; its children do. What it must know of them (names,
 * limits, retry rules) travels as a manifest, and what came of a run travels back as a
 * task_return; both are JSON texts.
 */
#ifndef SANJAB_QUEUE_TASK_H
#define SANJAB_QUEUE_TASK_H

#include <sanjab/queue.h>

/* ── Options, resolved ───────────────────────────────────────────────────────────────────── */

/* What the controller knows of a task: its options with the defaults filled in. */
typedef struct task_info {
        sj_str name;  /* on the wire */
        sj_str where; /* "file:line" */
        sj_str queue; /* empty: by the routes */
        int64_t priority;
        int64_t max_retries; /* SJ_RETRY_FOREVER, or 0 and more */
        double default_retry_delay;
        double retry_backoff; /* 0: none */
        double retry_backoff_max;
        bool retry_jitter;
        sj_str autoretry;   /* "" none, "*" all, or type names with blanks between */
        double rate;        /* a second; 0: no limit */
        double fleet_rate;  /* over the whole fleet */
        sj_str rate_key;    /* for each value of this argument; empty: for all */
        int64_t rate_place; /* where it stands among the arguments, or -1 */
        double time_limit;
        double soft_time_limit;
        bool acks_early;
        bool ignore_result;
        uint32_t max_deliveries; /* at least 1 */
        bool idempotent;
        double idempotent_for;
} task_info;

/* "10/s", "10/m", "10/h", or a number: tasks a second; 0: none, as for NULL and "". -EINVAL. */
int task_parse_rate(const char *text, double *ret);

/* Whether autoretry covers an error of that type; a type may be given with its module. */
bool task_autoretries(const task_info *info, const char *module, const char *type);

/* ── The registry ────────────────────────────────────────────────────────────────────────── */

typedef struct task_registry task_registry;

/*
 * A table of all tasks that have registered so far.
 * -EEXIST a name twice, -EINVAL a bad option, -EPROTO compiled with another version's header:
 * error (size bytes) then holds a sentence with the place of each, as
 * "task 'add' is defined twice: a.c:3 and b.c:9". -ENOMEM.
 */
int task_registry_new(task_registry **ret, char *error, size_t size);
/* The same, of the tasks given alone. */
int task_registry_new_of(const sj_task *const tasks[], size_t n, task_registry **ret, char *error,
                         size_t size);
void task_registry_free(task_registry *registry);

size_t task_registry_count(const task_registry *registry);
/* Task i, in the order of names; *ret_info (may be NULL) its options. */
const sj_task *task_registry_at(const task_registry *registry, size_t i,
                                const task_info **ret_info);
/* The task with that name on the wire, or NULL. */
const sj_task *task_registry_find(const task_registry *registry, sj_str name,
                                  const task_info **ret_info);

/* The manifest of a registry, as a JSON text in the arena. -ENOMEM. */
int task_manifest_write(const task_registry *registry, sj_arena *arena, sj_str *ret);

/* A manifest that was read: task_infos in the order of names. All in the arena. */
typedef struct task_manifest {
        const task_info *tasks;
        size_t n;
} task_manifest;

/* -EBADMSG it is not one; -ENOMEM. */
int task_manifest_read(sj_arena *arena, sj_str text, task_manifest *ret);
/* The task with that name, or NULL. */
const task_info *task_manifest_find(const task_manifest *manifest, sj_str name);

/* ── Running ─────────────────────────────────────────────────────────────────────────────── */

typedef enum task_end {
        TASK_SUCCEEDED,
        TASK_FAILED,
        TASK_RETRIED,  /* asked for another run */
        TASK_REPLACED, /* by a signature, which ends in its place */
        TASK_IGNORED,  /* it is over, and nothing is stored */
        TASK_REJECTED, /* to the dead letters */
        TASK_REQUEUED, /* likewise, but somebody else may try */
        TASK_ENDS,
} task_end;

/* What came of a run. Texts are in the arena of the call that made it. */
typedef struct task_return {
        task_end end;
        sj_str value; /* SUCCEEDED: the result as JSON; REPLACED: the signature */
        /* FAILED, and RETRIED if there is a cause (else type is empty) */
        sj_str type;
        sj_str module;
        sj_str args;      /* the exception's arguments: a JSON array */
        sj_str traceback; /* or empty */
        /* RETRIED */
        double countdown;    /* seconds; negative: by the task's options */
        sj_wall eta;         /* 0: by countdown */
        int64_t max_retries; /* 0: the task's; SJ_NO_RETRIES, SJ_RETRY_FOREVER */
} task_return;

/* What a running task may ask of the process around it. Any member may be NULL. */
/* Whether sj_task_event may tell it: what a child says of it is asked again. */
bool task_event_ok(sj_str type, sj_str fields);

typedef struct task_host {
        void *arg;
        bool (*cancelled)(void *arg);
        /* Stores a state of the task's own; meta is JSON. */
        int (*progress)(void *arg, sj_str state, sj_str meta);
        /* Tells an event of the task's own; fields is a JSON object. */
        int (*event)(void *arg, sj_str type, sj_str fields);
        sj_str chord; /* of a chord's member: [its place or null, the body] as JSON; or empty */
} task_host;

/*
 * Runs the task with these arguments, here and now: checks them against its parameters (a wrong
 * count, name or type makes it fail with TypeError, in Python's words), calls the body, and
 * writes what came of it. `request` is the caller's, filled but for `arena` and `internal`.
 * Whatever the task does is in *ret; the call itself fails with -ENOMEM only.
 */
int task_run(const sj_task *task, sj_task_request *request, const task_host *host,
             const sj_json *args, const sj_json *kwargs, sj_arena *arena, task_return *ret);

/*
 * The same for the task of that name: one of the registry, or one of Celery's own, which every
 * worker has (task_builtin.c). Any other is a failure.
 */
int task_run_named(const task_registry *registry, sj_str name, sj_task_request *request,
                   const task_host *host, const sj_json *args, const sj_json *kwargs,
                   sj_arena *arena, task_return *ret);
/* What runs the task whose body this is, or NULL. */
const task_host *task_host_of(const sj_task_request *self);
/* The options of the task of Celery's own with that name, or NULL. */
const task_info *task_builtin_find(sj_str name);

/* A task_return as a JSON text and back, for the way from a child to its controller. */
int task_return_write(sj_arena *arena, const task_return *r, sj_str *ret);
int task_return_read(sj_arena *arena, sj_str text, task_return *ret);

/*
 * A failure that the worker finds itself, for outcome: type as for sj_raise ("module.Type"), its
 * arguments as a JSON array.
 */
task_return task_failed(const char *module, const char *type, sj_str args);

#endif
