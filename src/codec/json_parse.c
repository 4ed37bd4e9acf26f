/* SPDX-License-Identifier: MIT */
/*
 * The parser: one pass, no recursion. The text is copied once, with zeros behind it, so that the
 * loops need no check for the end: a NUL is never part of JSON. (Who keeps the text has that NUL.)
 * Strings are unescaped into a second block, which is large enough for all of them since unescaping
 * never makes longer; both blocks stay with the values, the first as their raw bytes.
 *
 * Values are pushed on a stack. A container's own value is pushed when it opens and links to the
 * container around it; when it closes, what lies above it is its content and moves to the arena:
 *
 *     [1, {"a": 2, "b"...          stack:  [array][1][object]["a"][2]["b"]
 *                                                      ▲ open; its parent is the array
 *
 * Not a list of nodes, though that needs no moving: elements side by side can be indexed, and
 * 24 bytes are moved faster than a pointer is followed.
 */
#include "codec/json_kept.h"
#include "codec/json_number.h"
#include "codec/json_parser.h"
#include "codec/json_scan.h"

#include <math.h>
#include <stdlib.h>

enum { STACK_FIRST = 128, PADDING = 2 * JSON_SCAN_WIDTH };
_Static_assert((int)PADDING <= (int)JSON_KEPT_ROOM, "the loops may read on so far");
static const size_t NO_PARENT = SIZE_MAX;

static const char *fail_memory(json_parser *s)
{
        s->error = -ENOMEM;
        return NULL;
}

static bool stack_grow(json_parser *s)
{
        size_t capacity = s->capacity * 2;
        sj_json *larger = malloc(capacity * sizeof(*larger));
        if (!larger) {
                s->error = -ENOMEM;
                return false;
        }
        memcpy(larger, s->stack, s->top * sizeof(*larger));
        free(s->own_stack);
        s->own_stack = s->stack = larger;
        s->capacity = capacity;
        return true;
}

/* The room for one more value, which the caller fills; NULL when there is no memory. */
static inline sj_json *push(json_parser *s)
{
        if (s->top == s->capacity && !stack_grow(s))
                return NULL;
        return &s->stack[s->top++];
}

static const char *skip_space_slowly(const char *p)
{
        while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
                p++;
        return p;
}

/* One space, or none, is what there usually is. */
static inline const char *skip_space(const char *p)
{
        p += *p == ' ';
        return (unsigned char)*p > ' ' ? p : skip_space_slowly(p);
}

/* Strings */

/* p is at the opening quote. */
static inline const char *take_string(json_parser *s, const char *p)
{
        const char *raw = p++;
        json_string t = {s->out, s->out, 0};
        for (;;) {
                /* It may write beyond the string, where the next one or the padding is. */
                const unsigned n = json_copy16(t.out, p);
                p += n;
                t.out += n;
                if (n == JSON_SCAN_WIDTH)
                        continue;
                if (*p == '"')
                        break;
                p = json_unescape(s, p, &t);
                if (!p)
                        return NULL;
        }
        *t.out = '\0';
        s->out = t.out + 1;
        p++;
        sj_json *v = push(s);
        if (!v)
                return NULL;
        v->text = t.begin;
        v->raw = raw;
        v->n = (uint32_t)(t.out - t.begin);
        v->tag = json_tag(SJ_JSON_STRING, t.facts, (size_t)(p - raw));
        return p;
}

/* Numbers and words */

static inline bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static const char *skip_digits(json_parser *s, const char *p)
{
        if (!is_digit(*p))
                return json_parser_fail(s, p, "a number lacks a digit");
        while (is_digit(*p))
                p++;
        return p;
}

/* p is at the point or the exponent of the number that begins at raw. */
static const char *take_double(json_parser *s, const char *raw, const char *p)
{
        if (*p == '.' && !(p = skip_digits(s, p + 1)))
                return NULL;
        if (*p == 'e' || *p == 'E') {
                p++;
                p += *p == '+' || *p == '-';
                if (!(p = skip_digits(s, p)))
                        return NULL;
        }
        double number = json_parse_double(raw);
        if (isinf(number) && !(s->flags & SJ_JSON_PYTHON))
                return json_parser_fail(s, raw, "a number is too large for a double");
        sj_json *v = push(s);
        if (!v)
                return NULL;
        v->number = number;
        v->raw = raw;
        v->n = 0;
        v->tag = json_tag(SJ_JSON_DOUBLE, isinf(number) ? JSON_ONLY_PYTHON : 0, (size_t)(p - raw));
        return p;
}

static const char *take_word(json_parser *s, const char *p, const char *word, sj_json_type type,
                             uint32_t facts)
{
        const char *raw = p;
        for (; *word; word++, p++)
                if (*p != *word)
                        return json_parser_fail(s, p, "a value is expected");
        sj_json *v = push(s);
        if (!v)
                return NULL;
        v->integer = 0;
        v->raw = raw;
        v->n = 0;
        v->tag = json_tag(type, facts, (size_t)(p - raw));
        return p;
}

