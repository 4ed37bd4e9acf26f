/* SPDX-License-Identifier: MIT */
/* message_inflate: a compressed body, within limits. */
#ifndef SANJAB_QUEUE_MESSAGE_INFLATE_H
#define SANJAB_QUEUE_MESSAGE_INFLATE_H

#include <sanjab/base.h>

/*
 * Inflates one whole zlib stream (RFC 1950), with nothing behind it, into the arena. -EBADMSG it
 * is none; -EMSGSIZE it would be over MESSAGE_SIZE_MAX, or MESSAGE_INFLATE_MAX times its size;
 * -ENOSYS built without zlib; -ENOMEM.
 */
int message_inflate_zlib(sj_arena *arena, sj_str compressed, sj_str *ret);

#endif
