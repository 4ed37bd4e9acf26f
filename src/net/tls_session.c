/* SPDX-License-Identifier: MIT */
/*
 * Sessions that a client may resume (RFC 8446 §2.2, RFC 5077): what servers have given out, by the
 * name that was verified then. A session of TLS 1.3 is used once, so that nobody who watches can
 * tell by it that two connections are the same client's (§C.4). Whoever takes one must not go on
 * longer than the certificate that it rests on.
 */
#include "net/tls.h"

#include <stdlib.h>

static void forget(struct tls_kept *k)
{
        SSL_SESSION_free(k->session);
        free(k->name);
        *k = (struct tls_kept){0};
}

bool tls_session_expired(const SSL_SESSION *session)
{
        const X509 *peer = SSL_SESSION_get0_peer((SSL_SESSION *)(uintptr_t)session);
        time_t now = (time_t)(sj_wall_now().us / 1000000);
        return peer && X509_cmp_time(X509_get0_notAfter(peer), &now) < 0;
}

void tls_session_keep(sj_tls *t, const char *name, SSL_SESSION *session)
{
        struct tls_kept fresh = {strdup(name), session};
        if (!fresh.name) {
                SSL_SESSION_free(session);
                return;
        }
        mutex_lock(&t->lock);
        struct tls_kept old = t->kept[t->kept_next];
        t->kept[t->kept_next] = fresh;
        t->kept_next = (t->kept_next + 1) % TLS_SESSIONS_MAX;
        mutex_unlock(&t->lock);
        forget(&old);
}

SSL_SESSION *tls_session_take(sj_tls *t, const char *name)
{
        struct tls_kept found = {0};
        mutex_lock(&t->lock);
        /* The newest first. */
        for (size_t i = 0; i < TLS_SESSIONS_MAX && !found.session; i++) {
                size_t at = (t->kept_next + TLS_SESSIONS_MAX - 1 - i) % TLS_SESSIONS_MAX;
                if (!t->kept[at].name || strcasecmp(t->kept[at].name, name) != 0)
                        continue;
                found = t->kept[at];
                t->kept[at] = (struct tls_kept){0};
        }
        mutex_unlock(&t->lock);
        SSL_SESSION *session = found.session;
        found.session = NULL;
        forget(&found);
        if (!session || !tls_session_expired(session))
                return session;
        SSL_SESSION_free(session);
        return NULL;
}

void tls_sessions_fini(sj_tls *t)
{
        for (size_t i = 0; i < TLS_SESSIONS_MAX; i++)
                forget(&t->kept[i]);
}
