/* SPDX-License-Identifier: MIT */
/* Parsing and reading values. */
#include <sanjab/json.h>

#include "base/arena_unit.h"
#include "codec/json_kept.h"
#include "codec/testdata.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const sj_json *parse_with(const char *text, unsigned flags)
{
        const sj_json *v = NULL;
        sj_json_error error = {0};
        if (sj_json_parse(arena, sj_str_of(text), flags, &v, &error) < 0)
                fail_msg("%s: %zu: %s", text, error.offset, error.reason);
        return v;
}

static const sj_json *parse(const char *text)
{
        return parse_with(text, 0);
}

static void assert_refused_with(const char *text, unsigned flags, size_t offset, const char *reason)
{
        const sj_json *v = NULL;
        sj_json_error error = {0};
        if (sj_json_parse(arena, sj_str_of(text), flags, &v, &error) != -EBADMSG)
                fail_msg("accepted: %s", text);
        assert_null(v);
        if (error.offset != offset || strcmp(error.reason, reason) != 0)
                fail_msg("%s: at %zu: %s", text, error.offset, error.reason);
}

static void assert_refused(const char *text, size_t offset, const char *reason)
{
        assert_refused_with(text, 0, offset, reason);
        assert_refused_with(text, SJ_JSON_PYTHON, offset, reason);
}

static void assert_int(const char *text, int64_t expected)
{
        int64_t value = 0;
        const sj_json *v = parse(text);
        assert_int_equal(sj_json_type_of(v), SJ_JSON_INT);
        assert_int_equal(sj_json_int(v, &value), 0);
        assert_true(value == expected);
        assert_true(sj_str_equal(sj_json_raw(v), sj_str_of(text)));
}

static void integers_are_exact_over_the_whole_range(void **state)
{
        (void)state;
        assert_int("0", 0);
        assert_int("-0", 0);
        assert_int("7", 7);
        assert_int("-10", -10);
        assert_int("9007199254740993", 9007199254740993);
        assert_int("9223372036854775807", INT64_MAX);
        assert_int("-9223372036854775808", INT64_MIN);
}

static void larger_integers_keep_their_digits(void **state)
{
        (void)state;
        const char *texts[] = {"9223372036854775808", "-9223372036854775809",
                               "99999999999999999999", "18446744073709551616",
                               "123456789012345678901234567890"};
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                const sj_json *v = parse(texts[i]);
                int64_t integer = 5;
                double number = 0;
                assert_int_equal(sj_json_type_of(v), SJ_JSON_NUMBER_TEXT);
                assert_string_equal(sj_json_type_name(v), "integer");
                assert_int_equal(sj_json_int(v, &integer), -ERANGE);
                assert_int_equal(integer, 5);
                assert_int_equal(sj_json_double(v, &number), 0);
                assert_true(number == strtod(texts[i], NULL));
                assert_true(sj_str_equal(sj_json_raw(v), sj_str_of(texts[i])));
        }
}

static void doubles_are_what_has_a_fraction_or_an_exponent(void **state)
{
        (void)state;
        const char *texts[] = {"0.0",  "-0.0", "1.5",   "-1.25",  "1e3",   "1E3",   "1e+3",
                               "1e-3", "0e0",  "10.01", "0.1e-7", "1e308", "1e-400"};
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                double value = NAN, expected = strtod(texts[i], NULL);
                const sj_json *v = parse(texts[i]);
                assert_int_equal(sj_json_type_of(v), SJ_JSON_DOUBLE);
                assert_int_equal(sj_json_double(v, &value), 0);
                assert_memory_equal(&value, &expected, sizeof(value));
        }
}

