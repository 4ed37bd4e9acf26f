/* SPDX-License-Identifier: MIT */
/*
 * UTF-8 (RFC 3629), and WTF-8: the same, with lone surrogates allowed as their three bytes, as
 * Python's strings can hold them. A surrogate pair as two times three bytes is neither: it would
 * be a second spelling of one character.
 */
#ifndef SANJAB_BASE_UTF8_H
#define SANJAB_BASE_UTF8_H

#include <sanjab/base.h>

typedef enum utf8_dialect {
        UTF8_STRICT,
        UTF8_WTF, /* lone surrogates too */
} utf8_dialect;

/*
 * The character at p, which is before end: its length in bytes (1 to 4), and the code point. 0
 * when the bytes are none; *ret is unchanged then. A pair is not seen by this function, which
 * looks at one character; utf8_valid does.
 */
unsigned utf8_decode(const char *p, const char *end, utf8_dialect dialect, uint32_t *ret);

/* Writes the character, which is at most 0x10ffff; its length in bytes. */
unsigned utf8_encode(uint32_t c, char ret[4]);

/* Whether all of text is well-formed. */
bool utf8_valid(sj_str text, utf8_dialect dialect);

static inline bool utf8_is_surrogate(uint32_t c)
{
        return c >> 11 == 0xd800 >> 11;
}
static inline bool utf8_is_high_surrogate(uint32_t c)
{
        return c >> 10 == 0xd800 >> 10;
}
static inline bool utf8_is_low_surrogate(uint32_t c)
{
        return c >> 10 == 0xdc00 >> 10;
}

#endif
