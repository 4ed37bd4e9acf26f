/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "net/names.h"

#include <stdio.h>

static void a_name_is_lower_case_without_its_last_dot(void **state)
{
        (void)state;
        char name[SJ_HOST_MAX + 1];
        bool absolute;
        assert_int_equal(names_normalize("WWW.Example.ORG", name, &absolute), 0);
        assert_string_equal(name, "www.example.org");
        assert_false(absolute);
        assert_int_equal(names_normalize("_x-1.a.", name, &absolute), 0);
        assert_string_equal(name, "_x-1.a");
        assert_true(absolute);
}

static void what_is_no_host_name_is_refused(void **state)
{
        (void)state;
        char name[SJ_HOST_MAX + 1] = "kept", longest[400];
        static const char *const cases[] = {"",     ".",        "..",   ".a",    "a..b",
                                            "a b",  "a/b",      "a\nb", "ä.org", "1.2.3",
                                            "1234", "1.2.3.4.", "a:80", "a%b",   "a.b.."};
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                assert_int_equal(names_normalize(cases[i], name, NULL), -EINVAL);
        assert_int_equal(names_normalize(NULL, name, NULL), -EINVAL);
        memset(longest, 'a', sizeof(longest));
        longest[64] = '\0';
        assert_int_equal(names_normalize(longest, name, NULL), -EINVAL);
        longest[63] = '\0';
        assert_string_equal(name, "kept");
        assert_int_equal(names_normalize(longest, name, NULL), 0);
        for (size_t i = 0; i < sizeof(longest); i++)
                longest[i] = i % 2 ? '.' : 'a';
        longest[254] = '\0'; /* 253 and the dot */
        assert_int_equal(names_normalize(longest, name, NULL), 0);
        assert_int_equal(strlen(name), 253);
        longest[254] = 'a';
        longest[255] = '\0';
        assert_int_equal(names_normalize(longest, name, NULL), -EINVAL);
}

static void below_is_a_matter_of_whole_labels(void **state)
{
        (void)state;
        assert_true(names_below("localhost", "localhost"));
        assert_true(names_below("a.localhost", "localhost"));
        assert_false(names_below("alocalhost", "localhost"));
        assert_false(names_below("host", "localhost"));
}

static void candidates_are(const char *settings, const char *name, bool absolute,
                           const char *expected)
{
        names_config c;
        char all[1000] = "", one[SJ_HOST_MAX + 1];
        names_config_parse(sj_str_of(settings), &c);
        for (size_t i = 0; names_candidate(&c, name, absolute, i, one); i++) {
                strcat(all, i ? " " : "");
                strcat(all, one);
        }
        assert_string_equal(all, expected);
}

static void a_name_is_searched_for_in_the_domains_of_the_settings(void **state)
{
        (void)state;
        candidates_are("", "x", false, "x");
        candidates_are("search a b", "x", false, "x.a x.b x");
        candidates_are("search a b", "x.y", false, "x.y x.y.a x.y.b");
        candidates_are("search a b\noptions ndots:2", "x.y", false, "x.y.a x.y.b x.y");
        candidates_are("search a b", "x", true, "x");
        candidates_are("search a b\noptions ndots:0", "x", false, "x x.a x.b");
        candidates_are("search a b\ndomain C", "x", false, "x.c x");
}

static void settings_are_read_with_their_limits(void **state)
{
        (void)state;
        names_config c;
        char text[SJ_ADDRESS_TEXT_MAX];
        names_config_parse(SJ_STR("# nameserver 9.9.9.9\n"
                                  "  nameserver\t10.0.0.1  # first\r\n"
                                  "nameserver [::1]:5353\n"
                                  "nameserver [127.0.0.1]:99999\n"
                                  "nameserver nonsense\n"
                                  "sortlist 1.2.3.4\n"
                                  "options ndots:99 timeout:0 attempts:7 rotate edns0\n"
                                  "options use-vc"),
                           &c);
        assert_int_equal(c.server_count, 2);
        assert_string_equal(sj_address_text(&c.servers[0], text, sizeof(text)), "10.0.0.1:53");
        assert_string_equal(sj_address_text(&c.servers[1], text, sizeof(text)), "[::1]:5353");
        assert_int_equal(c.ndots, NAMES_NDOTS_MAX);
        assert_int_equal(c.timeout, SJ_SEC);
        assert_int_equal(c.attempts, NAMES_ATTEMPTS_MAX);
        assert_true(c.rotate && c.tcp);
        names_config_parse(SJ_STR(""), &c);
        assert_int_equal(c.server_count, 1);
        assert_string_equal(sj_address_text(&c.servers[0], text, sizeof(text)), "127.0.0.1:53");
        assert_int_equal(c.ndots, 1);
        assert_false(c.rotate || c.tcp);
}

