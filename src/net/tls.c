/* SPDX-License-Identifier: MIT */
/*
 * The settings of TLS: an SSL_CTX, which streams keep alive by OpenSSL's own counting (it may be
 * shared by threads). Verifying is what happens unless `insecure` is spelled out, and that is
 * logged, since a setting made for a test tends to stay.
 */
#include "net/tls.h"

#include <limits.h>
#include <stdlib.h>

/* A key under a passphrase is refused: the library must never ask on a terminal. */
static int no_passphrase(char *ret, int size, int writing, void *arg)
{
        (void)ret;
        (void)size;
        (void)writing;
        (void)arg;
        return -1;
}

/* Says which file could not be used and why, and returns the error for it. */
static int file_failed(char *why, const char *file)
{
        unsigned long error = ERR_peek_error();
        int system = ERR_SYSTEM_ERROR(error) ? ERR_GET_REASON(error) : 0;
        if (system)
                tls_say(why, "%s: %s", file, sj_strerror(system));
        else
                tls_say_errors(why, file);
        ERR_clear_error();
        return system ? -system : -EBADMSG;
}

static int load_trust(sj_tls *t, const sj_tls_options *o, char *why)
{
        if (o->ca_file)
                return SSL_CTX_load_verify_file(t->context, o->ca_file)
                               ? 0
                               : file_failed(why, o->ca_file);
        if (SSL_CTX_set_default_verify_paths(t->context))
                return 0;
        tls_say_errors(why, "the system's certificates");
        return -EBADMSG;
}

static int load_identity(sj_tls *t, const sj_tls_options *o, char *why)
{
        if (!o->certificate_file && !o->key_file)
                return 0;
        if (!o->certificate_file || !o->key_file) {
                tls_say(why, "a certificate and its key are needed together");
                return -EINVAL;
        }
        if (SSL_CTX_use_certificate_chain_file(t->context, o->certificate_file) != 1)
                return file_failed(why, o->certificate_file);
        if (SSL_CTX_use_PrivateKey_file(t->context, o->key_file, SSL_FILETYPE_PEM) != 1)
                return file_failed(why, o->key_file);
        if (SSL_CTX_check_private_key(t->context) != 1) {
                ERR_clear_error();
                tls_say(why, "%s: not the key of the certificate", o->key_file);
                return -EBADMSG;
        }
        t->can_serve = true;
        return 0;
}

/* Writes the list as on the wire (RFC 7301 §3.1) to ret, if it is not NULL; its size or 0. */
static size_t alpn_write(const char *const *names, unsigned char *ret)
{
        size_t size = 0;
        for (; *names; names++) {
                size_t n = strlen(*names);
                if (n == 0 || n > UCHAR_MAX)
                        return 0;
                if (ret) {
                        ret[size] = (unsigned char)n;
                        memcpy(ret + size + 1, *names, n);
                }
                size += n + 1;
        }
        return size;
}

static int alpn_choose(SSL *ssl, const unsigned char **ret, unsigned char *ret_n,
                       const unsigned char *offered, unsigned offered_n, void *arg)
{
        sj_tls *t = arg;
        unsigned char *chosen;
        (void)ssl;
        if (SSL_select_next_proto(&chosen, ret_n, t->alpn, t->alpn_size, offered, offered_n) !=
            OPENSSL_NPN_NEGOTIATED)
                return SSL_TLSEXT_ERR_ALERT_FATAL;
        *ret = chosen;
        return SSL_TLSEXT_ERR_OK;
}

static int set_alpn(sj_tls *t, const char *const *names, char *why)
{
        if (!names || !*names)
                return 0;
        size_t size = alpn_write(names, NULL);
        if (size == 0 || size > UINT16_MAX) {
                tls_say(why, "not a list of protocols for ALPN");
                return -EINVAL;
        }
        t->alpn = malloc(size);
        if (!t->alpn)
                return -ENOMEM;
        t->alpn_size = (unsigned)alpn_write(names, t->alpn);
        /* Unlike its siblings it returns 0 when all is well. */
        if (SSL_CTX_set_alpn_protos(t->context, t->alpn, t->alpn_size) != 0)
                return -ENOMEM;
        SSL_CTX_set_alpn_select_cb(t->context, alpn_choose, t);
        return 0;
}

static int set_up(sj_tls *t, const sj_tls_options *o, char *why)
{
        SSL_CTX *c = t->context = SSL_CTX_new(TLS_method());
        if (!c || !SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION))
                return -ENOMEM;
        SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
        SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_default_passwd_cb(c, no_passphrase);
        t->insecure = o->insecure;
        int r = o->insecure ? 0 : load_trust(t, o, why);
        if (r >= 0)
                r = load_identity(t, o, why);
        if (r >= 0)
                r = set_alpn(t, o->alpn, why);
        return r;
}

int sj_tls_new(const sj_tls_options *options, sj_tls **ret, char *why)
{
        int r = openssl_load(why);
        if (r < 0)
                return r;
        sj_tls *t = calloc(1, sizeof(*t));
        ERR_clear_error();
        tls_say(why, "%s", sj_strerror(-ENOMEM));
        r = t ? set_up(t, options ? options : &(sj_tls_options){0}, why) : -ENOMEM;
        ERR_clear_error();
        if (r < 0) {
                sj_tls_free(t);
                return r;
        }
        if (t->insecure)
                sj_log(SJ_LOG_WARNING, "TLS: certificates are not verified");
        tls_say(why, "%s", "");
        *ret = t;
        return 0;
}

void sj_tls_free(sj_tls *tls)
{
        if (!tls)
                return;
        SSL_CTX_free(tls->context);
        free(tls->alpn);
        free(tls);
}
