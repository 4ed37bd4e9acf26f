/* SPDX-License-Identifier: MIT */
/* Reading, comparing and building values. A built container copies the 24 bytes of its parts. */
#include <sanjab/json.h>

#include "base/utf8.h"
#include "codec/json_number.h"
#include "codec/json_value.h"

#include <math.h>

sj_json_type sj_json_type_of(const sj_json *v)
{
        return v ? json_type(v) : SJ_JSON_NULL;
}

const char *sj_json_type_name(const sj_json *v)
{
        static const char *const names[] = {
                [SJ_JSON_NULL] = "null",     [SJ_JSON_BOOL] = "boolean",
                [SJ_JSON_INT] = "integer",   [SJ_JSON_NUMBER_TEXT] = "integer",
                [SJ_JSON_DOUBLE] = "number", [SJ_JSON_STRING] = "string",
                [SJ_JSON_ARRAY] = "array",   [SJ_JSON_OBJECT] = "object",
        };
        return names[sj_json_type_of(v)];
}

/* 0 if v is of that type, else the error that tells why not. */
static int check_type(const sj_json *v, sj_json_type type)
{
        if (!v)
                return -ENOENT;
        return json_type(v) == type ? 0 : -EINVAL;
}

int sj_json_bool(const sj_json *v, bool *ret)
{
        int r = check_type(v, SJ_JSON_BOOL);
        if (r == 0)
                *ret = v->truth;
        return r;
}

static int int_of_double(double number, int64_t *ret)
{
        if (!isfinite(number) || trunc(number) != number)
                return -EINVAL;
        if (number < -0x1p63 || number >= 0x1p63)
                return -ERANGE;
        *ret = (int64_t)number;
        return 0;
}

int sj_json_int(const sj_json *v, int64_t *ret)
{
        switch (v ? json_type(v) : SJ_JSON_NULL) {
        case SJ_JSON_INT:
                *ret = v->integer;
                return 0;
        case SJ_JSON_DOUBLE:
                return int_of_double(v->number, ret);
        case SJ_JSON_NUMBER_TEXT:
                return -ERANGE;
        default:
                return v ? -EINVAL : -ENOENT;
        }
}

int sj_json_double(const sj_json *v, double *ret)
{
        switch (v ? json_type(v) : SJ_JSON_NULL) {
        case SJ_JSON_INT:
                *ret = (double)v->integer;
                return 0;
        case SJ_JSON_DOUBLE:
                *ret = v->number;
                return 0;
        case SJ_JSON_NUMBER_TEXT:
                *ret = json_parse_double(v->text);
                return 0;
        default:
                return v ? -EINVAL : -ENOENT;
        }
}

int sj_json_string(const sj_json *v, sj_str *ret)
{
        int r = check_type(v, SJ_JSON_STRING);
        if (r == 0)
                *ret = json_text_of(v);
        return r;
}

static bool is_container(const sj_json *v)
{
        return v && json_type(v) >= SJ_JSON_ARRAY;
}

size_t sj_json_count(const sj_json *v)
{
        return is_container(v) ? v->n : 0;
}

const sj_json *sj_json_at(const sj_json *v, size_t i)
{
        if (i >= sj_json_count(v))
                return NULL;
        return json_type(v) == SJ_JSON_ARRAY ? &v->items[i] : json_member_value(v, i);
}

sj_str sj_json_name_at(const sj_json *v, size_t i)
{
        if (!v || json_type(v) != SJ_JSON_OBJECT || i >= v->n)
                return (sj_str){0};
        return json_text_of(json_member_name(v, i));
}

const sj_json *sj_json_find(const sj_json *v, sj_str name)
{
        if (!v || json_type(v) != SJ_JSON_OBJECT)
                return NULL;
        for (size_t i = v->n; i-- > 0;) {
                const sj_json *candidate = json_member_name(v, i);
                if (sj_str_equal(json_text_of(candidate), name))
                        return candidate + 1;
        }
        return NULL;
}

sj_str sj_json_raw(const sj_json *v)
{
        return v ? json_raw(v) : (sj_str){0};
}

/* Building */

static const sj_json *new_value(sj_arena *arena, sj_json value)
{
        sj_json *v = sj_arena_alloc(arena, sizeof(*v));
        if (v)
                *v = value;
        return v;
}

const sj_json *sj_json_new_null(sj_arena *arena)
{
        return new_value(arena, (sj_json){.tag = SJ_JSON_NULL});
}

const sj_json *sj_json_new_bool(sj_arena *arena, bool value)
{
        return new_value(arena, (sj_json){.tag = SJ_JSON_BOOL, .truth = value});
}

