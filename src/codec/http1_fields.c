/* SPDX-License-Identifier: MIT */
/*
 * Lines and fields, for heads and trailers alike.
 *
 * A section is read line by line, and a line only when its LF is there: what is decided about it
 * then depends on its bytes alone. What is decided about a line that is not yet whole is only that
 * it is already too long, which would be decided, first of all, about the whole one too. That is
 * why the outcome does not depend on how the bytes are cut.
 */
#include "codec/http1.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

http1_outcome http1_fields_next_line(http1_lines *lines, const char *data, size_t n,
                                     uint32_t line_max, uint32_t section_max, http1_span *ret_line,
                                     http1_reason *ret_reason)
{
        const char *lf = NULL;
        if (n > lines->scanned)
                lf = memchr(data + lines->scanned, '\n', n - lines->scanned);
        size_t end = lf ? (size_t)(lf - data) : n;
        /* Up to the LF, so that a CR is counted too. */
        if (end - lines->line > (size_t)line_max + 1) {
                *ret_reason = HTTP1_LINE_TOO_LONG;
                return HTTP1_WRONG;
        }
        if (end >= section_max) {
                *ret_reason = HTTP1_HEAD_TOO_LARGE;
                return HTTP1_WRONG;
        }
        if (!lf) {
                lines->scanned = (uint32_t)n;
                return HTTP1_PARTIAL;
        }
        if (end == lines->line || lf[-1] != '\r') {
                *ret_reason = HTTP1_BARE_LF;
                return HTTP1_WRONG;
        }
        *ret_line = (http1_span){lines->line, (uint32_t)(end - 1 - lines->line)};
        lines->line = lines->scanned = (uint32_t)end + 1;
        return HTTP1_DONE;
}

static bool is_value_byte(unsigned char c)
{
        return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* Where the first byte is that a value may not hold, or n. */
static size_t find_bad_value_byte(const char *p, size_t n)
{
        size_t i = 0;
#ifdef __SSE2__
        const __m128i last_control = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8('\t'),
                      del = _mm_set1_epi8(0x7f);
        for (; i + 16 <= n; i += 16) {
                __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
                __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, last_control), v);
                control = _mm_andnot_si128(_mm_cmpeq_epi8(v, tab), control);
                control = _mm_or_si128(control, _mm_cmpeq_epi8(v, del));
                int mask = _mm_movemask_epi8(control);
                if (mask)
                        return i + (size_t)__builtin_ctz((unsigned)mask);
        }
#endif
        while (i < n && is_value_byte((unsigned char)p[i]))
                i++;
        return i;
}

bool http1_is_value(sj_str s)
{
        return http1_trim(s).n == s.n && find_bad_value_byte(s.data, s.n) == s.n;
}

static bool is_space(char c)
{
        return c == ' ' || c == '\t';
}

/* A name that is no token: which of the mistakes it is. */
static http1_reason blame_name(sj_str name)
{
        if (name.n && is_space(name.data[name.n - 1])) {
                name = http1_trim(name);
                if (http1_is_token(name))
                        return HTTP1_SPACE_BEFORE_COLON;
        }
        if (name.n && memchr(name.data, '\r', name.n))
                return HTTP1_BARE_CR;
        return HTTP1_BAD_NAME;
}

http1_reason http1_fields_parse_line(const char *base, http1_span line, http1_field *ret)
{
        const char *text = base + line.at;
        if (is_space(text[0]))
                return HTTP1_OBS_FOLD;
        const char *colon = memchr(text, ':', line.n);
        if (!colon)
                return memchr(text, '\r', line.n) ? HTTP1_BARE_CR : HTTP1_NO_COLON;
        sj_str name = {text, (size_t)(colon - text)};
        if (!http1_is_token(name))
                return blame_name(name);
        sj_str value = http1_trim((sj_str){colon + 1, line.n - name.n - 1});
        size_t bad = find_bad_value_byte(value.data, value.n);
        if (bad < value.n)
                return value.data[bad] == '\r' ? HTTP1_BARE_CR : HTTP1_BAD_VALUE;
        ret->name = (http1_span){line.at, (uint32_t)name.n};
        ret->value = (http1_span){(uint32_t)(value.data - base), (uint32_t)value.n};
        return HTTP1_OK;
}
