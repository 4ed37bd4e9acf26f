/* SPDX-License-Identifier: MIT */
/*
 * message_content: from the bytes of a body to its value, and back: base64, compression, and what
 * they are written in (protocol §11).
 */
#ifndef SANJAB_QUEUE_MESSAGE_CONTENT_H
#define SANJAB_QUEUE_MESSAGE_CONTENT_H

#include "queue/message/message.h"

/* Parses a text into *ret, or notes why not. 0 in both cases; -ENOMEM. kept: see json_kept.h. */
int message_parse(sj_arena *arena, sj_str text, bool kept, const char *what, message_defect defect,
                  const sj_json **ret, message_error *error);

/*
 * The value of m's body; accept is message_accept flags. What is wrong or refused is noted, and
 * *ret is NULL. 0 in both cases; -ENOMEM.
 */
int message_content_read(sj_arena *arena, const message *m, unsigned accept, const sj_json **ret,
                         message_error *error);

/*
 * The body as text of an envelope, in the arena: json is its JSON, which is written in what
 * m->content_type says and compressed as m->compression says; sets these, content_encoding and
 * body_encoding to what they then are. -EOPNOTSUPP a type or compression that is not written by
 * this build; -EMSGSIZE; -ERANGE, -EINVAL what the type cannot hold; -ENOMEM.
 */
int message_content_write(sj_arena *arena, message *m, sj_str json, sj_str *ret);

#endif
