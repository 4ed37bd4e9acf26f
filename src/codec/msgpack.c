/* SPDX-License-Identifier: MIT */
/*
 * Reading is by the table of the specification: a first byte says a kind, and where its length
 * stands. A length is compared with what is left before anything is done for it: each element has
 * a byte at least, so no count can be larger than the bytes behind it.
 */
#include "codec/msgpack.h"

#include "base/base64.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct reader {
        const unsigned char *at;
        const unsigned char *end;
        sj_json_writer *w;
        size_t room; /* bytes of JSON that may still be written */
        unsigned depth;
        const char *why;
} reader;

static int refuse(reader *r, const char *why)
{
        r->why = why;
        return -EBADMSG;
}

static size_t left(const reader *r)
{
        return (size_t)(r->end - r->at);
}

/* n bytes of JSON more. */
static int spend(reader *r, size_t n)
{
        if (n > r->room)
                return -EMSGSIZE;
        r->room -= n;
        return 0;
}

static int cut_off(reader *r)
{
        return refuse(r, "it ends in the middle of a value");
}

/* The number in the next n bytes (1, 2, 4, 8), the first the highest. */
static int take_number(reader *r, size_t n, uint64_t *ret)
{
        uint64_t value = 0;
        if (left(r) < n)
                return cut_off(r);
        for (size_t i = 0; i < n; i++)
                value = value << 8 | *r->at++;
        *ret = value;
        return 0;
}

static int take_bytes(reader *r, size_t n, sj_str *ret)
{
        if (left(r) < n)
                return cut_off(r);
        *ret = (sj_str){(const char *)r->at, n};
        r->at += n;
        return 0;
}

/* ── Scalars ─────────────────────────────────────────────────────────────────────────────── */

static int write_unsigned(reader *r, uint64_t value)
{
        char digits[24];
        int n = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
        sj_json_write_raw(r->w, (sj_str){digits, (size_t)n});
        return spend(r, (size_t)n + 2);
}

static int write_signed(reader *r, int64_t value)
{
        sj_json_write_int(r->w, value);
        return spend(r, 22);
}

static int write_double(reader *r, double value)
{
        sj_json_write_double(r->w, value);
        return spend(r, 26);
}

/* Control characters take six times their bytes. */
static int write_string(reader *r, sj_str text, bool is_name)
{
        size_t n = text.n + 4;
        if (!utf8_valid(text, UTF8_STRICT))
                return refuse(r, "a string is not UTF-8");
        for (size_t i = 0; i < text.n; i++)
                n += (unsigned char)text.data[i] < 0x20 ? 5 : 0;
        int e = spend(r, n);
        if (e < 0)
                return e;
        if (is_name)
                sj_json_write_key(r->w, text);
        else
                sj_json_write_string(r->w, text);
        return 0;
}

static int write_bytes(reader *r, sj_str bytes)
{
        bool is_text = utf8_valid(bytes, UTF8_STRICT);
        int e = spend(r, 48);
        if (e < 0)
                return e;
        sj_json_write_object_begin(r->w);
        sj_json_write_name(r->w, "__type__");
        sj_json_write_string(r->w, is_text ? SJ_STR("bytes") : SJ_STR("base64"));
        sj_json_write_name(r->w, "__value__");
        if (is_text) {
                e = write_string(r, bytes, false);
        } else {
                size_t n = base64_encoded_size(bytes.n);
                e = spend(r, n);
                char *text = e == 0 ? malloc(n) : NULL;
                if (e == 0 && !text)
                        e = -ENOMEM;
                if (text) {
                        base64_encode(bytes.data, bytes.n, text);
                        sj_json_write_string(r->w, (sj_str){text, n});
                        free(text);
                }
        }
        sj_json_write_object_end(r->w);
        return e;
}

/* ── Values ──────────────────────────────────────────────────────────────────────────────── */

static int read_value(reader *r, bool is_name);

static int read_array(reader *r, uint64_t n)
{
        if (n > left(r))
                return cut_off(r);
        if (r->depth == 0)
                return -EMSGSIZE;
        int e = spend(r, 4);
        r->depth--;
        sj_json_write_array_begin(r->w);
        for (uint64_t i = 0; e == 0 && i < n; i++)
                e = read_value(r, false);
        sj_json_write_array_end(r->w);
        r->depth++;
        return e;
}

static int read_map(reader *r, uint64_t n)
{
        if (n > left(r) / 2)
                return cut_off(r);
        if (r->depth == 0)
                return -EMSGSIZE;
        int e = spend(r, 4);
        r->depth--;
        sj_json_write_object_begin(r->w);
        for (uint64_t i = 0; e == 0 && i < n; i++) {
                e = read_value(r, true);
                if (e == 0)
                        e = read_value(r, false);
        }
        sj_json_write_object_end(r->w);
        r->depth++;
        return e;
}

static int read_text(reader *r, uint64_t n, bool is_name, bool is_binary)
{
        sj_str text;
        if (n > left(r))
                return cut_off(r);
        int e = take_bytes(r, (size_t)n, &text);
        if (e < 0)
                return e;
        return is_binary ? write_bytes(r, text) : write_string(r, text, is_name);
}

