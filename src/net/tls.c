/* SPDX-License-Identifier: MIT */
/*
 * The settings of TLS: an SSL_CTX and what its callbacks need, which streams keep alive by a count,
 * since threads may share them. Verifying is what happens unless `insecure` is spelled out, and
 * that is logged, since a setting made for a test tends to stay.
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

static int load_certificate(SSL_CTX *c, const char *certificate_file, const char *key_file,
                            char *why)
{
        if (!certificate_file || !key_file) {
                tls_say(why, "a certificate and its key are needed together");
                return -EINVAL;
        }
        SSL_CTX_set_default_passwd_cb(c, no_passphrase);
        if (SSL_CTX_use_certificate_chain_file(c, certificate_file) != 1)
                return file_failed(why, certificate_file);
        if (SSL_CTX_use_PrivateKey_file(c, key_file, SSL_FILETYPE_PEM) != 1)
                return file_failed(why, key_file);
        if (SSL_CTX_check_private_key(c) != 1) {
                ERR_clear_error();
                tls_say(why, "%s: not the key of the certificate", key_file);
                return -EBADMSG;
        }
        return 0;
}

static int load_identity(sj_tls *t, const sj_tls_options *o, char *why)
{
        if (!o->certificate_file && !o->key_file)
                return 0;
        int r = load_certificate(t->context, o->certificate_file, o->key_file, why);
        t->can_serve = r >= 0;
        return r;
}

/* ── Certificates by name ────────────────────────────────────────────────────────────────── */

/* "*.example.org" is any one label before ".example.org" (RFC 6125 §6.4.3). */
static bool is_name(const char *pattern, const char *name)
{
        if (pattern[0] != '*' || pattern[1] != '.')
                return strcasecmp(pattern, name) == 0;
        const char *dot = strchr(name, '.');
        return dot && dot > name && strcasecmp(pattern + 1, dot) == 0;
}

/* An exact name before a pattern, whatever their order. */
static SSL_CTX *holder_for(const sj_tls *t, const char *name)
{
        SSL_CTX *found = NULL;
        for (size_t i = 0; i < t->name_count; i++) {
                const struct tls_named *n = &t->names[i];
                if (is_name(n->name, name) && (!found || n->name[0] != '*'))
                        found = n->holder;
        }
        return found;
}

/* The name is taken note of: a session before TLS 1.3 is resumed by that name only. */
static int note_name(SSL *ssl, int *alert, void *arg)
{
        (void)ssl;
        (void)alert;
        (void)arg;
        return SSL_TLSEXT_ERR_OK;
}

/* Called before a server needs its certificate. Those of other kinds of keys must go first. */
static int choose_certificate(SSL *ssl, void *arg)
{
        const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        SSL_CTX *holder = SSL_is_server(ssl) && name ? holder_for(arg, name) : NULL;
        STACK_OF(X509) *chain = NULL;
        if (!holder)
                return 1;
        SSL_certs_clear(ssl);
        SSL_CTX_get0_chain_certs(holder, &chain);
        return SSL_use_cert_and_key(ssl, SSL_CTX_get0_certificate(holder),
                                    SSL_CTX_get0_privatekey(holder), chain, 1);
}

static int load_names(sj_tls *t, const sj_tls_name *names, char *why)
{
        size_t n = 0;
        while (names && names[n].name)
                n++;
        if (n == 0)
                return 0;
        if (!t->can_serve) {
                tls_say(why, "certificates by name need a usual one beside them");
                return -EINVAL;
        }
        t->names = calloc(n, sizeof(*t->names));
        if (!t->names)
                return -ENOMEM;
        for (; t->name_count < n; t->name_count++) {
                const sj_tls_name *from = &names[t->name_count];
                struct tls_named to = {strdup(from->name), SSL_CTX_new(TLS_method())};
                int r = to.name && to.holder ? load_certificate(to.holder, from->certificate_file,
                                                                from->key_file, why)
                                             : -ENOMEM;
                if (r < 0) {
                        free(to.name);
                        SSL_CTX_free(to.holder);
                        return r;
                }
                t->names[t->name_count] = to;
        }
        SSL_CTX_set_cert_cb(t->context, choose_certificate, t);
        return 0;
}

/* ── Certificates of clients ─────────────────────────────────────────────────────────────── */

static int ask_clients(sj_tls *t, const sj_tls_options *o, char *why)
{
        if (o->clients == SJ_TLS_ASK_NOBODY)
                return 0;
        if (!o->ca_file || o->insecure) {
                tls_say(why, "whose certificates clients may have is to be said by ca_file");
                return -EINVAL;
        }
        /* So that a client with several knows which of them to show. */
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(o->ca_file);
        if (!names)
                return file_failed(why, o->ca_file);
        SSL_CTX_set_client_CA_list(t->context, names);
        t->clients = o->clients;
        return 0;
}

/* ── Sessions ────────────────────────────────────────────────────────────────────────────── */

/* A client's ticket is as good as the certificate that it was given for. */
static SSL_TICKET_RETURN look_at_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *key,
                                        size_t n, SSL_TICKET_STATUS status, void *arg)
{
        (void)ssl;
        (void)key;
        (void)n;
        (void)arg;
        switch (status) {
        case SSL_TICKET_SUCCESS:
        case SSL_TICKET_SUCCESS_RENEW:
                if (tls_session_expired(session))
                        return SSL_TICKET_RETURN_IGNORE_RENEW;
                return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE
                                                    : SSL_TICKET_RETURN_USE_RENEW;
        default:
                return SSL_TICKET_RETURN_IGNORE_RENEW;
        }
}

static int set_sessions(sj_tls *t, const sj_tls_options *o)
{
        static const unsigned char ours[] = "sanjab";
        SSL_CTX *c = t->context;
        t->resumes = !o->no_resumption;
        if (o->no_resumption) {
                SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
                SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
                return SSL_CTX_set_num_tickets(c, 0) ? 0 : -ENOMEM;
        }
        /* A server keeps nothing: all is in its tickets, under keys of this context. */
        SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(c, tls_new_session);
        return SSL_CTX_set_session_id_context(c, ours, sizeof(ours) - 1) &&
                               SSL_CTX_set_session_ticket_cb(c, NULL, look_at_ticket, NULL)
                       ? 0
                       : -ENOMEM;
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
        SSL_CTX_set_tlsext_servername_callback(c, note_name);
        t->insecure = o->insecure;
        int r = set_sessions(t, o);
        if (r >= 0 && !o->insecure)
                r = load_trust(t, o, why);
        if (r >= 0)
                r = load_identity(t, o, why);
        if (r >= 0)
                r = load_names(t, o->names, why);
        if (r >= 0)
                r = ask_clients(t, o, why);
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
        if (t)
                t->users = 1;
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
        if (!tls || --tls->users > 0)
                return;
        tls_sessions_fini(tls);
        for (size_t i = 0; i < tls->name_count; i++) {
                free(tls->names[i].name);
                SSL_CTX_free(tls->names[i].holder);
        }
        free(tls->names);
        SSL_CTX_free(tls->context);
        free(tls->alpn);
        free(tls);
}
