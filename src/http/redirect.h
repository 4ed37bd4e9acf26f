/* SPDX-License-Identifier: MIT */
/* What a redirect makes of a request (RFC 9110 §15.4). */
#ifndef SANJAB_HTTP_REDIRECT_H
#define SANJAB_HTTP_REDIRECT_H

#include <sanjab/base.h>

/* Whether the status, with a Location, sends the client elsewhere. */
bool http_redirect_is(int status);

/* The method of the next request. */
sj_str http_redirect_method(int status, sj_str method);

/* Whether a header of the request stays behind when its body does. */
bool http_redirect_drops_with_body(sj_str name);

/* Whether a header of the request must not reach another origin. */
bool http_redirect_drops_elsewhere(sj_str name);

#endif
