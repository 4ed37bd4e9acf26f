/* SPDX-License-Identifier: MIT */
/*
 * The writer. Where it stands is told by the depth, one bit for each level (object or array), and
 * three flags of the innermost level:
 *
 *     first   nothing has been written in it, so no comma comes before the next part
 *     named   a name has been written, so a value must come
 *     done    the outermost value is complete, so nothing may come
 *
 * An error makes every later call return at once; only sj_json_writer_reset clears it.
 */
#include "base/buf.h"
#include "base/utf8.h"
#include "codec/json_number.h"
#include "codec/json_scan.h"
#include "codec/json_value.h"

#include <math.h>
#include <stdlib.h>

enum {
        INDENT = 2,
        ESCAPE_ROOM = 12, /* a surrogate pair */
        PART_ROOM = 2,    /* a comma, and a space */
};

struct sj_json_writer {
        buf out;
        unsigned flags;
        int error;
        unsigned depth;
        bool first, named, done;
        uint64_t objects[SJ_JSON_DEPTH_MAX / 64]; /* by level: whether it is an object */
};

int sj_json_writer_new(unsigned flags, sj_json_writer **ret)
{
        sj_json_writer *w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->out = BUF_INIT(0);
        w->flags = flags;
        *ret = w;
        return 0;
}

void sj_json_writer_free(sj_json_writer *w)
{
        if (!w)
                return;
        buf_fini(&w->out);
        free(w);
}

void sj_json_writer_reset(sj_json_writer *w)
{
        buf_clear(&w->out);
        w->error = 0;
        w->depth = 0;
        w->first = w->named = w->done = false;
}

static void fail(sj_json_writer *w, int error)
{
        if (w->error == 0)
                w->error = error;
}

static char *room_slowly(sj_json_writer *w, size_t n)
{
        int r = buf_reserve(&w->out, n);
        if (r < 0) {
                fail(w, -ENOMEM);
                return NULL;
        }
        return buf_tail(&w->out);
}

/* Where n bytes may be written, or NULL after an error. What was written is told by advance_to. */
static inline char *room(sj_json_writer *w, size_t n)
{
        if (__builtin_expect(buf_room(&w->out) >= n, 1))
                return buf_tail(&w->out);
        return room_slowly(w, n);
}

static inline void advance_to(sj_json_writer *w, const char *out)
{
        w->out.end = (size_t)(out - w->out.data);
}

static inline bool in_object(const sj_json_writer *w)
{
        const unsigned level = w->depth - 1;
        return w->depth && (w->objects[level / 64] >> level % 64 & 1);
}

/* The end of a line, and the indentation of what comes next. */
static void put_line(sj_json_writer *w)
{
        const size_t n = 1 + (size_t)w->depth * INDENT;
        char *out = room(w, n);
        if (!out)
                return;
        memset(out, ' ', n);
        *out = '\n';
        advance_to(w, out + n);
}

/* The comma, if there is one, before the next part of a container. */
static inline void put_comma(sj_json_writer *w)
{
        if (!w->first) {
                char *out = room(w, PART_ROOM);
                if (!out)
                        return;
                *out++ = ',';
                if (w->flags & SJ_JSON_SPACED && !(w->flags & SJ_JSON_PRETTY))
                        *out++ = ' ';
                advance_to(w, out);
        }
        w->first = false;
        if (w->flags & SJ_JSON_PRETTY)
                put_line(w);
}

/* Before every value: checks that it may come, and separates it from what is before it. */
static inline bool begin_value(sj_json_writer *w)
{
        if (w->error)
                return false;
        if (w->depth == 0) {
                if (w->done)
                        fail(w, -EINVAL);
                w->done = true;
        } else if (in_object(w)) {
                if (!w->named)
                        fail(w, -EINVAL);
                w->named = false;
        } else {
                put_comma(w);
        }
        return w->error == 0;
}

static inline void put_bytes(sj_json_writer *w, const char *data, size_t n)
{
        char *out = room(w, n);
        if (!out)
                return;
        memcpy(out, data, n);
        advance_to(w, out + n);
}

/* Containers */

static void begin_container(sj_json_writer *w, char bracket, bool object)
{
        if (!begin_value(w))
                return;
        if (w->depth == SJ_JSON_DEPTH_MAX) {
                fail(w, -EMSGSIZE);
                return;
        }
        const uint64_t bit = (uint64_t)1 << w->depth % 64;
        uint64_t *word = &w->objects[w->depth / 64];
        *word = object ? *word | bit : *word & ~bit;
        w->depth++;
        w->first = true;
        put_bytes(w, &bracket, 1);
}

static void end_container(sj_json_writer *w, char bracket, bool object)
{
        if (w->error)
                return;
        if (w->depth == 0 || in_object(w) != object || w->named) {
                fail(w, -EINVAL);
                return;
        }
        w->depth--;
        if (w->flags & SJ_JSON_PRETTY && !w->first)
                put_line(w);
        w->first = false;
        put_bytes(w, &bracket, 1);
}

