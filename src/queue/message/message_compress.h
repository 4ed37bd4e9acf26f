/* SPDX-License-Identifier: MIT */
/*
 * message_compress: bodies that are compressed, as kombu does it (protocol §11.5). Each way has a
 * name, by which settings call it, and a type, which stands in the header `compression`. One of a
 * library that this build lacks is known and answers -ENOSYS.
 */
#ifndef SANJAB_QUEUE_MESSAGE_COMPRESS_H
#define SANJAB_QUEUE_MESSAGE_COMPRESS_H

#include "base/buf.h"

typedef struct message_compression message_compression;

/* By the header's type ("application/x-gzip"), or NULL. */
const message_compression *message_compression_of(sj_str type);
/* By a name ("zlib", "gzip", "bzip2", "zstd"), or NULL. */
const message_compression *message_compression_named(sj_str name);
/* The header's type. */
sj_str message_compression_type(const message_compression *c);
/* Whether this build can. */
bool message_compression_works(const message_compression *c);

/*
 * The text, compressed or as it was, in the arena. A compressed one may grow by MESSAGE_INFLATE_MAX
 * times and to MESSAGE_SIZE_MAX bytes; the limits are checked on the way. -EBADMSG it is damaged;
 * -EMSGSIZE; -ENOSYS; -ENOMEM.
 */
int message_compress(const message_compression *c, sj_arena *arena, sj_str text, sj_str *ret);
int message_expand(const message_compression *c, sj_arena *arena, sj_str compressed, sj_str *ret);

#endif
