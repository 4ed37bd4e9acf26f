/* SPDX-License-Identifier: MIT */
/*
 * json_skim: a few members of an object, without reading the rest. Nothing is copied, made into a
 * value or checked: what passes here may still not be JSON, and who needs to know that parses it.
 *
 *         json_skim s = json_skim_of(text);
 *         sj_str name;
 *         if (json_skim_open(&s))
 *                 while (json_skim_member(&s, &name))
 *                         if (sj_str_equal(name, SJ_STR("id")))
 *                                 id = json_skim_string(&s);
 *                         else
 *                                 json_skim_value(&s);
 *         if (s.odd)
 *                 parse it instead;
 *
 * odd is set by all that makes the shortcut unsafe: text that ends too early or is no JSON where it
 * was looked at, and escapes or bytes beyond ASCII in a name or in a string that is asked for.
 * From then on nothing is found any more.
 */
#ifndef SANJAB_CODEC_JSON_SKIM_H
#define SANJAB_CODEC_JSON_SKIM_H

#include <sanjab/json.h>

typedef struct json_skim {
        const char *p;
        const char *end;
        bool odd;
} json_skim;

json_skim json_skim_of(sj_str text);
/* Steps into the object that is next; false: it is something else, and still next. */
bool json_skim_open(json_skim *s);
/* The name of the next member, whose value must be taken then; false: the object has ended. */
bool json_skim_member(json_skim *s, sj_str *ret_name);
/* Steps over the next value: its bytes. */
sj_str json_skim_value(json_skim *s);
/* The string that is next, without its quotes; of any other value, which is passed, data is NULL.
 */
sj_str json_skim_string(json_skim *s);

#endif
