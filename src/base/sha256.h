/* SPDX-License-Identifier: MIT */
/*
 * SHA-256 (FIPS 180-4): a short name for a long text that nobody can find a second text for.
 */
#ifndef SANJAB_BASE_SHA256_H
#define SANJAB_BASE_SHA256_H

#include <sanjab/base.h>

enum { SHA256_BYTES = 32, SHA256_BLOCK = 64 };

typedef struct sha256 {
        uint32_t state[8];
        uint64_t n; /* bytes so far */
        unsigned char block[SHA256_BLOCK];
} sha256;

void sha256_init(sha256 *h);
void sha256_add(sha256 *h, const void *data, size_t n);
/* The digest of all that was added; h must be initialised before it is used again. */
void sha256_end(sha256 *h, unsigned char ret[SHA256_BYTES]);

/* n bytes as 2 * n lower-case hexadecimal digits and a NUL. */
void sha256_hex(const unsigned char *bytes, size_t n, char *ret);

#endif
