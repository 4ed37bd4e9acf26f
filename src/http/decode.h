/* SPDX-License-Identifier: MIT */
/*
 * Content codings: gzip and deflate (RFC 9110 §8.4.1), with a cap on what they may become. A few
 * kilobytes can stand for gigabytes; so the decoded size is counted while it grows, and is held
 * against the encoded size too.
 */
#ifndef SANJAB_HTTP_DECODE_H
#define SANJAB_HTTP_DECODE_H

#include <sanjab/base.h>

#include <sys/types.h>

/* What a decoder has become before its ratio counts. */
#define HTTP_DECODE_FREE ((uint64_t)1 << 20)

typedef struct http_decoder http_decoder;

/* The codings to ask for, as the value of Accept-Encoding; "" when built without compression. */
const char *http_decode_accepted(void);

/*
 * A decoder for the value of Content-Encoding; NULL in *ret when there is nothing to decode.
 * -EOPNOTSUPP a coding that we do not know, or more than one; -ENOMEM.
 */
int http_decode_new(sj_str encoding, uint64_t size_max, unsigned ratio_max, http_decoder **ret);
void http_decode_free(http_decoder *d);

/*
 * Decodes: takes bytes from the front of *in, and writes at most n > 0 to ret. Returns how many
 * were written; 0 when it needs more input, or has ended. -EBADMSG malformed, or bytes after the
 * end; -EMSGSIZE over size_max; -E2BIG over ratio_max; -ENOMEM.
 */
ssize_t http_decode(http_decoder *d, sj_str *in, void *ret, size_t n);

/* The input has ended: 0, or -EBADMSG in the middle of the data. */
int http_decode_end(const http_decoder *d);

#endif
