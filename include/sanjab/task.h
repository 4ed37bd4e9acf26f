/* SPDX-License-Identifier: MIT */
/*
 * sanjab/task.h: tasks, as C functions.
 *
 *         SJ_TASK(multiply, int64_t, (int64_t, a), (int64_t, b))
 *         {
 *                 *ret = a * b;
 *                 return 0;
 *         }
 *         SJ_TASK_OPTIONS(multiply, .name = "proj.tasks.multiply", .max_retries = 5);
 *
 * What SJ_TASK(multiply, int64_t, (int64_t, a), (int64_t, b)) makes:
 *
 *   int multiply(sj_task_request *self, int64_t *ret, int64_t a, int64_t b)
 *           the body that follows it; can be called like any function, as by a unit test
 *   int multiply_delay(sj_app *app, int64_t a, int64_t b, sj_result *ret)
 *   int multiply_apply_async(sj_app *app, const sj_call *call, sj_result *ret,
 *                            int64_t a, int64_t b)
 *   sj_signature *multiply_s(int64_t a, int64_t b)
 *           a call that is kept, for links and canvas (sanjab/canvas.h)
 *   sj_signature *multiply_si(int64_t a, int64_t b)
 *           the same, immutable: no result of what went before is put in front of its arguments
 *   sj_signature *multiply_p(int64_t b)
 *           a part of a call: the first argument is the result of what goes before it
 *
 * Arguments (at most 8) and results are int64_t, double, bool, const char * (a string) and
 * const sj_json * (any value); a result may be void, and then nothing is written to ret.
 *
 *         SJ_TASK(tick, void) { return 0; }
 *
 * Calls to a task whose body is in another program need its declaration only, in a header:
 *
 *         SJ_TASK_DECLARE(multiply, int64_t, (int64_t, a), (int64_t, b));
 *         SJ_TASK_OPTIONS(multiply, .name = "proj.tasks.multiply");
 *
 * and the file with the body, if it includes that header, says SJ_TASK_DEFINE in the place of
 * SJ_TASK, with the same arguments. A task with no declaration in C is sent by sj_send_task.
 *
 * Lifetimes. Strings and JSON values that a body gets live as long as the call. A string or value
 * that it returns is copied when it returns.
 */
#ifndef SANJAB_TASK_H
#define SANJAB_TASK_H

#include <sanjab/app.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SJ_TASK_PARAM_MAX 8

/* ── In the body of a task ───────────────────────────────────────────────────────────────── */

/* What a body is told of its call, as `self`. Valid during the call. To be read only. */
struct sj_task_request {
        const char *id;
        const char *name;      /* on the wire */
        const char *root_id;   /* the first task of the tree that this belongs to */
        const char *parent_id; /* the task that sent this one, or NULL */
        const char *group;     /* or NULL */
        uint32_t retries;      /* 0 the first time */
        uint32_t deliveries;   /* 1 the first time; more after a crash */
        sj_time deadline;      /* the soft limit, SJ_NEVER if there is none */
        /*
         * For tasks that send tasks, read results or revoke; NULL where there is none. Who waits
         * for a task in the body of another keeps his place in the pool: with prefork, threads and
         * solo a pool full of such waits for itself.
         */
        sj_app *app;
        sj_arena *arena; /* freed after the call: for what the body returns */
        void *internal;
};

/* Whether the task should end early: revoked, past its soft limit, or the worker is stopping. */
SJ_PUBLIC bool sj_task_cancelled(const sj_task_request *self);

/*
 * Stores a custom state, as "PROGRESS", with the text of a JSON value that says more. Does not
 * wait for it to be stored. -EINVAL the name is one of Celery's states or the text is not JSON.
 */
SJ_PUBLIC int sj_task_progress(sj_task_request *self, const char *state, const char *meta_json);

/*
 * Tells those who watch (sanjab events, Celery's monitors) an event of this task, as "task-paid",
 * with the members of a JSON object beside what every event has, which cannot be overwritten. It
 * goes whether or not events of tasks are asked for, in the next batch; nobody waits for it, and
 * where nobody watches it is dropped. As Celery's Task.send_event.
 * -EINVAL the type is not of the characters a-z, 0-9, - and _ with at most 64, or begins with
 * "worker-"; the text is no JSON object; -EMSGSIZE it is longer than 64 KiB.
 */
SJ_PUBLIC int sj_task_event(sj_task_request *self, const char *type, const char *fields_json);

/*
 * Says how the task fails; the body then returns what this returns:
 *         return sj_raise(self, "GatewayError", "status %d", status);
 * A type with dots has its module in front ("shop.errors.GatewayError"); a type without is
 * Python's builtin of that name if there is one, else in module "sanjab". A body that returns a
 * negative errno value without it fails with OSError.
 */
SJ_PUBLIC int sj_raise(sj_task_request *self, const char *type, const char *format, ...)
        SJ_PRINTF(3, 4);

