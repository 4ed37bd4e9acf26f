/* SPDX-License-Identifier: MIT */
/*
 * Kombu's typed values. The object must have exactly its two members: kombu looks at no other, and
 * neither may we, or a program's own object would be read as what it is not.
 */
#include "base/base64.h"
#include "base/iso8601.h"
#include "base/utf8.h"

#include <sanjab/json.h>

#include <ctype.h>

enum { UUID_DIGITS = 32, UUID_TEXT = 36 };

sj_str sj_json_typed(const sj_json *v, const sj_json **ret_value)
{
        const sj_json *value = sj_json_member(v, "__value__");
        sj_str type;
        if (sj_json_count(v) != 2 || !value ||
            sj_json_string(sj_json_member(v, "__type__"), &type) < 0)
                return (sj_str){NULL, 0};
        if (ret_value)
                *ret_value = value;
        return type;
}

/* The text of one of the types (the second may be NULL), or a bare string. */
static int typed_text(const sj_json *v, const char *type, const char *other, sj_str *ret)
{
        const sj_json *value;
        if (!v)
                return -ENOENT;
        if (sj_json_string(v, ret) == 0)
                return 0;
        sj_str is = sj_json_typed(v, &value);
        if (!is.data || (!sj_str_equal(is, sj_str_of(type)) && !sj_str_equal(is, sj_str_of(other))))
                return -EINVAL;
        return sj_json_string(value, ret);
}

/* ── Reading ─────────────────────────────────────────────────────────────────────────────── */

int sj_json_datetime(const sj_json *v, sj_wall *ret)
{
        sj_str text;
        int r = typed_text(v, "datetime", "date", &text);
        if (r < 0)
                return r;
        char midnight[32];
        if (text.n == 10) { /* a date alone */
                memcpy(midnight, text.data, text.n);
                memcpy(midnight + text.n, "T00:00:00", 9);
                text = (sj_str){midnight, text.n + 9};
        }
        return iso8601_parse(text, ret) < 0 ? -EINVAL : 0;
}

static size_t skip_digits(sj_str s, size_t i)
{
        while (i < s.n && isdigit((unsigned char)s.data[i]))
                i++;
        return i;
}

static bool is_word(sj_str s, const char *word)
{
        size_t n = strlen(word);
        if (s.n < n || strncasecmp(s.data, word, n) != 0)
                return false;
        return skip_digits(s, n) == s.n && (s.n == n || word[n - 1] == 'n' || word[n - 1] == 'N');
}

/* As Python's Decimal reads it: a sign, digits with at most one point, an exponent; or a word. */
static bool is_decimal(sj_str s)
{
        size_t sign = s.n && (s.data[0] == '-' || s.data[0] == '+');
        sj_str rest = {s.data + sign, s.n - sign};
        if (is_word(rest, "nan") || is_word(rest, "snan") ||
            (rest.n == 3 && strncasecmp(rest.data, "inf", 3) == 0) ||
            (rest.n == 8 && strncasecmp(rest.data, "infinity", 8) == 0))
                return true;
        size_t i = skip_digits(rest, 0), digits = i;
        if (i < rest.n && rest.data[i] == '.') {
                size_t end = skip_digits(rest, i + 1);
                digits += end - i - 1;
                i = end;
        }
        if (digits == 0)
                return false;
        if (i < rest.n && (rest.data[i] == 'e' || rest.data[i] == 'E')) {
                i++;
                i += i < rest.n && (rest.data[i] == '-' || rest.data[i] == '+');
                size_t end = skip_digits(rest, i);
                if (end == i)
                        return false;
                i = end;
        }
        return i == rest.n;
}

int sj_json_decimal(const sj_json *v, sj_str *ret)
{
        sj_str text;
        int r = typed_text(v, "decimal", NULL, &text);
        if (r < 0)
                return r;
        if (!is_decimal(text))
                return -EINVAL;
        *ret = text;
        return 0;
}

