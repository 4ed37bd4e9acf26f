/* SPDX-License-Identifier: MIT */
/*
 * OpenSSL, loaded when somebody first wants TLS: its two libraries come to 700 KiB of each process,
 * whose most never do.
 *
 * Its functions are called by their own names, which stand for pointers. One that is used and not
 * in both lists is not found when the program is linked, or compiled.
 */
#ifndef SANJAB_NET_OPENSSL_H
#define SANJAB_NET_OPENSSL_H

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define OPENSSL_FUNCTIONS(X)                  \
        X(BIO_clear_flags)                    \
        X(BIO_ctrl)                           \
        X(BIO_free)                           \
        X(BIO_get_data)                       \
        X(BIO_meth_free)                      \
        X(BIO_meth_new)                       \
        X(BIO_meth_set_ctrl)                  \
        X(BIO_meth_set_read)                  \
        X(BIO_meth_set_write)                 \
        X(BIO_new)                            \
        X(BIO_s_mem)                          \
        X(BIO_set_data)                       \
        X(BIO_set_flags)                      \
        X(BIO_set_init)                       \
        X(ERR_clear_error)                    \
        X(ERR_get_error)                      \
        X(ERR_peek_error)                     \
        X(ERR_reason_error_string)            \
        X(SSL_CTX_callback_ctrl)              \
        X(SSL_CTX_check_private_key)          \
        X(SSL_CTX_ctrl)                       \
        X(SSL_CTX_free)                       \
        X(SSL_CTX_get0_certificate)           \
        X(SSL_CTX_get0_privatekey)            \
        X(SSL_CTX_load_verify_file)           \
        X(SSL_CTX_new)                        \
        X(SSL_CTX_sess_set_new_cb)            \
        X(SSL_CTX_set_alpn_protos)            \
        X(SSL_CTX_set_alpn_select_cb)         \
        X(SSL_CTX_set_cert_cb)                \
        X(SSL_CTX_set_client_CA_list)         \
        X(SSL_CTX_set_default_passwd_cb)      \
        X(SSL_CTX_set_default_verify_paths)   \
        X(SSL_CTX_set_num_tickets)            \
        X(SSL_CTX_set_options)                \
        X(SSL_CTX_set_session_id_context)     \
        X(SSL_CTX_set_session_ticket_cb)      \
        X(SSL_CTX_use_PrivateKey_file)        \
        X(SSL_CTX_use_certificate_chain_file) \
        X(SSL_SESSION_free)                   \
        X(SSL_SESSION_get0_peer)              \
        X(SSL_SESSION_is_resumable)           \
        X(SSL_certs_clear)                    \
        X(SSL_ctrl)                           \
        X(SSL_do_handshake)                   \
        X(SSL_free)                           \
        X(SSL_get0_alpn_selected)             \
        X(SSL_get0_param)                     \
        X(SSL_get0_peer_certificate)          \
        X(SSL_get1_session)                   \
        X(SSL_get_error)                      \
        X(SSL_get_ex_data)                    \
        X(SSL_get_servername)                 \
        X(SSL_get_shutdown)                   \
        X(SSL_get_verify_mode)                \
        X(SSL_get_verify_result)              \
        X(SSL_is_server)                      \
        X(SSL_load_client_CA_file)            \
        X(SSL_new)                            \
        X(SSL_read)                           \
        X(SSL_select_next_proto)              \
        X(SSL_session_reused)                 \
        X(SSL_set1_host)                      \
        X(SSL_set_accept_state)               \
        X(SSL_set_bio)                        \
        X(SSL_set_connect_state)              \
        X(SSL_set_ex_data)                    \
        X(SSL_set_hostflags)                  \
        X(SSL_set_session)                    \
        X(SSL_set_verify)                     \
        X(SSL_shutdown)                       \
        X(SSL_use_cert_and_key)               \
        X(SSL_version)                        \
        X(SSL_write)                          \
        X(TLS_method)                         \
        X(X509_NAME_print_ex)                 \
        X(X509_VERIFY_PARAM_set1_ip_asc)      \
        X(X509_VERIFY_PARAM_set_time)         \
        X(X509_cmp_time)                      \
        X(X509_get0_notAfter)                 \
        X(X509_get_subject_name)              \
        X(X509_verify_cert_error_string)

/* clang-format off */
#define OPENSSL_POINTER(name) __typeof__(name) *name;
/* clang-format on */
typedef struct openssl_functions {
        OPENSSL_FUNCTIONS(OPENSSL_POINTER)
} openssl_functions;

extern openssl_functions openssl;

/* Once is enough for all threads. -EOPNOTSUPP, with a sentence in why: see sj_tls_new. */
int openssl_load(char *why);

