/* SPDX-License-Identifier: MIT */
/* Making a connection: name, connect, proxy, TLS. */
#ifndef SANJAB_HTTP_DIAL_H
#define SANJAB_HTTP_DIAL_H

#include "base/buf.h"
#include "codec/url.h"
#include "http/error.h"

typedef struct http_dial {
        const struct url *target;
        const struct url *proxy; /* NULL: directly */
        const sj_tls *tls;       /* for https; may be NULL otherwise */
        sj_time deadline;
        /* Which limit the deadline is, for the sentence: "the connect limit of 30 s". */
        const char *limit;
} http_dial;

/*
 * Connects to the target, or to its proxy, so that the next bytes are a request. The caller owns
 * *ret. why is written when it fails.
 */
int http_dial_open(const http_dial *d, sj_stream **ret, sj_http_error *why);

/* Appends "Basic ..." for the userinfo of a URL. -EINVAL: it is malformed. Else as buf_append. */
int http_dial_put_credentials(buf *out, sj_str userinfo);

#endif
