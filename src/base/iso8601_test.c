/* SPDX-License-Identifier: MIT */
#include "base/iso8601.h"

#include "base/unit.h"

static void assert_reads(const char *text, int64_t us)
{
        sj_wall when = {-1};
        if (iso8601_parse(sj_str_of(text), &when) != 0)
                fail_msg("refused: %s", text);
        if (when.us != us)
                fail_msg("%s: %lld", text, (long long)when.us);
}

static void reads_every_form(void **state)
{
        (void)state;
        assert_reads("1970-01-01T00:00:00", 0);
        assert_reads("1970-01-01T00:00:00Z", 0);
        assert_reads("1970-01-01T00:00:00+00:00", 0);
        assert_reads("1970-01-01T00:00:00-00:00", 0);
        assert_reads("1970-01-01 00:00:01.5", 1500000);
        assert_reads("1970-01-01t00:00:00.000001Z", 1);
        assert_reads("1970-01-01_00:00:00.1234567899", 123456);
        assert_reads("1970-01-01\xe2\x80\xaf"
                     "00:00:00",
                     0);
        assert_reads("1970-01-01T01:00:00+01:00", 0);
        assert_reads("1969-12-31T18:29:59.75-05:30", -250000);
        assert_reads("2024-02-29T12:34:56.789012+03:30", 1709197496789012);
        assert_reads("2000-02-29T00:00:00", 951782400000000);
        assert_reads("0001-01-01T00:00:00", -62135596800000000);
        assert_reads("9999-12-31T23:59:59.999999", 253402300799999999);
}

static void refuses_the_rest(void **state)
{
        (void)state;
        const char *wrong[] = {
                "",
                "1970",
                "1970-01-01",
                "1970-01-01T",
                "1970-01-01T00:00",
                "1970-01-01T00:00Z",
                "1970-1-01T00:00:00",
                "70-01-01T00:00:00",
                "19700101T000000",
                " 1970-01-01T00:00:00",
                "1970-01-01T00:00:00 ",
                "1970-01-01TT00:00:00",
                "1970-01-01\37700:00:00",
                "1970-01-01T00:00:00.",
                "1970-01-01T00:00:00.Z",
                "1970-01-01T00:00:00,5",
                "1970-01-01T00:00:00z",
                "1970-01-01T00:00:00ZZ",
                "1970-01-01T00:00:00+",
                "1970-01-01T00:00:00+01",
                "1970-01-01T00:00:00+0100",
                "1970-01-01T00:00:00+01:0",
                "1970-01-01T00:00:00+01:00:00",
                "1970-01-01T00:00:00+24:00",
                "1970-01-01T00:00:00+00:60",
                "1970-01-01T00:00:00*01:00",
                "1970-01-01T24:00:00",
                "1970-01-01T00:60:00",
                "1970-01-01T23:59:60",
                "1970-13-01T00:00:00",
                "1970-00-01T00:00:00",
                "1970-01-00T00:00:00",
                "1970-01-32T00:00:00",
                "1970-02-29T00:00:00",
                "1900-02-29T00:00:00",
                "2024-04-31T00:00:00",
                "0000-01-01T00:00:00",
                "-001-01-01T00:00:00",
                "1970-01-01T-1:00:00",
                "10000-01-01T00:00:00",
                "now",
        };
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                sj_wall when = {42};
                if (iso8601_parse(sj_str_of(wrong[i]), &when) != -EBADMSG)
                        fail_msg("accepted: %s", wrong[i]);
                assert_int_equal(when.us, 42);
        }
}

static void refuses_every_truncation_within_the_seconds(void **state)
{
        (void)state;
        const char *text = "2024-02-29T12:34:56";
        for (size_t n = 0; n < strlen(text); n++) {
                sj_wall when;
                assert_int_equal(iso8601_parse((sj_str){text, n}, &when), -EBADMSG);
        }
}

static void writes_what_it_reads_over_all_the_years(void **state)
{
        (void)state;
        char text[ISO8601_LENGTH + 1];
        const int64_t step = 86399999983; /* about a day, so that every field moves */
        for (int64_t us = -62135596800000000; us <= 253402300799999999; us += step) {
                sj_wall back = {-1};
                assert_int_equal(iso8601_format((sj_wall){us}, text), 0);
                assert_int_equal(iso8601_parse((sj_str){text, ISO8601_LENGTH}, &back), 0);
                if (back.us != us)
                        fail_msg("%lld is %s", (long long)us, text);
        }
}

static void writes_six_digits_and_an_offset(void **state)
{
        (void)state;
        char text[ISO8601_LENGTH + 1];
        assert_int_equal(iso8601_format((sj_wall){0}, text), 0);
        assert_string_equal(text, "1970-01-01T00:00:00.000000+00:00");
        assert_int_equal(iso8601_format((sj_wall){-1}, text), 0);
        assert_string_equal(text, "1969-12-31T23:59:59.999999+00:00");
        assert_int_equal(iso8601_format((sj_wall){1709211296789012}, text), 0);
        assert_string_equal(text, "2024-02-29T12:54:56.789012+00:00");
}

static void years_of_other_than_four_digits_are_not_written(void **state)
{
        (void)state;
        char text[ISO8601_LENGTH + 1];
        assert_int_equal(iso8601_format((sj_wall){253402300800000000}, text), -ERANGE);
        assert_int_equal(iso8601_format((sj_wall){-62135596800000001}, text), -ERANGE);
        assert_int_equal(iso8601_format((sj_wall){INT64_MAX}, text), -ERANGE);
        assert_int_equal(iso8601_format((sj_wall){INT64_MIN}, text), -ERANGE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(reads_every_form),
                cmocka_unit_test(refuses_the_rest),
                cmocka_unit_test(refuses_every_truncation_within_the_seconds),
                cmocka_unit_test(writes_what_it_reads_over_all_the_years),
                cmocka_unit_test(writes_six_digits_and_an_offset),
                cmocka_unit_test(years_of_other_than_four_digits_are_not_written),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
