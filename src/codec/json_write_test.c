/* SPDX-License-Identifier: MIT */
/* Writing, building, and passing on. */
#include <sanjab/json.h>

#include "base/unit.h"
#include "codec/testdata.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static sj_arena *arena;
static sj_json_writer *w;

static int begin(void **state)
{
        (void)state;
        return sj_arena_new(&arena) || sj_json_writer_new(0, &w);
}

static int end(void **state)
{
        (void)state;
        sj_json_writer_free(w);
        sj_arena_free(arena);
        return 0;
}

static void use_flags(unsigned flags)
{
        sj_json_writer_free(w);
        assert_int_equal(sj_json_writer_new(flags, &w), 0);
}

static void assert_written(const char *expected)
{
        sj_str text = {0};
        assert_int_equal(sj_json_writer_end(w, &text), 0);
        assert_string_equal(text.data, expected);
        assert_int_equal(text.n, strlen(expected));
        sj_json_writer_reset(w);
}

static void assert_failed(int error)
{
        sj_str text = {0};
        assert_int_equal(sj_json_writer_end(w, &text), error);
        assert_null(text.data);
        /* It stays failed, whatever comes, until it is reset. */
        sj_json_write_null(w);
        assert_int_equal(sj_json_writer_end(w, &text), error);
        sj_json_writer_reset(w);
        sj_json_write_null(w);
        assert_written("null");
}

static const sj_json *parse(const char *text)
{
        const sj_json *v = NULL;
        assert_int_equal(sj_json_parse(arena, sj_str_of(text), SJ_JSON_PYTHON, &v, NULL), 0);
        return v;
}

static void assert_text(const sj_json *v, unsigned flags, const char *expected)
{
        sj_str text = {0};
        assert_int_equal(sj_json_text(arena, v, flags, &text), 0);
        assert_string_equal(text.data, expected);
        assert_int_equal(text.n, strlen(expected));
}

static void write_sample(void)
{
        sj_json_write_object_begin(w);
        sj_json_write_name(w, "a");
        sj_json_write_array_begin(w);
        sj_json_write_int(w, -1);
        sj_json_write_double(w, 0.5);
        sj_json_write_array_begin(w);
        sj_json_write_array_end(w);
        sj_json_write_array_end(w);
        sj_json_write_name(w, "b");
        sj_json_write_bool(w, true);
        sj_json_write_name(w, "c");
        sj_json_write_object_begin(w);
        sj_json_write_object_end(w);
        sj_json_write_name(w, "");
        sj_json_write_null(w);
        sj_json_write_object_end(w);
}

static void separators_follow_the_flags(void **state)
{
        (void)state;
        write_sample();
        assert_written("{\"a\":[-1,0.5,[]],\"b\":true,\"c\":{},\"\":null}");
        use_flags(SJ_JSON_SPACED);
        write_sample();
        assert_written("{\"a\": [-1, 0.5, []], \"b\": true, \"c\": {}, \"\": null}");
        use_flags(SJ_JSON_PRETTY);
        write_sample();
        assert_written("{\n  \"a\": [\n    -1,\n    0.5,\n    []\n  ],\n  \"b\": true,\n"
                       "  \"c\": {},\n  \"\": null\n}");
}

static void scalars_stand_alone(void **state)
{
        (void)state;
        sj_json_write_int(w, INT64_MIN);
        assert_written("-9223372036854775808");
        sj_json_write_bool(w, false);
        assert_written("false");
        sj_json_write_string(w, (sj_str){0});
        assert_written("\"\"");
        sj_json_write_raw(w, SJ_STR("[ 1 ]"));
        assert_written("[ 1 ]");
        sj_json_write_value(w, NULL);
        assert_written("null");
}

static void strings_are_escaped_as_in_python(void **state)
{
        (void)state;
        const sj_str all = SJ_STR("\"\\/\b\f\n\r\t\0\x1f\x7f \xc3\xa9\xf0\x9f\x98\x80");
        sj_json_write_string(w, all);
        assert_written("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f \xc3\xa9\xf0\x9f\x98\x80\"");
        use_flags(SJ_JSON_ASCII);
        sj_json_write_string(w, all);
        assert_written("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f \\u00e9\\ud83d\\ude00\"");
        sj_json_write_object_begin(w);
        sj_json_write_name(w, "\xd8\xb3\n");
        sj_json_write_null(w);
        sj_json_write_object_end(w);
        assert_written("{\"\\u0633\\n\":null}");
}

