/* SPDX-License-Identifier: MIT */
/*
 * signature_value: signatures as the JSON values that they are (protocol §2.3), and how others are
 * made of them. No value is changed: a change makes a new one, of which most is the old one. Each
 * is NULL when there is no memory, or when a value that it needs is NULL: so that one check at the
 * end is enough.
 */
#ifndef SANJAB_QUEUE_SIGNATURE_VALUE_H
#define SANJAB_QUEUE_SIGNATURE_VALUE_H

#include <sanjab/json.h>

typedef struct signature_fields {
        const sj_json *task;    /* its name; never absent */
        const sj_json *args;    /* NULL: none */
        const sj_json *kwargs;  /* NULL or null: none */
        const sj_json *options; /* NULL: none */
        const sj_json *type;    /* NULL: null */
        bool immutable;
} signature_fields;

const sj_json *signature_value_new(sj_arena *arena, const signature_fields *fields);
/* The same for a task and a type that are known here; type NULL: null. */
const sj_json *signature_value_named(sj_arena *arena, const char *task, const char *type,
                                     signature_fields fields);
/* Whether its subtask_type is that one. */
bool signature_value_is(const sj_json *signature, const char *type);
/* The object with its members and those of `more`, which go before its own. */
const sj_json *signature_value_merged(sj_arena *arena, const sj_json *object, const sj_json *more);
/* The object with that member changed, or added. */
const sj_json *signature_value_with(sj_arena *arena, const sj_json *object, const char *name,
                                    const sj_json *value);
/* An array of the elements of both. */
const sj_json *signature_value_joined(sj_arena *arena, const sj_json *first, const sj_json *second);

/* One of its options, and the value with that one changed. */
const sj_json *signature_value_option(const sj_json *signature, const char *name);
const sj_json *signature_value_with_option(sj_arena *arena, const sj_json *signature,
                                           const char *name, const sj_json *value);

/* One of its kwargs, where a composite has its parts, and the value with that one changed. */
const sj_json *signature_value_part(const sj_json *signature, const char *name);
const sj_json *signature_value_with_part(sj_arena *arena, const sj_json *signature,
                                         const char *name, const sj_json *part);

/* What is done to each part of a list. */
typedef const sj_json *signature_value_fn(sj_arena *arena, const sj_json *part, const sj_json *arg);
/* An array of what fn makes of each element. */
const sj_json *signature_value_each(sj_arena *arena, const sj_json *list, signature_value_fn *fn,
                                    const sj_json *arg);
/* The chord with that done to each member of its header, or to the header, if it is a group. */
const sj_json *signature_value_each_of_header(sj_arena *arena, const sj_json *chord,
                                              signature_value_fn *fn, const sj_json *arg);

#endif