typedef struct sj_retry_options {
        double countdown;        /* seconds; 0: the task's back-off or default_retry_delay */
        sj_wall eta;             /* instead of countdown */
        int max_retries;         /* 0: the task's; SJ_NO_RETRIES, SJ_RETRY_FOREVER */
        const char *exc_type;    /* the cause; NULL: what was raised before, if anything */
        const char *exc_message; /* of the cause */
} sj_retry_options;

/*
 * Asks for another run later; the body then returns what this returns. When no retries are left
 * the task fails with the cause, or with MaxRetriesExceededError. options may be NULL.
 */
SJ_PUBLIC int sj_retry(sj_task_request *self, const sj_retry_options *options);

/*
 * The task is replaced: what the signature says is done in its place and under its id, with what
 * was to come after it (links, the rest of its chain, the chord that it is a member of); a group is
 * replaced by the list of its results. The body then returns what this returns; other than that
 * nothing is stored of this run. The signature stays the caller's.
 */
SJ_PUBLIC int sj_replace(sj_task_request *self, const sj_signature *signature);
/*
 * One task more in the chord that this task is a member of: it is sent at once, and the chord waits
 * for it, too. -EINVAL this task is in no chord; otherwise as sj_signature_send.
 */
SJ_PUBLIC int sj_add_to_chord(sj_task_request *self, const sj_signature *signature, sj_result *ret);
/* The message is done with, and nothing is stored; the body then returns what this returns. */
SJ_PUBLIC int sj_ignore(sj_task_request *self);
/*
 * The message is not for this task: it goes to the dead letters, with FAILURE; or, to be requeued,
 * back into its queue, ready again after a second, which does not count as a delivery: what rejects
 * a message each time sees it again until it expires. The body then returns what this returns.
 */
SJ_PUBLIC int sj_reject(sj_task_request *self, bool requeue);

/* ── A task's options ────────────────────────────────────────────────────────────────────── */

/* A setting whose default is "on". */
typedef enum sj_switch { SJ_OFF = -1, SJ_DEFAULT = 0, SJ_ON = 1 } sj_switch;

/* All may be left zero. Durations are in seconds. */
typedef struct sj_task_options {
        const char *name;           /* on the wire; NULL: the C name */
        const char *queue;          /* NULL: the app's routes */
        int priority;               /* 1 to 9, more is sooner; 0: none */
        int max_retries;            /* 0: 3; SJ_NO_RETRIES, SJ_RETRY_FOREVER */
        double default_retry_delay; /* 0: 180 */
        double retry_backoff;       /* the first delay, doubled each time; 0: default_retry_delay */
        double retry_backoff_max;   /* 0: 600 */
        sj_switch retry_jitter;     /* a random part of the back-off; on unless SJ_OFF */
        const char *autoretry;  /* error types that are retried, as "OSError Timeout"; "*": all */
        const char *rate_limit; /* "10/s", "10/m", "10/h", for each worker; NULL: none */
        const char *fleet_rate; /* the same, for all workers of the broker together */
        /*
         * fleet_rate is for each value of the argument of that name; a call may say another by a
         * header rate_key (sj_call.headers), with or without this.
         */
        const char *rate_key;
        double time_limit;       /* killed after it; 0: none */
        double soft_time_limit;  /* cancelled after it; 0: none */
        bool acks_early;         /* at most once: a crash loses it */
        bool ignore_result;      /* store no SUCCESS, nor what comes before; errors are */
        uint32_t max_deliveries; /* 0: SJ_MAX_DELIVERIES */
        /*
         * Same work once: while a call with the same name and arguments (or the same sj_call.key)
         * waits, runs or has succeeded within idempotent_for, another is not sent: its caller gets
         * the first one's result.
         */
        bool idempotent;
        double idempotent_for; /* 0: a day */
} sj_task_options;

#ifdef __cplusplus
}
#endif

#include <sanjab/task_macros.h>

/* ── Declaring and defining tasks, as shown above ────────────────────────────────────────── */

/* clang-format off */
/* SJ_TASK(name, result type, (type, argument)...) { body } */
#define SJ_TASK(...) \
        SJ_DECLARE_(SJ_FIRST_(__VA_ARGS__), SJ_SECOND_(__VA_ARGS__, -), __VA_ARGS__) \
        SJ_DEFINE_(SJ_FIRST_(__VA_ARGS__), SJ_SECOND_(__VA_ARGS__, -), __VA_ARGS__)
/* The calls alone, as for a header; with a semicolon after it. */
#define SJ_TASK_DECLARE(...) \
        SJ_DECLARE_(SJ_FIRST_(__VA_ARGS__), SJ_SECOND_(__VA_ARGS__, -), __VA_ARGS__) \
        struct sj_task
/* The body of a task whose declaration was seen before. */
#define SJ_TASK_DEFINE(...) \
        SJ_DEFINE_(SJ_FIRST_(__VA_ARGS__), SJ_SECOND_(__VA_ARGS__, -), __VA_ARGS__)
/* SJ_TASK_OPTIONS(name, .member = value...); at most once a task, after SJ_TASK or _DECLARE. */
#define SJ_TASK_OPTIONS(name, ...) \
        SJ_UNUSED_ static const sj_task_options name##_options_ = {__VA_ARGS__}
/* clang-format on */

#endif