static void malformed_numbers_are_refused(void **state)
{
        (void)state;
        const char *digit = "a number lacks a digit", *early = "the text ends too early";
        assert_refused("-", 1, early);
        assert_refused("-x", 1, digit);
        assert_refused("1.", 2, early);
        assert_refused("[1.]", 3, digit);
        assert_refused("[1.e5]", 3, digit);
        assert_refused("[1e]", 3, digit);
        assert_refused("[1e+]", 4, digit);
        assert_refused("[-]", 2, digit);
        assert_refused("[-.5]", 2, digit);
        assert_refused("01", 0, "a number begins with a zero");
        assert_refused("-01", 1, "a number begins with a zero");
        assert_refused("00", 0, "a number begins with a zero");
        assert_refused(".5", 0, "a value is expected");
        assert_refused("+1", 0, "a value is expected");
        assert_refused("0x10", 1, "something follows the value");
        assert_refused("1e5.5", 3, "something follows the value");
        assert_refused("1_000", 1, "something follows the value");
        assert_refused("1 2", 2, "something follows the value");
}

static void numbers_beyond_doubles_are_only_pythons(void **state)
{
        (void)state;
        double value = 0;
        assert_refused_with("[1e400]", 0, 1, "a number is too large for a double");
        assert_refused_with("-1e309", 0, 0, "a number is too large for a double");
        assert_int_equal(sj_json_double(parse_with("1e400", SJ_JSON_PYTHON), &value), 0);
        assert_true(value == INFINITY);
        assert_int_equal(sj_json_double(parse_with("-1e400", SJ_JSON_PYTHON), &value), 0);
        assert_true(value == -INFINITY);
}

static void not_a_number_and_the_infinities_are_only_pythons(void **state)
{
        (void)state;
        double value = 0;
        const char *reason = "NaN and Infinity are not JSON";
        assert_refused_with("NaN", 0, 0, reason);
        assert_refused_with("[Infinity]", 0, 1, reason);
        assert_refused_with("[-Infinity]", 0, 1, reason);
        assert_refused_with("[-Infinit]", SJ_JSON_PYTHON, 9, "a value is expected");
        assert_refused_with("nan", SJ_JSON_PYTHON, 1, "a value is expected");
        const sj_json *v = parse_with("[NaN, Infinity, -Infinity]", SJ_JSON_PYTHON);
        assert_int_equal(sj_json_double(sj_json_at(v, 0), &value), 0);
        assert_true(isnan(value));
        assert_int_equal(sj_json_double(sj_json_at(v, 1), &value), 0);
        assert_true(value == INFINITY);
        assert_int_equal(sj_json_double(sj_json_at(v, 2), &value), 0);
        assert_true(value == -INFINITY);
}

static void assert_string(const char *text, unsigned flags, sj_str expected)
{
        sj_str got = {0};
        const sj_json *v = parse_with(text, flags);
        assert_int_equal(sj_json_string(v, &got), 0);
        if (!sj_str_equal(got, expected))
                fail_msg("%s became %.*s", text, SJ_STR_ARG(got));
        assert_int_equal(got.data[got.n], '\0');
        assert_true(sj_str_equal(sj_json_raw(v), sj_str_of(text)));
}

static void escapes_are_undone(void **state)
{
        (void)state;
        assert_string("\"\"", 0, SJ_STR(""));
        assert_string("\"a\"", 0, SJ_STR("a"));
        assert_string("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", 0, SJ_STR("\"\\/\b\f\n\r\t"));
        assert_string("\"\\u0041\\u00e9\\u20AC\"", 0, SJ_STR("A\xc3\xa9\xe2\x82\xac"));
        assert_string("\"\\ud83d\\uDE00!\"", 0, SJ_STR("\xf0\x9f\x98\x80!"));
        assert_string("\"a\\u0000b\"", 0, SJ_STR("a\0b"));
        assert_string("\"\x7f\"", 0, SJ_STR("\x7f"));
        assert_string("\"\xd8\xb3\xd9\x86\xd8\xac\xd8\xa7\xd8\xa8\"", 0,
                      SJ_STR("\xd8\xb3\xd9\x86\xd8\xac\xd8\xa7\xd8\xa8"));
}

