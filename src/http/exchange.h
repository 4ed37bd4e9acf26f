/* SPDX-License-Identifier: MIT */
/* The inside of a server's exchange: one request and its answer. */
#ifndef SANJAB_HTTP_EXCHANGE_H
#define SANJAB_HTTP_EXCHANGE_H

#include <sanjab/http.h>

#include "http/wire.h"

typedef enum http_answer {
        HTTP_ANSWER_NONE,
        HTTP_ANSWER_BEGUN,
        HTTP_ANSWER_ENDED,
} http_answer;

struct sj_http_exchange {
        http_wire *wire;
        const sj_http_serve_options *options; /* complete */
        bool may_rest;                        /* do not wait for a request that has not begun */
        bool rests;                           /* that was so */
        http1_head head;
        http1_field fields[HTTP1_FIELDS_MAX];
        buf head_bytes; /* kept for the next request */
        http_inflow body;
        uint64_t received; /* of the body */
        buf whole;         /* of read_all */
        bool continued;    /* 100 Continue was sent, or is not wanted */
        int body_error;    /* of reading the body, for ever */
        buf out;
        http_answer answer;
        uint64_t left;    /* of the answer's body, unless chunked */
        bool bare;        /* the answer has no body, whatever is written */
        bool chunked;     /* the answer is */
        bool until_close; /* its end is the connection's */
        bool keep_alive;
        int send_error; /* the connection is broken */
};

/* Takes over the request whose head is whole, in the wire's buffer. -ENOMEM. */
int http_exchange_begin(sj_http_exchange *x, bool may_keep);

/* Answers with that status and its phrase as text. */
int http_exchange_refuse(sj_http_exchange *x, int status, const char *text);

#endif
