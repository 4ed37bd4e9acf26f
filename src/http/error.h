/* SPDX-License-Identifier: MIT */
/* Why a request failed: the step, the code, and one sentence. */
#ifndef SANJAB_HTTP_ERROR_H
#define SANJAB_HTTP_ERROR_H

#include <sanjab/http.h>

/*
 * Writes it (why may be NULL) and returns code. -ECANCELED becomes the step of cancellation,
 * whatever step is given, since then no step has failed.
 */
int http_error_set(sj_http_error *why, sj_http_step step, int code, const char *format, ...)
        SJ_PRINTF(4, 5);

#endif
