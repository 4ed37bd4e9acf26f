/* SPDX-License-Identifier: MIT */
#include "codec/msgpack.h"

#include "base/unit.h"

#include <stdlib.h>

/* A view of a literal that may stand in a static initializer. */
#define BYTES(literal)                          \
        {                                       \
                "" literal, sizeof(literal) - 1 \
        }

/* What the bytes are as JSON; NULL: refused with `error`. */
static int to_json(sj_str bytes, unsigned depth, size_t size, char ret[400], const char **ret_why)
{
        const msgpack_limits limits = {.depth = depth, .size = size};
        sj_json_writer *w;
        sj_str text;
        assert_int_equal(sj_json_writer_new(SJ_JSON_PYTHON, &w), 0);
        int r = msgpack_to_json(bytes, &limits, w, ret_why);
        if (r == 0) {
                assert_int_equal(sj_json_writer_end(w, &text), 0);
                assert_true(text.n < 400);
                memcpy(ret, text.data, text.n + 1);
        }
        sj_json_writer_free(w);
        return r;
}

static int from_json(const char *text, buf *b)
{
        sj_arena *arena;
        const sj_json *v;
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(sj_json_parse(arena, sj_str_of(text), SJ_JSON_PYTHON, &v, NULL), 0);
        int r = msgpack_from_json(b, v);
        sj_arena_free(arena);
        return r;
}

/* Each as Python's msgpack 1.0 writes it with use_bin_type. */
static const struct {
        const char *json;
        sj_str bytes;
} pairs[] = {
        {"null", BYTES("\xc0")},
        {"true", BYTES("\xc3")},
        {"false", BYTES("\xc2")},
        {"0", BYTES("\x00")},
        {"127", BYTES("\x7f")},
        {"128", BYTES("\xcc\x80")},
        {"255", BYTES("\xcc\xff")},
        {"256", BYTES("\xcd\x01\x00")},
        {"65536", BYTES("\xce\x00\x01\x00\x00")},
        {"4294967296", BYTES("\xcf\x00\x00\x00\x01\x00\x00\x00\x00")},
        {"18446744073709551615", BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff")},
        {"-1", BYTES("\xff")},
        {"-32", BYTES("\xe0")},
        {"-33", BYTES("\xd0\xdf")},
        {"-128", BYTES("\xd0\x80")},
        {"-129", BYTES("\xd1\xff\x7f")},
        {"-32769", BYTES("\xd2\xff\xff\x7f\xff")},
        {"-9223372036854775808", BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00")},
        {"1.5", BYTES("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00")},
        {"NaN", BYTES("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00")},
        {"-Infinity", BYTES("\xcb\xff\xf0\x00\x00\x00\x00\x00\x00")},
        {"\"\"", BYTES("\xa0")},
        {"\"\xc3\xa9\"", BYTES("\xa2\xc3\xa9")},
        {"[]", BYTES("\x90")},
        {"[1,[2],{}]", BYTES("\x93\x01\x91\x02\x80")},
        {"{\"a\":1,\"b\":null}", BYTES("\x82\xa1"
                                       "a\x01\xa1"
                                       "b\xc0")},
        {"{\"__type__\":\"bytes\",\"__value__\":\"hi\"}", BYTES("\xc4\x02hi")},
        {"{\"__type__\":\"base64\",\"__value__\":\"/wA=\"}", BYTES("\xc4\x02\xff\x00")},
};

static void values_are_those_of_json_and_back(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
                char text[400];
                const char *why;
                buf b = BUF_INIT(0);
                assert_int_equal(to_json(pairs[i].bytes, 10, 1000, text, &why), 0);
                assert_string_equal(text, pairs[i].json);
                assert_int_equal(from_json(pairs[i].json, &b), 0);
                assert_int_equal(buf_size(&b), pairs[i].bytes.n);
                assert_memory_equal(buf_data(&b), pairs[i].bytes.data, pairs[i].bytes.n);
                buf_fini(&b);
        }
}

static void longer_forms_than_needed_are_read(void **state)
{
        (void)state;
        static const struct {
                sj_str bytes;
                const char *json;
        } cases[] = {{BYTES("\xcd\x00\x01"), "1"},
                     {BYTES("\xd3\xff\xff\xff\xff\xff\xff\xff\xff"), "-1"},
                     {BYTES("\xca\x3f\xc0\x00\x00"), "1.5"},
                     {BYTES("\xd9\x01x"), "\"x\""},
                     {BYTES("\xdb\x00\x00\x00\x01x"), "\"x\""},
                     {BYTES("\xdc\x00\x01\xc0"), "[null]"},
                     {BYTES("\xdd\x00\x00\x00\x01\xc0"), "[null]"},
                     {BYTES("\xde\x00\x01\xa1k\xc0"), "{\"k\":null}"},
                     {BYTES("\xdf\x00\x00\x00\x01\xd9\x01k\xc0"), "{\"k\":null}"}};
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                char text[400];
                const char *why;
                assert_int_equal(to_json(cases[i].bytes, 10, 1000, text, &why), 0);
                assert_string_equal(text, cases[i].json);
        }
}

