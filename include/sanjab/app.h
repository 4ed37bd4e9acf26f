/* SPDX-License-Identifier: MIT */
/*
 * sanjab/app.h: a program's view of a broker: the tasks that it sends, and their results.
 *
 *         sj_app *app;
 *         r = sj_app_new(&(sj_app_options){.broker = "sqlite:jobs.db"}, &app);
 *         sj_result result;
 *         r = sj_send_task(app, "proj.tasks.multiply", "[2, 3]", NULL, NULL, &result);
 *         sj_outcome outcome;
 *         r = sj_result_get(&result, arena, &outcome, sj_after(10 * SJ_SEC));
 *
 * Tasks that are declared in C have calls of their own, with types: sanjab/task.h.
 *
 * Blocking. All calls that talk to the broker may be made by a fiber (they are cancellation points
 * then) or in a thread without a loop (it is blocked).
 */
#ifndef SANJAB_APP_H
#define SANJAB_APP_H

#include <sanjab/json.h>
#include <sanjab/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits and defaults. */
#define SJ_TASK_ID_MAX      127 /* bytes of a task's id; ours have 36 */
#define SJ_TASK_NAME_MAX    255 /* bytes of a task's or a queue's name */
#define SJ_QUEUE_DEFAULT    "celery"
#define SJ_PUBLISH_DEADLINE (30 * SJ_SEC) /* when neither the call nor its scope has one */
#define SJ_MAX_DELIVERIES   5             /* of one message, before it is dead */

/* Of retries, where 0 is the default. */
#define SJ_NO_RETRIES    (-1)
#define SJ_RETRY_FOREVER (-2)

typedef struct sj_app sj_app;
typedef struct sj_signature sj_signature;
typedef struct sj_task_request sj_task_request;

/* ── The app: a program's view of a broker ───────────────────────────────────────────────── */

/* Tasks whose name matches go to the queue; the first match of a list counts. */
typedef struct sj_route {
        const char *pattern; /* a name, in which * stands for any characters and ? for one */
        const char *queue;   /* NULL: the default queue */
        int priority;        /* 1 to 9, of tasks that have none; 0: none */
} sj_route;

/*
 * How often and when a publish is tried again that finds no broker; Celery's retry_policy. With all
 * of it zero it is as below, but a broker in Redis, which connects again by itself, is waited for
 * until the deadline. With anything said, each attempt ends with the next attempt to connect, which
 * it brings about, though not within 20 ms of the last one. The same holds in a task's body.
 */
typedef struct sj_retry_policy {
        int max_retries;       /* 0: 3; SJ_NO_RETRIES, SJ_RETRY_FOREVER (until the deadline) */
        double interval_start; /* seconds before the first; 0: at once */
        double interval_step;  /* more each time; 0: 0.2 */
        double interval_max;   /* at most; 0: 1 */
} sj_retry_policy;

/*
 * Celery's form of a canvas can be run by any worker, and each task of it carries what comes
 * after; in the compact form the broker keeps that, and what is sent grows with the number of
 * tasks. The default is by the broker: compact where it is known that all who use it are sanjab
 * (files and memory), else Celery's.
 */
typedef enum sj_canvas_form {
        SJ_CANVAS_DEFAULT,
        SJ_CANVAS_CELERY,
        SJ_CANVAS_COMPACT,
} sj_canvas_form;

/*
 * What is left zero is as the settings say (sanjab.conf(5): the file, and the variables
 * SANJAB_...), else as it is said here.
 */
typedef struct sj_app_options {
        const char *config; /* the settings file; NULL: as sanjab finds it; "": none */
        /* "sqlite:PATH", "redis://HOST/DB", "memory:", "memory:NAME"; NULL: "sqlite:sanjab.db" */
        const char *broker;
        const char *default_queue; /* NULL: SJ_QUEUE_DEFAULT */
        int default_priority;      /* of tasks that have none, nor their route; 1 to 9; 0: none */
        const sj_route *routes;    /* copied */
        size_t n_routes;
        double result_expires; /* seconds that results are kept; 0: a day; negative: for ever */
        sj_time open_deadline; /* for reaching the broker; 0: as for a publish */
        /* Where results are kept; NULL: in the broker. */
        const char *result_backend;
        /* Celery's broker_transport_options and its like for results: JSON objects, or NULL. */
        const char *transport;
        const char *result_transport;
        const char *serializer;  /* of arguments: "json", "msgpack"; NULL: json */
        const char *compression; /* of messages: "zlib", "zstd", "bzip2"; NULL: none */
        bool result_extended;    /* results name the task, its arguments and its worker */
        bool send_sent_event;    /* an event task-sent for each task that is sent */
        sj_retry_policy publish; /* when the broker cannot be reached */
        sj_canvas_form canvas;   /* how chords and long chains are sent */
} sj_app_options;