/* 32 digits, or 36 characters with dashes where they belong. */
static bool read_uuid(sj_str text, char ret[UUID_TEXT + 1])
{
        size_t n = 0;
        if (text.n != UUID_DIGITS && text.n != UUID_TEXT)
                return false;
        for (size_t i = 0; i < text.n; i++) {
                bool dash = text.n == UUID_TEXT && (i == 8 || i == 13 || i == 18 || i == 23);
                if (dash ? text.data[i] != '-' : !isxdigit((unsigned char)text.data[i]))
                        return false;
                if (dash)
                        continue;
                if (n == 8 || n == 13 || n == 18 || n == 23)
                        ret[n++] = '-';
                ret[n++] = (char)tolower((unsigned char)text.data[i]);
        }
        ret[n] = '\0';
        return true;
}

int sj_json_uuid(const sj_json *v, char ret[37])
{
        const sj_json *value;
        sj_str text;
        char uuid[UUID_TEXT + 1];
        if (!v)
                return -ENOENT;
        if (sj_str_equal(sj_json_typed(v, &value), SJ_STR("uuid")))
                v = sj_json_type_of(value) == SJ_JSON_OBJECT ? sj_json_member(value, "hex") : value;
        if (sj_json_string(v, &text) < 0 || !read_uuid(text, uuid))
                return -EINVAL;
        memcpy(ret, uuid, sizeof(uuid));
        return 0;
}

int sj_json_bytes(const sj_json *v, sj_arena *arena, sj_str *ret)
{
        sj_str text;
        size_t n;
        int r = typed_text(v, "bytes", "base64", &text);
        if (r < 0 || !sj_str_equal(sj_json_typed(v, NULL), SJ_STR("base64"))) {
                if (r == 0)
                        *ret = text;
                return r;
        }
        char *bytes = sj_arena_alloc(arena, base64_decoded_room(text.n) + 1);
        if (!bytes)
                return -ENOMEM;
        if (base64_decode(text, bytes, &n) < 0)
                return -EINVAL;
        bytes[n] = '\0';
        *ret = (sj_str){bytes, n};
        return 0;
}

/* ── Making ──────────────────────────────────────────────────────────────────────────────── */

const sj_json *sj_json_new_typed(sj_arena *arena, const char *type, const sj_json *value)
{
        static const char *const names[] = {"__type__", "__value__"};
        const sj_str keys[] = {sj_str_of(names[0]), sj_str_of(names[1])};
        const sj_json *const values[] = {sj_json_new_string(arena, sj_str_of(type)), value};
        return sj_json_new_object(arena, keys, values, 2);
}

static const sj_json *new_text(sj_arena *arena, const char *type, sj_str text)
{
        return sj_json_new_typed(arena, type, sj_json_new_string(arena, text));
}

const sj_json *sj_json_new_datetime(sj_arena *arena, sj_wall when)
{
        char text[ISO8601_LENGTH + 1];
        return iso8601_format(when, text) < 0 ? NULL : new_text(arena, "datetime", sj_str_of(text));
}

const sj_json *sj_json_new_decimal(sj_arena *arena, const char *text)
{
        return is_decimal(sj_str_of(text)) ? new_text(arena, "decimal", sj_str_of(text)) : NULL;
}

const sj_json *sj_json_new_uuid(sj_arena *arena, const char *text)
{
        char uuid[UUID_TEXT + 1], hex[UUID_DIGITS];
        if (!read_uuid(sj_str_of(text), uuid))
                return NULL;
        size_t n = 0;
        for (const char *c = uuid; *c; c++)
                if (*c != '-')
                        hex[n++] = *c;
        const sj_str key = SJ_STR("hex");
        const sj_json *value = sj_json_new_string(arena, (sj_str){hex, n});
        return sj_json_new_typed(arena, "uuid", sj_json_new_object(arena, &key, &value, 1));
}

const sj_json *sj_json_new_bytes(sj_arena *arena, sj_str bytes)
{
        if (utf8_valid(bytes, UTF8_STRICT))
                return new_text(arena, "bytes", bytes);
        size_t n = base64_encoded_size(bytes.n);
        char *text = sj_arena_alloc(arena, n);
        if (!text)
                return NULL;
        base64_encode(bytes.data, bytes.n, text);
        return new_text(arena, "base64", (sj_str){text, n});
}