static void what_is_none_is_refused_with_a_reason(void **state)
{
        (void)state;
        static const struct {
                sj_str bytes;
                const char *why;
        } cases[] = {{{"", 0}, "ends in the middle"},
                     {BYTES("\xc1"), "never used"},
                     {BYTES("\xd6\xff\x00\x00\x00\x00"), "extension"},
                     {BYTES("\xc7\x00\x05"), "extension"},
                     {BYTES("\xc0\xc0"), "something follows"},
                     {BYTES("\xcd\x00"), "ends in the middle"},
                     {BYTES("\xa5hi"), "ends in the middle"},
                     {BYTES("\xdd\xff\xff\xff\xff\xc0"), "ends in the middle"},
                     {BYTES("\xdf\x7f\xff\xff\xff\xa0\xc0"), "ends in the middle"},
                     {BYTES("\xc6\xff\xff\xff\xff"), "ends in the middle"},
                     {BYTES("\x81\x01\x02"), "not a string"},
                     {BYTES("\x81\xc4\x01k\x02"), "not a string"},
                     {BYTES("\xa1\xff"), "not UTF-8"},
                     {BYTES("\xa3\xed\xa0\x80"), "not UTF-8"}};
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                char text[400];
                const char *why = NULL;
                /* Exactly as many bytes as there are, for who reads beyond. */
                char *exact = malloc(cases[i].bytes.n + 1);
                memcpy(exact, cases[i].bytes.data, cases[i].bytes.n);
                int r = to_json((sj_str){exact, cases[i].bytes.n}, 10, 1000, text, &why);
                free(exact);
                assert_int_equal(r, -EBADMSG);
                if (!strstr(why, cases[i].why))
                        fail_msg("%s and not %s", why, cases[i].why);
        }
}

static void limits_hold(void **state)
{
        (void)state;
        char text[400];
        const char *why;
        assert_int_equal(to_json(SJ_STR("\x91\x91\x90"), 3, 1000, text, &why), 0);
        assert_int_equal(to_json(SJ_STR("\x91\x91\x90"), 2, 1000, text, &why), -EMSGSIZE);
        assert_int_equal(to_json(SJ_STR("\x91\x91\x80"), 2, 1000, text, &why), -EMSGSIZE);
        assert_int_equal(to_json(SJ_STR("\x92\xa4long\xa4long"), 2, 12, text, &why), -EMSGSIZE);
        assert_int_equal(to_json(SJ_STR("\xa4\x01\x01\x01\x01"), 2, 20, text, &why), -EMSGSIZE);
}

static void what_it_cannot_hold_is_an_error(void **state)
{
        (void)state;
        buf b = BUF_INIT(0), small = BUF_INIT(2);
        assert_int_equal(from_json("18446744073709551616", &b), -ERANGE);
        assert_int_equal(from_json("-9223372036854775809", &b), -ERANGE);
        assert_int_equal(from_json("\"\\ud800\"", &b), -EINVAL);
        assert_int_equal(from_json("{\"\\ud800\": 1}", &b), -EINVAL);
        assert_int_equal(from_json("\"longer\"", &small), -EMSGSIZE);
        buf_fini(&b);
        buf_fini(&small);
}

static void other_types_of_kombu_are_objects(void **state)
{
        (void)state;
        buf b = BUF_INIT(0);
        assert_int_equal(from_json("{\"__type__\":\"uuid\",\"__value__\":\"x\"}", &b), 0);
        assert_int_equal((unsigned char)buf_data(&b)[0], 0x82);
        buf_clear(&b);
        assert_int_equal(from_json("{\"__type__\":\"base64\",\"__value__\":\"!\"}", &b), 0);
        assert_int_equal((unsigned char)buf_data(&b)[0], 0x82);
        buf_fini(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(values_are_those_of_json_and_back),
                cmocka_unit_test(longer_forms_than_needed_are_read),
                cmocka_unit_test(what_is_none_is_refused_with_a_reason),
                cmocka_unit_test(limits_hold),
                cmocka_unit_test(what_it_cannot_hold_is_an_error),
                cmocka_unit_test(other_types_of_kombu_are_objects),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