static void wrong_escapes_are_refused(void **state)
{
        (void)state;
        const char *hex = "an escape \\u needs four hexadecimal digits";
        assert_refused("\"\\x41\"", 2, "an escape that JSON does not have");
        assert_refused("\"\\U0041\"", 2, "an escape that JSON does not have");
        assert_refused("\"\\u00g0\"", 5, hex);
        assert_refused("\"\\u 041\"", 3, hex);
        assert_refused("\"\\u\"  ", 3, hex);
        assert_refused("\"\\ud800\\u12\" ", 11, hex);
        assert_refused("\"\\", 2, "the text ends too early");
        assert_refused("\"\\u12", 5, "the text ends too early");
}

/* A special byte at every place around the sixteen that are looked at together. */
static void strings_of_every_length_and_with_every_byte(void **state)
{
        (void)state;
        for (size_t n = 0; n < 70; n++)
                for (int special = 0; special < 256; special++) {
                        char text[128], expected[128];
                        memset(text, 'x', sizeof(text));
                        memset(expected, 'x', sizeof(expected));
                        text[0] = '"';
                        text[n + 1] = expected[n] = (char)special;
                        size_t length = n + 4;
                        text[length - 1] = '"';
                        const sj_json *v;
                        sj_json_error error;
                        sj_str got;
                        int r = sj_json_parse(arena, (sj_str){text, length}, 0, &v, &error);
                        if (special >= 0x20 && special < 0x80 && special != '"' &&
                            special != '\\') {
                                assert_int_equal(r, 0);
                                assert_int_equal(sj_json_string(v, &got), 0);
                                assert_true(sj_str_equal(got, (sj_str){expected, n + 2}));
                        } else {
                                assert_int_equal(r, -EBADMSG);
                                assert_int_equal(error.offset,
                                                 n + 1 + (special == '"' || special == '\\'));
                        }
                        sj_arena_reset(arena);
                }
}

static void lone_surrogates_are_only_pythons(void **state)
{
        (void)state;
        const char *reason = "a surrogate stands alone";
        assert_refused_with("\"\\ud800\"", 0, 1, reason);
        assert_refused_with("\"a\\udfffb\"", 0, 2, reason);
        assert_refused_with("\"\\ud800\\u0041\"", 0, 1, reason);
        assert_refused_with("\"\\ud800\\ud800\\udc00\"", 0, 1, reason);
        assert_refused_with("\"\xed\xa0\x80\"", 0, 1, reason);
        assert_string("\"\\ud800\"", SJ_JSON_PYTHON, SJ_STR("\xed\xa0\x80"));
        assert_string("\"\\udc00\\udc00\"", SJ_JSON_PYTHON, SJ_STR("\xed\xb0\x80\xed\xb0\x80"));
        assert_string("\"\\udfff\\ud800x\"", SJ_JSON_PYTHON, SJ_STR("\xed\xbf\xbf\xed\xa0\x80x"));
        assert_string("\"\xed\xa0\x80\"", SJ_JSON_PYTHON, SJ_STR("\xed\xa0\x80"));
        assert_string("\"\\ud800\\ud800\\udc00\"", SJ_JSON_PYTHON,
                      SJ_STR("\xed\xa0\x80\xf0\x90\x80\x80"));
        /* They would be one character when they are written and read again. */
        const char *pair = "a surrogate pair is not written as one";
        assert_refused_with("\"\xed\xa0\x80\xed\xb0\x80\"", SJ_JSON_PYTHON, 4, pair);
        assert_refused_with("\"\\ud800\xed\xb0\x80\"", SJ_JSON_PYTHON, 7, pair);
        assert_refused_with("\"\xed\xa0\x80\\udc00\"", SJ_JSON_PYTHON, 4, pair);
}