/* Every byte at every place around the sixteen that are looked at together, in exact memory. */
static void strings_of_every_length_and_with_every_byte(void **state)
{
        (void)state;
        for (size_t n = 0; n < 70; n++)
                for (int special = 0; special < 128; special++) {
                        char *text = malloc(n + 2);
                        sj_str written, read = {0};
                        const sj_json *v;
                        assert_non_null(text);
                        memset(text, 'x', n + 2);
                        text[n] = (char)special;
                        sj_json_write_string(w, (sj_str){text, n + 2});
                        assert_int_equal(sj_json_writer_end(w, &written), 0);
                        assert_int_equal(sj_json_parse(arena, written, 0, &v, NULL), 0);
                        assert_int_equal(sj_json_string(v, &read), 0);
                        assert_true(sj_str_equal(read, (sj_str){text, n + 2}));
                        free(text);
                        sj_json_writer_reset(w);
                        sj_arena_reset(arena);
                }
}

static void text_that_is_not_utf8_is_refused(void **state)
{
        (void)state;
        const char *wrong[] = {"\x80",     "0123456789abcdef\xff",    "\xc3", "\xe2\x82",
                               "\xc0\x80", "\xed\xa0\x80\xed\xb0\x80"};
        for (unsigned flags = 0; flags <= (SJ_JSON_PYTHON | SJ_JSON_ASCII); flags++) {
                use_flags(flags);
                for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                        sj_json_write_string(w, sj_str_of(wrong[i]));
                        assert_failed(-EINVAL);
                        sj_json_write_object_begin(w);
                        sj_json_write_name(w, wrong[i]);
                        sj_json_write_null(w);
                        sj_json_write_object_end(w);
                        assert_failed(-EINVAL);
                        assert_null(sj_json_new_string(arena, sj_str_of(wrong[i])));
                }
        }
}

static void what_only_python_has_needs_its_flag(void **state)
{
        (void)state;
        const double numbers[] = {NAN, INFINITY, -INFINITY};
        for (size_t i = 0; i < 3; i++) {
                sj_json_write_double(w, numbers[i]);
                assert_failed(-EINVAL);
        }
        sj_json_write_string(w, SJ_STR("\xed\xa0\x80"));
        assert_failed(-EINVAL);
        sj_json_write_value(w, parse("[[NaN]]"));
        assert_failed(-EINVAL);
        sj_json_write_value(w, parse("[\"\\ud800\"]"));
        assert_failed(-EINVAL);
        sj_json_write_value(w, parse("[1e999]"));
        assert_failed(-EINVAL);
        use_flags(SJ_JSON_PYTHON);
        sj_json_write_array_begin(w);
        for (size_t i = 0; i < 3; i++)
                sj_json_write_double(w, numbers[i]);
        sj_json_write_string(w, SJ_STR("\xed\xa0\x80\xed\xbf\xbf"));
        sj_json_write_array_end(w);
        assert_failed(-EINVAL);
        sj_json_write_array_begin(w);
        for (size_t i = 0; i < 3; i++)
                sj_json_write_double(w, numbers[i]);
        sj_json_write_string(w, SJ_STR("\xed\xbf\xbf\xed\xa0\x80"));
        sj_json_write_array_end(w);
        assert_written("[NaN,Infinity,-Infinity,\"\\udfff\\ud800\"]");
}

static void calls_out_of_place_are_refused(void **state)
{
        (void)state;
        sj_str text;
        assert_int_equal(sj_json_writer_end(w, &text), -EINVAL);
        sj_json_writer_reset(w);
        sj_json_write_null(w);
        sj_json_write_null(w);
        assert_failed(-EINVAL);
        sj_json_write_name(w, "a");
        assert_failed(-EINVAL);
        sj_json_write_array_end(w);
        assert_failed(-EINVAL);
        sj_json_write_array_begin(w);
        assert_failed(-EINVAL);
        sj_json_write_array_begin(w);
        sj_json_write_object_end(w);
        assert_failed(-EINVAL);
        sj_json_write_array_begin(w);
        sj_json_write_name(w, "a");
        assert_failed(-EINVAL);
        sj_json_write_object_begin(w);
        sj_json_write_int(w, 1);
        assert_failed(-EINVAL);
        sj_json_write_object_begin(w);
        sj_json_write_array_end(w);
        assert_failed(-EINVAL);
        sj_json_write_object_begin(w);
        sj_json_write_name(w, "a");
        sj_json_write_name(w, "b");
        assert_failed(-EINVAL);
        sj_json_write_object_begin(w);
        sj_json_write_name(w, "a");
        sj_json_write_object_end(w);
        assert_failed(-EINVAL);
        sj_json_write_raw(w, (sj_str){0});
        assert_failed(-EINVAL);
        sj_json_write_array_begin(w);
        sj_json_write_array_end(w);
        sj_json_write_array_begin(w);
        assert_failed(-EINVAL);
}

