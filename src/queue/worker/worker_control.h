/* SPDX-License-Identifier: MIT */
/* worker_control: what the answers to control requests are made of, for worker_*.c. */
#ifndef SANJAB_QUEUE_WORKER_CONTROL_H
#define SANJAB_QUEUE_WORKER_CONTROL_H

#include "queue/control/control.h"
#include "queue/worker/worker_internal.h"

/* One request that is being answered. */
typedef struct control_turn {
        worker *w;
        const control_request *request;
        const sj_json *arguments; /* an object, or NULL */
        sj_arena *arena;
        sj_json_writer *out; /* the value of the reply */
        char error[256];     /* instead of a value: what Python's repr of an exception would be */
        bool silent;         /* no reply is sent */
} control_turn;

/* Writes the reply's value; -errno with a sentence in turn->error, or with none. */
typedef int control_handler(control_turn *turn);

typedef struct control_method {
        const char *name;
        control_handler *handler;
} control_method;

/* Each ends with a name of NULL. */
extern const control_method worker_inspect_methods[];
extern const control_method worker_steer_methods[];

/* {"ok": "..."}, {"error": "..."}. Each returns 0. */
int control_ok(control_turn *turn, const char *format, ...) SJ_PRINTF(2, 3);
int control_nok(control_turn *turn, const char *format, ...) SJ_PRINTF(2, 3);
/* The handler fails as Python's would with this exception. Returns -EINVAL. */
int control_raise(control_turn *turn, const char *format, ...) SJ_PRINTF(2, 3);

/* An argument that is a text; empty when it is null or missing. */
sj_str control_text(const control_turn *turn, const char *name);
/* One that must be there: -EINVAL with Python's words when it is not. */
int control_need_text(control_turn *turn, const char *name, sj_str *ret);
/* One that is a number, or a text that is one; -ENOENT null or missing; -EINVAL raised. */
int control_number(control_turn *turn, const char *name, double *ret);
/* One text or a list of them, in the turn's arena; how many. */
int control_texts(control_turn *turn, const char *name, const sj_str **ret);

#endif