const sj_json *sj_json_new_int(sj_arena *arena, int64_t value)
{
        return new_value(arena, (sj_json){.tag = SJ_JSON_INT, .integer = value});
}

const sj_json *sj_json_new_double(sj_arena *arena, double value)
{
        return new_value(arena, (sj_json){.tag = SJ_JSON_DOUBLE, .number = value});
}

static bool set_string(sj_arena *arena, sj_str text, sj_json *ret)
{
        if (text.n > UINT32_MAX || !utf8_valid(text, UTF8_WTF))
                return false;
        const char *copy = sj_arena_strndup(arena, text.data, text.n);
        *ret = (sj_json){.tag = SJ_JSON_STRING, .text = copy, .n = (uint32_t)text.n};
        return copy;
}

const sj_json *sj_json_new_string(sj_arena *arena, sj_str text)
{
        sj_json value;
        return set_string(arena, text, &value) ? new_value(arena, value) : NULL;
}

static sj_json *new_items(sj_arena *arena, size_t n)
{
        return n > UINT32_MAX / 2 ? NULL : sj_arena_alloc(arena, n * sizeof(sj_json));
}

const sj_json *sj_json_new_array(sj_arena *arena, const sj_json *const elements[], size_t n)
{
        sj_json *items = new_items(arena, n);
        if (!items)
                return NULL;
        for (size_t i = 0; i < n; i++) {
                if (!elements[i])
                        return NULL;
                items[i] = *elements[i];
        }
        return new_value(arena, (sj_json){.tag = SJ_JSON_ARRAY, .items = items, .n = (uint32_t)n});
}

const sj_json *sj_json_new_object(sj_arena *arena, const sj_str names[],
                                  const sj_json *const values[], size_t n)
{
        sj_json *items = new_items(arena, 2 * n);
        if (!items)
                return NULL;
        for (size_t i = 0; i < n; i++) {
                if (!values[i] || !set_string(arena, names[i], &items[2 * i]))
                        return NULL;
                items[2 * i + 1] = *values[i];
        }
        return new_value(arena, (sj_json){.tag = SJ_JSON_OBJECT, .items = items, .n = (uint32_t)n});
}

const sj_json *sj_json_new_raw(sj_arena *arena, sj_str text, unsigned flags)
{
        const sj_json *v = NULL;
        return sj_json_parse(arena, text, flags, &v, NULL) < 0 ? NULL : v;
}

/* Comparing */

static bool equal(const sj_json *a, const sj_json *b, unsigned depth_left);

static bool doubles_equal(double a, double b)
{
        return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof(a)) == 0;
}

static bool arrays_equal(const sj_json *a, const sj_json *b, unsigned depth_left)
{
        if (a->n != b->n)
                return false;
        for (size_t i = 0; i < a->n; i++)
                if (!equal(&a->items[i], &b->items[i], depth_left))
                        return false;
        return true;
}

/* The members that are not hidden by a later one of their name. */
static size_t count_visible(const sj_json *v)
{
        size_t visible = 0;
        for (size_t i = 0; i < v->n; i++)
                visible += sj_json_find(v, sj_json_name_at(v, i)) == json_member_value(v, i);
        return visible;
}

static bool objects_equal(const sj_json *a, const sj_json *b, unsigned depth_left)
{
        if (count_visible(a) != count_visible(b))
                return false;
        for (size_t i = 0; i < a->n; i++) {
                const sj_str name = sj_json_name_at(a, i);
                const sj_json *in_a = json_member_value(a, i), *in_b = sj_json_find(b, name);
                if (sj_json_find(a, name) != in_a)
                        continue;
                if (!in_b || !equal(in_a, in_b, depth_left))
                        return false;
        }
        return true;
}

static bool equal(const sj_json *a, const sj_json *b, unsigned depth_left)
{
        if (json_type(a) != json_type(b))
                return false;
        switch (json_type(a)) {
        case SJ_JSON_NULL:
                return true;
        case SJ_JSON_BOOL:
                return a->truth == b->truth;
        case SJ_JSON_INT:
                return a->integer == b->integer;
        case SJ_JSON_DOUBLE:
                return doubles_equal(a->number, b->number);
        case SJ_JSON_NUMBER_TEXT:
        case SJ_JSON_STRING:
                return sj_str_equal(json_text_of(a), json_text_of(b));
        case SJ_JSON_ARRAY:
                return depth_left && arrays_equal(a, b, depth_left - 1);
        case SJ_JSON_OBJECT:
                return depth_left && objects_equal(a, b, depth_left - 1);
        }
        return false;
}

bool sj_json_equal(const sj_json *a, const sj_json *b)
{
        if (!a || !b)
                return a == b;
        return equal(a, b, SJ_JSON_DEPTH_MAX);
}