static void bytes_that_are_not_utf8_are_refused(void **state)
{
        (void)state;
        const char *wrong[] = {"\x80", "\xc3(",    "\xc0\x80",        "\xf5\x80\x80\x80",
                               "\xff", "\xe2\x82", "\xf4\x90\x80\x80"};
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                char text[64];
                snprintf(text, sizeof(text), "\"\xc3\xa9%s\"", wrong[i]);
                assert_refused(text, 3, "a string is not UTF-8");
        }
        assert_refused("\xef\xbb\xbf{}", 0, "a value is expected");
}

static void containers_and_their_parts(void **state)
{
        (void)state;
        const sj_json *v = parse(" { \"a\" : [ 1 , [ ] , { } ] ,\n\t\"b\":null,\"c\":true}\r\n");
        assert_int_equal(sj_json_count(v), 3);
        assert_true(sj_str_equal(sj_json_name_at(v, 1), SJ_STR("b")));
        assert_int_equal(sj_json_name_at(v, 3).n, 0);
        const sj_json *a = sj_json_member(v, "a");
        assert_ptr_equal(sj_json_at(v, 0), a);
        assert_int_equal(sj_json_count(a), 3);
        assert_true(sj_str_equal(sj_json_raw(a), SJ_STR("[ 1 , [ ] , { } ]")));
        assert_int_equal(sj_json_count(sj_json_at(a, 1)), 0);
        assert_string_equal(sj_json_type_name(sj_json_at(a, 2)), "object");
        assert_null(sj_json_at(a, 3));
        assert_true(sj_json_is_null(sj_json_member(v, "b")));
        assert_non_null(sj_json_member(v, "b"));
        assert_null(sj_json_member(v, "A"));
        size_t seen = 0;
        SJ_JSON_EACH (a, i, element) {
                assert_ptr_equal(element, sj_json_at(a, i));
                seen++;
        }
        assert_int_equal(seen, 3);
}

static void of_members_with_one_name_the_last_is_found(void **state)
{
        (void)state;
        int64_t value = 0;
        const sj_json *v = parse("{\"a\": 1, \"\\u0061\": 2, \"b\": 3}");
        assert_int_equal(sj_json_int(sj_json_member(v, "a"), &value), 0);
        assert_int_equal(value, 2);
        assert_int_equal(sj_json_count(v), 3);
}

static void a_chain_of_look_ups_needs_one_check(void **state)
{
        (void)state;
        int64_t integer;
        double number;
        bool truth;
        sj_str text;
        const sj_json *v = sj_json_at(sj_json_member(sj_json_member(parse("{}"), "x"), "y"), 0);
        assert_null(v);
        assert_int_equal(sj_json_int(v, &integer), -ENOENT);
        assert_int_equal(sj_json_double(v, &number), -ENOENT);
        assert_int_equal(sj_json_bool(v, &truth), -ENOENT);
        assert_int_equal(sj_json_string(v, &text), -ENOENT);
        assert_int_equal(sj_json_count(v), 0);
        assert_int_equal(sj_json_raw(v).n, 0);
        assert_true(sj_json_is_null(v));
}

static void getters_refuse_other_types(void **state)
{
        (void)state;
        const sj_json *v = parse("[null, true, 1, 1.5, \"1\", [], {}]");
        for (size_t i = 0; i < sj_json_count(v); i++) {
                int64_t integer;
                double number;
                bool truth;
                sj_str text;
                assert_int_equal(sj_json_bool(sj_json_at(v, i), &truth), i == 1 ? 0 : -EINVAL);
                assert_int_equal(sj_json_int(sj_json_at(v, i), &integer), i == 2 ? 0 : -EINVAL);
                assert_int_equal(sj_json_double(sj_json_at(v, i), &number),
                                 i == 2 || i == 3 ? 0 : -EINVAL);
                assert_int_equal(sj_json_string(sj_json_at(v, i), &text), i == 4 ? 0 : -EINVAL);
                assert_null(sj_json_member(sj_json_at(v, i), "x"));
                assert_null(sj_json_at(sj_json_at(v, i), 0));
        }
}

