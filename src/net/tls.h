/* SPDX-License-Identifier: MIT */
/* TLS inside: the settings, the sentences, and the stream, one file each. */
#ifndef SANJAB_NET_TLS_H
#define SANJAB_NET_TLS_H

#include <sanjab/net.h>

#include "base/buf.h"
#include "net/openssl.h"

struct sj_tls {
        SSL_CTX *context;
        bool insecure;
        bool can_serve;
        unsigned char *alpn; /* each protocol after its length, as on the wire */
        unsigned alpn_size;
};

/* Writes a sentence to why, if it is not NULL: SJ_TLS_WHY_MAX bytes. */
void tls_say(char *why, const char *format, ...) SJ_PRINTF(2, 3);

/* Says what OpenSSL's queue of errors has, after `doing`, and empties it. */
void tls_say_errors(char *why, const char *doing);

/*
 * Says why a handshake has failed, and returns the error for it: -EKEYREJECTED when it was the
 * peer's certificate, else -EPROTO. name: the peer that was wanted, or NULL for a server.
 */
int tls_say_handshake(char *why, const SSL *ssl, const char *name);

/*
 * Two buffers as OpenSSL's way in and out: it reads from `in` and writes to `out`.
 */
struct tls_ways {
        buf in, out;
        BIO_METHOD *method;
};

/* Makes them and gives them to ssl, which must be freed before tls_ways_fini. -ENOMEM. */
int tls_ways_init(struct tls_ways *w, SSL *ssl);
void tls_ways_fini(struct tls_ways *w);

#endif
