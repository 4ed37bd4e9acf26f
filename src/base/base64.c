/* SPDX-License-Identifier: MIT */
#include "base/base64.h"

static const char alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The six bits of each character; X where it is none, whose bit 7 survives an OR of four. */
enum { X = 0x80 };
/* clang-format off */
static const uint8_t bits_of[256] = {
         X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
         X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
         X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X, 62,  X,  X,  X, 63,
        52, 53, 54, 55, 56, 57, 58, 59, 60, 61,  X,  X,  X,  X,  X,  X,
         X,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
        15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,  X,  X,  X,  X,  X,
         X, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
        41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51,  X,  X,  X,  X,  X,
         X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
         X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
         X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
         X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
         X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
         X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
         X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
         X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
};
/* clang-format on */

static void encode_three(const unsigned char *in, char *out)
{
        uint32_t bits = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        out[0] = alphabet[bits >> 18];
        out[1] = alphabet[bits >> 12 & 63];
        out[2] = alphabet[bits >> 6 & 63];
        out[3] = alphabet[bits & 63];
}

void base64_encode(const void *data, size_t n, char *ret)
{
        const unsigned char *in = data;
        for (; n >= 3; n -= 3, in += 3, ret += 4)
                encode_three(in, ret);
        if (n == 0)
                return;
        const unsigned char last[3] = {in[0], n == 2 ? in[1] : 0, 0};
        encode_three(last, ret);
        ret[3] = '=';
        if (n == 1)
                ret[2] = '=';
}

/* The 24 bits of four characters; bit 31 is set when one of them is none of the alphabet. */
static uint32_t decode_four(const unsigned char *in)
{
        uint32_t a = bits_of[in[0]], b = bits_of[in[1]], c = bits_of[in[2]], d = bits_of[in[3]];
        return (a | b | c | d) >> 7 << 31 | a << 18 | b << 12 | c << 6 | d;
}

static void put_three(unsigned char *out, uint32_t bits)
{
        out[0] = (unsigned char)(bits >> 16);
        out[1] = (unsigned char)(bits >> 8);
        out[2] = (unsigned char)bits;
}

/* The last four characters, of which one or two may be padding: 1 to 3 bytes, or -EBADMSG. */
static int decode_last(const unsigned char *in, unsigned char *out)
{
        int padding = in[3] != '=' ? 0 : in[2] != '=' ? 1 : 2;
        const unsigned char whole[4] = {in[0], in[1], padding == 2 ? 'A' : in[2],
                                        padding ? 'A' : in[3]};
        uint32_t bits = decode_four(whole);
        uint32_t hidden = padding == 2 ? 0xffff : padding == 1 ? 0xff : 0;
        if (bits >> 31 || (bits & hidden))
                return -EBADMSG;
        for (int i = 0; i < 3 - padding; i++)
                out[i] = (unsigned char)(bits >> (16 - 8 * i));
        return 3 - padding;
}

int base64_decode(sj_str text, void *ret, size_t *ret_n)
{
        const unsigned char *in = (const unsigned char *)text.data;
        unsigned char *out = ret;
        if (text.n % 4)
                return -EBADMSG;
        if (text.n == 0) {
                *ret_n = 0;
                return 0;
        }
        uint32_t wrong = 0;
        for (size_t left = text.n / 4 - 1; left; left--, in += 4, out += 3) {
                uint32_t bits = decode_four(in);
                wrong |= bits;
                put_three(out, bits);
        }
        int last = decode_last(in, out);
        if (wrong >> 31 || last < 0)
                return -EBADMSG;
        *ret_n = (size_t)(out - (unsigned char *)ret) + (size_t)last;
        return 0;
}

int base64_append_encoded(buf *b, const void *data, size_t n)
{
        if (n > SIZE_MAX / 2)
                return -ENOBUFS;
        int r = buf_reserve(b, base64_encoded_size(n));
        if (r < 0)
                return r;
        if (n)
                base64_encode(data, n, buf_tail(b));
        buf_advance(b, base64_encoded_size(n));
        return 0;
}
