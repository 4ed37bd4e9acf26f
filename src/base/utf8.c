/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

/*
 * By the leading byte: the length of the sequence, and the range of its second byte, which is
 * where overlong forms, surrogates and what lies beyond U+10FFFF show (Unicode table 3-7).
 */
static unsigned sequence(unsigned char lead, utf8_dialect dialect, unsigned char *ret_low,
                         unsigned char *ret_high)
{
        *ret_low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        *ret_high = lead == 0xed && dialect == UTF8_STRICT ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        if (lead < 0xc2 || lead > 0xf4)
                return 0;
        return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

unsigned utf8_decode(const char *p, const char *end, utf8_dialect dialect, uint32_t *ret)
{
        const unsigned char *in = (const unsigned char *)p;
        if (in[0] < 0x80) {
                *ret = in[0];
                return 1;
        }
        unsigned char low, high;
        unsigned n = sequence(in[0], dialect, &low, &high);
        if (n == 0 || (size_t)(end - p) < n || in[1] < low || in[1] > high)
                return 0;
        uint32_t c = in[0] & (0x7fu >> n);
        c = c << 6 | (in[1] & 0x3f);
        for (unsigned i = 2; i < n; i++) {
                if ((in[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (in[i] & 0x3f);
        }
        *ret = c;
        return n;
}

unsigned utf8_encode(uint32_t c, char ret[4])
{
        static const unsigned char marks[5] = {0, 0, 0xc0, 0xe0, 0xf0};
        unsigned n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        for (unsigned i = n - 1; i > 0; i--, c >>= 6)
                ret[i] = (char)(0x80 | (c & 0x3f));
        ret[0] = (char)(marks[n] | c);
        return n;
}

static const char *skip_ascii(const char *p, const char *end)
{
        uint64_t eight;
        for (; end - p >= 8; p += 8) {
                memcpy(&eight, p, 8);
                if (eight & 0x8080808080808080u)
                        break;
        }
        while (p < end && !((unsigned char)*p & 0x80))
                p++;
        return p;
}

bool utf8_valid(sj_str text, utf8_dialect dialect)
{
        if (text.n == 0)
                return true;
        const char *p = text.data, *end = p + text.n, *after_high = NULL;
        while ((p = skip_ascii(p, end)) < end) {
                uint32_t c;
                unsigned n = utf8_decode(p, end, dialect, &c);
                if (n == 0 || (p == after_high && utf8_is_low_surrogate(c)))
                        return false;
                p += n;
                if (utf8_is_high_surrogate(c))
                        after_high = p;
        }
        return true;
}
