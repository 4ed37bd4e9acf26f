/* SPDX-License-Identifier: MIT */
/*
 * A TLS stream over any other.
 *
 *         reader ── SSL_read ◄── in ◄── below          OpenSSL never touches a socket and never
 *         writer ── SSL_write ─► out ──► below          waits: it works on two buffers
 *
 * OpenSSL is called, then bytes are moved, then it is called again. No fiber is switched inside of
 * OpenSSL, so that the reader and the writer cannot be in it at the same time, and its queue of
 * errors (one for each thread) belongs to one call.
 *
 * `out` has an order that must not be broken, so writing it is under a lock. The reader makes
 * bytes for it too (answers to a change of keys, alerts). It must not wait for the lock, nor for
 * the peer, who may be waiting for it to read: it writes what goes at once, and leaves the rest to
 * who comes next, since all that write, write all.
 *
 * A read that is cancelled loses nothing: what came from below is in `in`.
 */
#include "net/stream.h"
#include "net/tls.h"

#include "net/address.h"

#include <sanjab/sync.h>

#include <limits.h>
#include <stdlib.h>

enum {
        RECORD_MAX = 16 * 1024, /* RFC 8446 §5.1 */
        FILL_MOST = RECORD_MAX,
        OUT_MOST = RECORD_MAX, /* encrypted before it is written */
        PROTOCOL_MAX = UCHAR_MAX + 1,
};

struct tls_stream {
        sj_stream base;
        sj_stream *below;
        sj_tls *tls;
        SSL *ssl;
        char *name; /* a client's: whom it has verified; NULL: nothing is to be resumed */
        struct tls_ways ways;
        sj_lock out_lock;
        bool failed; /* OpenSSL allows nothing more, not even a farewell */
        char protocol[PROTOCOL_MAX];
};

static struct tls_stream *of(sj_stream *s)
{
        return (struct tls_stream *)s;
}

/* Writes all of `out`; what could not be written stays. Under the lock. */
static int flush(struct tls_stream *t, sj_time deadline)
{
        struct iovec part = {buf_data(&t->ways.out), buf_size(&t->ways.out)};
        size_t sent = 0;
        if (part.iov_len == 0)
                return 0;
        int r = t->below->kind->write(t->below, &part, 1, &sent, deadline);
        buf_consume(&t->ways.out, sent);
        /* A stream may be idle for long, and there may be many. */
        if (buf_size(&t->ways.out) == 0)
                buf_fini(&t->ways.out);
        return r;
}

/* Writes what goes without waiting, if nobody else is writing. */
static void flush_some(struct tls_stream *t)
{
        if (buf_size(&t->ways.out) > 0 && !t->out_lock.owner)
                (void)flush(t, SJ_POLL);
}

/* Gets more from below for OpenSSL to read. -EPROTO: it was cut. */
static int fill(struct tls_stream *t, sj_time deadline)
{
        ssize_t n = stream_fill(t->below, &t->ways.in, FILL_MOST, deadline);
        return n == 0 ? -EPROTO : (int)n;
}

static ssize_t tls_read(sj_stream *s, void *ret, size_t n, sj_time deadline)
{
        struct tls_stream *t = of(s);
        for (;;) {
                ERR_clear_error();
                int got = SSL_read(t->ssl, ret, n < INT_MAX ? (int)n : INT_MAX);
                int error = SSL_get_error(t->ssl, got);
                flush_some(t);
                if (got > 0)
                        return got;
                if (error == SSL_ERROR_ZERO_RETURN)
                        return 0;
                if (error != SSL_ERROR_WANT_READ) {
                        t->failed = true;
                        return -EPROTO;
                }
                int r = fill(t, deadline);
                if (r < 0)
                        return r;
        }
}

/*
 * Up to a record of bytes from the parts: from one where it lies, from several gathered, since each
 * record costs some thirty bytes and a system call's worth of time at the peer.
 */
static struct iovec next_piece(struct iovec **parts, size_t *n, char gathered[RECORD_MAX])
{
        struct iovec piece = {gathered, 0};
        while (*n > 0 && piece.iov_len < RECORD_MAX) {
                struct iovec *part = *parts;
                size_t room = RECORD_MAX - piece.iov_len;
                size_t k = part->iov_len < room ? part->iov_len : room;
                if (piece.iov_len == 0 && (*n == 1 || k == RECORD_MAX))
                        piece.iov_base = part->iov_base;
                else if (k > 0)
                        memcpy(gathered + piece.iov_len, part->iov_base, k);
                piece.iov_len += k;
                part->iov_base = (char *)part->iov_base + k;
                part->iov_len -= k;
                if (part->iov_len == 0) {
                        (*parts)++;
                        (*n)--;
                }
        }
        return piece;
}

static int encrypt(struct tls_stream *t, struct iovec piece)
{
        ERR_clear_error();
        if (t->failed)
                return -EPIPE;
        if (SSL_write(t->ssl, piece.iov_base, (int)piece.iov_len) > 0)
                return 0;
        t->failed = true;
        ERR_clear_error();
        return -EPROTO;
}

