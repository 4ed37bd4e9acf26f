/* SPDX-License-Identifier: MIT */
/*
 * letter: what programs say to each other beside tasks: control requests and their replies, and
 * events. On the wire it is the envelope of a task message (protocol §1), with other headers and
 * any JSON value as its body.
 */
#ifndef SANJAB_QUEUE_LETTER_H
#define SANJAB_QUEUE_LETTER_H

#include <sanjab/json.h>

/* Limits. The largest honest ones are lists of revoked ids: 50,000 of them are about 8 MiB. */
#define LETTER_SIZE_MAX  ((size_t)16 << 20)
#define LETTER_DEPTH_MAX 64

typedef struct letter {
        const sj_json *headers; /* an object, or NULL */
        const sj_json *body;
        sj_str exchange;
        sj_str routing_key;
        bool lasting; /* delivery_mode 2, else 1; what a broker makes of it is its matter */
        bool packed;  /* the body travels as msgpack, else as JSON */
} letter;

/*
 * Writes one. headers and body are JSON texts; a fresh delivery tag is made. The text is in the
 * arena. -EMSGSIZE, -EINVAL a name is not UTF-8, -ENOMEM; of msgpack as msgpack_from_json.
 */
int letter_encode(sj_arena *arena, const letter *to, sj_str headers, sj_str body, sj_str *ret);

/*
 * Reads one; all of it lies in the arena. -EBADMSG it is none, or neither JSON nor msgpack:
 * *ret_why (never NULL) is a sentence part; -EMSGSIZE, with the same; -ENOMEM.
 */
int letter_decode(sj_arena *arena, sj_str text, letter *ret, const char **ret_why);

/* A member that is a text, else the empty view. */
sj_str letter_text(const sj_json *object, const char *name);
/* A member that is an integer, else `otherwise`. */
int64_t letter_int(const sj_json *object, const char *name, int64_t otherwise);

#endif
