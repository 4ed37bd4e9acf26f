/* SPDX-License-Identifier: MIT */
/*
 * What a JSON value is in memory, for the files json*.c only: 24 bytes. The parts of an array or
 * an object lie side by side in memory of their own:
 *
 *     array of 2      items ──► [value][value]
 *     object of 2     items ──► [name][value][name][value]        a name is a string
 *
 * raw and its length are the bytes that the value was parsed from; a value that was built has
 * none.
 */
#ifndef SANJAB_CODEC_JSON_VALUE_H
#define SANJAB_CODEC_JSON_VALUE_H

#include <sanjab/json.h>

struct sj_json {
        union {
                bool truth;
                int64_t integer;
                double number;
                const char *text; /* of a string, or the digits of a large integer */
                const sj_json *items;
                size_t parent; /* while it is being parsed: the container around it */
        };
        const char *raw;
        uint32_t n;   /* bytes of text, elements or members */
        uint32_t tag; /* raw's length, facts, type: see below */
};

/* Facts about the raw bytes: those of a container are those of all its parts. */
enum {
        JSON_TYPE_MASK = 7,
        JSON_BEYOND_ASCII = 1 << 3,
        JSON_ONLY_PYTHON = 1 << 4, /* NaN, an infinity, a lone surrogate */
        JSON_FACTS = JSON_BEYOND_ASCII | JSON_ONLY_PYTHON,
        JSON_RAW_SHIFT = 5,
};
_Static_assert((int)SJ_JSON_OBJECT <= (int)JSON_TYPE_MASK, "the type fits its bits");
_Static_assert(SJ_JSON_SIZE_MAX <= UINT32_MAX >> JSON_RAW_SHIFT, "the length fits its bits");

static inline sj_json_type json_type(const sj_json *v)
{
        return (sj_json_type)(v->tag & JSON_TYPE_MASK);
}

/* The bytes of text that raw_n bytes of raw and these facts make. */
static inline uint32_t json_tag(sj_json_type type, uint32_t facts, size_t raw_n)
{
        return (uint32_t)raw_n << JSON_RAW_SHIFT | facts | (uint32_t)type;
}

static inline sj_str json_raw(const sj_json *v)
{
        return (sj_str){v->raw, v->raw ? v->tag >> JSON_RAW_SHIFT : 0};
}

static inline sj_str json_text_of(const sj_json *v)
{
        return (sj_str){v->text, v->n};
}

/* The name and the value of member i of an object. */
static inline const sj_json *json_member_name(const sj_json *v, size_t i)
{
        return &v->items[2 * i];
}
static inline const sj_json *json_member_value(const sj_json *v, size_t i)
{
        return &v->items[2 * i + 1];
}

#endif
