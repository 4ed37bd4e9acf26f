/* SPDX-License-Identifier: MIT */
/*
 * result: what is stored of a task, as Celery stores it (protocol §7.1, §7.2).
 *
 *   {"status": "SUCCESS", "result": 5, "traceback": null, "children": [], "date_done": "...",
 *    "task_id": "...", "group_id": only in a group, "parent_id": only with a parent}
 *
 * An error is stored as {"exc_type", "exc_message": [its arguments], "exc_module"}. It is data:
 * never resolved to anything.
 */
#ifndef SANJAB_QUEUE_RESULT_H
#define SANJAB_QUEUE_RESULT_H

#include <sanjab/queue.h>

/* What a result says of its task besides, with result_extended. */
typedef struct result_task {
        sj_str name;
        const sj_json *args; /* NULL: none */
        const sj_json *kwargs;
        sj_str worker;
        int64_t retries;
        sj_str queue;
        const sj_json *stamped_headers; /* an array or NULL */
        const sj_json *stamps;          /* an object or NULL */
} result_task;

typedef struct result_meta {
        sj_str id;
        sj_str state;
        sj_str value; /* JSON: the result, or what a state of the task's own says */
        /* instead of value: an exception */
        sj_str error_type; /* empty: none */
        sj_str error_module;
        sj_str error_args;       /* JSON array */
        sj_str traceback;        /* or empty */
        sj_str children;         /* JSON array, or empty: [] */
        sj_wall done;            /* 0: null, as for what is not final */
        sj_str group;            /* or empty */
        sj_str parent;           /* or empty */
        const result_task *task; /* NULL: not extended */
} result_meta;

/* The JSON text of it, in the arena. -ENOMEM, -EINVAL text that is not UTF-8. */
int result_encode(sj_arena *arena, const result_meta *meta, sj_str *ret);

/* What a member of a join says of its end, as Celery does: [1, id, state, result]. As above. */
int result_arrival(sj_arena *arena, const result_meta *meta, sj_str *ret);

/*
 * Reads what is stored into a program's view of it. state: as stored beside it; content: empty
 * while PENDING. -EBADMSG, -ENOMEM.
 */
int result_decode(sj_arena *arena, sj_str state, sj_str content, sj_outcome *ret);

/* The state with that name; SJ_CUSTOM for all but Celery's. Final ones: sj_state_is_final. */
sj_state result_state(sj_str name);

/* What brokers store by themselves: REVOKED with TaskRevokedError(reason); FAILURE with
 * sanjab.DeadLetter(reason). In the arena. -ENOMEM. */
int result_revoked(sj_arena *arena, sj_str id, const char *reason, sj_wall now, sj_str *ret);
int result_dead(sj_arena *arena, sj_str id, const char *reason, sj_wall now, sj_str *ret);

#endif
