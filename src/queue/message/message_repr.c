/* SPDX-License-Identifier: MIT */
/*
 * Python's repr of JSON values, for argsrepr and kwargsrepr: what people see in logs and monitors.
 * It is never parsed. Written into a buffer whose limit is the protocol's; what does not fit is
 * replaced by ", ...".
 */
#include "queue/message/message.h"

#include "base/buf.h"
#include "base/utf8.h"

static int repr_value(buf *b, sj_arena *arena, const sj_json *v);

/* Whether repr shows it as itself: all but controls, separators, surrogates and private use. */
static bool repr_printable(uint32_t c)
{
        if (c < 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0xad)
                return false;
        if (c < 0x2000)
                return true;
        return !(c <= 0x200f || (c >= 0x2028 && c <= 0x202f) || (c >= 0x205f && c <= 0x206f) ||
                 c == 0x3000 || (c >= 0xd800 && c <= 0xf8ff) || c == 0xfeff || c >= 0xe0000);
}

static int repr_escaped(buf *b, uint32_t c)
{
        switch (c) {
        case '\n':
                return buf_append_str(b, SJ_STR("\\n"));
        case '\r':
                return buf_append_str(b, SJ_STR("\\r"));
        case '\t':
                return buf_append_str(b, SJ_STR("\\t"));
        default:
                return buf_printf(b,
                                  c < 0x100     ? "\\x%02x"
                                  : c < 0x10000 ? "\\u%04x"
                                                : "\\U%08x",
                                  (unsigned)c);
        }
}

static int repr_string(buf *b, sj_str text)
{
        char quote =
                memchr(text.data, '\'', text.n) && !memchr(text.data, '"', text.n) ? '"' : '\'';
        int r = buf_append_char(b, quote);
        for (size_t i = 0; r == 0 && i < text.n;) {
                uint32_t c = (unsigned char)text.data[i];
                unsigned n = utf8_decode(text.data + i, text.data + text.n, UTF8_WTF, &c);
                if (c == (unsigned char)quote || c == '\\')
                        r = buf_append_char(b, '\\');
                if (r == 0)
                        r = repr_printable(c) ? buf_append(b, text.data + i, n ? n : 1)
                                              : repr_escaped(b, c);
                i += n ? n : 1;
        }
        return r == 0 ? buf_append_char(b, quote) : r;
}

static int repr_number(buf *b, sj_arena *arena, const sj_json *v)
{
        double d;
        int64_t i;
        sj_str raw = sj_json_raw(v);
        if (sj_json_type_of(v) == SJ_JSON_INT && sj_json_int(v, &i) == 0)
                return buf_printf(b, "%lld", (long long)i);
        if (sj_json_type_of(v) == SJ_JSON_NUMBER_TEXT)
                return buf_append_str(b, raw);
        if (sj_json_double(v, &d) < 0 || d != d)
                return buf_append_str(b, SJ_STR("nan"));
        if (d > 1.7976931348623157e308 || d < -1.7976931348623157e308)
                return buf_append_str(b, d > 0 ? SJ_STR("inf") : SJ_STR("-inf"));
        if (raw.n)
                return buf_append_str(b, raw);
        /* Made here: JSON's digits are Python's; an integral one keeps its ".0". */
        sj_str text;
        int r = sj_json_text(arena, v, SJ_JSON_PYTHON, &text);
        if (r == 0)
                r = buf_append_str(b, text);
        return r == 0 && !strpbrk(text.data, ".eE") ? buf_append_str(b, SJ_STR(".0")) : r;
}

static int repr_elements(buf *b, sj_arena *arena, const sj_json *v)
{
        int r = 0;
        bool object = sj_json_type_of(v) == SJ_JSON_OBJECT;
        for (size_t i = 0; r == 0 && i < sj_json_count(v); i++) {
                if (i > 0)
                        r = buf_append_str(b, SJ_STR(", "));
                if (r == 0 && object)
                        r = repr_string(b, sj_json_name_at(v, i));
                if (r == 0 && object)
                        r = buf_append_str(b, SJ_STR(": "));
                if (r == 0)
                        r = repr_value(b, arena, sj_json_at(v, i));
        }
        return r;
}

