/* SPDX-License-Identifier: MIT */
/*
 * canvas: from a signature, whatever it is made of, to the messages that begin it (protocol §8).
 *
 *   a task        one message
 *   chain         the first link, with the rest behind it
 *   group         its members, side by side
 *   chord         the members of its header, each with the word of the body; and an open join
 *   a chain in which a group is followed by something: that group is the header of a chord
 *
 * Pure but for fresh ids. The same code begins what a program sends and what a worker sends on
 * when a task has ended.
 *
 * Two forms. Celery's: each member of a header carries the whole body, and with it the rest of the
 * chain behind the body, so that any worker can go on; nested chords stay signatures until they
 * begin, so that their size is the sum of their parts. Ours (canvas_context.compact): the body is
 * kept once in the join, members carry a reference to it only; what is sent grows linearly with
 * the number of tasks. It is used where no worker of Celery's takes part.
 *
 * A reference stands in the place of a chord's body: as embed.chord of a message, as options.chord
 * of a signature, or as the body of a chord that has not begun. It is
 *
 *   { "task": the body's, "args": [], "kwargs": {},
 *     "options": {"task_id": the body's, "group_id": the join's},
 *     "subtask_type": "sanjab.reference", "immutable": whether it is of one task }
 *
 * and the join that it names is open already, with the body as its text. A Celery worker that
 * meets one refuses it, since the type is unknown to it: it never runs half a body.
 *
 * What a worker does with a message whose embed.chord is there, when its task has ended for good:
 * the task arrives at the join (canvas_arrival says with what group and index). When all have
 * arrived, and all with success, canvas_begin_body sends the body; when one has failed, the body
 * and what is behind it fail (canvas_abandoned names them).
 *
 * "Of one task" (canvas_is_single): what waits is not a body but the next link of a chain, which
 * was too long to be carried by each of its links. Its result goes on as it is, not in a list of
 * one; and its failure is the failure of the links behind, as in every chain.
 */
#ifndef SANJAB_QUEUE_CANVAS_H
#define SANJAB_QUEUE_CANVAS_H

#include "queue/broker/broker.h"
#include "queue/message/message.h"

/* Limits. */
#define CANVAS_TASKS_MAX 100000 /* signatures in one canvas */
#define CANVAS_DEPTH_MAX 32     /* of composites in each other */
#define CANVAS_INLINE    2048   /* bytes of a chain that each link carries, in the compact form */

/* What a message is given of which its signature says nothing. */
typedef struct canvas_defaults {
        sj_str content_type; /* data NULL: JSON */
        sj_str compression;  /* data NULL: none */
        /* As brokers have it; its arg is the context's route_arg. NULL: 0. */
        int64_t (*priority)(void *arg, sj_str task);
} canvas_defaults;

typedef struct canvas_context {
        sj_wall now;
        sj_str root;   /* of the task that sends; or empty */
        sj_str parent; /* its id; or empty */
        sj_str origin; /* "gen<pid>@<host>" */
        /* The queue of a task that names none; an empty answer or NULL: default_queue. */
        sj_str (*route)(void *arg, sj_str task);
        void *route_arg;
        sj_str default_queue;
        canvas_defaults defaults;
        bool compact;
        sj_str reply_to; /* of those that have none; or empty */
} canvas_context;

/* What is to be published: first the joins are opened, then the messages. All in the arena. */
typedef struct canvas_start {
        broker_message *messages;
        size_t n_messages;
        broker_join *joins;
        size_t n_joins;
        /* Whose result is the result of all: the last link's, the body's; of a group its id. */
        sj_str id;
        /* Celery's tuple of it: [[id, parent], children] (§7.1, §7.4). */
        const sj_json *tuple;
        /* The tuple of what begins now: what a result names as its child (§7.1, §8.5). */
        const sj_json *child;
} canvas_start;

/*
 * partial: values to put before the arguments of what begins (n of them). behind: what follows
 * the whole, an array of signatures with the next one last, or NULL.
 * -EBADMSG it is no signature, or a part of it is none: *ret_error; -EMSGSIZE; -ENOMEM.
 */
int canvas_begin(sj_arena *arena, const canvas_context *context, const sj_json *signature,
                 const sj_json *const partial[], size_t n_partial, const sj_json *behind,
                 canvas_start *ret, message_error *ret_error);

/*
 * The body of a chord whose members have all arrived: result is the array of their results (of a
 * single reference: the one result itself). The parent and root that the body names go before
 * those of the context (§8.4, 3.). Errors as above.
 */
int canvas_begin_body(sj_arena *arena, const canvas_context *context, const sj_json *body,
                      const sj_json *result, canvas_start *ret, message_error *ret_error);

/* ── Joins ───────────────────────────────────────────────────────────────────────────────── */

/* Whether it stands for a body that is kept in a join. NULL is none. */
bool canvas_is_reference(const sj_json *signature);
/* A reference of one task; see above. */
bool canvas_is_single(const sj_json *signature);

/* One who waits, or is waited for. */
typedef struct canvas_part {
        sj_str id;                /* the task's */
        sj_str group;             /* the join where it arrives; empty: nowhere */
        int64_t index;            /* its place there; -1: none */
        const sj_json *chord;     /* the body or a reference to it; NULL: it arrives nowhere */
        const sj_json *signature; /* its own; NULL for a message's */
} canvas_part;

/* Whether others wait for its end besides those who read its result: broker.h's `awaited`. */
bool canvas_awaits(const message *m);

/* Where the task of a message arrives when it has ended. False: nowhere. */
bool canvas_arrival(const message *m, canvas_part *ret);

/*
 * All that will never run when the signature (a link of a chain that failed before, a body) does
 * not: FAILURE is to be stored under each id, and each that has a chord arrives there with it. Of
 * a chord that has not begun: its body and what is behind that; or, when the body is kept in a
 * join, the members of its header, whose arrivals then bring the body to light.
 * -EBADMSG, -EMSGSIZE, -ENOMEM as canvas_begin.
 */
int canvas_abandoned(sj_arena *arena, const sj_json *signature, const canvas_part **ret,
                     size_t *ret_n, message_error *ret_error);

#endif