/*
 * Opens the broker. Options are copied; they may be NULL. Blocks.
 * Errors: -EINVAL the broker's address, a route or a setting is malformed; -EPROTONOSUPPORT no such
 * kind of broker in this build; those of the broker (-EACCES, -ENOENT, -ENOTDIR, -ENOSPC, -EBADMSG
 * the file is not a queue or of a newer version, -ECONNREFUSED, ...); -ETIMEDOUT; -ENOMEM. The
 * reason in words goes to the log.
 */
SJ_PUBLIC int sj_app_new(const sj_app_options *options, sj_app **ret);
/* Closes it. Nobody may be inside a call with it. May block shortly. NULL is allowed. */
SJ_PUBLIC void sj_app_free(sj_app *app);

/* ── Calling a task ──────────────────────────────────────────────────────────────────────── */

/* How a task is to be run, where it differs from the task's options. All may be left zero. */
typedef struct sj_call {
        double countdown; /* seconds from now before which it is not run */
        sj_wall eta;      /* the moment before which it is not run; instead of countdown */
        double expires;   /* seconds from now after which it is not run, but REVOKED */
        sj_wall expires_at;
        const char *queue;
        int priority; /* 1 to 9, where more is sooner; 0: the task's */
        const char *task_id;
        const char *shadow;             /* a name to show in its place */
        double time_limit;              /* seconds after which it is killed */
        double soft_time_limit;         /* seconds after which it is cancelled */
        bool ignore_result;             /* store no SUCCESS, nor what comes before; errors are */
        uint32_t max_deliveries;        /* 0: the task's */
        const char *key;                /* idempotency key: see sj_task_options.idempotent */
        double key_for;                 /* seconds that the key is kept after success; 0: a day */
        const sj_json *headers;         /* an object of further headers, or NULL */
        const sj_signature *link;       /* sent with the result when it has succeeded */
        const sj_signature *link_error; /* sent with its id when it has failed */
        const sj_task_request *parent;  /* the task that calls: self, or NULL */
        sj_time deadline; /* for the publish; 0: the scope's, else SJ_PUBLISH_DEADLINE */
        const sj_retry_policy *retry; /* of the publish; NULL: the app's */
        /*
         * The exchange of a broker that has them, and its key. Without an exchange the key is the
         * queue, if none is given. -EOPNOTSUPP where the broker has no exchanges; -ENOENT nothing
         * is bound to it for the key. What a worker sends on by an exchange, as a link, has nobody
         * to tell that to: it stays in the queue that has the key's name.
         */
        const char *exchange;
        const char *routing_key;
        const char *serializer;  /* of the arguments; NULL: the app's */
        const char *compression; /* of the message; NULL: the app's; "none" */
        bool transient;          /* need not outlive the broker (delivery_mode 1) */
        const sj_json *stamps;   /* an object: what all that follows from it carries too */
        /* What Celery lets a caller say in place of what would be worked out; NULL: that. */
        const char *reply_to;
        const char *group_id;
        const char *root_id;
        const char *parent_id;
        const char *argsrepr; /* of the arguments, for people */
        const char *kwargsrepr;
} sj_call;

/* A task that was sent. A plain value: it may be copied, and made anew from an id. */
typedef struct sj_result {
        sj_app *app;
        char id[SJ_TASK_ID_MAX + 1];
        bool is_group; /* its value is an array: those of a group's members, in their order */
} sj_result;

/*
 * Sends a task by its name on the wire. args is the text of a JSON array, kwargs of an object;
 * NULL: none. call and ret may be NULL. When it returns 0 the message is as durable as the broker
 * can make it. With an idempotency key of a task that is known, *ret is that one's result.
 * Blocks, at most until its deadline.
 * Errors: -EINVAL a text is not such JSON, a name or id is empty or has control characters;
 * -ENAMETOOLONG; -EMSGSIZE the message is too large; -EEXIST the task_id is in use;
 * -ETIMEDOUT, -ECANCELED: whether it was published is not known, unless the broker says;
 * -ENOSPC and others of the broker; -ENOMEM. The message was not published then. What is malformed
 * is told in words to the log, here and where a signature is made.
 *
 * A broker that cannot be reached is tried again, as the call's or the app's policy says; one that
 * was lost in the middle may then get the message twice if it does not know ids (Redis).
 */
SJ_PUBLIC int sj_send_task(sj_app *app, const char *name, const char *args, const char *kwargs,
                           const sj_call *call, sj_result *ret);

/* A call for sj_send_many; as the arguments of sj_send_task. */
typedef struct sj_task_call {
        const char *name;
        const char *args;
        const char *kwargs;
        const sj_call *call; /* its deadline and retry are not looked at */
} sj_task_call;

#define SJ_SEND_MANY_MAX 1024 /* calls of one round trip */

