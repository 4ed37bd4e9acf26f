/* SPDX-License-Identifier: MIT */
/* The inside of a client session, and of one request on its way. */
#ifndef SANJAB_HTTP_SESSION_H
#define SANJAB_HTTP_SESSION_H

#include "http/error.h"
#include "http/pool.h"
#include "http/proxy.h"

/* Durations. */
typedef struct http_limits {
        sj_time total, connect, idle;
} http_limits;

struct sj_http_session {
        sj_arena *arena; /* all texts of the options */
        http_pool pool;
        http_proxies proxies;
        http_limits limits;
        unsigned redirects;
        bool allow_downgrade;
        uint64_t decoded_max;
        unsigned ratio_max;
        const sj_tls *tls; /* given, or own */
        sj_tls *own_tls;   /* made when the first request needs it */
        sj_http_header *headers;
        size_t n_headers;
        const char *user_agent;
};

/* The settings for TLS; made at the first call. why is written when it fails. */
int http_session_tls(sj_http_session *s, const sj_tls **ret, sj_http_error *why);

/* A request, over all its redirects. */
typedef struct http_job {
        sj_http_session *session;
        const sj_http_request *request;
        sj_http_error *why; /* may be NULL */
        sj_arena *arena;
        struct url url;  /* where it goes now */
        sj_str userinfo; /* of the URL that was asked for */
        sj_str method;   /* now */
        bool with_body;  /* now */
        bool elsewhere;  /* a redirect has led to another origin: credentials stayed behind */
        bool body_begun; /* the source was read from */
        unsigned redirects;
        http_limits limits;
        http_time time;
        const struct url *proxy;
} http_job;

/* "the idle limit of 2.5 s", in ret. */
enum { HTTP_LIMIT_TEXT = 64 };
const char *http_limit_text(const http_limits *limits, http_late late, char ret[HTTP_LIMIT_TEXT]);

#endif
