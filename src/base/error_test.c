/* SPDX-License-Identifier: MIT */
#include <sanjab/base.h>

#include "base/unit.h"

static void an_error_has_one_text_for_both_signs(void **state)
{
        (void)state;
        assert_string_equal(sj_strerror(-ETIMEDOUT), "timed out");
        assert_string_equal(sj_strerror(ETIMEDOUT), "timed out");
        assert_string_equal(sj_strerror(-ENOENT), "No such file or directory");
}

static void what_is_no_error_has_a_text_too(void **state)
{
        (void)state;
        const int strange[] = {INT32_MIN, INT32_MAX, -INT32_MAX, 123456};
        for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++)
                assert_true(strlen(sj_strerror(strange[i])) > 0);
        assert_string_equal(sj_strerror(123456), "unknown error");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_error_has_one_text_for_both_signs),
                cmocka_unit_test(what_is_no_error_has_a_text_too),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
