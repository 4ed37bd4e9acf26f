/* SPDX-License-Identifier: MIT */
#include "codec/json_number.h"

#include "base/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Large integers, just enough to compute the powers of ten exactly: the lowest word first. */
enum { WORDS = 48 };
typedef struct large {
        uint32_t words[WORDS];
} large;

static large large_of(uint64_t high, uint64_t low)
{
        return (large){
                {(uint32_t)low, (uint32_t)(low >> 32), (uint32_t)high, (uint32_t)(high >> 32)}};
}

static void large_times_ten(large *x, int times)
{
        for (; times > 0; times--) {
                uint64_t carry = 0;
                for (size_t i = 0; i < WORDS; i++) {
                        carry += (uint64_t)x->words[i] * 10;
                        x->words[i] = (uint32_t)carry;
                        carry >>= 32;
                }
                assert_int_equal(carry, 0);
        }
}

static int large_compare(const large *a, const large *b)
{
        for (size_t i = WORDS; i-- > 0;)
                if (a->words[i] != b->words[i])
                        return a->words[i] < b->words[i] ? -1 : 1;
        return 0;
}

static bool large_bit(const large *x, unsigned bit)
{
        return x->words[bit / 32] >> bit % 32 & 1;
}

static unsigned large_bits(const large *x)
{
        unsigned n = WORDS * 32;
        while (n > 0 && !large_bit(x, n - 1))
                n--;
        return n;
}

/* g is the least integer with g * 10^n >= 2^s, s being what makes g 128 bits long. */
static void check_negative_power(json_power g, int n)
{
        large product = large_of(g.high, g.low), power = large_of(0, 1);
        large_times_ten(&product, n);
        large_times_ten(&power, n);
        unsigned top = large_bits(&product) - 1;
        product.words[top / 32] &= ~(1u << top % 32);
        assert_true(large_compare(&product, &power) < 0);
}

/* g is the highest 128 bits of 10^n, rounded up. */
static void check_power(json_power g, int n)
{
        large power = large_of(0, 1);
        large_times_ten(&power, n);
        unsigned top = large_bits(&power);
        uint64_t high = 0, low = 0;
        bool more = false;
        for (unsigned i = 0; i < 128; i++) {
                high = high << 1 | low >> 63;
                low = low << 1 | (i < top && large_bit(&power, top - 1 - i));
        }
        for (unsigned i = 128; i < top; i++)
                more |= large_bit(&power, top - 1 - i);
        low += more;
        high += more && low == 0;
        assert_true(g.high == high && g.low == low);
}

static void the_powers_of_ten_are_right(void **state)
{
        (void)state;
        for (int k = JSON_POWER_MIN; k <= JSON_POWER_MAX; k++) {
                json_power g = json_powers[k - JSON_POWER_MIN];
                assert_true(g.high >> 63);
                if (k < 0)
                        check_negative_power(g, -k);
                else
                        check_power(g, k);
        }
}

static void assert_writes(double value, const char *expected)
{
        char text[JSON_NUMBER_ROOM + 1];
        text[json_format_double(value, text)] = '\0';
        assert_string_equal(text, expected);
}

static void doubles_look_as_in_python(void **state)
{
        (void)state;
        assert_writes(0.0, "0.0");
        assert_writes(-0.0, "-0.0");
        assert_writes(1.0, "1.0");
        assert_writes(-1.5, "-1.5");
        assert_writes(0.1, "0.1");
        assert_writes(100.0, "100.0");
        assert_writes(123456.789, "123456.789");
        assert_writes(0.0001, "0.0001");
        assert_writes(0.00012345, "0.00012345");
        assert_writes(0.00001, "1e-05");
        assert_writes(1e15, "1000000000000000.0");
        assert_writes(9999999999999998.0, "9999999999999998.0");
        assert_writes(1e16, "1e+16");
        assert_writes(1.25e22, "1.25e+22");
        assert_writes(1e23, "1e+23");
        assert_writes(1e100, "1e+100");
        assert_writes(-1.5e-300, "-1.5e-300");
        assert_writes(5e-324, "5e-324");
        assert_writes(2.2250738585072014e-308, "2.2250738585072014e-308");
        assert_writes(1.7976931348623157e308, "1.7976931348623157e+308");
        assert_writes(9007199254740993.0, "9007199254740992.0");
        assert_writes(1795156953.2145236, "1795156953.2145236");
        assert_writes(2e-3, "0.002");
        assert_writes(5e-05, "5e-05");
        /* Half way between two texts of the shortest length, so the even one. */
        assert_writes(0x1p-25, "2.9802322387695312e-08");
        assert_writes(0x1p-44, "5.684341886080802e-14");
        assert_writes(0x3p-24, "1.7881393432617188e-07");
        assert_writes(0x5p-23, "5.960464477539062e-07");
        assert_writes(9.5367431640625e-07, "9.5367431640625e-07");
}

