/* SPDX-License-Identifier: MIT */
#include "base/arena_unit.h"

#include <sanjab/json.h>

static const sj_json *parse(const char *text)
{
        const sj_json *v;
        assert_int_equal(sj_json_parse(arena, sj_str_of(text), SJ_JSON_PYTHON, &v, NULL), 0);
        return v;
}

static void written_is(const sj_json *v, const char *expected)
{
        sj_str text;
        assert_non_null(v);
        assert_int_equal(sj_json_text(arena, v, SJ_JSON_SPACED | SJ_JSON_ASCII, &text), 0);
        assert_string_equal(text.data, expected);
}

static void a_moment_is_read_with_and_without_its_type(void **state)
{
        (void)state;
        static const struct {
                const char *json;
                int64_t us;
        } moments[] = {
                {"{\"__type__\": \"datetime\", \"__value__\": "
                 "\"2024-01-02T03:04:05.000006+00:00\"}",
                 1704164645000006},
                {"{\"__type__\": \"datetime\", \"__value__\": \"2024-01-02T03:04:05+02:00\"}",
                 1704157445000000},
                {"{\"__value__\": \"2024-01-02T03:04:05\", \"__type__\": \"datetime\"}",
                 1704164645000000},
                {"{\"__type__\": \"date\", \"__value__\": \"2024-01-02\"}", 1704153600000000},
                {"\"2024-01-02T03:04:05Z\"", 1704164645000000},
                {"\"2024-01-02T00:00:00\"", 1704153600000000}};
        sj_wall when;
        for (size_t i = 0; i < sizeof(moments) / sizeof(*moments); i++) {
                assert_int_equal(sj_json_datetime(parse(moments[i].json), &when), 0);
                assert_true(when.us == moments[i].us);
        }
        static const char *const none[] = {
                "7",
                "\"soon\"",
                "null",
                "{\"__type__\": \"decimal\", \"__value__\": \"2024-01-02\"}",
                "{\"__type__\": \"date\", \"__value__\": \"2024-13-02\"}",
                "{\"__type__\": \"date\", \"__value__\": \"2024-01-02\", \"x\": 1}",
                "{\"__type__\": \"date\", \"__value__\": 7}"};
        for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
                assert_int_equal(sj_json_datetime(parse(none[i]), &when), -EINVAL);
        assert_int_equal(sj_json_datetime(NULL, &when), -ENOENT);
        written_is(sj_json_new_datetime(arena, (sj_wall){1704164645000006}),
                   "{\"__type__\": \"datetime\", \"__value__\": "
                   "\"2024-01-02T03:04:05.000006+00:00\"}");
}

static void a_decimal_keeps_its_digits(void **state)
{
        (void)state;
        static const char *const good[] = {"0",
                                           "-1.10",
                                           "+.5",
                                           "5.",
                                           "1E+3",
                                           "1e-30",
                                           "123456789012345678901234567890.1",
                                           "NaN",
                                           "sNaN12",
                                           "-nan",
                                           "Infinity",
                                           "-inf"};
        static const char *const bad[] = {"",    "-",    ".",       "1..2", "1e",
                                          "1e+", "0x10", "infinit", "1 "};
        sj_str text;
        for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
                const sj_json *v = sj_json_new_decimal(arena, good[i]);
                assert_int_equal(sj_json_decimal(v, &text), 0);
                assert_true(sj_str_equal(text, sj_str_of(good[i])));
                assert_int_equal(
                        sj_json_decimal(sj_json_new_string(arena, sj_str_of(good[i])), &text), 0);
        }
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                assert_null(sj_json_new_decimal(arena, bad[i]));
                assert_int_equal(
                        sj_json_decimal(sj_json_new_string(arena, sj_str_of(bad[i])), &text),
                        -EINVAL);
        }
        assert_int_equal(sj_json_decimal(parse("1.5"), &text), -EINVAL);
        written_is(sj_json_new_decimal(arena, "1.10"),
                   "{\"__type__\": \"decimal\", \"__value__\": \"1.10\"}");
}

