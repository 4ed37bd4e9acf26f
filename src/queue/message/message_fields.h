/* SPDX-License-Identifier: MIT */
/*
 * message_fields: which headers and properties a message has, as tables, so that reading, writing
 * and comparing are one loop each.
 */
#ifndef SANJAB_QUEUE_MESSAGE_FIELDS_H
#define SANJAB_QUEUE_MESSAGE_FIELDS_H

#include "queue/message/message.h"

typedef enum field_kind {
        FIELD_TEXT,
        FIELD_NAME,   /* text that must be short and have no control characters */
        FIELD_MOMENT, /* ISO 8601 text; sj_wall */
        FIELD_INT,
        FIELD_BOOL,
        FIELD_LIMITS, /* [hard, soft]; time_limit and the soft_time_limit behind it */
        FIELD_INDEX,  /* group_index with has_group_index */
        FIELD_ARRAY,
        FIELD_OBJECT,
        FIELD_DELIVERY, /* delivery_info: exchange, routing_key */
} field_kind;

enum {
        FIELD_REQUIRED = 1 << 0,
        FIELD_RELAXED = 1 << 1, /* only for people: a wrong type is as if it were absent */
        FIELD_SPARE = 1 << 2,   /* written only when it is set */
};

typedef struct field {
        const char *name;
        size_t length; /* of the name */
        field_kind kind;
        unsigned flags;
        size_t offset; /* in struct message */
} field;

enum { FIELDS_MAX = 32 };
extern const field message_headers[];
extern const size_t message_n_headers;
extern const field message_properties[];
extern const size_t message_n_properties;

/* The field with that name, or NULL. */
const field *message_field_find(const field fields[], size_t n, sj_str name);
/* Whether a and b have the same value there. */
bool message_field_equal(const field *f, const message *a, const message *b);
/*
 * The members of object that are fields: values[i] is that of fields[i], NULL without one. Of
 * several of one name the last, as in Python.
 */
void message_fields_find(const field fields[], size_t n, const sj_json *object,
                         const sj_json *values[]);
/*
 * Reads value (NULL: absent) into m. False, with the reason in text, when it is wrong; m is as it
 * was then.
 */
bool message_field_read(const field *f, const sj_json *value, message *m, char *text, size_t size);
/* Writes the value of m. */
void message_field_write(const field *f, const message *m, sj_json_writer *w);
/* Whether it has another value than none. */
bool message_field_is_set(const field *f, const message *m);

static inline sj_str *field_text(const field *f, const message *m)
{
        return (sj_str *)(void *)((char *)(uintptr_t)m + f->offset);
}

/* Records the first defect only. */
void message_fail(message_error *error, message_defect defect, const char *format, ...)
        SJ_PRINTF(3, 4);
/* The bytes of s that can be shown, at most 63 of them, in ret. Returns ret. */
const char *message_show(sj_str s, char ret[64]);

#endif
