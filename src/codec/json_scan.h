/* SPDX-License-Identifier: MIT */
/*
 * The inner loop of reading and writing strings: copying sixteen bytes while looking for the ones
 * that need a closer look.
 */
#ifndef SANJAB_CODEC_JSON_SCAN_H
#define SANJAB_CODEC_JSON_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

enum { JSON_SCAN_WIDTH = 16 };

/* Whether c can stand in a JSON string as it is, without being looked at: printable ASCII. */
static inline bool json_is_plain(char c)
{
        return (signed char)c >= 0x20 && c != '"' && c != '\\';
}

/* How many of the eight bytes at p are plain before the first one that is not. */
static inline unsigned json_plain8(const char *p)
{
        const uint64_t ones = 0x0101010101010101u, tops = ones << 7;
        uint64_t x;
        memcpy(&x, p, sizeof(x));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        x = __builtin_bswap64(x);
#endif
        /* Subtracting shows the first byte that is below; a borrow can only mislead after it. */
        const uint64_t quote = x ^ ones * '"', backslash = x ^ ones * '\\';
        const uint64_t special = (((x - ones * 0x20) & ~x) | ((quote - ones) & ~quote) |
                                  ((backslash - ones) & ~backslash) | x) &
                                 tops;
        return special ? (unsigned)__builtin_ctzll(special) / 8 : 8;
}

/*
 * Copies the sixteen bytes at in to out, which do not overlap; how many of them are plain before
 * the first one that is not.
 */
static inline unsigned json_copy16(char *out, const char *in)
{
#ifdef __SSE2__
        const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)in);
        _mm_storeu_si128((__m128i *)(void *)out, x);
        /* As signed bytes, what is beyond ASCII is below the space too. */
        const __m128i special = _mm_or_si128(_mm_cmplt_epi8(x, _mm_set1_epi8(0x20)),
                                             _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')),
                                                          _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'))));
        return (unsigned)__builtin_ctz((unsigned)_mm_movemask_epi8(special) | 1u << 16);
#elif defined(__ARM_NEON)
        const int8x16_t x = vld1q_s8((const int8_t *)in);
        vst1q_s8((int8_t *)out, x);
        const uint8x16_t special =
                vorrq_u8(vcltq_s8(x, vdupq_n_s8(0x20)),
                         vorrq_u8(vceqq_s8(x, vdupq_n_s8('"')), vceqq_s8(x, vdupq_n_s8('\\'))));
        /* Four bits for each byte, since there is no movemask. */
        const uint64_t nibbles = vget_lane_u64(
                vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(special), 4)), 0);
        return nibbles ? (unsigned)__builtin_ctzll(nibbles) / 4 : JSON_SCAN_WIDTH;
#else
        memcpy(out, in, JSON_SCAN_WIDTH);
        const unsigned n = json_plain8(in);
        return n < 8 ? n : 8 + json_plain8(in + 8);
#endif
}

#endif