static void whole_doubles_are_integers_too(void **state)
{
        (void)state;
        int64_t value = 0;
        assert_int_equal(sj_json_int(parse("3.0"), &value), 0);
        assert_int_equal(value, 3);
        assert_int_equal(sj_json_int(parse("-9223372036854775808.0"), &value), 0);
        assert_true(value == INT64_MIN);
        assert_int_equal(sj_json_int(parse("9223372036854775808.0"), &value), -ERANGE);
        assert_int_equal(sj_json_int(parse("1e300"), &value), -ERANGE);
        assert_int_equal(sj_json_int(parse("0.5"), &value), -EINVAL);
        assert_int_equal(sj_json_int(parse_with("NaN", SJ_JSON_PYTHON), &value), -EINVAL);
}

static void broken_structure_is_refused_where_it_breaks(void **state)
{
        (void)state;
        const char *value = "a value is expected", *early = "the text ends too early";
        const char *comma = "a comma or a closing bracket is expected";
        const char *brace = "a comma or a closing brace is expected";
        const char *name = "a name in quotes is expected";
        assert_refused("", 0, early);
        assert_refused(" \n ", 3, early);
        assert_refused("[1,]", 3, value);
        assert_refused("[,1]", 1, value);
        assert_refused("[1 2]", 3, comma);
        assert_refused("[1}", 2, comma);
        assert_refused("]", 0, value);
        assert_refused("[]]", 2, "something follows the value");
        assert_refused("{]", 1, name);
        assert_refused("{,}", 1, name);
        assert_refused("{a:1}", 1, name);
        assert_refused("{'a':1}", 1, name);
        assert_refused("{1:1}", 1, name);
        assert_refused("{\"a\" 1}", 5, "a colon is expected after a name");
        assert_refused("{\"a\":}", 5, value);
        assert_refused("{\"a\":1,}", 7, name);
        assert_refused("{\"a\":1 \"b\":2}", 7, brace);
        assert_refused("{\"a\":1]", 6, brace);
        assert_refused("truE", 3, value);
        assert_refused("nul", 3, early);
        assert_refused("nulL", 3, value);
        assert_refused("falsey", 5, "something follows the value");
        assert_refused("[1] x", 4, "something follows the value");
        assert_refused("/**/1", 0, value);
        assert_refused("\"a\nb\"", 2, "a control character in a string");
        assert_refused("\v1", 0, value);
        assert_refused("\xc2\xa0"
                       "1",
                       0, value);
}

static void a_nul_is_a_wrong_byte_and_not_the_end(void **state)
{
        (void)state;
        const sj_json *v;
        sj_json_error error;
        assert_int_equal(sj_json_parse(arena, SJ_STR("[1,\0002]"), 0, &v, &error), -EBADMSG);
        assert_int_equal(error.offset, 3);
        assert_string_equal(error.reason, "a value is expected");
        assert_int_equal(sj_json_parse(arena, SJ_STR("\"a\0b\""), 0, &v, &error), -EBADMSG);
        assert_string_equal(error.reason, "a control character in a string");
        assert_int_equal(sj_json_parse(arena, SJ_STR("1\0"), 0, &v, &error), -EBADMSG);
        assert_string_equal(error.reason, "something follows the value");
}

static void errors_tell_line_and_column(void **state)
{
        (void)state;
        const sj_json *v;
        sj_json_error error;
        sj_str text = SJ_STR("{\n  \"a\": 1,\r\n  \"b\": x\n}");
        assert_int_equal(sj_json_parse(arena, text, 0, &v, &error), -EBADMSG);
        assert_int_equal(error.offset, 20);
        assert_int_equal(error.line, 3);
        assert_int_equal(error.column, 8);
        assert_int_equal(sj_json_parse(arena, SJ_STR("[\n"), 0, &v, &error), -EBADMSG);
        assert_int_equal(error.line, 2);
        assert_int_equal(error.column, 1);
        assert_int_equal(sj_json_parse(arena, SJ_STR("x"), 0, &v, NULL), -EBADMSG);
        assert_int_equal(sj_json_parse(arena, (sj_str){0}, 0, &v, &error), -EBADMSG);
        assert_int_equal(error.line, 1);
        assert_int_equal(error.column, 1);
}

