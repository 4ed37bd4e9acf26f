/* SPDX-License-Identifier: MIT */
/*
 * sanjab/http.h: HTTP/1.1 as client and as server (RFC 9110, RFC 9112).
 *
 *         sj_http_session *session;
 *         int r = sj_http_session_new(NULL, &session);
 *         if (r < 0)
 *                 return r;
 *         sj_http_response *response;
 *         sj_http_error why;
 *         r = sj_http_get(session, "https://example.org/", &response, &why, SJ_NEVER);
 *         if (r < 0) {
 *                 fprintf(stderr, "%s\n", why.text);
 *         } else {
 *                 printf("%d\n", sj_http_response_status(response));
 *                 sj_http_response_free(response);
 *         }
 *         sj_http_session_free(session);
 *
 * A session keeps connections and uses them again. It belongs to the loop of the fibers that use
 * it; any number of them may at once.
 *
 * Time. Every call has a deadline; beside it, the limits in the options hold: on the whole of a
 * request from its start to the last byte of its response, on the making of a connection, and on
 * silence. Whichever passes first, the call gives -ETIMEDOUT and the error says which. A scope
 * that is cancelled, or whose deadline has passed, gives -ECANCELED, as everywhere.
 *
 * What is refused. The peer's bytes are read strictly: -EPROTO for what RFC 9112 does not allow
 * or two readers could understand differently. Certificates are verified.
 */
#ifndef SANJAB_HTTP_H
#define SANJAB_HTTP_H

#include <sanjab/net.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits that are not options. A head: 64 KiB, 100 fields; a URL: 8000 bytes. */
#define SJ_HTTP_WHY_MAX 320 /* the sentence of an error, with its NUL */

/* ── Errors ──────────────────────────────────────────────────────────────────────────────── */

/* The step of a request that has failed. */
typedef enum sj_http_step {
        SJ_HTTP_NO_STEP,       /* nothing has failed */
        SJ_HTTP_STEP_REQUEST,  /* what was asked for is malformed: -EINVAL, -ENOMEM */
        SJ_HTTP_STEP_NAME,     /* the host's name: -ENOENT, -ENODATA, -EAGAIN */
        SJ_HTTP_STEP_CONNECT,  /* -ECONNREFUSED, -EHOSTUNREACH and so on */
        SJ_HTTP_STEP_PROXY,    /* the proxy has refused: -EACCES, -EPROTO */
        SJ_HTTP_STEP_TLS,      /* -EKEYREJECTED, -EPROTO */
        SJ_HTTP_STEP_SEND,     /* -EPIPE, -ECONNRESET; or the error of the body's source */
        SJ_HTTP_STEP_RECEIVE,  /* the connection broke: -ECONNRESET, -EPIPE, -EPROTO in TLS */
        SJ_HTTP_STEP_PROTOCOL, /* what came is not HTTP as it should be: -EPROTO */
        SJ_HTTP_STEP_LIMIT,    /* larger than a limit: -EMSGSIZE */
        SJ_HTTP_STEP_REDIRECT, /* -ELOOP too many, -EACCES refused, -EPROTO nonsense */
        SJ_HTTP_STEP_DECODE,   /* the body's gzip or deflate: -EBADMSG, -EOPNOTSUPP */
        SJ_HTTP_STEP_TIME,     /* a time limit or the deadline has passed: -ETIMEDOUT */
        SJ_HTTP_STEP_CANCEL,   /* -ECANCELED */
} sj_http_step;

/* Why a request has failed. The text holds no user information and no path of a URL. */
typedef struct sj_http_error {
        sj_http_step step;
        int code; /* negative, as was returned */
        char text[SJ_HTTP_WHY_MAX];
} sj_http_error;

/* A word for a step: "name", "connect", ... Static storage. */
SJ_PUBLIC const char *sj_http_step_name(sj_http_step step);

/* ── Sessions ────────────────────────────────────────────────────────────────────────────── */

/* A field of a message. The texts are the caller's and need live only during the call. */
typedef struct sj_http_header {
        const char *name;
        const char *value;
} sj_http_header;

typedef struct sj_http_session sj_http_session;
typedef struct sj_http_response sj_http_response;

