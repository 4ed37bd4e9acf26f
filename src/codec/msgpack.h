/* SPDX-License-Identifier: MIT */
/*
 * msgpack: MessagePack (its specification of 2017), as Python's and kombu's programs write it, to
 * JSON and back. Pure.
 *
 * What JSON has not:
 *   bytes    are an object of kombu's, as its JSON writes them: {"__type__": "bytes",
 *            "__value__": text}, or "base64" if they are no text; and back
 *   extensions, among them timestamps, are refused: nothing in JSON says what they mean
 *   names    of members must be strings
 *
 * Not by msgpack-c: it takes memory for as many elements as a peer says will come, before it has
 * seen one of them, and stops at a nesting of 32. What would have to stand in front of it to check
 * this is a reader itself.
 */
#ifndef SANJAB_CODEC_MSGPACK_H
#define SANJAB_CODEC_MSGPACK_H

#include "base/buf.h"

#include <sanjab/json.h>

typedef struct msgpack_limits {
        unsigned depth; /* an empty array is 1 deep; at most SJ_JSON_DEPTH_MAX */
        size_t size;    /* bytes of the JSON */
} msgpack_limits;

/*
 * Writes the one value that `bytes` hold as the next value of w, which must be one that allows
 * SJ_JSON_PYTHON. -EBADMSG it is none, with a sentence part in *ret_why, as "an extension type is
 * never decoded"; -EMSGSIZE over a limit; -ENOMEM. Errors of memory and of size may show only at
 * sj_json_writer_end.
 */
int msgpack_to_json(sj_str bytes, const msgpack_limits *limits, sj_json_writer *w,
                    const char **ret_why);

/*
 * Appends the value. -ERANGE an integer that no 64 bits hold; -EINVAL text that is not UTF-8 (a
 * lone surrogate); -EMSGSIZE too deep; -ENOMEM.
 */
int msgpack_from_json(buf *b, const sj_json *v);

#endif