static int repr_between(buf *b, sj_arena *arena, const char *open, const sj_json *v,
                        const char *close)
{
        int r = buf_append_str(b, sj_str_of(open));
        if (r == 0)
                r = repr_elements(b, arena, v);
        return r == 0 ? buf_append_str(b, sj_str_of(close)) : r;
}

static int repr_value(buf *b, sj_arena *arena, const sj_json *v)
{
        sj_str text = {"", 0};
        bool flag = false;
        switch (sj_json_type_of(v)) {
        case SJ_JSON_NULL:
                return buf_append_str(b, SJ_STR("None"));
        case SJ_JSON_BOOL:
                sj_json_bool(v, &flag);
                return buf_append_str(b, flag ? SJ_STR("True") : SJ_STR("False"));
        case SJ_JSON_STRING:
                sj_json_string(v, &text);
                return repr_string(b, text);
        case SJ_JSON_ARRAY:
                return repr_between(b, arena, "[", v, "]");
        case SJ_JSON_OBJECT:
                return repr_between(b, arena, "{", v, "}");
        default:
                return repr_number(b, arena, v);
        }
}

/* The end of text before which no character is cut in two. */
static size_t repr_whole(sj_str text)
{
        size_t n = text.n;
        while (n > 0 && ((unsigned char)text.data[n - 1] & 0xc0) == 0x80)
                n--;
        uint32_t c;
        if (n > 0 && (unsigned char)text.data[n - 1] >= 0xc0 &&
            utf8_decode(text.data + n - 1, text.data + text.n, UTF8_WTF, &c))
                return text.n;
        return n > 0 && (unsigned char)text.data[n - 1] >= 0xc0 ? n - 1 : text.n;
}

/* What r says was written into b, in the arena and with an end that shows a cut; frees b. */
static int repr_take(sj_arena *arena, buf *b, int r, sj_str *ret)
{
        sj_str text = buf_str(b);
        bool cut = r == -ENOBUFS;
        if (r == 0 || cut) {
                size_t n = cut ? repr_whole(text) : text.n;
                char *kept = sj_arena_alloc(arena, n + 6);
                r = kept ? 0 : -ENOMEM;
                if (kept) {
                        memcpy(kept, text.data, n);
                        memcpy(kept + n, ", ...", 6);
                        *ret = (sj_str){kept, cut ? n + 5 : n};
                }
        }
        buf_fini(b);
        return r;
}

static int repr_of(sj_arena *arena, const sj_json *v, const char *open, const char *close,
                   sj_str *ret)
{
        buf b = BUF_INIT(MESSAGE_REPR_MAX);
        int r = repr_between(&b, arena, open, v, close);
        return repr_take(arena, &b, r, ret);
}

int message_value_repr(sj_arena *arena, const sj_json *value, sj_str *ret)
{
        buf b = BUF_INIT(MESSAGE_REPR_MAX);
        int r = repr_value(&b, arena, value);
        return repr_take(arena, &b, r, ret);
}

int message_error_repr(sj_arena *arena, sj_str type, const sj_json *args, sj_str *ret)
{
        buf b = BUF_INIT(MESSAGE_REPR_MAX);
        int r = buf_append_str(&b, type);
        if (r == 0)
                r = repr_between(&b, arena, "(", args, ")");
        return repr_take(arena, &b, r, ret);
}

int message_args_repr(sj_arena *arena, const sj_json *args, sj_str *ret)
{
        return repr_of(arena, args, "(", sj_json_count(args) == 1 ? ",)" : ")", ret);
}

int message_kwargs_repr(sj_arena *arena, const sj_json *kwargs, sj_str *ret)
{
        return repr_of(arena, kwargs, "{", "}", ret);
}