static uint64_t next_random(uint64_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

/* Any bits; every fourth a power of two, a subnormal, or of a middling size. */
static double random_double(uint64_t *state)
{
        uint64_t bits = next_random(state);
        const uint64_t kind = next_random(state) % 12, mantissa = ((uint64_t)1 << 52) - 1;
        if (kind == 0)
                bits &= ~mantissa;
        else if (kind == 1)
                bits &= mantissa | (uint64_t)1 << 63;
        else if (kind == 2)
                bits = (bits & ~((uint64_t)0x7ff << 52)) | ((bits >> 56 & 63) + 1000) << 52;
        double value;
        memcpy(&value, &bits, sizeof(value));
        return value;
}

/* The fewest digits with which the C library gets the value back. */
static unsigned digits_needed(double value)
{
        char text[64];
        unsigned n = 1;
        for (; n < 17; n++) {
                snprintf(text, sizeof(text), "%.*e", (int)n - 1, value);
                if (strtod(text, NULL) == value)
                        break;
        }
        return n;
}

static unsigned count_digits(const char *text)
{
        unsigned n = 0, zeros = 0;
        for (; *text && *text != 'e'; text++) {
                if (*text < '0' || *text > '9' || (n == 0 && *text == '0'))
                        continue;
                n++;
                zeros = *text == '0' ? zeros + 1 : 0;
        }
        return n - zeros;
}

static void assert_same_bits(const char *text, double a, double b)
{
        if (memcmp(&a, &b, sizeof(a)) != 0)
                fail_msg("%s is %.17g, not %.17g", text, b, a);
}

static void random_doubles_come_back_by_bits_with_the_fewest_digits(void **state)
{
        (void)state;
        uint64_t seed = 88172645463325252u;
        for (unsigned i = 0; i < 100000; i++) {
                char text[JSON_NUMBER_ROOM + 1];
                double value = random_double(&seed);
                if (!isfinite(value) || value == 0)
                        continue;
                text[json_format_double(value, text)] = '\0';
                assert_same_bits(text, value, strtod(text, NULL));
                assert_same_bits(text, value, json_parse_double(text));
                if (i % 10 == 0 && count_digits(text) > digits_needed(value))
                        fail_msg("%s is longer than needed", text);
        }
}

static void assert_reads_as_the_c_library(const char *text)
{
        assert_same_bits(text, strtod(text, NULL), json_parse_double(text));
}

static void texts_of_any_precision_are_read_as_by_the_c_library(void **state)
{
        (void)state;
        uint64_t seed = 4711;
        for (unsigned i = 0; i < 100000; i++) {
                char text[400];
                uint64_t random = next_random(&seed);
                snprintf(text, sizeof(text), "%.*e", (int)(random % 25), random_double(&seed));
                if (strchr("in", text[text[0] == '-']))
                        continue;
                assert_reads_as_the_c_library(text);
                snprintf(text, sizeof(text), "%s%llu.%0*lluE%d", random & 1 ? "-" : "",
                         (unsigned long long)next_random(&seed) >> random % 64, (int)(random % 20),
                         (unsigned long long)next_random(&seed) >> random % 61,
                         (int)(random % 700) - 350);
                assert_reads_as_the_c_library(text);
        }
}

static void hard_texts_are_read_as_by_the_c_library(void **state)
{
        (void)state;
        const char *texts[] = {
                "0",
                "-0",
                "0.0",
                "-0.0",
                "0e999",
                "1e-400",
                "1e400",
                "-1e400",
                "1E+5",
                "1e-5",
                "9007199254740993",
                "9007199254740992.5",
                "9007199254740993.0000000000000001",
                "179769313486231580793e289",
                "1.7976931348623158e308",
                "1.7976931348623159e308",
                "2.2250738585072011e-308",
                "2.2250738585072014e-308",
                "4.9e-324",
                "2.4e-324",
                "2.4703282292062327e-324",
                "2.4703282292062328e-324",
                "18446744073709551615",
                "18446744073709551616",
                "9223372036854775807.5",
                "0.000000000000000000000000001",
                "123456789012345678901234567890",
                "1e22",
                "1e23",
                "8.41e21",
                "9.5367431640625e-7",
                "6.02214076e23",
                "7.2057594037927933e16",
                "45035996273704985e-1",
                "0.5e-323",
                "10000000000000000000000000000000000000000",
                "1e99999999999999999999",
                "1e-99999999999999999999",
                "0.1e99999999999",
                "5e-20",
                "3.5844466002796428e+298",
        };
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                assert_reads_as_the_c_library(texts[i]);
        char many[2000];
        memset(many, '7', sizeof(many));
        many[1] = '.';
        memcpy(many + sizeof(many) - 6, "e+100", 6);
        assert_reads_as_the_c_library(many);
        memset(many, '0', 1500);
        many[1] = '.';
        assert_reads_as_the_c_library(many);
}

static void assert_writes_int(int64_t value)
{
        char text[JSON_NUMBER_ROOM + 1], expected[32];
        text[json_format_int(value, text)] = '\0';
        snprintf(expected, sizeof(expected), "%lld", (long long)value);
        assert_string_equal(text, expected);
}

static void integers_are_written_over_the_whole_range(void **state)
{
        (void)state;
        assert_writes_int(INT64_MAX);
        assert_writes_int(INT64_MIN);
        assert_writes_int(INT64_MIN + 1);
        assert_writes_int(0);
        int64_t power = 1;
        for (unsigned digits = 0; digits < 18; digits++, power *= 10)
                for (int64_t near = -1; near <= 1; near++) {
                        assert_writes_int(power + near);
                        assert_writes_int(-power - near);
                }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_powers_of_ten_are_right),
                cmocka_unit_test(doubles_look_as_in_python),
                cmocka_unit_test(random_doubles_come_back_by_bits_with_the_fewest_digits),
                cmocka_unit_test(texts_of_any_precision_are_read_as_by_the_c_library),
                cmocka_unit_test(hard_texts_are_read_as_by_the_c_library),
                cmocka_unit_test(integers_are_written_over_the_whole_range),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