static int write_locked(struct tls_stream *t, struct iovec *parts, size_t n, size_t *sent,
                        sj_time deadline)
{
        char gathered[RECORD_MAX];
        for (;;) {
                struct iovec piece = next_piece(&parts, &n, gathered);
                int r = piece.iov_len ? encrypt(t, piece) : 0;
                if (r < 0)
                        return r;
                *sent += piece.iov_len;
                bool last = piece.iov_len == 0 || n == 0;
                if (last || buf_size(&t->ways.out) >= OUT_MOST)
                        r = flush(t, deadline);
                if (r < 0 || last)
                        return r;
        }
}

static int tls_write(sj_stream *s, struct iovec *parts, size_t n, size_t *sent, sj_time deadline)
{
        struct tls_stream *t = of(s);
        int r = sj_lock_acquire(&t->out_lock, deadline);
        if (r < 0)
                return r;
        r = write_locked(t, parts, n, sent, deadline);
        (void)sj_lock_release(&t->out_lock);
        return r;
}

/* Puts the close_notify (RFC 8446 §6.1) behind all that was written. */
static void say_goodbye(struct tls_stream *t)
{
        ERR_clear_error();
        if (!t->failed && !(SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN))
                (void)SSL_shutdown(t->ssl);
        ERR_clear_error();
}

static int tls_shutdown(sj_stream *s, sj_time deadline)
{
        struct tls_stream *t = of(s);
        int r = sj_lock_acquire(&t->out_lock, deadline);
        if (r < 0)
                return r;
        say_goodbye(t);
        r = flush(t, deadline);
        (void)sj_lock_release(&t->out_lock);
        return r;
}

static void tls_free(struct tls_stream *t)
{
        SSL_free(t->ssl);
        tls_ways_fini(&t->ways);
        sj_tls_free(t->tls);
        free(t->name);
        free(t);
}

static void tls_close(sj_stream *s)
{
        struct tls_stream *t = of(s);
        /* After half a message a farewell would make it look like a whole one. */
        if (!s->broken) {
                say_goodbye(t);
                flush_some(t);
        }
        sj_stream_close(t->below);
        tls_free(t);
}

static int tls_local(const sj_stream *s, sj_address *ret)
{
        return sj_stream_local(((const struct tls_stream *)s)->below, ret);
}

static int tls_peer(const sj_stream *s, sj_address *ret)
{
        return sj_stream_peer(((const struct tls_stream *)s)->below, ret);
}

static const struct stream_kind kind = {
        .name = "TLS",
        .read = tls_read,
        .write = tls_write,
        .shutdown = tls_shutdown,
        .close = tls_close,
        .local = tls_local,
        .peer = tls_peer,
};

static void verify_at_this_time(SSL *ssl, int mode)
{
        X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl), (time_t)(sj_wall_now().us / 1000000));
        SSL_set_verify(ssl, mode, NULL);
}

/* The peer that is wanted: told to it if it is a name, and demanded of its certificate. */
static int expect(const sj_tls *tls, SSL *ssl, const char *name)
{
        char host[SJ_HOST_MAX + 1];
        sj_address digits;
        size_t n = name ? strlen(name) : 0;
        if (n > 0 && name[n - 1] == '.')
                n--;
        if (n == 0 || n > SJ_HOST_MAX)
                return -EINVAL;
        memcpy(host, name, n);
        host[n] = '\0';
        X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
        bool is_digits = sj_address_parse(host, 0, &digits) == 0 && !strchr(host, '%');
        verify_at_this_time(ssl, tls->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER);
        if (is_digits) {
                char *bare = host[0] == '[' ? host + 1 : host;
                bare[strcspn(bare, "]")] = '\0';
                return X509_VERIFY_PARAM_set1_ip_asc(param, bare) ? 0 : -ENOMEM;
        }
        SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        return SSL_set_tlsext_host_name(ssl, host) && SSL_set1_host(ssl, host) ? 0 : -EINVAL;
}

/*
 * A server of TLS 1.3 has nothing more to say at the end but tickets, which the peer need not read
 * before it has something to read anyway (RFC 8446 §4.6.1): so they are not waited for.
 */
static bool only_tickets_left(const struct tls_stream *t)
{
        return SSL_is_server(t->ssl) && SSL_version(t->ssl) >= TLS1_3_VERSION;
}

/* Moves bytes until the handshake is done or has failed. */
static int handshake(struct tls_stream *t, const char *name, char *why, sj_time deadline)
{
        for (;;) {
                ERR_clear_error();
                int done = SSL_do_handshake(t->ssl);
                if (done != 1 && SSL_get_error(t->ssl, done) != SSL_ERROR_WANT_READ) {
                        flush_some(t);
                        return tls_say_handshake(why, t->ssl, name);
                }
                if (done == 1 && only_tickets_left(t)) {
                        flush_some(t);
                        return 0;
                }
                int r = flush(t, deadline);
                if (done == 1 && r >= 0)
                        return 0;
                /* A peer that has gone may have said why before. */
                if (r >= 0 || r == -EPIPE || r == -ECONNRESET)
                        r = done == 1 ? r : fill(t, deadline);
                if (r == -EPROTO)
                        r = -EPIPE;
                if (r < 0) {
                        tls_say(why, "TLS handshake: %s", sj_strerror(r));
                        return r;
                }
        }
}