static void a_uuid_is_read_in_each_of_its_forms(void **state)
{
        (void)state;
        static const char *const good[] = {"{\"__type__\": \"uuid\", \"__value__\": {\"hex\": "
                                           "\"0123456789ABcdef0123456789abcdef\"}}",
                                           "{\"__type__\": \"uuid\", \"__value__\": {\"hex\": "
                                           "\"0123456789abcdef0123456789abcdef\", \"version\": 4}}",
                                           "\"01234567-89ab-cdef-0123-456789abcdef\"",
                                           "\"0123456789abcdef0123456789abcdef\""};
        static const char *const bad[] = {"\"01234567-89ab-cdef-0123-456789abcde\"",
                                          "\"01234567x89ab-cdef-0123-456789abcdef\"",
                                          "\"0123456789abcdef0123456789abcdeg\"",
                                          "{\"hex\": \"x\"}",
                                          "{\"__type__\": \"uuid\", \"__value__\": {}}",
                                          "7"};
        char uuid[37];
        for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
                assert_int_equal(sj_json_uuid(parse(good[i]), uuid), 0);
                assert_string_equal(uuid, "01234567-89ab-cdef-0123-456789abcdef");
        }
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
                assert_int_equal(sj_json_uuid(parse(bad[i]), uuid), -EINVAL);
        assert_int_equal(sj_json_uuid(NULL, uuid), -ENOENT);
        assert_null(sj_json_new_uuid(arena, "x"));
        written_is(sj_json_new_uuid(arena, uuid),
                   "{\"__type__\": \"uuid\", \"__value__\": {\"hex\": "
                   "\"0123456789abcdef0123456789abcdef\"}}");
}

static void bytes_are_text_or_base64(void **state)
{
        (void)state;
        const sj_str all[] = {SJ_STR(""), SJ_STR("h\xc3\xa9"), SJ_STR("\xff\x00x")};
        sj_str bytes;
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(sj_json_bytes(sj_json_new_bytes(arena, all[i]), arena, &bytes), 0);
                assert_true(sj_str_equal(bytes, all[i]));
        }
        written_is(sj_json_new_bytes(arena, all[1]),
                   "{\"__type__\": \"bytes\", \"__value__\": \"h\\u00e9\"}");
        written_is(sj_json_new_bytes(arena, all[2]),
                   "{\"__type__\": \"base64\", \"__value__\": \"/wB4\"}");
        assert_int_equal(sj_json_bytes(parse("\"bare\""), arena, &bytes), 0);
        assert_true(sj_str_equal(bytes, SJ_STR("bare")));
        assert_int_equal(sj_json_bytes(parse("{\"__type__\": \"base64\", \"__value__\": \"!\"}"),
                                       arena, &bytes),
                         -EINVAL);
        assert_int_equal(sj_json_bytes(NULL, arena, &bytes), -ENOENT);
}

static void what_is_typed_is_an_object_of_exactly_two_members(void **state)
{
        (void)state;
        const sj_json *value = NULL;
        const sj_json *v = parse("{\"__value__\": [1], \"__type__\": \"own\"}");
        assert_true(sj_str_equal(sj_json_typed(v, &value), SJ_STR("own")));
        assert_int_equal(sj_json_count(value), 1);
        assert_null(sj_json_typed(parse("{\"__type__\": \"own\"}"), NULL).data);
        assert_null(sj_json_typed(parse("{\"__type__\": 1, \"__value__\": 2}"), NULL).data);
        assert_null(sj_json_typed(parse("[1, 2]"), NULL).data);
        assert_null(sj_json_typed(NULL, NULL).data);
        assert_null(sj_json_new_typed(arena, "own", NULL));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                ARENA_TEST(a_moment_is_read_with_and_without_its_type),
                ARENA_TEST(a_decimal_keeps_its_digits),
                ARENA_TEST(a_uuid_is_read_in_each_of_its_forms),
                ARENA_TEST(bytes_are_text_or_base64),
                ARENA_TEST(what_is_typed_is_an_object_of_exactly_two_members),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
