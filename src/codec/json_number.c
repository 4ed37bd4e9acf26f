/* SPDX-License-Identifier: MIT */
/*
 * Writing is Schubfach (R. Giulietti, "The Schubfach way to render doubles"): of the interval of
 * reals that round to the double, scaled by a power of ten so that it holds at least one and at
 * most a few integers, the ends and the middle are computed with enough bits (rounded to odd) that
 * comparing them with integers is exact; then the integer nearest to the middle is chosen, a
 * multiple of ten if there is one.
 *
 * Reading is Clinger's exact case, where two doubles need one rounding; else Eisel-Lemire (D.
 * Lemire, "Number parsing at a gigabyte per second"), which multiplies 64 bits of digits by 128
 * bits of the power of ten and knows when that decides the rounding; else, for more than 19
 * digits and below 1e-292, the C library, told to use no locale.
 *
 * Not printf with 17 digits: it is fifteen times slower and writes 0.1 as 0.10000000000000001.
 */
#include "codec/json_number.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>

__extension__ typedef unsigned __int128 uint128;

enum { MANTISSA_BITS = 52, EXPONENT_BIAS = 1023, EXPONENT_MASK = 0x7ff, DIGITS_EXACT = 19 };
static const uint64_t HIDDEN_BIT = (uint64_t)1 << MANTISSA_BITS;

/* value = digits * 10^exponent */
typedef struct decimal {
        uint64_t digits;
        int exponent;
} decimal;

static const json_power *power_of_ten(int k)
{
        return &json_powers[k - JSON_POWER_MIN];
}

/* Writing */

static const char pairs[201] =
        "00010203040506070809101112131415161718192021222324252627282930313233"
        "34353637383940414243444546474849505152535455565758596061626364656667"
        "6869707172737475767778798081828384858687888990919293949596979899";

/* Writes the digits so that they end before end; where they begin. */
static char *put_digits_before(char *end, uint64_t value)
{
        for (; value >= 100; value /= 100)
                memcpy(end -= 2, &pairs[value % 100 * 2], 2);
        if (value >= 10)
                return memcpy(end - 2, &pairs[value * 2], 2);
        *--end = (char)('0' + value);
        return end;
}

unsigned json_format_int(int64_t value, char ret[JSON_NUMBER_ROOM])
{
        char digits[20], *end = digits + sizeof(digits);
        uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
        char *begin = put_digits_before(end, magnitude);
        unsigned n = (unsigned)(end - begin), sign = value < 0;
        ret[0] = '-';
        memcpy(ret + sign, begin, n);
        return n + sign;
}

