/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

#include "base/unit.h"

static void every_character_comes_back(void **state)
{
        (void)state;
        for (uint32_t c = 0; c <= 0x10ffff; c++) {
                char bytes[4];
                uint32_t back = UINT32_MAX;
                unsigned n = utf8_encode(c, bytes);
                sj_str text = {bytes, n};
                bool surrogate = utf8_is_surrogate(c);
                assert_int_equal(utf8_decode(bytes, bytes + n, UTF8_WTF, &back), n);
                assert_int_equal(back, c);
                assert_int_equal(utf8_decode(bytes, bytes + n, UTF8_STRICT, &back),
                                 surrogate ? 0 : n);
                assert_true(utf8_valid(text, UTF8_WTF));
                assert_int_equal(utf8_valid(text, UTF8_STRICT), !surrogate);
                if (n > 1)
                        assert_int_equal(utf8_decode(bytes, bytes + n - 1, UTF8_WTF, &back), 0);
        }
}

/* All sequences of up to three bytes: what is accepted must be what encoding gives. */
static void accepts_only_what_encoding_gives(void **state)
{
        (void)state;
        for (uint32_t bits = 0; bits < 1u << 24; bits++) {
                char bytes[4] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits}, again[4];
                uint32_t c;
                unsigned n = utf8_decode(bytes, bytes + 3, UTF8_WTF, &c);
                if (n == 0)
                        continue;
                if (utf8_encode(c, again) != n || memcmp(again, bytes, n) != 0)
                        fail_msg("another spelling of %x", c);
        }
}

static void refuses_overlong_truncated_and_too_large(void **state)
{
        (void)state;
        const char *wrong[] = {
                "\x80",         "\xc0\x80",         "\xc1\xbf",     "\xc3",
                "\xe0\x9f\xbf", "\xe2\x82",         "\xf5",         "\xf0\x8f\xbf\xbf",
                "\xff",         "\xf4\x90\x80\x80", "\xc3(",        "\xf0\x9f\x98",
                "\xfe",         "\xe2\x82(",        "\xf0\x9f\x98("};
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                char text[32] = "0123456789";
                strcat(text, wrong[i]);
                assert_false(utf8_valid(sj_str_of(text), UTF8_WTF));
                assert_true(utf8_valid((sj_str){text, 10}, UTF8_STRICT));
        }
}

static void a_surrogate_pair_as_six_bytes_is_refused(void **state)
{
        (void)state;
        assert_false(utf8_valid(SJ_STR("\xed\xa0\x80\xed\xb0\x80"), UTF8_WTF));
        assert_true(utf8_valid(SJ_STR("\xed\xb0\x80\xed\xa0\x80"), UTF8_WTF));
        assert_true(utf8_valid(SJ_STR("\xed\xa0\x80.\xed\xb0\x80"), UTF8_WTF));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_character_comes_back),
                cmocka_unit_test(accepts_only_what_encoding_gives),
                cmocka_unit_test(refuses_overlong_truncated_and_too_large),
                cmocka_unit_test(a_surrogate_pair_as_six_bytes_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
