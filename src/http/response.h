/* SPDX-License-Identifier: MIT */
/* The inside of a response. */
#ifndef SANJAB_HTTP_RESPONSE_H
#define SANJAB_HTTP_RESPONSE_H

#include "http/decode.h"
#include "http/session.h"

struct sj_http_response {
        sj_http_session *session;
        sj_arena *arena; /* URLs, and the head's bytes */
        http_conn *conn; /* NULL when it was given back */
        struct url url;
        unsigned redirects;
        http1_head head;
        http1_field fields[HTTP1_FIELDS_MAX];
        http_inflow body;
        http1_field trailers[HTTP1_TRAILER_FIELDS_MAX];
        const char *trailer_text; /* the spans of the trailers count from here */
        http_decoder *decoder;
        bool keep_encoding;
        bool begun;  /* the decoder is chosen */
        bool failed; /* error is for ever */
        buf whole;   /* of read_all */
        http_limits limits;
        http_time time;
        sj_http_error error;
};

int http_response_new(sj_http_session *session, sj_arena *arena, sj_http_response **ret);

/* The head is whole, in c's buffer: keeps it, and from now on c. */
int http_response_begin(sj_http_response *p, http_conn *c);

/* Gives the connection back: to be kept if nothing of the message is left in it. */
void http_response_release(sj_http_response *p);

#endif