static void levels_of_both_kinds_are_told_apart_down_to_the_limit(void **state)
{
        (void)state;
        for (unsigned i = 0; i < SJ_JSON_DEPTH_MAX; i++) {
                if (i % 3) {
                        sj_json_write_array_begin(w);
                } else {
                        sj_json_write_object_begin(w);
                        if (i < SJ_JSON_DEPTH_MAX - 1)
                                sj_json_write_name(w, "a");
                }
        }
        for (unsigned i = SJ_JSON_DEPTH_MAX; i-- > 0;) {
                if (i % 3)
                        sj_json_write_array_end(w);
                else
                        sj_json_write_object_end(w);
        }
        sj_str text;
        const sj_json *v;
        assert_int_equal(sj_json_writer_end(w, &text), 0);
        assert_int_equal(sj_json_parse(arena, text, 0, &v, NULL), 0);
        sj_json_writer_reset(w);
        for (unsigned i = 0; i <= SJ_JSON_DEPTH_MAX; i++)
                sj_json_write_array_begin(w);
        assert_failed(-EMSGSIZE);
}

static void what_was_parsed_is_written_as_it_came(void **state)
{
        (void)state;
        const char *text = "[1.50, 1e2 , -0,\"\\u0061\\/\", 99999999999999999999999, { \"x\":1,"
                           " \"x\" : 2 }, NaN, \"\\ud800\", \"\xc3\xa9\"]";
        const sj_json *v = parse(text);
        assert_text(v, SJ_JSON_PYTHON, text);
        assert_text(v, SJ_JSON_PYTHON | SJ_JSON_SPACED, text);
        sj_json_write_array_begin(w);
        for (size_t i = 0; i < 6; i++)
                sj_json_write_value(w, sj_json_at(v, i));
        sj_json_write_array_end(w);
        assert_written(
                "[1.50,1e2,-0,\"\\u0061\\/\",99999999999999999999999,{ \"x\":1, \"x\" : 2 }]");
        const sj_json *const parts[] = {sj_json_at(v, 0), sj_json_at(v, 5), sj_json_at(v, 4)};
        assert_text(sj_json_new_array(arena, parts, 3), 0,
                    "[1.50,{ \"x\":1, \"x\" : 2 },99999999999999999999999]");
}

static void flags_that_forbid_the_bytes_rewrite_them(void **state)
{
        (void)state;
        const sj_json *v = parse("[{\"\xc3\xa9\" :1.50}, {\"x\" :1.50}, \"\\u00e9\", [ ]]");
        assert_text(v, SJ_JSON_ASCII, "[{\"\\u00e9\":1.50},{\"x\" :1.50},\"\\u00e9\",[ ]]");
        assert_text(v, SJ_JSON_PRETTY,
                    "[\n  {\n    \"\xc3\xa9\": 1.50\n  },\n  {\n    \"x\": 1.50\n  },\n"
                    "  \"\\u00e9\",\n  []\n]");
        sj_str text;
        assert_int_equal(sj_json_text(arena, parse("[NaN]"), 0, &text), -EINVAL);
        assert_int_equal(sj_json_text(arena, parse("\"\\udc00\""), SJ_JSON_ASCII, &text), -EINVAL);
}