static const char *take_bool(json_parser *s, const char *p, const char *word, bool truth)
{
        p = take_word(s, p, word, SJ_JSON_BOOL, 0);
        if (p)
                s->stack[s->top - 1].truth = truth;
        return p;
}

static const char *take_not_finite(json_parser *s, const char *p, const char *word, double number)
{
        if (!(s->flags & SJ_JSON_PYTHON))
                return json_parser_fail(s, p, "NaN and Infinity are not JSON");
        p = take_word(s, p, word, SJ_JSON_DOUBLE, JSON_ONLY_PYTHON);
        if (p)
                s->stack[s->top - 1].number = number;
        return p;
}

/* Sets v to the integer of n digits whose value, if n is at most 19, is magnitude. */
static void set_integer(sj_json *v, const char *raw, uint64_t magnitude, size_t n, size_t raw_n)
{
        const bool negative = *raw == '-';
        v->raw = raw;
        if (n > 19 || magnitude > (uint64_t)INT64_MAX + negative) {
                v->text = raw;
                v->n = (uint32_t)raw_n;
                v->tag = json_tag(SJ_JSON_NUMBER_TEXT, 0, raw_n);
                return;
        }
        v->integer = (int64_t)(negative ? 0 - magnitude : magnitude);
        v->n = 0;
        v->tag = json_tag(SJ_JSON_INT, 0, raw_n);
}

static const char *take_number(json_parser *s, const char *p)
{
        const char *raw = p;
        p += *p == '-';
        if (*p == 'I')
                return take_not_finite(s, raw, "-Infinity", -INFINITY);
        const char *digits = p;
        uint64_t magnitude = 0;
        for (; is_digit(*p); p++)
                magnitude = magnitude * 10 + (uint64_t)(*p - '0');
        const size_t n = (size_t)(p - digits);
        if (n == 0)
                return json_parser_fail(s, p, "a number lacks a digit");
        if (*digits == '0' && n > 1)
                return json_parser_fail(s, digits, "a number begins with a zero");
        if (*p == '.' || *p == 'e' || *p == 'E')
                return take_double(s, raw, p);
        sj_json *v = push(s);
        if (!v)
                return NULL;
        set_integer(v, raw, magnitude, n, (size_t)(p - raw));
        return p;
}

/* Containers */

/* p is behind the bracket that closes the innermost container. */
static const char *close_container(json_parser *s, const char *p)
{
        sj_json *v = &s->stack[s->open];
        const sj_json *content = v + 1;
        const size_t n = s->top - s->open - 1;
        sj_json *items = NULL;
        uint32_t facts = 0;
        if (n) {
                items = sj_arena_alloc(s->arena, n * sizeof(*items));
                if (!items)
                        return fail_memory(s);
                for (size_t i = 0; i < n; i++) {
                        items[i] = content[i];
                        facts |= content[i].tag;
                }
        }
        const sj_json_type type = json_type(v);
        s->top = s->open + 1;
        s->open = v->parent;
        s->depth--;
        v->items = items;
        v->n = (uint32_t)(type == SJ_JSON_OBJECT ? n / 2 : n);
        v->tag = json_tag(type, facts & JSON_FACTS, (size_t)(p - v->raw));
        return p;
}

/* A member's name and its colon, and the space on both sides. */
static inline const char *take_name(json_parser *s, const char *p)
{
        if (*p != '"')
                return json_parser_fail(s, p, "a name in quotes is expected");
        p = take_string(s, p);
        if (!p)
                return NULL;
        if (*p != ':') {
                p = skip_space(p);
                if (*p != ':')
                        return json_parser_fail(s, p, "a colon is expected after a name");
        }
        return skip_space(p + 1);
}

/* p is at the opening bracket. *ret_open: a first value comes next, else it is closed already. */
static const char *open_container(json_parser *s, const char *p, sj_json_type type, bool *ret_open)
{
        if (s->depth == s->depth_max) {
                json_parser_fail(s, p, "it is nested too deeply");
                s->error = -EMSGSIZE;
                return NULL;
        }
        sj_json *v = push(s);
        if (!v)
                return NULL;
        s->depth++;
        v->parent = s->open;
        v->raw = p;
        v->tag = json_tag(type, 0, 0);
        s->open = s->top - 1;
        p = skip_space(p + 1);
        *ret_open = *p != (type == SJ_JSON_OBJECT ? '}' : ']');
        if (!*ret_open)
                return close_container(s, p + 1);
        return type == SJ_JSON_OBJECT ? take_name(s, p) : p;
}

