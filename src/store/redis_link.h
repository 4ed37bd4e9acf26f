/* SPDX-License-Identifier: MIT */
/* A link: one connection to a server, used by one fiber: commands out, replies in. */
#ifndef SANJAB_STORE_REDIS_LINK_H
#define SANJAB_STORE_REDIS_LINK_H

#include "store/redis_reply.h"

#include <sanjab/net.h>

enum { REDIS_LINK_BUFFER = 32 * 1024, REDIS_KEEP_MAX = 1024 * 1024 };

typedef struct redis_link {
        list node; /* its owner's */
        uint64_t era;
        sj_stream *stream;
        redis_decoder decoder;
        sj_str unread; /* what has come and was not decoded, in buffer */
        buf out;
        char buffer[REDIS_LINK_BUFFER];
} redis_link;

/* Owns the stream from now on; not after a failure: -ENOMEM. */
int redis_link_new(sj_stream *stream, redis_link **ret);
/* Closes the stream, too. NULL is allowed. */
void redis_link_free(redis_link *l);

/*
 * The next reply. -EPIPE the peer has gone; -EHOSTDOWN it has said nothing for `silence`; else as
 * redis_decode and sj_read. The link is of no more use after an error.
 */
int redis_link_read(redis_link *l, sj_arena *arena, const redis_reply **ret, sj_time silence,
                    sj_time deadline);
/* Sends the commands, and reads the reply of each. Likewise. */
int redis_link_call(redis_link *l, sj_arena *arena, const redis_command commands[], size_t n,
                    const redis_reply *ret[], sj_time silence, sj_time deadline);
/* Whether nothing has come, and the peer has not gone, as far as is known here. */
bool redis_link_is_quiet(redis_link *l);

/* What a broken stream is to who has commands on it: -EPIPE, but for what is not the peer's. */
int redis_link_error(int error);
/* Makes the buffer empty, and small if it was large. */
void redis_buffer_clear(buf *b);

#endif