/* g * c / 2^128, with the lowest bit set if anything was cut off. */
static uint64_t multiply_to_odd(const json_power *g, uint64_t c)
{
        uint128 high = (uint128)g->high * c + (uint64_t)((uint128)g->low * c >> 64);
        return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

static int floor_log2_of_power(int k)
{
        return (int)(((int64_t)k * 1741647) >> 19);
}

/* c * 2^q with the interval that rounds to it, whose lower half is half as wide if narrow. */
static decimal shortest(uint64_t c, int q, bool narrow)
{
        const bool open = c & 1; /* the ends round to even, away from an odd c */
        const int k = (int)(((int64_t)q * 1262611 - (narrow ? 524031 : 0)) >> 22);
        const int shift = q + floor_log2_of_power(-k) + 1;
        const json_power *g = power_of_ten(-k);
        const uint64_t middle = multiply_to_odd(g, 4 * c << shift);
        const uint64_t low = multiply_to_odd(g, (4 * c - 2 + narrow) << shift) + open;
        const uint64_t high = multiply_to_odd(g, (4 * c + 2) << shift) - open;
        const uint64_t s = middle / 4;
        if (s >= 10) {
                const uint64_t tens = s / 10;
                const bool down_fits = low <= 40 * tens, up_fits = 40 * tens + 40 <= high;
                if (down_fits != up_fits)
                        return (decimal){tens + up_fits, k + 1};
        }
        const bool down_fits = low <= 4 * s, up_fits = 4 * s + 4 <= high;
        if (down_fits != up_fits)
                return (decimal){s + up_fits, k};
        const uint64_t half = 4 * s + 2;
        return (decimal){s + (middle > half || (middle == half && (s & 1))), k};
}

static decimal decimal_of(uint64_t mantissa, int exponent)
{
        if (exponent == 0)
                return shortest(mantissa, 1 - EXPONENT_BIAS - MANTISSA_BITS, false);
        const uint64_t c = mantissa | HIDDEN_BIT;
        const int q = exponent - EXPONENT_BIAS - MANTISSA_BITS;
        if (q <= 0 && q > -MANTISSA_BITS - 1 && (c & (((uint64_t)1 << -q) - 1)) == 0)
                return (decimal){c >> -q, 0};
        return shortest(c, q, mantissa == 0 && exponent > 1);
}

/* d.ddde+XX, with at least two digits in the exponent as Python has. */
static char *put_scientific(char *out, const char *digits, unsigned n, int exponent)
{
        *out++ = digits[0];
        if (n > 1) {
                *out++ = '.';
                memcpy(out, digits + 1, n - 1);
                out += n - 1;
        }
        *out++ = 'e';
        *out++ = exponent < 0 ? '-' : '+';
        unsigned magnitude = (unsigned)abs(exponent);
        if (magnitude >= 100)
                *out++ = (char)('0' + magnitude / 100);
        memcpy(out, &pairs[magnitude % 100 * 2], 2);
        return out + 2;
}

/* The digits with a point after the first `point` of them, which may be none or beyond all. */
static char *put_fixed(char *out, const char *digits, unsigned n, int point)
{
        if (point <= 0) {
                memcpy(out, "0.0000", 6);
                memcpy(out + 2 - point, digits, n);
                return out + 2 - point + n;
        }
        unsigned whole = (unsigned)point;
        if (n <= whole) {
                memset(out, '0', whole + 2);
                memcpy(out, digits, n);
                out[whole] = '.';
                return out + whole + 2;
        }
        memcpy(out, digits, whole);
        out[whole] = '.';
        memcpy(out + whole + 1, digits + whole, n - whole);
        return out + n + 1;
}

unsigned json_format_double(double value, char ret[JSON_NUMBER_ROOM])
{
        uint64_t bits;
        memcpy(&bits, &value, sizeof(bits));
        char *out = ret;
        *out = '-';
        out += bits >> 63;
        const uint64_t mantissa = bits & (HIDDEN_BIT - 1);
        const int exponent = (int)(bits >> MANTISSA_BITS & EXPONENT_MASK);
        if (exponent == 0 && mantissa == 0) {
                memcpy(out, "0.0", 3);
                return (unsigned)(out + 3 - ret);
        }
        const decimal d = decimal_of(mantissa, exponent);
        char room[20], *end = room + sizeof(room), *digits = put_digits_before(end, d.digits);
        const int point = (int)(end - digits) + d.exponent;
        while (end - digits > 1 && end[-1] == '0')
                end--;
        const unsigned n = (unsigned)(end - digits);
        out = point > -4 && point <= 16 ? put_fixed(out, digits, n, point)
                                        : put_scientific(out, digits, n, point - 1);
        return (unsigned)(out - ret);
}

/* Reading */

/* The digits and exponent of a text; false when there are too many digits to keep. */
static bool scan(const char *p, decimal *ret)
{
        uint64_t digits = 0;
        int64_t exponent = 0, given = 0;
        unsigned n = 0;
        bool fraction = false;
        for (;; p++) {
                if (*p == '.') {
                        fraction = true;
                        continue;
                }
                if (*p < '0' || *p > '9')
                        break;
                digits = digits * 10 + (uint64_t)(*p - '0');
                n += n || *p != '0';
                exponent -= fraction;
                if (n > DIGITS_EXACT)
                        return false;
        }
        if ((*p | 0x20) == 'e') {
                bool negative = *++p == '-';
                p += *p == '-' || *p == '+';
                for (; *p >= '0' && *p <= '9'; p++)
                        given = given > 100000000 ? given : given * 10 + (*p - '0');
                exponent += negative ? -given : given;
        }
        if (exponent < INT32_MIN || exponent > INT32_MAX)
                return false;
        *ret = (decimal){digits, (int)exponent};
        return true;
}

/* Both operands are exact, so that the one operation rounds once (Clinger). */
static bool read_exact(decimal d, double *ret)
{
        static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                        1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                        1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
        if (d.digits > HIDDEN_BIT * 2 || d.exponent < -22 || d.exponent > 22)
                return false;
        double digits = (double)d.digits;
        *ret = d.exponent < 0 ? digits / powers[-d.exponent] : digits * powers[d.exponent];
        return true;
}

/* The 128 bits of digits * 10^exponent, as far as they are needed; digits has its top bit set. */
static uint128 multiply(uint64_t digits, int exponent)
{
        json_power power = *power_of_ten(exponent);
        /* The proof is for powers that are cut where they are above one, and ours are rounded up.
         */
        if (exponent > 55 && power.low-- == 0)
                power.high--;
        uint128 product = (uint128)digits * power.high;
        const uint64_t undecided = ((uint64_t)1 << (64 - MANTISSA_BITS - 3)) - 1;
        if (((uint64_t)(product >> 64) & undecided) == undecided)
                product += (uint128)digits * power.low >> 64;
        return product;
}

static bool read_eisel_lemire(decimal d, double *ret)
{
        /* What is left is no subnormal: it is at least 1e-292. */
        if (d.exponent < JSON_POWER_MIN || d.exponent > 308)
                return false;
        const int zeros = __builtin_clzll(d.digits);
        const uint128 product = multiply(d.digits << zeros, d.exponent);
        const uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;
        if (low == UINT64_MAX && (d.exponent < -27 || d.exponent > 55))
                return false;
        const int top = (int)(high >> 63), cut = top + 64 - MANTISSA_BITS - 3;
        uint64_t mantissa = high >> cut; /* with one bit more, by which it is rounded */
        int exponent =
                (int)(((int64_t)d.exponent * 217706) >> 16) + 63 + top - zeros + EXPONENT_BIAS;
        /* Exactly half way, which only small powers reach: to even, so down. */
        if (low <= 1 && d.exponent >= -4 && d.exponent <= 23 && (mantissa & 3) == 1 &&
            mantissa << cut == high)
                mantissa--;
        mantissa = (mantissa + 1) >> 1;
        if (mantissa >> (MANTISSA_BITS + 1)) {
                mantissa >>= 1;
                exponent++;
        }
        if (exponent >= EXPONENT_MASK)
                return false;
        uint64_t bits = (mantissa & (HIDDEN_BIT - 1)) | (uint64_t)exponent << MANTISSA_BITS;
        memcpy(ret, &bits, sizeof(bits));
        return true;
}

/* The C library's, in the C locale, which glibc and musl keep as a constant: nothing to free. */
static double read_slowly(const char *text)
{
        locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
        double value = strtod_l(text, NULL, c);
        freelocale(c);
        return value;
}

double json_parse_double(const char *text)
{
        const bool negative = *text == '-';
        decimal d;
        double value = 0;
        if (!scan(text + negative, &d) ||
            (d.digits && !read_exact(d, &value) && !read_eisel_lemire(d, &value)))
                value = fabs(read_slowly(text));
        return negative ? -value : value;
}