static char *nested(size_t depth)
{
        char *text = malloc(2 * depth + 1);
        assert_non_null(text);
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[2 * depth] = '\0';
        return text;
}

static void nesting_is_limited(void **state)
{
        (void)state;
        const sj_json *v = NULL;
        sj_json_error error;
        char *deep = nested(256), *deeper = nested(257), *hostile = nested(10000);
        assert_int_equal(sj_json_parse(arena, sj_str_of(deep), 0, &v, &error), 0);
        assert_int_equal(sj_json_parse(arena, sj_str_of(deeper), 0, &v, &error), -EMSGSIZE);
        assert_int_equal(error.offset, 256);
        assert_int_equal(error.column, 257);
        assert_string_equal(error.reason, "it is nested too deeply");
        assert_int_equal(sj_json_parse(arena, sj_str_of(hostile), 0, &v, &error), -EMSGSIZE);
        assert_int_equal(error.offset, 256);
        sj_str small = SJ_STR("[[1], [{}]]");
        assert_int_equal(sj_json_parse_limited(arena, small, 0, 100, 3, &v, &error), 0);
        assert_int_equal(sj_json_parse_limited(arena, small, 0, 100, 2, &v, &error), -EMSGSIZE);
        assert_int_equal(error.offset, 7);
        assert_int_equal(sj_json_parse_limited(arena, SJ_STR("1"), 0, 100, 0, &v, &error), 0);
        free(deep);
        free(deeper);
        free(hostile);
}

static void the_size_is_limited(void **state)
{
        (void)state;
        const sj_json *v = NULL;
        sj_json_error error;
        assert_int_equal(sj_json_parse_limited(arena, SJ_STR("[\n1]"), 0, 4, 9, &v, &error), 0);
        assert_int_equal(sj_json_parse_limited(arena, SJ_STR("[\n1]"), 0, 3, 9, &v, &error),
                         -EMSGSIZE);
        assert_int_equal(error.offset, 3);
        assert_int_equal(error.line, 2);
        assert_int_equal(error.column, 2);
        assert_string_equal(error.reason, "the text is too long");
        const size_t n = (size_t)100 << 20;
        char *large = calloc(1, n);
        assert_non_null(large);
        assert_int_equal(sj_json_parse(arena, (sj_str){large, n}, 0, &v, &error), -EMSGSIZE);
        assert_int_equal(error.offset, SJ_JSON_SIZE_MAX);
        assert_int_equal(sj_json_parse_limited(arena, (sj_str){large, n}, 0, n, 9, &v, &error),
                         -EMSGSIZE);
        free(large);
}

static void many_values_are_kept_in_order(void **state)
{
        (void)state;
        enum { COUNT = 100000 };
        char *text = malloc(COUNT * 8 + 2), *out = text;
        assert_non_null(text);
        *out++ = '[';
        for (int i = 0; i < COUNT; i++)
                out += sprintf(out, "%d,", i);
        out[-1] = ']';
        const sj_json *v;
        assert_int_equal(sj_json_parse(arena, (sj_str){text, (size_t)(out - text)}, 0, &v, NULL),
                         0);
        free(text);
        assert_int_equal(sj_json_count(v), COUNT);
        for (size_t i = 0; i < COUNT; i++) {
                int64_t value = -1;
                assert_int_equal(sj_json_int(sj_json_at(v, i), &value), 0);
                assert_int_equal(value, i);
        }
}

static char *read_sample(const char *name, size_t *ret_n)
{
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", TESTDATA, name);
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        char *text = malloc(65536);
        assert_non_null(text);
        *ret_n = fread(text, 1, 65536, f);
        fclose(f);
        return text;
}