#define BIO_clear_flags                    openssl.BIO_clear_flags
#define BIO_ctrl                           openssl.BIO_ctrl
#define BIO_free                           openssl.BIO_free
#define BIO_get_data                       openssl.BIO_get_data
#define BIO_meth_free                      openssl.BIO_meth_free
#define BIO_meth_new                       openssl.BIO_meth_new
#define BIO_meth_set_ctrl                  openssl.BIO_meth_set_ctrl
#define BIO_meth_set_read                  openssl.BIO_meth_set_read
#define BIO_meth_set_write                 openssl.BIO_meth_set_write
#define BIO_new                            openssl.BIO_new
#define BIO_s_mem                          openssl.BIO_s_mem
#define BIO_set_data                       openssl.BIO_set_data
#define BIO_set_flags                      openssl.BIO_set_flags
#define BIO_set_init                       openssl.BIO_set_init
#define ERR_clear_error                    openssl.ERR_clear_error
#define ERR_get_error                      openssl.ERR_get_error
#define ERR_peek_error                     openssl.ERR_peek_error
#define ERR_reason_error_string            openssl.ERR_reason_error_string
#define SSL_CTX_callback_ctrl              openssl.SSL_CTX_callback_ctrl
#define SSL_CTX_check_private_key          openssl.SSL_CTX_check_private_key
#define SSL_CTX_ctrl                       openssl.SSL_CTX_ctrl
#define SSL_CTX_free                       openssl.SSL_CTX_free
#define SSL_CTX_get0_certificate           openssl.SSL_CTX_get0_certificate
#define SSL_CTX_get0_privatekey            openssl.SSL_CTX_get0_privatekey
#define SSL_CTX_load_verify_file           openssl.SSL_CTX_load_verify_file
#define SSL_CTX_new                        openssl.SSL_CTX_new
#define SSL_CTX_sess_set_new_cb            openssl.SSL_CTX_sess_set_new_cb
#define SSL_CTX_set_alpn_protos            openssl.SSL_CTX_set_alpn_protos
#define SSL_CTX_set_alpn_select_cb         openssl.SSL_CTX_set_alpn_select_cb
#define SSL_CTX_set_cert_cb                openssl.SSL_CTX_set_cert_cb
#define SSL_CTX_set_client_CA_list         openssl.SSL_CTX_set_client_CA_list
#define SSL_CTX_set_default_passwd_cb      openssl.SSL_CTX_set_default_passwd_cb
#define SSL_CTX_set_default_verify_paths   openssl.SSL_CTX_set_default_verify_paths
#define SSL_CTX_set_num_tickets            openssl.SSL_CTX_set_num_tickets
#define SSL_CTX_set_options                openssl.SSL_CTX_set_options
#define SSL_CTX_set_session_id_context     openssl.SSL_CTX_set_session_id_context
#define SSL_CTX_set_session_ticket_cb      openssl.SSL_CTX_set_session_ticket_cb
#define SSL_CTX_use_PrivateKey_file        openssl.SSL_CTX_use_PrivateKey_file
#define SSL_CTX_use_certificate_chain_file openssl.SSL_CTX_use_certificate_chain_file
#define SSL_SESSION_free                   openssl.SSL_SESSION_free
#define SSL_SESSION_get0_peer              openssl.SSL_SESSION_get0_peer
#define SSL_SESSION_is_resumable           openssl.SSL_SESSION_is_resumable
#define SSL_certs_clear                    openssl.SSL_certs_clear
#define SSL_ctrl                           openssl.SSL_ctrl
#define SSL_do_handshake                   openssl.SSL_do_handshake
#define SSL_free                           openssl.SSL_free
#define SSL_get0_alpn_selected             openssl.SSL_get0_alpn_selected
#define SSL_get0_param                     openssl.SSL_get0_param
#define SSL_get0_peer_certificate          openssl.SSL_get0_peer_certificate
#define SSL_get1_session                   openssl.SSL_get1_session
#define SSL_get_error                      openssl.SSL_get_error
#define SSL_get_ex_data                    openssl.SSL_get_ex_data
#define SSL_get_servername                 openssl.SSL_get_servername
#define SSL_get_shutdown                   openssl.SSL_get_shutdown
#define SSL_get_verify_mode                openssl.SSL_get_verify_mode
#define SSL_get_verify_result              openssl.SSL_get_verify_result
#define SSL_is_server                      openssl.SSL_is_server
#define SSL_load_client_CA_file            openssl.SSL_load_client_CA_file
#define SSL_new                            openssl.SSL_new
#define SSL_read                           openssl.SSL_read
#define SSL_select_next_proto              openssl.SSL_select_next_proto
#define SSL_session_reused                 openssl.SSL_session_reused
#define SSL_set1_host                      openssl.SSL_set1_host
#define SSL_set_accept_state               openssl.SSL_set_accept_state
#define SSL_set_bio                        openssl.SSL_set_bio
#define SSL_set_connect_state              openssl.SSL_set_connect_state
#define SSL_set_ex_data                    openssl.SSL_set_ex_data
#define SSL_set_hostflags                  openssl.SSL_set_hostflags
#define SSL_set_session                    openssl.SSL_set_session
#define SSL_set_verify                     openssl.SSL_set_verify
#define SSL_shutdown                       openssl.SSL_shutdown
#define SSL_use_cert_and_key               openssl.SSL_use_cert_and_key
#define SSL_version                        openssl.SSL_version
#define SSL_write                          openssl.SSL_write
#define TLS_method                         openssl.TLS_method
#define X509_NAME_print_ex                 openssl.X509_NAME_print_ex
#define X509_VERIFY_PARAM_set1_ip_asc      openssl.X509_VERIFY_PARAM_set1_ip_asc
#define X509_VERIFY_PARAM_set_time         openssl.X509_VERIFY_PARAM_set_time
#define X509_cmp_time                      openssl.X509_cmp_time
#define X509_get0_notAfter                 openssl.X509_get0_notAfter
#define X509_get_subject_name              openssl.X509_get_subject_name
#define X509_verify_cert_error_string      openssl.X509_verify_cert_error_string

#endif
