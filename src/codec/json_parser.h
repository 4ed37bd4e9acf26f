/* SPDX-License-Identifier: MIT */
/* What json_parse.c and json_unescape.c share: the state of one parse. */
#ifndef SANJAB_CODEC_JSON_PARSER_H
#define SANJAB_CODEC_JSON_PARSER_H

#include "codec/json_value.h"

typedef struct json_parser {
        sj_arena *arena;
        const char *end; /* of the copied text; a NUL is there */
        char *out;       /* where the next string goes */
        unsigned flags;
        unsigned depth, depth_max;
        size_t open; /* the innermost open container */
        sj_json *stack;
        size_t top, capacity;
        sj_json *own_stack; /* the stack, if it is allocated */
        int error;
        const char *where; /* of the error */
        const char *reason;
} json_parser;

/* A string that is being read: what has been put so far, and what is known of its raw bytes. */
typedef struct json_string {
        char *begin, *out;
        uint32_t facts;
} json_string;

/*
 * Every function that takes something from the text returns where it ends, or fails by this: it
 * notes the error and returns NULL.
 */
static inline const char *json_parser_fail(json_parser *s, const char *where, const char *reason)
{
        s->error = -EBADMSG;
        s->where = where;
        s->reason = where < s->end ? reason : "the text ends too early";
        return NULL;
}

/*
 * Takes what is at p in a string and is neither plain nor its end: an escape, characters beyond
 * ASCII, or what is refused. It may take more characters of the same kind.
 */
const char *json_unescape(json_parser *s, const char *p, json_string *t);

#endif
