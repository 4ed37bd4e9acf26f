/* SPDX-License-Identifier: MIT */
/* UUIDs as text (RFC 9562 §4). Randomness is the caller's, since only src/os may ask for it. */
#ifndef SANJAB_BASE_UUID_H
#define SANJAB_BASE_UUID_H

#include <sanjab/base.h>

enum { UUID_BYTES = 16, UUID_LENGTH = 36 };

/*
 * The lower-case text, NUL-terminated, of a version 7 UUID (RFC 9562 §5.7): the moment in ms since
 * 1970, of which 48 bits count, and then the random bytes. Ids of one time lie together in an
 * index.
 */
void uuid_format_ordered(int64_t ms, const unsigned char random[UUID_BYTES],
                         char ret[UUID_LENGTH + 1]);

#endif
