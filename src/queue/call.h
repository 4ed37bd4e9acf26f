/* SPDX-License-Identifier: MIT */
/*
 * call: from a call of a task (its name, arguments, sj_call) to a message, and to a signature.
 * Pure but for fresh ids.
 */
#ifndef SANJAB_QUEUE_CALL_H
#define SANJAB_QUEUE_CALL_H

#include "queue/broker/broker.h"
#include "queue/canvas/signature.h"
#include "queue/message/message.h"

#include <sanjab/queue.h>

typedef struct call_request {
        sj_str task; /* its name on the wire */
        const sj_json *args;
        const sj_json *kwargs;
        const sj_call *call;            /* never NULL */
        const sj_task_options *options; /* never NULL */
} call_request;

/* A text of an array (or object) parsed, or an empty one for NULL. -EINVAL, -EMSGSIZE, -ENOMEM. */
int call_parse(sj_arena *arena, const char *text, sj_json_type type, const sj_json **ret);

/*
 * The values of a task's parameters, but for the first `skip`, as an array. -EINVAL a NULL string,
 * or no UTF-8; -ENOMEM.
 */
int call_args(sj_arena *arena, const sj_task *task, const sj_value *values, unsigned skip,
              const sj_json **ret);

/*
 * The message, without queue and origin, and its idempotency key, if it has one. -EINVAL a name,
 * an id or a duration is malformed; -ENAMETOOLONG; -ENOMEM.
 */
int call_message(sj_arena *arena, const call_request *request, sj_wall now, message *ret,
                 sj_str *ret_key);

/*
 * The content type of a serializer, and of a compression ("none": an empty text), by the names that
 * Celery gives them. NULL: not said, and *ret stays as it is. -EINVAL an unknown name.
 */
int call_serializer(const char *name, sj_str *ret);
int call_compression(const char *name, sj_str *ret);

/* The options of a signature, as a JSON object. Errors as call_message. */
int call_options(sj_arena *arena, const call_request *request, const sj_json **ret);

#endif