/* 0 and NULL stand for the values in brackets. A time of SJ_NEVER is no limit. */
typedef struct sj_http_options {
        sj_time total_limit;   /* [5 min] from the call to the last byte of the response */
        sj_time connect_limit; /* [30 s] for name, connection, proxy and TLS together */
        sj_time idle_limit;    /* [60 s] while nothing moves */
        sj_time keep_alive;    /* [15 s] of an unused connection; the next use closes older ones */
        unsigned connections;  /* [100] open at once; who comes later waits in line */
        unsigned host_connections; /* [no limit] of them, to one host and port */
        unsigned redirects;        /* [10] followed at most; see also sj_http_request */
        bool allow_downgrade;      /* redirects from https to http are followed */
        uint64_t decoded_max;      /* [256 MiB] what gzip or deflate may become */
        unsigned ratio_max;        /* [100] times its encoded size, beyond the first MiB */
        /*
         * "http://[user:password@]host:port" for all requests, "" for none. [By environment:
         * http_proxy for http, https_proxy or HTTPS_PROXY for https, then all_proxy or ALL_PROXY;
         * read once, when the session is made. Hosts listed in no_proxy or NO_PROXY and loopback
         * addresses are reached directly.]
         */
        const char *proxy;
        const sj_tls *tls;      /* [verifying, with the system's certificates]; must outlive it */
        const char *user_agent; /* ["sanjab/VERSION"]; "" for none */
        const sj_http_header *headers; /* sent with each request that does not have its own */
        size_t n_headers;
} sj_http_options;

/*
 * Makes a session; options may be NULL; texts in them are copied. The caller owns *ret. It opens
 * nothing yet. -EINVAL an option is malformed; -ENOMEM.
 */
SJ_PUBLIC int sj_http_session_new(const sj_http_options *options, sj_http_session **ret);

/* All its responses must have been freed, and no fiber be in a call on it. NULL is allowed. */
SJ_PUBLIC void sj_http_session_free(sj_http_session *session);

/* Closes the connections that nobody uses at the moment. */
SJ_PUBLIC void sj_http_session_close_idle(sj_http_session *session);

/* ── Requests ────────────────────────────────────────────────────────────────────────────── */

/*
 * Gives the next bytes of a body: at least 1 and at most n, 0 at its end, or a negative errno
 * value, which ends the request with that error. May block.
 */
typedef ssize_t sj_http_source(void *arg, void *ret, size_t n, sj_time deadline);

typedef struct sj_http_request {
        const char *method; /* NULL: GET. Any token. CONNECT is not for here. */
        const char *url;    /* http or https, absolute; "user:password@" becomes Authorization */
        /*
         * Host, Connection, Content-Length, Transfer-Encoding, Upgrade, TE, Trailer and the like
         * are ours and refused; a header that is also among the session's, or that we would add,
         * replaces it.
         */
        const sj_http_header *headers;
        size_t n_headers;
        /* The body: these bytes, or else what source gives. */
        sj_str body;
        sj_http_source *source;
        void *source_arg;
        uint64_t source_size; /* of what source gives; 0: unknown, sent in chunks */
        bool keep_redirects;  /* a redirect is a response like any other */
        bool keep_encoding;   /* the body is given as it came, and no encoding is asked for */
        /* [those of the session] */
        sj_time total_limit;
        sj_time connect_limit;
        sj_time idle_limit;
} sj_http_request;

/*
 * Sends the request and reads the head of its response, following redirects. The caller owns
 * *ret. why (may be NULL) is written when it fails: 0 is any response, also 404 or 500.
 *
 * Redirects (RFC 9110 §15.4): 303 becomes a GET, unless it was a HEAD; 301 and 302 make a GET of a
 * POST; 307 and 308 repeat the request, so that a body from a source cannot follow them. To
 * another origin no Authorization and no Cookie is sent on. From https to http is refused unless
 * allowed.
 *
 * A request that was sent on a connection that had been kept, which then turns out to be dead
 * before the first byte of an answer, is sent once more on a new one if its method is idempotent
 * and its body can be repeated. Nothing else is repeated.
 *
 * The body is sent first, then the answer is read. A server that refuses the body before it has
 * read all of it ends the sending. One that answers while it reads can say 64 KiB before it must
 * have read all.
 *
 * Waits in line, first come, first served, when the limits of connections are reached. Errors: as
 * sj_http_step says. Cancellation point; a failed request leaves nothing behind.
 */
