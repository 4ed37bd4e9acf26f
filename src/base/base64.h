/* SPDX-License-Identifier: MIT */
/*
 * Base64 with the standard alphabet and padding (RFC 4648 §4).
 *
 * Decoding is strict: no line ends, no missing or early padding, no bits set that padding hides.
 * So a text has one meaning and bytes have one text.
 */
#ifndef SANJAB_BASE_BASE64_H
#define SANJAB_BASE_BASE64_H

#include "base/buf.h"

/* The characters that n bytes become; n at most SIZE_MAX / 2. */
static inline size_t base64_encoded_size(size_t n)
{
        return (n + 2) / 3 * 4;
}

/* Room that is enough for the bytes that n characters stand for. */
static inline size_t base64_decoded_room(size_t n)
{
        return n / 4 * 3;
}

/* Writes base64_encoded_size(n) characters, no NUL, to ret, which must not overlap with data. */
void base64_encode(const void *data, size_t n, char *ret);

/*
 * Writes at most base64_decoded_room(text.n) bytes to ret and their number to *ret_n. -EBADMSG:
 * text is not base64; the bytes at ret are undefined then.
 */
int base64_decode(sj_str text, void *ret, size_t *ret_n);

/* Appends what data becomes to b, or fails as buf_reserve with b unchanged. */
int base64_append_encoded(buf *b, const void *data, size_t n);

#endif
