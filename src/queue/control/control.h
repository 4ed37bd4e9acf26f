/* SPDX-License-Identifier: MIT */
/*
 * control: what is said to workers while they run, and what they answer (protocol §5).
 *
 *   caller ── request ──► everybody who listens on "celery.pidbox"
 *      ▲                       │ those whom it is addressed to
 *      └── mailbox ◄── reply ──┘ {"node": value}
 *
 * The texts are Celery's, so that either end may be Python. The functions of the first two parts
 * are pure; what a worker does with a request is in worker_control.c.
 */
#ifndef SANJAB_QUEUE_CONTROL_H
#define SANJAB_QUEUE_CONTROL_H

#include "queue/broker/broker.h"
#include "queue/control/clock.h"

#define CONTROL_CHANNEL     "celery.pidbox"
#define CONTROL_REPLY       "reply.celery.pidbox"
#define CONTROL_PATTERN_MAX 256          /* bytes */
#define CONTROL_REPLIES_MAX 10000        /* that one call takes */
#define CONTROL_TIMEOUT     (1 * SJ_SEC) /* Celery's */

/* ── Requests ────────────────────────────────────────────────────────────────────────────── */

typedef struct control_request {
        sj_str method;
        const sj_json *arguments;   /* an object, or NULL: none */
        const sj_json *destination; /* an array of node names, or NULL: all */
        sj_str pattern;             /* of node names, for `matcher`, or empty */
        sj_str matcher;
        sj_str ticket; /* which a reply repeats, or empty */
        sj_str reply_exchange;
        sj_str reply_key; /* empty: no reply is wanted */
        int64_t clock;
        bool packed;    /* written in msgpack, as its reply is then, too; else in JSON */
        double expires; /* seconds since 1970, 0: never; Celery's workers do not look at it */
} control_request;

/* In the arena. Errors as letter_encode. */
int control_request_encode(sj_arena *arena, const control_request *request, sj_str *ret);
/* Errors as letter_decode. */
int control_request_decode(sj_arena *arena, sj_str text, control_request *ret,
                           const char **ret_why);

/*
 * Whether it is addressed to the node. -EOPNOTSUPP by a matcher that we do not have: only "glob";
 * Python's regular expressions are not ours, and a stranger's could take for ever.
 */
int control_is_for(const control_request *request, sj_str node);

/* Python's fnmatch: * any characters, ? one, [a-z] one of these, [!a-z] none of these. */
bool control_glob(sj_str pattern, sj_str text);

/* ── Replies ─────────────────────────────────────────────────────────────────────────────── */

/* The reply of one node; value is JSON text. In the arena. Errors as letter_encode. */
int control_reply_encode(sj_arena *arena, const control_request *to, sj_str node, sj_str value,
                         int64_t clock, sj_str *ret);

typedef struct control_reply {
        sj_str node;
        const sj_json *value;
} control_reply;

/*
 * Errors as letter_decode; -ESTALE it is the reply to another request than the one with that
 * ticket. *ret_clock is what its sender's clock said, 0: nothing.
 */
int control_reply_decode(sj_arena *arena, sj_str text, sj_str ticket, control_reply *ret,
                         int64_t *ret_clock, const char **ret_why);

/* ── Asking ──────────────────────────────────────────────────────────────────────────────── */

typedef struct control_call {
        const char *method;
        const sj_json *arguments; /* an object, or NULL */
        const sj_str *nodes;      /* to whom; none: to all */
        size_t n_nodes;
        sj_str pattern; /* a glob of names, with no nodes; or empty */
        size_t limit;   /* replies after which it ends; 0: one of each node, else the deadline */
        bool silent;    /* no reply is waited for */
        bool packed;    /* in msgpack, for workers and callers that accept nothing else */
} control_call;

/* Celery's control commands are written as its tasks are. */
bool control_is_packed(const sj_app_options *options);

/*
 * Says it to the workers and takes their replies until the deadline, or until there are enough:
 * how many came, in the order of coming; those of one node only once. All in the arena. The
 * broker's errors; -EINVAL; -ENOMEM.
 */
int control_broadcast(broker *b, queue_clock *clock, const control_call *call, sj_arena *arena,
                      const control_reply **ret, sj_time deadline);

#endif