/* One value, or the opening of one. */
static const char *take_value(json_parser *s, const char *p, bool *ret_open)
{
        *ret_open = false;
        switch (*p) {
        case '"':
                return take_string(s, p);
        case '{':
                return open_container(s, p, SJ_JSON_OBJECT, ret_open);
        case '[':
                return open_container(s, p, SJ_JSON_ARRAY, ret_open);
        case 'n':
                return take_word(s, p, "null", SJ_JSON_NULL, 0);
        case 't':
                return take_bool(s, p, "true", true);
        case 'f':
                return take_bool(s, p, "false", false);
        case 'N':
                return take_not_finite(s, p, "NaN", NAN);
        case 'I':
                return take_not_finite(s, p, "Infinity", INFINITY);
        default:
                if (*p == '-' || is_digit(*p))
                        return take_number(s, p);
                return json_parser_fail(s, p, "a value is expected");
        }
}

/* What follows a value: closes what closes, up to a comma or the end of the outermost value. */
static const char *take_after_value(json_parser *s, const char *p)
{
        while (s->open != NO_PARENT) {
                const bool object = json_type(&s->stack[s->open]) == SJ_JSON_OBJECT;
                if (*p != ',')
                        p = skip_space(p);
                if (*p == ',') {
                        p = skip_space(p + 1);
                        return object ? take_name(s, p) : p;
                }
                if (*p != (object ? '}' : ']'))
                        return json_parser_fail(
                                s, p,
                                object ? "a comma or a closing brace is expected"
                                       : "a comma or a closing bracket is expected");
                p = close_container(s, p + 1);
                if (!p)
                        return NULL;
        }
        return p;
}

/* The whole text, whose value is then the only one on the stack. */
static bool take_text(json_parser *s, const char *p)
{
        p = skip_space(p);
        do {
                bool open;
                p = take_value(s, p, &open);
                if (p && !open)
                        p = take_after_value(s, p);
                if (!p)
                        return false;
        } while (s->open != NO_PARENT);
        p = skip_space(p);
        return p == s->end || json_parser_fail(s, p, "something follows the value");
}

static void locate(sj_str text, size_t offset, const char *reason, sj_json_error *ret)
{
        if (!ret)
                return;
        const char *line = text.n ? text.data : "", *where = line + offset;
        unsigned number = 1;
        for (const char *p; (p = memchr(line, '\n', (size_t)(where - line))); number++)
                line = p + 1;
        *ret = (sj_json_error){offset, number, (unsigned)(where - line) + 1, reason};
}

static int check_size(sj_str text, size_t size_max, sj_json_error *ret_error)
{
        if (size_max > SJ_JSON_SIZE_MAX)
                size_max = SJ_JSON_SIZE_MAX;
        if (text.n <= size_max)
                return 0;
        locate(text, size_max, "the text is too long", ret_error);
        return -EMSGSIZE;
}

static int parse(sj_arena *arena, sj_str text, unsigned flags, unsigned depth_max,
                 const sj_json **ret, sj_json_error *ret_error)
{
        char *strings = sj_arena_alloc(arena, text.n + PADDING);
        sj_json *v = sj_arena_alloc(arena, sizeof(*v));
        if (!strings || !v)
                return -ENOMEM;

        sj_json stack[STACK_FIRST];
        json_parser s = {
                .arena = arena,
                .end = text.data + text.n,
                .out = strings,
                .flags = flags,
                .depth_max = depth_max < SJ_JSON_DEPTH_MAX ? depth_max : SJ_JSON_DEPTH_MAX,
                .open = NO_PARENT,
                .stack = stack,
                .capacity = STACK_FIRST,
        };
        if (take_text(&s, text.data))
                *v = s.stack[0];
        free(s.own_stack);
        if (s.error == 0)
                *ret = v;
        else if (s.error != -ENOMEM)
                locate(text, (size_t)(s.where - text.data), s.reason, ret_error);
        return s.error;
}

int json_parse_kept(sj_arena *arena, sj_str text, unsigned flags, size_t size_max,
                    unsigned depth_max, const sj_json **ret, sj_json_error *ret_error)
{
        int r = check_size(text, size_max, ret_error);
        return r < 0 ? r : parse(arena, text, flags, depth_max, ret, ret_error);
}

int sj_json_parse_limited(sj_arena *arena, sj_str text, unsigned flags, size_t size_max,
                          unsigned depth_max, const sj_json **ret, sj_json_error *ret_error)
{
        int r = check_size(text, size_max, ret_error);
        if (r < 0)
                return r;
        char *copy = sj_arena_alloc(arena, text.n + PADDING);
        if (!copy)
                return -ENOMEM;
        if (text.n)
                memcpy(copy, text.data, text.n);
        memset(copy + text.n, 0, PADDING);
        return parse(arena, (sj_str){copy, text.n}, flags, depth_max, ret, ret_error);
}

int sj_json_parse(sj_arena *arena, sj_str text, unsigned flags, const sj_json **ret,
                  sj_json_error *ret_error)
{
        return sj_json_parse_limited(arena, text, flags, SJ_JSON_SIZE_MAX, SJ_JSON_DEPTH_MAX, ret,
                                     ret_error);
}