static int read_float(reader *r, size_t bytes)
{
        uint64_t bits = 0;
        int e = take_number(r, bytes, &bits);
        double wide;
        float narrow;
        uint32_t low = (uint32_t)bits;
        memcpy(&wide, &bits, sizeof(wide));
        memcpy(&narrow, &low, sizeof(narrow));
        return e < 0 ? e : write_double(r, bytes == 4 ? (double)narrow : wide);
}

static int read_signed(reader *r, size_t bytes)
{
        uint64_t bits = 0;
        int e = take_number(r, bytes, &bits);
        unsigned shift = (unsigned)(64 - 8 * bytes);
        return e < 0 ? e : write_signed(r, (int64_t)(bits << shift) >> shift);
}

/* The kinds from 0xc0 to 0xdf, each of which says where its length or value stands. */
static int read_kind(reader *r, unsigned char kind, bool is_name)
{
        /* bytes of the length, or of the number */
        static const unsigned char sizes[32] = {0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8,
                                                1, 2, 4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4};
        size_t size = sizes[kind - 0xc0];
        uint64_t n = 0;
        if (kind == 0xc0) {
                sj_json_write_null(r->w);
                return spend(r, 6);
        }
        if (kind == 0xc2 || kind == 0xc3) {
                sj_json_write_bool(r->w, kind == 0xc3);
                return spend(r, 7);
        }
        if (kind == 0xca || kind == 0xcb)
                return read_float(r, size);
        if (kind >= 0xd0 && kind <= 0xd3)
                return read_signed(r, size);
        if (size == 0 || (kind >= 0xc7 && kind <= 0xc9))
                return refuse(r, kind == 0xc1 ? "a byte is never used"
                                              : "an extension type is never decoded");
        int e = take_number(r, size, &n);
        if (e < 0)
                return e;
        if (kind >= 0xcc && kind <= 0xcf)
                return write_unsigned(r, n);
        if (kind >= 0xdc)
                return kind <= 0xdd ? read_array(r, n) : read_map(r, n);
        return read_text(r, n, is_name, kind <= 0xc6);
}

static bool is_string(unsigned char kind)
{
        return (kind & 0xe0) == 0xa0 || (kind >= 0xd9 && kind <= 0xdb);
}

static int read_value(reader *r, bool is_name)
{
        if (r->at == r->end)
                return cut_off(r);
        unsigned char kind = *r->at++;
        if (is_name && !is_string(kind))
                return refuse(r, "the name of a member is not a string");
        if (kind < 0x80)
                return write_signed(r, kind);
        if (kind >= 0xe0)
                return write_signed(r, (signed char)kind);
        if (kind >= 0xc0)
                return read_kind(r, kind, is_name);
        if (kind >= 0xa0)
                return read_text(r, kind & 0x1f, is_name, false);
        return kind >= 0x90 ? read_array(r, kind & 0x0f) : read_map(r, kind & 0x0f);
}

int msgpack_to_json(sj_str bytes, const msgpack_limits *limits, sj_json_writer *w,
                    const char **ret_why)
{
        const unsigned char *data = (const unsigned char *)bytes.data;
        reader r = {.at = data,
                    .end = data + bytes.n,
                    .w = w,
                    .room = limits->size,
                    .depth = limits->depth};
        int e = bytes.n ? read_value(&r, false) : cut_off(&r);
        if (e == 0 && r.at != r.end)
                e = refuse(&r, "something follows the value");
        if (e == -EBADMSG)
                *ret_why = r.why;
        return e;
}

/* ── Writing ─────────────────────────────────────────────────────────────────────────────── */

/* kind and the n lowest bytes of value, the highest first. */
static int put(buf *b, unsigned kind, uint64_t value, unsigned n)
{
        unsigned char bytes[9] = {(unsigned char)kind};
        for (unsigned i = 0; i < n; i++)
                bytes[n - i] = (unsigned char)(value >> 8 * i);
        int e = buf_append(b, bytes, n + 1);
        return e == -ENOBUFS ? -EMSGSIZE : e;
}

/* The shortest form of an integer, as Python's packer. */
static int put_unsigned(buf *b, uint64_t value)
{
        if (value < 0x80)
                return put(b, (unsigned)value, 0, 0);
        if (value <= UINT8_MAX)
                return put(b, 0xcc, value, 1);
        if (value <= UINT16_MAX)
                return put(b, 0xcd, value, 2);
        return value <= UINT32_MAX ? put(b, 0xce, value, 4) : put(b, 0xcf, value, 8);
}

static int put_int(buf *b, int64_t value)
{
        if (value >= 0)
                return put_unsigned(b, (uint64_t)value);
        if (value >= -32)
                return put(b, (unsigned char)value, 0, 0);
        if (value >= INT8_MIN)
                return put(b, 0xd0, (uint64_t)value, 1);
        if (value >= INT16_MIN)
                return put(b, 0xd1, (uint64_t)value, 2);
        return value >= INT32_MIN ? put(b, 0xd2, (uint64_t)value, 4)
                                  : put(b, 0xd3, (uint64_t)value, 8);
}