/*
 * Sends n calls in few round trips: SJ_SEND_MANY_MAX in one, which are sent all or not at all.
 * ret (n elements, or NULL) tells of each; after an error the id of what was not sent is empty.
 * Errors as sj_send_task: of what is malformed before anything is sent.
 */
SJ_PUBLIC int sj_send_many(sj_app *app, const sj_task_call calls[], size_t n, sj_result ret[],
                           sj_time deadline);

/* ── Signatures: a call that is kept, for links and canvas ───────────────────────────────── */

/*
 * A call of a task by its name, not yet made; args and kwargs as for sj_send_task, call may be
 * NULL. NULL when there is no memory or an argument is wrong; every function that takes a
 * signature answers -EINVAL to NULL, so that one check is enough. The caller owns it. More that
 * can be done with signatures is in sanjab/canvas.h.
 * Of the call its key, max_deliveries, parent, deadline and retry do not go into a signature.
 */
SJ_PUBLIC sj_signature *sj_signature_new(const char *name, const char *args, const char *kwargs,
                                         const sj_call *call);
/* NULL is allowed. */
SJ_PUBLIC void sj_signature_free(sj_signature *s);
/*
 * Its own arguments are all: the result of what went before is not put in front of them. Of a
 * group or a chord it is said of each member. Returns s.
 */
SJ_PUBLIC sj_signature *sj_signature_immutable(sj_signature *s);
/*
 * Sends it, whatever it is made of; it stays the caller's, and may be sent again. The result is
 * that of the whole: of a chain that of its last link, of a chord that of its body, of a group an
 * array. Errors as sj_send_task; -EOPNOTSUPP a chord, where the broker keeps none. A group of more
 * than SJ_SEND_MANY_MAX is sent in parts, some of which may have been sent when one fails.
 */
SJ_PUBLIC int sj_signature_send(sj_app *app, const sj_signature *s, sj_result *ret);

/* ── Results ─────────────────────────────────────────────────────────────────────────────── */

typedef enum sj_state {
        SJ_PENDING,
        SJ_RECEIVED,
        SJ_STARTED,
        SJ_RETRY,
        SJ_SUCCESS, /* final, as the two below */
        SJ_FAILURE,
        SJ_REVOKED,
        SJ_CUSTOM, /* a name of the task's own: see sj_task_progress */
} sj_state;

/* "PENDING", ...; "CUSTOM" for SJ_CUSTOM. */
SJ_PUBLIC const char *sj_state_name(sj_state state);
static inline bool sj_state_is_final(sj_state state)
{
        return state == SJ_SUCCESS || state == SJ_FAILURE || state == SJ_REVOKED;
}

/* Why a task failed, is retried or was revoked. NUL-terminated, never NULL but for traceback. */
typedef struct sj_error {
        const char *type;      /* "ValueError" */
        const char *message;   /* its first argument, or all as JSON if that is no string */
        const char *module;    /* "builtins" */
        const char *traceback; /* or NULL */
} sj_error;

/* All of it lives in the arena that was given. */
typedef struct sj_outcome {
        sj_state state;
        const char *state_name; /* also of a custom state */
        const sj_json *value;   /* SUCCESS: the result; CUSTOM, STARTED: what was said; else NULL */
        sj_error error;         /* FAILURE, RETRY, REVOKED; else empty texts */
        sj_wall done;           /* when it ended; 0 if it has not, or that is not known */
        const sj_json *meta;    /* the stored object with all its fields, NULL while PENDING */
} sj_outcome;

/*
 * Waits until the task has ended, by success or not (outcome.state tells). Blocks.
 * Errors: -ENOENT the broker knows no such task, or has forgotten it; -ETIMEDOUT; -ECANCELED;
 * -EBADMSG what is stored is not a result; those of the broker; -ENOMEM.
 * A broker that cannot tell unknown ids (Redis) takes them for pending.
 */
SJ_PUBLIC int sj_result_get(const sj_result *result, sj_arena *arena, sj_outcome *ret,
                            sj_time deadline);
/* What is known now, without waiting for the end. Errors as sj_result_get. */
SJ_PUBLIC int sj_result_state(const sj_result *result, sj_arena *arena, sj_outcome *ret,
                              sj_time deadline);
/* Removes what is stored of a task that has ended. -EBUSY it has not; -ENOENT; the broker's. */
SJ_PUBLIC int sj_result_forget(const sj_result *result, sj_time deadline);
/*
 * Revokes it: what waits is not run and becomes REVOKED at once; one that runs is asked to end
 * (sj_task_cancelled), and it is not run again: that is kept in the broker for a day, for retries
 * and for workers that start later. 0 it was revoked or asked; -EALREADY it has ended; -ENOENT; the
 * broker's.
 */
SJ_PUBLIC int sj_result_revoke(const sj_result *result, sj_time deadline);

#ifdef __cplusplus
}
#endif

#endif