static void built_values_are_read_and_written(void **state)
{
        (void)state;
        const sj_str names[] = {SJ_STR("n"), SJ_STR("t"), SJ_STR("i"), SJ_STR("d"),
                                SJ_STR("s"), SJ_STR("a"), SJ_STR("r"), SJ_STR("")};
        const sj_json *values[8] = {
                sj_json_new_null(arena),
                sj_json_new_bool(arena, true),
                sj_json_new_int(arena, 7),
                sj_json_new_double(arena, 7),
                sj_json_new_string(arena, SJ_STR("a\0b")),
                sj_json_new_array(arena, NULL, 0),
                sj_json_new_raw(arena, SJ_STR(" [1 ] "), 0),
                sj_json_new_object(arena, NULL, NULL, 0),
        };
        const sj_json *v = sj_json_new_object(arena, names, values, 8);
        const char *expected = "{\"n\":null,\"t\":true,\"i\":7,\"d\":7.0,\"s\":\"a\\u0000b\","
                               "\"a\":[],\"r\":[1 ],\"\":{}}";
        assert_text(v, 0, expected);
        assert_true(sj_json_equal(v, parse(expected)));
        assert_int_equal(sj_json_raw(v).n, 0);
        assert_null(sj_json_raw(sj_json_member(v, "i")).data);
        values[3] = NULL;
        assert_null(sj_json_new_object(arena, names, values, 8));
        assert_null(sj_json_new_array(arena, values, 8));
        const sj_str wrong = SJ_STR("\xff");
        assert_null(sj_json_new_object(arena, &wrong, values, 1));
        assert_null(sj_json_new_raw(arena, SJ_STR("[1"), 0));
        assert_null(sj_json_new_raw(arena, SJ_STR("NaN"), 0));
        assert_non_null(sj_json_new_raw(arena, SJ_STR("NaN"), SJ_JSON_PYTHON));
}

static void values_built_too_deep_are_neither_written_nor_equal(void **state)
{
        (void)state;
        const sj_json *v = sj_json_new_null(arena);
        sj_str text;
        for (unsigned i = 0; i < SJ_JSON_DEPTH_MAX; i++)
                v = sj_json_new_array(arena, &v, 1);
        assert_int_equal(sj_json_text(arena, v, 0, &text), 0);
        assert_true(sj_json_equal(v, v));
        for (unsigned i = 0; i < 100000; i++)
                v = sj_json_new_array(arena, &v, 1);
        assert_int_equal(sj_json_text(arena, v, 0, &text), -EMSGSIZE);
        assert_false(sj_json_equal(v, v));
}

static void messages_come_back_equal_in_every_form(void **state)
{
        (void)state;
        const char *names[] = {"task-simple.json", "result-failure.json",
                               "result-success-complex.json"};
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                char path[512], text[65536];
                snprintf(path, sizeof(path), "%s/%s", TESTDATA, names[i]);
                FILE *f = fopen(path, "rb");
                assert_non_null(f);
                size_t n = fread(text, 1, sizeof(text) - 1, f);
                text[n] = '\0';
                fclose(f);
                const sj_json *v = parse(text);
                assert_text(v, 0, text);
                for (unsigned flags = 0; flags < 16; flags++) {
                        sj_str again;
                        assert_int_equal(sj_json_text(arena, v, flags, &again), 0);
                        assert_true(sj_json_equal(v, parse(again.data)));
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(separators_follow_the_flags, begin, end),
                cmocka_unit_test_setup_teardown(scalars_stand_alone, begin, end),
                cmocka_unit_test_setup_teardown(strings_are_escaped_as_in_python, begin, end),
                cmocka_unit_test_setup_teardown(strings_of_every_length_and_with_every_byte, begin,
                                                end),
                cmocka_unit_test_setup_teardown(text_that_is_not_utf8_is_refused, begin, end),
                cmocka_unit_test_setup_teardown(what_only_python_has_needs_its_flag, begin, end),
                cmocka_unit_test_setup_teardown(calls_out_of_place_are_refused, begin, end),
                cmocka_unit_test_setup_teardown(
                        levels_of_both_kinds_are_told_apart_down_to_the_limit, begin, end),
                cmocka_unit_test_setup_teardown(what_was_parsed_is_written_as_it_came, begin, end),
                cmocka_unit_test_setup_teardown(flags_that_forbid_the_bytes_rewrite_them, begin,
                                                end),
                cmocka_unit_test_setup_teardown(built_values_are_read_and_written, begin, end),
                cmocka_unit_test_setup_teardown(values_built_too_deep_are_neither_written_nor_equal,
                                                begin, end),
                cmocka_unit_test_setup_teardown(messages_come_back_equal_in_every_form, begin, end),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