static void more_servers_and_domains_than_fit_are_passed_over(void **state)
{
        (void)state;
        names_config c;
        char text[4000] = "search";
        for (int i = 0; i < 20; i++)
                sprintf(text + strlen(text), " d%d", i);
        for (int i = 0; i < 20; i++)
                sprintf(text + strlen(text), "\nnameserver 10.0.0.%d", i);
        names_config_parse(sj_str_of(text), &c);
        assert_int_equal(c.server_count, NAMES_SERVERS_MAX);
        assert_int_equal(c.search_count, NAMES_SEARCH_MAX);
}

static void hosts_have_aliases_comments_and_several_lines(void **state)
{
        (void)state;
        static const char text[] = "127.0.0.1 localhost\n"
                                   "10.0.0.1\tone.org  one # two\n"
                                   "#10.0.0.2 two\n"
                                   "::5 one\r\n"
                                   "10.0.0.1 one\n"
                                   "nonsense three\n"
                                   "one 10.0.0.9\n"
                                   "10.0.0.3 oneandmore last";
        names_answer a = {.n = 99};
        sj_str hosts = sj_str_of(text);
        assert_true(names_hosts_find(hosts, "one", &a));
        assert_int_equal(a.n, 2);
        assert_int_equal(a.addresses[0].family, AF_INET);
        assert_memory_equal(a.addresses[0].bytes, "\x0a\0\0\1", 4);
        assert_int_equal(a.addresses[1].family, AF_INET6);
        assert_true(names_hosts_find(hosts, "last", &a));
        assert_memory_equal(a.addresses[0].bytes, "\x0a\0\0\3", 4);
        a.n = 99;
        assert_false(names_hosts_find(hosts, "two", &a));
        assert_false(names_hosts_find(hosts, "three", &a));
        assert_false(names_hosts_find(hosts, "10.0.0.9", &a));
        assert_false(names_hosts_find(hosts, "and", &a));
        assert_false(names_hosts_find(SJ_STR(""), "x", &a));
        assert_int_equal(a.n, 99);
}

static void the_families_take_turns(void **state)
{
        (void)state;
        names_answer a = {0};
        static const char order[] = "464466";
        for (size_t i = 0; order[i]; i++) {
                unsigned char bytes[16] = {(unsigned char)i};
                names_answer_add(&a, order[i] == '4' ? AF_INET : AF_INET6, bytes);
                names_answer_add(&a, order[i] == '4' ? AF_INET : AF_INET6, bytes);
        }
        names_answer_interleave(&a);
        assert_int_equal(a.n, 6);
        static const unsigned char expected[] = {1, 0, 4, 2, 5, 3};
        for (size_t i = 0; i < a.n; i++)
                assert_int_equal(a.addresses[i].bytes[0], expected[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_name_is_lower_case_without_its_last_dot),
                cmocka_unit_test(what_is_no_host_name_is_refused),
                cmocka_unit_test(below_is_a_matter_of_whole_labels),
                cmocka_unit_test(a_name_is_searched_for_in_the_domains_of_the_settings),
                cmocka_unit_test(settings_are_read_with_their_limits),
                cmocka_unit_test(more_servers_and_domains_than_fit_are_passed_over),
                cmocka_unit_test(hosts_have_aliases_comments_and_several_lines),
                cmocka_unit_test(the_families_take_turns),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
