/* SPDX-License-Identifier: MIT */
/*
 * Numbers as JSON text. Both directions are exact: a double is written with the fewest digits
 * that read back as the same double, and a text is read as the double nearest to it.
 */
#ifndef SANJAB_CODEC_JSON_NUMBER_H
#define SANJAB_CODEC_JSON_NUMBER_H

#include <sanjab/base.h>

enum { JSON_NUMBER_ROOM = 32, JSON_POWER_MIN = -292, JSON_POWER_MAX = 324 };

typedef struct json_power {
        uint64_t high, low;
} json_power;
/* See json_power.c. */
extern const json_power json_powers[JSON_POWER_MAX - JSON_POWER_MIN + 1];

/* Each writes at most JSON_NUMBER_ROOM characters, no NUL, and returns their number. */
unsigned json_format_int(int64_t value, char ret[JSON_NUMBER_ROOM]);
/* A finite value, as Python's repr: always with a fraction or an exponent. */
unsigned json_format_double(double value, char ret[JSON_NUMBER_ROOM]);

/*
 * The double nearest to a number in JSON's form that begins at text; what follows it must not
 * continue it. Infinity, with the sign, where it is too large. Independent of the locale.
 */
double json_parse_double(const char *text);

#endif
