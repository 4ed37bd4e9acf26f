/* SPDX-License-Identifier: MIT */
/* The Date field: "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7). */
#ifndef SANJAB_HTTP_DATE_H
#define SANJAB_HTTP_DATE_H

#include <sanjab/time.h>

enum { HTTP_DATE_LENGTH = 29 };

/* Writes it, NUL-terminated. -ERANGE: a year that has not four digits. */
int http_date_format(sj_wall when, char ret[HTTP_DATE_LENGTH + 1]);

#endif
