/* SPDX-License-Identifier: MIT */
/* json_named: a member of an object, its name and its value, in one call. */
#ifndef SANJAB_CODEC_JSON_NAMED_H
#define SANJAB_CODEC_JSON_NAMED_H

#include <sanjab/json.h>

static inline void json_named_text(sj_json_writer *w, const char *name, sj_str text)
{
        sj_json_write_name(w, name);
        sj_json_write_string(w, text);
}

static inline void json_named_null(sj_json_writer *w, const char *name)
{
        sj_json_write_name(w, name);
        sj_json_write_null(w);
}

/* null for a text whose data is NULL. */
static inline void json_named_maybe(sj_json_writer *w, const char *name, sj_str text)
{
        if (text.data)
                json_named_text(w, name, text);
        else
                json_named_null(w, name);
}

static inline void json_named_int(sj_json_writer *w, const char *name, int64_t value)
{
        sj_json_write_name(w, name);
        sj_json_write_int(w, value);
}

static inline void json_named_bool(sj_json_writer *w, const char *name, bool value)
{
        sj_json_write_name(w, name);
        sj_json_write_bool(w, value);
}

static inline void json_named_double(sj_json_writer *w, const char *name, double value)
{
        sj_json_write_name(w, name);
        sj_json_write_double(w, value);
}

static inline void json_named_value(sj_json_writer *w, const char *name, const sj_json *value)
{
        sj_json_write_name(w, name);
        sj_json_write_value(w, value);
}

/* Begins it; sj_json_write_object_end is its end. */
static inline void json_named_object(sj_json_writer *w, const char *name)
{
        sj_json_write_name(w, name);
        sj_json_write_object_begin(w);
}

static inline void json_named_array(sj_json_writer *w, const char *name)
{
        sj_json_write_name(w, name);
        sj_json_write_array_begin(w);
}

#endif