SJ_PUBLIC int sj_http_fetch(sj_http_session *session, const sj_http_request *request,
                            sj_http_response **ret, sj_http_error *why, sj_time deadline);

/* A GET, a HEAD, and a POST of these bytes, without more ado. */
SJ_PUBLIC int sj_http_get(sj_http_session *session, const char *url, sj_http_response **ret,
                          sj_http_error *why, sj_time deadline);
SJ_PUBLIC int sj_http_head(sj_http_session *session, const char *url, sj_http_response **ret,
                           sj_http_error *why, sj_time deadline);
SJ_PUBLIC int sj_http_post(sj_http_session *session, const char *url, const char *content_type,
                           sj_str body, sj_http_response **ret, sj_http_error *why,
                           sj_time deadline);

/* ── Responses ───────────────────────────────────────────────────────────────────────────── */

/* 200 to 999: interim responses are passed over. */
SJ_PUBLIC int sj_http_response_status(const sj_http_response *response);
/* The words after the status; often empty. Valid until the response is freed, as all below. */
SJ_PUBLIC sj_str sj_http_response_phrase(const sj_http_response *response);
/* Where the response came from, after redirects, in normal form and without user information. */
SJ_PUBLIC const char *sj_http_response_url(const sj_http_response *response);
/* The redirects that were followed. */
SJ_PUBLIC unsigned sj_http_response_redirects(const sj_http_response *response);

/* The value of the first header of that name, in any case of letters; false when there is none. */
SJ_PUBLIC bool sj_http_response_header(const sj_http_response *response, const char *name,
                                       sj_str *ret);
/* The i-th header of all, in their order; false beyond the last. */
SJ_PUBLIC bool sj_http_response_header_at(const sj_http_response *response, size_t i,
                                          sj_str *ret_name, sj_str *ret_value);
/* The value of a trailer field; there are some only after the end of a chunked body. */
SJ_PUBLIC bool sj_http_response_trailer(const sj_http_response *response, const char *name,
                                        sj_str *ret);

/*
 * Reads some bytes of the body, decoded: at least 1, at most n; 0 at its end. n must not be 0.
 * Errors as of sj_http_fetch, in sj_http_response_error too, and then for ever, except -ETIMEDOUT
 * of the deadline that was given and -ECANCELED, after which reading may go on.
 */
SJ_PUBLIC ssize_t sj_http_response_read(sj_http_response *response, void *ret, size_t n,
                                        sj_time deadline);

/*
 * Reads the whole rest of the body into memory of the response; *ret is ended by a NUL that is
 * not counted. -EMSGSIZE it is larger than max (0: 64 MiB); else as sj_http_response_read.
 */
SJ_PUBLIC int sj_http_response_read_all(sj_http_response *response, size_t max, sj_str *ret,
                                        sj_time deadline);

/* Why the last read has failed. */
SJ_PUBLIC const sj_http_error *sj_http_response_error(const sj_http_response *response);

/*
 * Ends the use of it. Its connection goes back to the session if the body was read to its end, or
 * the rest of it is here already, and is closed otherwise. Never blocks. NULL is allowed.
 */
SJ_PUBLIC void sj_http_response_free(sj_http_response *response);

/* ── Servers ─────────────────────────────────────────────────────────────────────────────── */

/* One request and its answer. */
typedef struct sj_http_exchange sj_http_exchange;

/*
 * Answers a request: reads what it wants of it, and calls sj_http_respond once, or
 * sj_http_respond_begin and so on. If it returns a negative value, or does not answer, the client
 * gets a 500, or a broken connection if an answer had begun. With -ECONNABORTED it gets no answer
 * at all: the connection is closed.
 */
typedef int sj_http_handler(sj_http_exchange *exchange, void *arg);

/* 0 stands for the values in brackets. */
typedef struct sj_http_serve_options {
        sj_time head_limit;   /* [10 s] for a request's head, from its first byte */
        sj_time wait_limit;   /* [60 s] for the next request on a connection */
        sj_time idle_limit;   /* [30 s] while nothing moves in a body, either way */
        uint64_t body_max;    /* [1 MiB] of a request's body; more gets a 413 */
        unsigned requests;    /* [no limit] on one connection */
        unsigned connections; /* [1000] at once; later ones wait to be accepted */
        sj_time drain_limit;  /* [5 s] for those that are answered when it ends; negative: none */
        const char *server;   /* the Server field [none] */
} sj_http_serve_options;

