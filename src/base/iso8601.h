/* SPDX-License-Identifier: MIT */
/*
 * Moments as text (ISO 8601, in the form that Python's isoformat has), in UTC. No time zone
 * database: an offset is a number.
 */
#ifndef SANJAB_BASE_ISO8601_H
#define SANJAB_BASE_ISO8601_H

#include <sanjab/time.h>

enum { ISO8601_LENGTH = 32 };

/*
 * Writes YYYY-MM-DDTHH:MM:SS.ffffff+00:00, NUL-terminated: always six digits of fraction and an
 * offset, the one form that all versions of Celery read alike. -ERANGE: the year is not of four
 * digits (0001 to 9999).
 */
int iso8601_format(sj_wall when, char ret[ISO8601_LENGTH + 1]);

/*
 * Reads YYYY-MM-DD, one character of any kind, HH:MM:SS, and if it is there a fraction of any
 * length (.f, cut to microseconds) and an offset (Z, +HH:MM or -HH:MM). Without an offset it is
 * UTC. -EBADMSG: text is anything else, or a moment that does not exist; a leap second is one, as
 * in Python.
 */
int iso8601_parse(sj_str text, sj_wall *ret);

#endif