/* An integer beyond int64_t: its digits. */
static int put_large(buf *b, sj_str digits)
{
        char text[32];
        char *end;
        if (digits.n == 0 || digits.n >= sizeof(text) || digits.data[0] == '-')
                return -ERANGE;
        memcpy(text, digits.data, digits.n);
        text[digits.n] = '\0';
        errno = 0;
        unsigned long long value = strtoull(text, &end, 10);
        return errno || *end ? -ERANGE : put_unsigned(b, value);
}

static int put_double(buf *b, double value)
{
        uint64_t bits;
        memcpy(&bits, &value, sizeof(bits));
        return put(b, 0xcb, bits, 8);
}

static int put_data(buf *b, sj_str data)
{
        int e = buf_append_str(b, data);
        return e == -ENOBUFS ? -EMSGSIZE : e;
}

static int put_string(buf *b, sj_str text)
{
        int e;
        if (!utf8_valid(text, UTF8_STRICT))
                return -EINVAL;
        if (text.n < 32)
                e = put(b, (unsigned)(0xa0 | text.n), 0, 0);
        else if (text.n <= UINT8_MAX)
                e = put(b, 0xd9, text.n, 1);
        else if (text.n <= UINT16_MAX)
                e = put(b, 0xda, text.n, 2);
        else
                e = put(b, 0xdb, text.n, 4);
        return e < 0 ? e : put_data(b, text);
}

static int put_bytes(buf *b, sj_str bytes)
{
        int e = bytes.n <= UINT8_MAX    ? put(b, 0xc4, bytes.n, 1)
                : bytes.n <= UINT16_MAX ? put(b, 0xc5, bytes.n, 2)
                                        : put(b, 0xc6, bytes.n, 4);
        return e < 0 ? e : put_data(b, bytes);
}

/* 1: v was one of kombu's objects that stand for bytes; 0: it was none, and nothing is written. */
static int put_typed(buf *b, const sj_json *v)
{
        sj_str type, text;
        if (sj_json_count(v) != 2 || sj_json_string(sj_json_member(v, "__type__"), &type) < 0 ||
            sj_json_string(sj_json_member(v, "__value__"), &text) < 0)
                return 0;
        if (sj_str_equal(type, SJ_STR("bytes"))) {
                int e = put_bytes(b, text);
                return e < 0 ? e : 1;
        }
        if (!sj_str_equal(type, SJ_STR("base64")))
                return 0;
        char *bytes = malloc(base64_decoded_room(text.n) + 1);
        size_t n;
        if (!bytes)
                return -ENOMEM;
        int e = 0;
        if (base64_decode(text, bytes, &n) == 0)
                e = put_bytes(b, (sj_str){bytes, n}) < 0 ? -EMSGSIZE : 1;
        free(bytes);
        return e;
}

static int put_count(buf *b, size_t n, unsigned small, unsigned large)
{
        if (n < 16)
                return put(b, small | (unsigned)n, 0, 0);
        return n <= UINT16_MAX ? put(b, large, n, 2) : put(b, large + 1, n, 4);
}

static int put_value(buf *b, const sj_json *v, unsigned depth)
{
        sj_str text;
        int64_t integer = 0;
        double number = 0;
        bool truth = false;
        int e = 0;
        if (depth > SJ_JSON_DEPTH_MAX)
                return -EMSGSIZE;
        switch (sj_json_type_of(v)) {
        case SJ_JSON_NULL:
                return put(b, 0xc0, 0, 0);
        case SJ_JSON_BOOL:
                sj_json_bool(v, &truth);
                return put(b, truth ? 0xc3 : 0xc2, 0, 0);
        case SJ_JSON_INT:
                sj_json_int(v, &integer);
                return put_int(b, integer);
        case SJ_JSON_DOUBLE:
                sj_json_double(v, &number);
                return put_double(b, number);
        case SJ_JSON_NUMBER_TEXT:
                return put_large(b, sj_json_raw(v));
        case SJ_JSON_STRING:
                return sj_json_string(v, &text) < 0 ? -EINVAL : put_string(b, text);
        case SJ_JSON_ARRAY:
                e = put_count(b, sj_json_count(v), 0x90, 0xdc);
                for (size_t i = 0; e == 0 && i < sj_json_count(v); i++)
                        e = put_value(b, sj_json_at(v, i), depth + 1);
                return e;
        case SJ_JSON_OBJECT:
                e = put_typed(b, v);
                if (e != 0)
                        return e < 0 ? e : 0;
                e = put_count(b, sj_json_count(v), 0x80, 0xde);
                for (size_t i = 0; e == 0 && i < sj_json_count(v); i++) {
                        e = put_string(b, sj_json_name_at(v, i));
                        if (e == 0)
                                e = put_value(b, sj_json_at(v, i), depth + 1);
                }
                return e;
        }
        return -EINVAL;
}

int msgpack_from_json(buf *b, const sj_json *v)
{
        return put_value(b, v, 0);
}
