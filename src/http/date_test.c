/* SPDX-License-Identifier: MIT */
#include "http/date.h"

#include "base/unit.h"

static void writes_the_standards_form(void **state)
{
        (void)state;
        static const struct {
                int64_t seconds;
                const char *text;
        } cases[] = {
                {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
                {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
                {-1, "Wed, 31 Dec 1969 23:59:59 GMT"},
                {951827696, "Tue, 29 Feb 2000 12:34:56 GMT"},
                {4102444800, "Fri, 01 Jan 2100 00:00:00 GMT"},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char text[HTTP_DATE_LENGTH + 1];
                assert_int_equal(http_date_format((sj_wall){cases[i].seconds * 1000000}, text), 0);
                assert_string_equal(text, cases[i].text);
        }
        char text[HTTP_DATE_LENGTH + 1];
        assert_int_equal(http_date_format((sj_wall){INT64_MAX}, text), -ERANGE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(writes_the_standards_form)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