void sj_json_write_object_begin(sj_json_writer *w)
{
        begin_container(w, '{', true);
}

void sj_json_write_object_end(sj_json_writer *w)
{
        end_container(w, '}', true);
}

void sj_json_write_array_begin(sj_json_writer *w)
{
        begin_container(w, '[', false);
}

void sj_json_write_array_end(sj_json_writer *w)
{
        end_container(w, ']', false);
}

/* Strings */

static char *put_hex_escape(char *out, uint32_t unit)
{
        static const char digits[16] = "0123456789abcdef";
        *out++ = '\\';
        *out++ = 'u';
        for (int shift = 12; shift >= 0; shift -= 4)
                *out++ = digits[unit >> shift & 15];
        return out;
}

/* c is below the space, a quote or a backslash. */
static char *put_short_escape(char *out, char c)
{
        static const char letters[256] = {
                ['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
                ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't',
        };
        const char letter = letters[(unsigned char)c];
        if (!letter)
                return put_hex_escape(out, (unsigned char)c);
        *out++ = '\\';
        *out++ = letter;
        return out;
}

static char *put_unicode(char *out, const char *p, unsigned n, uint32_t c, bool as_escape)
{
        if (!as_escape) {
                memcpy(out, p, n);
                return out + n;
        }
        if (c < 0x10000)
                return put_hex_escape(out, c);
        out = put_hex_escape(out, 0xd800 + ((c - 0x10000) >> 10));
        return put_hex_escape(out, 0xdc00 + ((c - 0x10000) & 0x3ff));
}

/* One character that is not plain; *p moves behind it. NULL if it must not be written. */
static char *put_special(const sj_json_writer *w, char *out, const char **p, const char *end)
{
        if (!(**p & 0x80))
                return put_short_escape(out, *(*p)++);
        uint32_t c, next;
        const bool python = w->flags & SJ_JSON_PYTHON;
        const unsigned n = utf8_decode(*p, end, python ? UTF8_WTF : UTF8_STRICT, &c);
        if (n == 0)
                return NULL;
        const char *after = *p + n;
        /* A pair of surrogates, each alone, would be read back as one character. */
        if (utf8_is_high_surrogate(c) && after < end && utf8_decode(after, end, UTF8_WTF, &next) &&
            utf8_is_low_surrogate(next))
                return NULL;
        out = put_unicode(out, *p, n, c, w->flags & SJ_JSON_ASCII || utf8_is_surrogate(c));
        *p = after;
        return out;
}

/* Copies the plain characters from p on; *p moves behind them. There is room for all to end. */
static inline char *put_plain(char *out, const char **p, const char *end)
{
        const char *in = *p;
        unsigned n = JSON_SCAN_WIDTH;
        for (; end - in >= JSON_SCAN_WIDTH; in += n, out += n) {
                n = json_copy16(out, in);
                if (n < JSON_SCAN_WIDTH) {
                        *p = in + n;
                        return out + n;
                }
        }
        if (end - in >= 8) {
                n = json_plain8(in);
                memcpy(out, in, 8);
                in += n;
                out += n;
        }
        while (in < end && json_is_plain(*in))
                *out++ = *in++;
        *p = in;
        return out;
}

/* The string with its quotes, and then the colon of a name if it is one. */
static void put_string(sj_json_writer *w, sj_str text, sj_str after)
{
        const size_t margin = JSON_SCAN_WIDTH + ESCAPE_ROOM + 2 + PART_ROOM;
        if (text.n > SIZE_MAX / 8) {
                fail(w, -ENOMEM);
                return;
        }
        char *out = room(w, text.n + margin);
        if (!out)
                return;
        const char *p = text.n ? text.data : "", *end = p + text.n;
        *out++ = '"';
        while ((out = put_plain(out, &p, end)), p < end) {
                advance_to(w, out);
                out = room(w, (size_t)(end - p) + margin);
                if (!out)
                        return;
                out = put_special(w, out, &p, end);
                if (!out) {
                        fail(w, -EINVAL);
                        return;
                }
        }
        *out++ = '"';
        memcpy(out, after.data, PART_ROOM);
        advance_to(w, out + after.n);
}

void sj_json_write_key(sj_json_writer *w, sj_str name)
{
        if (w->error)
                return;
        if (!in_object(w) || w->named) {
                fail(w, -EINVAL);
                return;
        }
        put_comma(w);
        const bool spaced = w->flags & (SJ_JSON_SPACED | SJ_JSON_PRETTY);
        if (w->error == 0)
                put_string(w, name, (sj_str){": ", spaced ? 2 : 1});
        w->named = true;
}

void sj_json_write_string(sj_json_writer *w, sj_str text)
{
        if (begin_value(w))
                put_string(w, text, (sj_str){"  ", 0});
}

/* Scalars */

void sj_json_write_null(sj_json_writer *w)
{
        if (begin_value(w))
                put_bytes(w, "null", 4);
}

void sj_json_write_bool(sj_json_writer *w, bool value)
{
        if (begin_value(w))
                put_bytes(w, value ? "true" : "false", value ? 4 : 5);
}

void sj_json_write_int(sj_json_writer *w, int64_t value)
{
        if (!begin_value(w))
                return;
        char *out = room(w, JSON_NUMBER_ROOM);
        if (out)
                advance_to(w, out + json_format_int(value, out));
}

static void put_not_finite(sj_json_writer *w, double value)
{
        if (!(w->flags & SJ_JSON_PYTHON)) {
                fail(w, -EINVAL);
                return;
        }
        const char *word = isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity";
        put_bytes(w, word, strlen(word));
}

void sj_json_write_double(sj_json_writer *w, double value)
{
        if (!begin_value(w))
                return;
        if (!isfinite(value)) {
                put_not_finite(w, value);
                return;
        }
        char *out = room(w, JSON_NUMBER_ROOM);
        if (out)
                advance_to(w, out + json_format_double(value, out));
}

void sj_json_write_raw(sj_json_writer *w, sj_str text)
{
        if (!begin_value(w))
                return;
        if (text.n == 0)
                fail(w, -EINVAL);
        else
                put_bytes(w, text.data, text.n);
}

/* Values */

static bool raw_allowed(const sj_json *v, unsigned flags)
{
        return v->raw && !(flags & SJ_JSON_PRETTY && json_type(v) >= SJ_JSON_ARRAY) &&
               !(flags & SJ_JSON_ASCII && v->tag & JSON_BEYOND_ASCII) &&
               (flags & SJ_JSON_PYTHON || !(v->tag & JSON_ONLY_PYTHON));
}

static void write_array(sj_json_writer *w, const sj_json *v)
{
        sj_json_write_array_begin(w);
        for (size_t i = 0; i < v->n && w->error == 0; i++)
                sj_json_write_value(w, &v->items[i]);
        sj_json_write_array_end(w);
}

static void write_object(sj_json_writer *w, const sj_json *v)
{
        sj_json_write_object_begin(w);
        for (size_t i = 0; i < v->n && w->error == 0; i++) {
                sj_json_write_key(w, json_text_of(json_member_name(v, i)));
                sj_json_write_value(w, json_member_value(v, i));
        }
        sj_json_write_object_end(w);
}

/* The recursion ends where begin_container refuses the depth. */
void sj_json_write_value(sj_json_writer *w, const sj_json *v)
{
        if (v && raw_allowed(v, w->flags)) {
                sj_json_write_raw(w, json_raw(v));
                return;
        }
        switch (sj_json_type_of(v)) {
        case SJ_JSON_NULL:
                sj_json_write_null(w);
                break;
        case SJ_JSON_BOOL:
                sj_json_write_bool(w, v->truth);
                break;
        case SJ_JSON_INT:
                sj_json_write_int(w, v->integer);
                break;
        case SJ_JSON_DOUBLE:
                sj_json_write_double(w, v->number);
                break;
        case SJ_JSON_NUMBER_TEXT:
                sj_json_write_raw(w, json_text_of(v));
                break;
        case SJ_JSON_STRING:
                sj_json_write_string(w, json_text_of(v));
                break;
        case SJ_JSON_ARRAY:
                write_array(w, v);
                break;
        case SJ_JSON_OBJECT:
                write_object(w, v);
                break;
        }
}

int sj_json_writer_end(sj_json_writer *w, sj_str *ret)
{
        if (w->error == 0 && (w->depth || !w->done))
                fail(w, -EINVAL);
        if (w->error == 0 && buf_terminate(&w->out) < 0)
                fail(w, -ENOMEM);
        if (w->error)
                return w->error;
        *ret = buf_str(&w->out);
        return 0;
}

static int copy_text(sj_arena *arena, sj_str text, sj_str *ret)
{
        char *copy = sj_arena_strndup(arena, text.data, text.n);
        if (!copy)
                return -ENOMEM;
        *ret = (sj_str){copy, text.n};
        return 0;
}

int sj_json_text(sj_arena *arena, const sj_json *v, unsigned flags, sj_str *ret)
{
        if (v && raw_allowed(v, flags))
                return copy_text(arena, json_raw(v), ret);
        sj_json_writer w = {.out = BUF_INIT(0), .flags = flags};
        sj_str text;
        sj_json_write_value(&w, v);
        int r = sj_json_writer_end(&w, &text);
        if (r == 0)
                r = copy_text(arena, text, ret);
        buf_fini(&w.out);
        return r;
}
