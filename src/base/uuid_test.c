/* SPDX-License-Identifier: MIT */
#include "base/uuid.h"

#include "base/unit.h"

static void random_bytes_become_version_4(void **state)
{
        (void)state;
        unsigned char bytes[UUID_BYTES];
        char text[UUID_LENGTH + 1];
        memset(bytes, 0xff, sizeof(bytes));
        uuid_format_random(bytes, text);
        assert_string_equal(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        memset(bytes, 0, sizeof(bytes));
        uuid_format_random(bytes, text);
        assert_string_equal(text, "00000000-0000-4000-8000-000000000000");
}

static void a_moment_and_random_bytes_become_version_7(void **state)
{
        (void)state;
        unsigned char bytes[UUID_BYTES];
        char text[UUID_LENGTH + 1], later[UUID_LENGTH + 1];
        memset(bytes, 0xff, sizeof(bytes));
        uuid_format_ordered(0x017f22e279b0, bytes, text);
        assert_string_equal(text, "017f22e2-79b0-7fff-bfff-ffffffffffff");
        memset(bytes, 0, sizeof(bytes));
        uuid_format_ordered(0x017f22e279b1, bytes, later);
        assert_string_equal(later, "017f22e2-79b1-7000-8000-000000000000");
        assert_true(strcmp(text, later) < 0);
}

static void text_and_bytes_agree_in_any_case(void **state)
{
        (void)state;
        const unsigned char expected[UUID_BYTES] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                                    0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10};
        unsigned char bytes[UUID_BYTES];
        char text[UUID_LENGTH + 1];
        assert_int_equal(uuid_parse(SJ_STR("01234567-89AB-CdEf-fedc-BA9876543210"), bytes), 0);
        assert_memory_equal(bytes, expected, UUID_BYTES);
        uuid_format(bytes, text);
        assert_string_equal(text, "01234567-89ab-cdef-fedc-ba9876543210");
}

static void every_wrong_character_is_refused(void **state)
{
        (void)state;
        const char *good = "01234567-89ab-cdef-fedc-ba9876543210";
        for (size_t place = 0; place < UUID_LENGTH; place++)
                for (int c = 0; c < 256; c++) {
                        char text[UUID_LENGTH + 1];
                        memcpy(text, good, sizeof(text));
                        text[place] = (char)c;
                        bool fits = good[place] == '-' ? c == '-'
                                                       : c && strchr("0123456789abcdefABCDEF", c);
                        assert_int_equal(uuid_valid((sj_str){text, UUID_LENGTH}), fits);
                }
        for (size_t n = 0; n < UUID_LENGTH; n++)
                assert_false(uuid_valid((sj_str){good, n}));
        assert_false(uuid_valid(SJ_STR("01234567-89ab-cdef-fedc-ba98765432100")));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(random_bytes_become_version_4),
                cmocka_unit_test(a_moment_and_random_bytes_become_version_7),
                cmocka_unit_test(text_and_bytes_agree_in_any_case),
                cmocka_unit_test(every_wrong_character_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
