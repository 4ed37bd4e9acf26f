/* SPDX-License-Identifier: MIT */
/* TLS inside: the settings, the sentences, and the stream, one file each. */
#ifndef SANJAB_NET_TLS_H
#define SANJAB_NET_TLS_H

#include <sanjab/net.h>

#include "base/buf.h"
#include "fiber/mutex.h"
#include "net/openssl.h"

enum { TLS_SESSIONS_MAX = 64 };

/* A session to resume, of the peer that was verified by that name. */
struct tls_kept {
        char *name;
        SSL_SESSION *session;
};

/* A certificate for a name that clients ask for. */
struct tls_named {
        char *name;
        SSL_CTX *holder; /* of the certificate, its chain and its key alone */
};

struct sj_tls {
        _Atomic unsigned users; /* who made it, and each stream */
        SSL_CTX *context;
        bool insecure;
        bool can_serve;
        bool resumes;
        sj_tls_ask clients;
        struct tls_named *names;
        size_t name_count;
        mutex lock; /* of the sessions */
        size_t kept_next;
        struct tls_kept kept[TLS_SESSIONS_MAX];
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

/* As sj_tls_peer_name. */
int tls_put_name(const X509_NAME *name, char *ret, size_t size);

/* OpenSSL's call for a session that a server has given: in tls_stream.c. */
int tls_new_session(SSL *ssl, SSL_SESSION *session);

/* Whether the certificate of the other side has expired since. */
bool tls_session_expired(const SSL_SESSION *session);
/* Keeps it, whose owner it is from now on, instead of the oldest of too many. From any thread. */
void tls_session_keep(sj_tls *t, const char *name, SSL_SESSION *session);
/* The newest that may be resumed with the peer of that name, taken out; or NULL. */
SSL_SESSION *tls_session_take(sj_tls *t, const char *name);
void tls_sessions_fini(sj_tls *t);

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