static void keep_protocol(struct tls_stream *t)
{
        const unsigned char *data;
        unsigned n;
        SSL_get0_alpn_selected(t->ssl, &data, &n);
        if (n > 0 && n < PROTOCOL_MAX && data)
                memcpy(t->protocol, data, n);
}

static int tls_new(const sj_tls *tls, sj_stream *below, struct tls_stream **ret)
{
        struct tls_stream *t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        ERR_clear_error();
        stream_init(&t->base, &kind);
        t->below = below;
        t->tls = (sj_tls *)(uintptr_t)tls;
        t->tls->users++;
        t->ssl = SSL_new(tls->context);
        int r = t->ssl ? tls_ways_init(&t->ways, t->ssl) : -ENOMEM;
        if (r >= 0 && !SSL_set_app_data(t->ssl, t))
                r = -ENOMEM;
        if (r < 0) {
                ERR_clear_error();
                tls_free(t);
                return r;
        }
        *ret = t;
        return 0;
}

int tls_new_session(SSL *ssl, SSL_SESSION *session)
{
        struct tls_stream *t = SSL_get_app_data(ssl);
        if (!t->name || !SSL_SESSION_is_resumable(session))
                return 0;
        tls_session_keep(t->tls, t->name, session);
        return 1;
}

/* Whom a client wants, and the session that it may go on with. */
static int prepare_client(struct tls_stream *t, const char *name)
{
        SSL_set_connect_state(t->ssl);
        int r = expect(t->tls, t->ssl, name);
        if (r < 0 || !t->tls->resumes)
                return r;
        t->name = strdup(name);
        SSL_SESSION *session = t->name ? tls_session_take(t->tls, t->name) : NULL;
        /* It is an offer: what it fails for is a handshake as any other. */
        if (session)
                (void)SSL_set_session(t->ssl, session);
        SSL_SESSION_free(session);
        return 0;
}

static void prepare_server(struct tls_stream *t)
{
        static const int modes[] = {
                [SJ_TLS_ASK_NOBODY] = SSL_VERIFY_NONE,
                [SJ_TLS_ASK] = SSL_VERIFY_PEER,
                [SJ_TLS_REQUIRE] = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
        };
        SSL_set_accept_state(t->ssl);
        verify_at_this_time(t->ssl, modes[t->tls->clients]);
}

/* Before TLS 1.3 a session may be resumed many times, and no other is given out for it. */
static void keep_old_session(struct tls_stream *t)
{
        if (t->name && SSL_session_reused(t->ssl) && SSL_version(t->ssl) < TLS1_3_VERSION)
                tls_session_keep(t->tls, t->name, SSL_get1_session(t->ssl));
}

static int start(const sj_tls *tls, sj_stream *below, const char *name, sj_stream **ret, char *why,
                 sj_time deadline)
{
        struct tls_stream *t;
        int r = tls_new(tls, below, &t);
        if (r < 0) {
                tls_say(why, "%s", sj_strerror(r));
                return r;
        }
        if (!name)
                prepare_server(t);
        else if ((r = prepare_client(t, name)) < 0)
                tls_say(why, "not a host name: %s", name);
        if (r >= 0)
                r = handshake(t, name, why, deadline);
        ERR_clear_error();
        if (r < 0) {
                tls_free(t);
                return r;
        }
        keep_protocol(t);
        keep_old_session(t);
        tls_say(why, "%s", "");
        *ret = &t->base;
        return 0;
}

int sj_tls_connect(const sj_tls *tls, sj_stream *below, const char *name, sj_stream **ret,
                   char *why, sj_time deadline)
{
        return start(tls, below, name ? name : "", ret, why, deadline);
}

int sj_tls_accept(const sj_tls *tls, sj_stream *below, sj_stream **ret, char *why, sj_time deadline)
{
        if (!tls->can_serve) {
                tls_say(why, "a server needs a certificate");
                return -EINVAL;
        }
        return start(tls, below, NULL, ret, why, deadline);
}

const char *sj_tls_protocol(const sj_stream *s)
{
        return s->kind == &kind ? ((const struct tls_stream *)s)->protocol : "";
}

const char *sj_tls_server_name(const sj_stream *s)
{
        if (s->kind != &kind)
                return "";
        const SSL *ssl = ((const struct tls_stream *)s)->ssl;
        const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        return name ? name : "";
}

bool sj_tls_resumed(const sj_stream *s)
{
        return s->kind == &kind && SSL_session_reused(((const struct tls_stream *)s)->ssl);
}

int sj_tls_peer_name(const sj_stream *s, char *ret, size_t size)
{
        if (s->kind != &kind)
                return -EOPNOTSUPP;
        const SSL *ssl = ((const struct tls_stream *)s)->ssl;
        const X509 *peer = SSL_get0_peer_certificate(ssl);
        bool verified = SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE &&
                        SSL_get_verify_result(ssl) == X509_V_OK;
        return peer && verified ? tls_put_name(X509_get_subject_name(peer), ret, size) : -ENODATA;
}
