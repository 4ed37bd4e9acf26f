/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "net/address.h"

static void reads_digits_and_writes_them_with_the_port(void **state)
{
        (void)state;
        static const struct {
                const char *host, *text;
        } cases[] = {
                {"127.0.0.1", "127.0.0.1:80"},
                {"::1", "[::1]:80"},
                {"[::1]", "[::1]:80"},
                {"fe80::1%2", "[fe80::1%2]:80"},
                {"[2001:db8::5]", "[2001:db8::5]:80"},
                {"::ffff:1.2.3.4", "[::ffff:1.2.3.4]:80"},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                sj_address a;
                char text[SJ_ADDRESS_TEXT_MAX];
                assert_int_equal(sj_address_parse(cases[i].host, 80, &a), 0);
                assert_string_equal(sj_address_text(&a, text, sizeof(text)), cases[i].text);
                assert_int_equal(sj_address_port(&a), 80);
        }
}

static void refuses_what_is_not_digits_and_writes_nothing(void **state)
{
        (void)state;
        static const char *const cases[] = {
                "",      "localhost",   "1.2.3", "1.2.3.4.5", "01.2.3.4x",       "[::1",
                "[]",    "[127.0.0.1]", "::1%",  "::1%eth0",  "::1%99999999999", "1.2.3.4 ",
                "[::1]x"};
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                sj_address a = {.n = 77};
                assert_int_equal(sj_address_parse(cases[i], 80, &a), -EINVAL);
                assert_int_equal(a.n, 77);
        }
        assert_int_equal(sj_address_parse(NULL, 80, &(sj_address){0}), -EINVAL);
}

static void paths_and_abstract_names_have_their_length(void **state)
{
        (void)state;
        sj_address a;
        char text[SJ_ADDRESS_TEXT_MAX], path[120];
        assert_int_equal(sj_address_unix("/run/x", &a), 0);
        assert_string_equal(sj_address_text(&a, text, sizeof(text)), "unix:/run/x");
        assert_int_equal(sj_address_port(&a), 0);
        assert_int_equal(sj_address_unix("@x", &a), 0);
        assert_string_equal(sj_address_text(&a, text, sizeof(text)), "unix:@x");
        assert_int_equal(a.n, 4);
        assert_int_equal(sj_address_unix("", &a), -EINVAL);
        memset(path, 'p', sizeof(path));
        path[108] = '\0';
        assert_int_equal(sj_address_unix(path, &a), -ENAMETOOLONG);
        path[107] = '\0';
        assert_int_equal(sj_address_unix(path, &a), 0);
        path[0] = '@';
        path[107] = 'p';
        assert_int_equal(sj_address_unix(path, &a), 0);
        assert_int_equal(sj_address_text(&a, text, sizeof(text))[5], '@');
        assert_int_equal(strlen(text), 5 + 108);
}

static void text_is_cut_to_size(void **state)
{
        (void)state;
        sj_address a;
        char text[6] = "xxxxx";
        assert_int_equal(sj_address_parse("127.0.0.1", 80, &a), 0);
        assert_string_equal(sj_address_text(&a, text, sizeof(text)), "127.0");
        assert_string_equal(sj_address_text(&(sj_address){0}, text, sizeof(text)), "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(reads_digits_and_writes_them_with_the_port),
                cmocka_unit_test(refuses_what_is_not_digits_and_writes_nothing),
                cmocka_unit_test(paths_and_abstract_names_have_their_length),
                cmocka_unit_test(text_is_cut_to_size),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
