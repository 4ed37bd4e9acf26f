/* SPDX-License-Identifier: MIT */
/* A request as bytes. */
#ifndef SANJAB_HTTP_REQUEST_H
#define SANJAB_HTTP_REQUEST_H

#include "http/session.h"

/* Whether the request can be sent at all; why says what is wrong with it. */
int http_request_check(const sj_http_request *request, sj_http_error *why);

/* Appends the head of the job's request as it is now. */
int http_request_put(buf *out, const http_job *job);

/* Whether sending it twice is as sending it once (RFC 9110 §9.2.2), and its body is still there. */
bool http_request_repeatable(const http_job *job);

/*
 * Writes the body behind the head, both to the wire. Errors of the source come out as they are;
 * -EPIPE also when the server has refused the body meanwhile: its answer is in the wire's buffer.
 */
int http_request_send(http_wire *w, sj_str head, http_job *job, bool *ret_source_failed);

#endif