/* Each in memory of exactly its size, so that a sanitizer sees a byte too far. */
static void every_truncation_of_a_message_is_refused(void **state)
{
        (void)state;
        size_t n;
        char *text = read_sample("task-simple.json", &n);
        for (size_t cut = 0; cut < n; cut++) {
                char *part = malloc(cut ? cut : 1);
                const sj_json *v;
                sj_json_error error;
                assert_non_null(part);
                memcpy(part, text, cut);
                assert_int_equal(
                        sj_json_parse(arena, (sj_str){part, cut}, SJ_JSON_PYTHON, &v, &error),
                        -EBADMSG);
                assert_int_equal(error.offset, cut);
                assert_string_equal(error.reason, "the text ends too early");
                free(part);
                sj_arena_reset(arena);
        }
        free(text);
}

static void every_changed_byte_of_a_message_is_survived(void **state)
{
        (void)state;
        size_t n;
        char *text = read_sample("task-simple.json", &n);
        for (size_t i = 0; i < n; i++)
                for (int c = 0; c < 256; c += 5) {
                        const char kept = text[i];
                        const sj_json *v;
                        sj_json_error error = {0};
                        text[i] = (char)c;
                        int r = sj_json_parse(arena, (sj_str){text, n}, 0, &v, &error);
                        assert_true(r == 0 || (r == -EBADMSG && error.offset <= n && error.line));
                        text[i] = kept;
                        sj_arena_reset(arena);
                }
        free(text);
}

static void a_message_is_read(void **state)
{
        (void)state;
        size_t n;
        char *text = read_sample("task-simple.json", &n);
        const sj_json *v;
        sj_str task;
        int64_t retries = -1;
        assert_int_equal(sj_json_parse(arena, (sj_str){text, n}, SJ_JSON_PYTHON, &v, NULL), 0);
        free(text);
        const sj_json *headers = sj_json_member(v, "headers");
        assert_int_equal(sj_json_string(sj_json_member(headers, "task"), &task), 0);
        assert_true(sj_str_equal(task, SJ_STR("capapp.add")));
        assert_int_equal(sj_json_int(sj_json_member(headers, "retries"), &retries), 0);
        assert_int_equal(retries, 0);
        assert_int_equal(sj_json_count(sj_json_member(headers, "timelimit")), 2);
        assert_non_null(sj_json_member(sj_json_member(v, "properties"), "delivery_tag"));
}

static void equality_ignores_the_order_of_members_and_what_is_hidden(void **state)
{
        (void)state;
        const struct {
                const char *a, *b;
                bool equal;
        } cases[] = {
                {"null", "null", true},
                {"null", "false", false},
                {"true", "true", true},
                {"true", "false", false},
                {"1", "1.0", false},
                {"1", "1", true},
                {"1", "2", false},
                {"1.0", "1e0", true},
                {"0.0", "-0.0", false},
                {"NaN", "NaN", true},
                {"NaN", "Infinity", false},
                {"-0", "0", true},
                {"99999999999999999999", "99999999999999999999", true},
                {"99999999999999999999", "99999999999999999998", false},
                {"\"a\"", "\"\\u0061\"", true},
                {"\"a\"", "\"b\"", false},
                {"[1, [2]]", "[1,[2]]", true},
                {"[1, 2]", "[2, 1]", false},
                {"[1]", "[1, 1]", false},
                {"{\"a\": 1, \"b\": 2}", "{\"b\": 2, \"a\": 1}", true},
                {"{\"a\": 1, \"b\": 2}", "{\"b\": 2, \"a\": 2}", false},
                {"{\"a\": 1}", "{\"b\": 1}", false},
                {"{\"a\": 1}", "{\"a\": 1, \"b\": 1}", false},
                {"{\"a\": 0, \"a\": 1}", "{\"a\": 1}", true},
                {"{\"a\": 1, \"a\": 0}", "{\"a\": 1}", false},
                {"{\"a\": 1, \"a\": 1}", "{\"a\": 1, \"b\": 1}", false},
                {"[]", "{}", false},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                const sj_json *a = parse_with(cases[i].a, SJ_JSON_PYTHON);
                const sj_json *b = parse_with(cases[i].b, SJ_JSON_PYTHON);
                if (sj_json_equal(a, b) != cases[i].equal || sj_json_equal(b, a) != cases[i].equal)
                        fail_msg("%s and %s", cases[i].a, cases[i].b);
        }
        assert_true(sj_json_equal(NULL, NULL));
        assert_false(sj_json_equal(NULL, parse("null")));
}