/*
 * Serves the requests that come over the stream, one after the other, until either side ends it;
 * then closes the stream, which it owns from the call on. options may be NULL. A request that is
 * malformed gets a 4xx or 5xx, and the connection is closed, for nobody knows where the next one
 * would begin. 0 when the connection ended between two requests; -ECANCELED; else why it ended.
 */
SJ_PUBLIC int sj_http_serve_connection(sj_stream *stream, sj_http_handler *handler, void *arg,
                                       const sj_http_serve_options *options);

/*
 * Accepts connections and serves each, until it is cancelled (-ECANCELED) or the listener breaks.
 * Handlers of several connections run interleaved, each in a fiber of its own, while there is a
 * request; what is answered when it ends is ended within the drain limit: see sj_serve. The
 * listener stays the caller's.
 */
SJ_PUBLIC int sj_http_serve(sj_listener *listener, sj_http_handler *handler, void *arg,
                            const sj_http_serve_options *options);

/* Views that are valid until the handler returns. */
SJ_PUBLIC sj_str sj_http_exchange_method(const sj_http_exchange *exchange);
/* As it came: "/path?query", or "http://host/path", or "*". */
SJ_PUBLIC sj_str sj_http_exchange_target(const sj_http_exchange *exchange);
/* The path alone, percent-encoded, "" for "*". */
SJ_PUBLIC sj_str sj_http_exchange_path(const sj_http_exchange *exchange);
/* The query without '?', or empty. */
SJ_PUBLIC sj_str sj_http_exchange_query(const sj_http_exchange *exchange);
/* The value of the first header of that name, in any case of letters; false: there is none. */
SJ_PUBLIC bool sj_http_exchange_header(const sj_http_exchange *exchange, const char *name,
                                       sj_str *ret);
/* The i-th header of all, in their order; false beyond the last. */
SJ_PUBLIC bool sj_http_exchange_header_at(const sj_http_exchange *exchange, size_t i,
                                          sj_str *ret_name, sj_str *ret_value);

/*
 * Reads some bytes of the request's body, as sj_http_response_read; a client that waits for "100
 * Continue" gets it first. -EMSGSIZE over body_max; -EPROTO malformed or cut short; -ETIMEDOUT.
 */
SJ_PUBLIC ssize_t sj_http_exchange_read(sj_http_exchange *exchange, void *ret, size_t n,
                                        sj_time deadline);
/*
 * The whole body, valid until the handler returns and ended by a NUL that is not counted. Errors
 * as sj_http_exchange_read; -ENOMEM.
 */
SJ_PUBLIC int sj_http_exchange_read_all(sj_http_exchange *exchange, sj_str *ret, sj_time deadline);

/*
 * Sends a whole answer. Content-Length, Transfer-Encoding, Connection and Date are ours. A HEAD
 * gets the head alone. -EINVAL malformed, or an answer was begun; else as sj_write.
 */
SJ_PUBLIC int sj_http_respond(sj_http_exchange *exchange, int status,
                              const sj_http_header headers[], size_t n_headers, sj_str body,
                              sj_time deadline);

#define SJ_HTTP_UNKNOWN_SIZE UINT64_MAX

/*
 * Begins an answer whose body follows in pieces: size bytes in all, or an unknown number. Then
 * sj_http_respond_write for each piece, and sj_http_respond_end. -EINVAL also for pieces that do
 * not add up to size.
 */
SJ_PUBLIC int sj_http_respond_begin(sj_http_exchange *exchange, int status,
                                    const sj_http_header headers[], size_t n_headers, uint64_t size,
                                    sj_time deadline);
SJ_PUBLIC int sj_http_respond_write(sj_http_exchange *exchange, const void *data, size_t n,
                                    sj_time deadline);
SJ_PUBLIC int sj_http_respond_end(sj_http_exchange *exchange, sj_time deadline);

#ifdef __cplusplus
}
#endif

#endif
