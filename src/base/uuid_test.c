/* SPDX-License-Identifier: MIT */
#include "base/uuid.h"

#include "base/unit.h"

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

static void every_byte_stands_in_its_place(void **state)
{
        (void)state;
        const unsigned char random[UUID_BYTES] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                                  0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10};
        char text[UUID_LENGTH + 1];
        uuid_format_ordered(0x0123456789ab, random, text);
        assert_string_equal(text, "01234567-89ab-7def-bedc-ba9876543210");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_moment_and_random_bytes_become_version_7),
                cmocka_unit_test(every_byte_stands_in_its_place),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
