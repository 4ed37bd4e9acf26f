/* SPDX-License-Identifier: MIT */
/* Python's repr, as expected from Python itself. */
#include "queue/message/message_unit.h"

#include <stdlib.h>

static void assert_args(const char *json, const char *expected)
{
        sj_str text;
        assert_int_equal(message_args_repr(arena, parse(sj_str_of(json)), &text), 0);
        if (!sj_str_equal(text, sj_str_of(expected)))
                fail_msg("'%.*s' is not '%s'", SJ_STR_ARG(text), expected);
}

static void arguments_are_shown_as_a_tuple(void **state)
{
        (void)state;
        assert_args("[]", "()");
        assert_args("[1]", "(1,)");
        assert_args("[2, 3]", "(2, 3)");
        assert_args("[1, \"two\", null, true, false, 1.5]", "(1, 'two', None, True, False, 1.5)");
        assert_args("[[1, [2]], {\"a\": {\"b\": []}}]", "([1, [2]], {'a': {'b': []}})");
}

static void numbers_are_shown_as_python_does(void **state)
{
        (void)state;
        assert_args("[-5, 123456789012345678901234567890, 1e+16, 0.1, 1.0]",
                    "(-5, 123456789012345678901234567890, 1e+16, 0.1, 1.0)");
        assert_args("[NaN, Infinity, -Infinity]", "(nan, inf, -inf)");
        const sj_json *made[] = {sj_json_new_double(arena, 0.1), sj_json_new_double(arena, 3),
                                 sj_json_new_int(arena, -7)};
        sj_str text;
        assert_int_equal(message_args_repr(arena, sj_json_new_array(arena, made, 3), &text), 0);
        assert_true(sj_str_equal(text, SJ_STR("(0.1, 3.0, -7)")));
}

static void strings_are_quoted_and_escaped_as_python_does(void **state)
{
        (void)state;
        assert_args("[\"it's\"]", "(\"it's\",)");
        assert_args("[\"it's \\\"so\\\"\"]", "('it\\'s \"so\"',)");
        assert_args("[\"a\\nb\\tc\\\\\\r\"]", "('a\\nb\\tc\\\\\\r',)");
        assert_args("[\"\\u0000\\u001b\\u007f\\u00a0\\u00ad\"]", "('\\x00\\x1b\\x7f\\xa0\\xad',)");
        assert_args("[\"\\u00e9\\u2028\\ud800\"]", "('\xc3\xa9\\u2028\\ud800',)");
}

static void keyword_arguments_are_shown_as_a_dict(void **state)
{
        (void)state;
        sj_str text;
        assert_int_equal(
                message_kwargs_repr(arena, parse(SJ_STR("{\"k\": [1, {\"z\": \"x\"}]}")), &text),
                0);
        assert_true(sj_str_equal(text, SJ_STR("{'k': [1, {'z': 'x'}]}")));
        assert_int_equal(message_kwargs_repr(arena, NULL, &text), 0);
        assert_true(sj_str_equal(text, SJ_STR("{}")));
}

static void what_is_too_long_is_cut_between_characters(void **state)
{
        (void)state;
        char json[4096] = "[\"";
        for (int i = 0; i < 1500; i++)
                strcat(json, "\xc3\xa9");
        strcat(json, "\"]");
        sj_str text;
        assert_int_equal(message_args_repr(arena, parse(sj_str_of(json)), &text), 0);
        assert_true(text.n <= MESSAGE_REPR_MAX + 5);
        assert_memory_equal(text.data + text.n - 7, "\xc3\xa9, ...", 7);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(arguments_are_shown_as_a_tuple),
                cmocka_unit_test(numbers_are_shown_as_python_does),
                cmocka_unit_test(strings_are_quoted_and_escaped_as_python_does),
                cmocka_unit_test(keyword_arguments_are_shown_as_a_dict),
                cmocka_unit_test(what_is_too_long_is_cut_between_characters),
        };
        return cmocka_run_group_tests(tests, arena_unit_begin, arena_unit_end);
}
