/* SPDX-License-Identifier: MIT */
/* Bytes to replies, and commands to bytes. No I/O. */
#ifndef SANJAB_STORE_REDIS_REPLY_H
#define SANJAB_STORE_REDIS_REPLY_H

#include "base/buf.h"
#include "store/redis.h"

typedef struct redis_decoder {
        struct redisReader *reader;
        sj_arena *arena; /* of the reply that is being read; NULL: nobody wants it */
        size_t taken;    /* bytes of memory that it has, or would have */
        int error;       /* why a callback refused */
} redis_decoder;

/* -ENOMEM. */
int redis_decoder_init(redis_decoder *d);
void redis_decoder_fini(redis_decoder *d);

/*
 * Takes bytes from the front of *in until a reply is whole: 1 and *ret, in the arena; with NULL
 * as arena it is dropped, and *ret is not written. 0: all bytes are taken, and there is none yet.
 * The arena must stay the same until the reply has come, but that it may become NULL.
 * -EPROTO this is no RESP2; -ENOBUFS a limit; -ENOMEM. The decoder is of no more use then.
 */
int redis_decode(redis_decoder *d, sj_str *in, sj_arena *arena, const redis_reply **ret);

/* Whether no part of a reply has come since the last whole one. */
bool redis_decoder_is_empty(const redis_decoder *d);

/*
 * Appends the command in the form of a request: an array of strings. -EINVAL it has no word;
 * -EMSGSIZE over REDIS_ARGS_MAX words or REDIS_REPLY_MAX bytes; -ENOMEM. b is unchanged then.
 */
int redis_encode(buf *b, const redis_command *command);

/* Whether the reply is an error that begins with that word: "LOADING". */
bool redis_reply_is_error(const redis_reply *reply, const char *word);

#endif
