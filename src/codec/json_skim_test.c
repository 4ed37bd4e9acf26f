/* SPDX-License-Identifier: MIT */
#include "codec/json_skim.h"

#include "base/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A copy of exactly its size, so that a byte read behind it is found by the sanitizers. */
static char *exact(const char *text)
{
        char *copy = malloc(strlen(text) + 1);
        assert_non_null(copy);
        memcpy(copy, text, strlen(text));
        return realloc(copy, strlen(text) ? strlen(text) : 1);
}

static void assert_text(sj_str found, const char *expected)
{
        if (!expected) {
                assert_null(found.data);
                return;
        }
        assert_non_null(found.data);
        assert_int_equal(found.n, strlen(expected));
        assert_memory_equal(found.data, expected, found.n);
}

/* The bytes of a member's value, as they are. */
static sj_str value_of(json_skim *s, const char *wanted)
{
        sj_str name, found = {NULL, 0};
        if (json_skim_open(s))
                while (json_skim_member(s, &name)) {
                        sj_str value = json_skim_value(s);
                        if (sj_str_equal(name, sj_str_of(wanted)))
                                found = value;
                }
        return found;
}

static void a_member_is_found_among_values_of_all_kinds(void **state)
{
        (void)state;
        char *text = exact(" {\"a\" : [1, {\"x\": \"]}\"}, []] ,\"b\":-1.5e3,\"c\":\"q\\\"}\", "
                           "\"d\": null,\"e\":{},\"f\":true } ");
        const char *const expected[][2] = {{"a", "[1, {\"x\": \"]}\"}, []]"},
                                           {"b", "-1.5e3"},
                                           {"c", "\"q\\\"}\""},
                                           {"d", "null"},
                                           {"e", "{}"},
                                           {"f", "true"},
                                           {"x", NULL}};
        for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
                json_skim s =
                        json_skim_of((sj_str){text, strlen(" {\"a\" : [1, {\"x\": \"]}\"}, []] "
                                                           ",\"b\":-1.5e3,\"c\":\"q\\\"}\", "
                                                           "\"d\": null,\"e\":{},"
                                                           "\"f\":true } ")});
                assert_text(value_of(&s, expected[i][0]), expected[i][1]);
                assert_false(s.odd);
        }
        free(text);
}

static void of_two_members_of_one_name_both_are_seen_in_their_order(void **state)
{
        (void)state;
        json_skim s = json_skim_of(SJ_STR("{\"a\":1,\"a\":2}"));
        assert_text(value_of(&s, "a"), "2");
        assert_false(s.odd);
}

static void a_string_longer_than_a_vector_is_taken_whole(void **state)
{
        (void)state;
        for (size_t n = 0; n < 70; n++) {
                char text[100];
                sj_str name;
                int size = snprintf(text, sizeof(text), "{\"%.*s\":\"%.*s\"}", (int)(n % 20),
                                    "abcdefghijklmnopqrstuvwxyz", (int)n,
                                    "0123456789012345678901234567890123456789"
                                    "0123456789012345678901234567890123456789");
                json_skim s = json_skim_of((sj_str){text, (size_t)size});
                assert_true(json_skim_open(&s));
                assert_true(json_skim_member(&s, &name));
                assert_int_equal(name.n, n % 20);
                assert_int_equal(json_skim_string(&s).n, n);
                assert_false(json_skim_member(&s, &name));
                assert_false(s.odd);
        }
}

static void what_is_no_string_is_passed_when_a_string_is_asked_for(void **state)
{
        (void)state;
        sj_str name;
        json_skim s = json_skim_of(SJ_STR("{\"a\":{\"b\":1},\"c\":\"d\"}"));
        assert_true(json_skim_open(&s));
        assert_true(json_skim_member(&s, &name));
        assert_text(json_skim_string(&s), NULL);
        assert_true(json_skim_member(&s, &name));
        assert_text(name, "c");
        assert_text(json_skim_string(&s), "d");
        assert_false(s.odd);
}

static void what_needs_a_parser_is_odd(void **state)
{
        (void)state;
        static const char *const texts[] = {
                "",
                "{",
                "{\"a\"",
                "{\"a\":",
                "{\"a\":1",
                "{\"a\":\"b",
                "{\"a\":[1",
                "{\"a\":\"\\",
                "{\"\\u0061\":\"b\"}",
                "{\"\303\251\":1}",
                "{a:1}",
                "{\"a\" 1}",
                "{\"a\":[\"b]}",
                "{\"a\":}",
                "{\"a\":\"\\u0062\"}",
        };
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                char *text = exact(texts[i]);
                sj_str name;
                json_skim s = json_skim_of((sj_str){text, strlen(texts[i])});
                if (json_skim_open(&s))
                        while (json_skim_member(&s, &name))
                                json_skim_string(&s);
                if (!s.odd)
                        print_message("%s\n", texts[i]);
                assert_true(s.odd);
                free(text);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_member_is_found_among_values_of_all_kinds),
                cmocka_unit_test(of_two_members_of_one_name_both_are_seen_in_their_order),
                cmocka_unit_test(a_string_longer_than_a_vector_is_taken_whole),
                cmocka_unit_test(what_is_no_string_is_passed_when_a_string_is_asked_for),
                cmocka_unit_test(what_needs_a_parser_is_odd),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
