/* SPDX-License-Identifier: MIT */
/*
 * The less usual parts of a string. A lone surrogate is put as its three WTF-8 bytes, and must not
 * meet another one that completes it: two escapes that do are one character already, so what is
 * left is a pair in raw bytes, which would become one character when it is written and read again.
 */
#include "codec/json_parser.h"

#include "base/utf8.h"

/* Whether the last character that was put is a surrogate that a low one would complete. */
static bool after_high_surrogate(const json_string *t)
{
        const unsigned char *last = (const unsigned char *)t->out;
        return t->out - t->begin >= 3 && last[-3] == 0xed && last[-2] >= 0xa0 && last[-2] < 0xb0;
}

/* Checks and puts a lone surrogate; a pair in two spellings would be read back as one character. */
static bool put_lone_surrogate(json_parser *s, json_string *t, uint32_t c, const char *where)
{
        if (!(s->flags & SJ_JSON_PYTHON))
                return json_parser_fail(s, where, "a surrogate stands alone");
        if (utf8_is_low_surrogate(c) && after_high_surrogate(t))
                return json_parser_fail(s, where, "a surrogate pair is not written as one");
        t->out += utf8_encode(c, t->out);
        t->facts |= JSON_ONLY_PYTHON;
        return true;
}

/* Most alphabets that are not Latin are of these. */
static inline const char *copy_two_byte_characters(const char *p, json_string *t)
{
        while ((unsigned char)*p >= 0xc2 && (unsigned char)*p < 0xe0 &&
               ((unsigned char)p[1] & 0xc0) == 0x80) {
                memcpy(t->out, p, 2);
                t->out += 2;
                p += 2;
        }
        return p;
}

static const char *take_beyond_ascii(json_parser *s, const char *p, json_string *t)
{
        t->facts |= JSON_BEYOND_ASCII;
        do {
                p = copy_two_byte_characters(p, t);
                if (!((unsigned char)*p & 0x80))
                        break;
                uint32_t c;
                unsigned n = utf8_decode(p, s->end, UTF8_WTF, &c);
                if (n == 0)
                        return json_parser_fail(s, p, "a string is not UTF-8");
                if (utf8_is_surrogate(c)) {
                        if (!put_lone_surrogate(s, t, c, p))
                                return NULL;
                } else {
                        memcpy(t->out, p, n);
                        t->out += n;
                }
                p += n;
        } while ((unsigned char)*p >= 0x80);
        return p;
}

static int hex_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c = (char)(c | 0x20);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const char *take_four_hex(json_parser *s, const char *p, uint32_t *ret)
{
        uint32_t c = 0;
        for (const char *end = p + 4; p < end; p++) {
                int digit = hex_value(*p);
                if (digit < 0)
                        return json_parser_fail(s, p,
                                                "an escape \\u needs four hexadecimal digits");
                c = c << 4 | (uint32_t)digit;
        }
        *ret = c;
        return p;
}

/* p is at the u of \uXXXX. A high surrogate takes the low one with it, if that is next. */
static const char *take_unicode_escape(json_parser *s, const char *p, json_string *t)
{
        const char *backslash = p - 1;
        uint32_t c, low;
        p = take_four_hex(s, p + 1, &c);
        if (!p)
                return NULL;
        if (utf8_is_high_surrogate(c) && p[0] == '\\' && p[1] == 'u') {
                const char *after = take_four_hex(s, p + 2, &low);
                if (!after)
                        return NULL;
                if (utf8_is_low_surrogate(low)) {
                        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                        p = after;
                }
        }
        if (utf8_is_surrogate(c))
                return put_lone_surrogate(s, t, c, backslash) ? p : NULL;
        t->out += utf8_encode(c, t->out);
        return p;
}

/* p is at a backslash. */
static const char *take_escape(json_parser *s, const char *p, json_string *t)
{
        static const char meanings[256] = {
                ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
        };
        const char meaning = meanings[(unsigned char)*++p];
        if (meaning) {
                *t->out++ = meaning;
                return p + 1;
        }
        if (*p == 'u')
                return take_unicode_escape(s, p, t);
        return json_parser_fail(s, p, "an escape that JSON does not have");
}

const char *json_unescape(json_parser *s, const char *p, json_string *t)
{
        if (*p == '\\')
                return take_escape(s, p, t);
        if ((unsigned char)*p >= 0x80)
                return take_beyond_ascii(s, p, t);
        return json_parser_fail(s, p, "a control character in a string");
}