/* What stands behind the text's NUL is anything. */
static const sj_json *parse_kept(const char *text, char ret_kept[200], int *ret_result)
{
        const sj_json *v = NULL;
        size_t n = strlen(text);
        memset(ret_kept, '7', n + 1 + JSON_KEPT_ROOM);
        memcpy(ret_kept, text, n + 1);
        *ret_result = json_parse_kept(arena, (sj_str){ret_kept, n}, SJ_JSON_PYTHON, 100, 10, &v,
                                      &(sj_json_error){0});
        return v;
}

static void a_text_that_is_kept_is_read_where_it_lies(void **state)
{
        (void)state;
        const char *const texts[] = {"12", "-2.5", "[1, {\"a\\n\": \"b\"}]", "\"a\"", "null"};
        char kept[200];
        int r;
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                const sj_json *v = parse_kept(texts[i], kept, &r);
                assert_int_equal(r, 0);
                assert_ptr_equal(sj_json_raw(v).data, kept);
                assert_true(sj_str_equal(sj_json_raw(v), sj_str_of(texts[i])));
                assert_true(sj_json_equal(v, parse_with(texts[i], SJ_JSON_PYTHON)));
        }
        const char *const broken[] = {"",   "[1", "\"a", "\"\\",   "\"\\u00",
                                      "1.", "1e", "nul", "{\"a\":"};
        for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
                parse_kept(broken[i], kept, &r);
                assert_int_equal(r, -EBADMSG);
        }
        char long_text[102];
        memset(long_text, ' ', 101);
        long_text[101] = '\0';
        parse_kept(long_text, kept, &r);
        assert_int_equal(r, -EMSGSIZE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                ARENA_TEST(integers_are_exact_over_the_whole_range),
                ARENA_TEST(larger_integers_keep_their_digits),
                ARENA_TEST(doubles_are_what_has_a_fraction_or_an_exponent),
                ARENA_TEST(malformed_numbers_are_refused),
                ARENA_TEST(numbers_beyond_doubles_are_only_pythons),
                ARENA_TEST(not_a_number_and_the_infinities_are_only_pythons),
                ARENA_TEST(escapes_are_undone),
                ARENA_TEST(wrong_escapes_are_refused),
                ARENA_TEST(strings_of_every_length_and_with_every_byte),
                ARENA_TEST(lone_surrogates_are_only_pythons),
                ARENA_TEST(bytes_that_are_not_utf8_are_refused),
                ARENA_TEST(containers_and_their_parts),
                ARENA_TEST(of_members_with_one_name_the_last_is_found),
                ARENA_TEST(a_chain_of_look_ups_needs_one_check),
                ARENA_TEST(getters_refuse_other_types),
                ARENA_TEST(whole_doubles_are_integers_too),
                ARENA_TEST(broken_structure_is_refused_where_it_breaks),
                ARENA_TEST(a_nul_is_a_wrong_byte_and_not_the_end),
                ARENA_TEST(errors_tell_line_and_column),
                ARENA_TEST(nesting_is_limited),
                ARENA_TEST(the_size_is_limited),
                ARENA_TEST(many_values_are_kept_in_order),
                ARENA_TEST(every_truncation_of_a_message_is_refused),
                ARENA_TEST(every_changed_byte_of_a_message_is_survived),
                ARENA_TEST(a_message_is_read),
                ARENA_TEST(a_text_that_is_kept_is_read_where_it_lies),
                ARENA_TEST(equality_ignores_the_order_of_members_and_what_is_hidden),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
