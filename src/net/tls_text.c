/* SPDX-License-Identifier: MIT */
/*
 * Why TLS failed, for people. OpenSSL's own sentences are used where they are good ones; those for
 * a name lack the name, and those of its error queue lead with numbers.
 */
#include "net/tls.h"

#include <stdio.h>

void tls_say(char *why, const char *format, ...)
{
        if (!why)
                return;
        va_list args;
        va_start(args, format);
        vsnprintf(why, SJ_TLS_WHY_MAX, format, args);
        va_end(args);
}

void tls_say_errors(char *why, const char *doing)
{
        /* The oldest is the cause, the later ones tell who noticed. */
        unsigned long error = ERR_get_error();
        const char *reason = error ? ERR_reason_error_string(error) : NULL;
        if (!reason && error && ERR_SYSTEM_ERROR(error))
                reason = sj_strerror(ERR_GET_REASON(error));
        tls_say(why, "%s: %s", doing, reason ? reason : "unknown error");
        ERR_clear_error();
}

static int say_certificate(char *why, long verdict, const char *name)
{
        switch (verdict) {
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
                tls_say(why, "name mismatch: wanted %s", name ? name : "another");
                break;
        default:
                tls_say(why, "%s", X509_verify_cert_error_string(verdict));
        }
        return -EKEYREJECTED;
}

/* Alerts of the peer (RFC 8446 §6.2) that say that it does not like us. */
static bool is_alert(unsigned long error)
{
        return ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) >= SSL_AD_REASON_OFFSET &&
               ERR_GET_REASON(error) < SSL_AD_REASON_OFFSET + 256;
}

int tls_say_handshake(char *why, const SSL *ssl, const char *name)
{
        unsigned long error = ERR_peek_error();
        long verdict = SSL_get_verify_result(ssl);
        if (ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK) {
                ERR_clear_error();
                return say_certificate(why, verdict, name);
        }
        if (ERR_GET_REASON(error) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
                ERR_clear_error();
                tls_say(why, "the client has shown no certificate");
                return -EKEYREJECTED;
        }
        tls_say_errors(why, is_alert(error) ? "refused by the peer" : "TLS handshake");
        return -EPROTO;
}

int tls_put_name(const X509_NAME *name, char *ret, size_t size)
{
        BIO *text = BIO_new(BIO_s_mem());
        char *data = NULL;
        /* UTF-8 stays as it is; what could steer a terminal is escaped. */
        unsigned long style = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
        int r = text && X509_NAME_print_ex(text, name, 0, style) >= 0 ? 0 : -ENOMEM;
        long n = r < 0 ? 0 : BIO_get_mem_data(text, &data);
        if (r >= 0 && (size_t)n >= size)
                r = -EMSGSIZE;
        if (r >= 0) {
                memcpy(ret, data, (size_t)n);
                ret[n] = '\0';
        }
        BIO_free(text);
        ERR_clear_error();
        return r;
}
