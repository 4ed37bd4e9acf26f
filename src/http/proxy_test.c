/* SPDX-License-Identifier: MIT */
#include "http/proxy.h"

#include "base/unit.h"

/* The environment of a test: NAME=value lines. */
static const char *const *set;

static const char *get(const char *name)
{
        size_t n = strlen(name);
        for (size_t i = 0; set[i]; i++)
                if (strncmp(set[i], name, n) == 0 && set[i][n] == '=')
                        return set[i] + n + 1;
        return NULL;
}

#define SET(...)                                                       \
        do {                                                           \
                static const char *const lines[] = {__VA_ARGS__ NULL}; \
                set = lines;                                           \
        } while (0)

static sj_arena *arena;

/* The authority of the proxy for that target, or "direct". */
static const char *pick(const char *option, const char *target)
{
        static http_proxies p;
        struct url u;
        assert_int_equal(http_proxy_init(&p, arena, option, get), 0);
        assert_int_equal(url_parse(arena, sj_str_of(target), &u), URL_OK);
        const struct url *proxy = http_proxy_pick(&p, &u);
        return proxy ? sj_arena_strndup(arena, proxy->authority.data, proxy->authority.n)
                     : "direct";
}

static int setup(void **state)
{
        (void)state;
        return sj_arena_new(&arena);
}

static int teardown(void **state)
{
        (void)state;
        sj_arena_free(arena);
        return 0;
}

static void goes_directly_without_settings(void **state)
{
        (void)state;
        SET("PATH=/bin", "http_proxy=", );
        assert_string_equal(pick(NULL, "http://a/"), "direct");
        assert_string_equal(pick(NULL, "https://a/"), "direct");
}

static void takes_the_variable_of_the_scheme(void **state)
{
        (void)state;
        SET("http_proxy=http://p:1", "https_proxy=q:2", );
        assert_string_equal(pick(NULL, "http://a/"), "p:1");
        assert_string_equal(pick(NULL, "https://a/"), "q:2");
        SET("HTTPS_PROXY=http://p:1", "ALL_PROXY=http://q:2", );
        assert_string_equal(pick(NULL, "http://a/"), "q:2");
        assert_string_equal(pick(NULL, "https://a/"), "p:1");
        SET("https_proxy=http://p:1", "HTTPS_PROXY=http://q:2", );
        assert_string_equal(pick(NULL, "https://a/"), "p:1");
}

static void does_not_believe_http_proxy_in_upper_case(void **state)
{
        (void)state;
        SET("HTTP_PROXY=http://evil:1", );
        assert_string_equal(pick(NULL, "http://a/"), "direct");
}

static void an_option_stands_above_the_environment(void **state)
{
        (void)state;
        SET("http_proxy=http://p:1", "no_proxy=*", );
        assert_string_equal(pick("", "http://a/"), "direct");
        assert_string_equal(pick("http://q:2", "http://a/"), "q:2");
        assert_string_equal(pick("http://q:2", "https://localhost/"), "q:2");
}

static void loopback_is_reached_directly(void **state)
{
        (void)state;
        SET("all_proxy=p:1", );
        assert_string_equal(pick(NULL, "http://localhost/"), "direct");
        assert_string_equal(pick(NULL, "http://x.localhost./"), "direct");
        assert_string_equal(pick(NULL, "http://127.0.0.1/"), "direct");
        assert_string_equal(pick(NULL, "http://127.9.9.9/"), "direct");
        assert_string_equal(pick(NULL, "http://[::1]/"), "direct");
        assert_string_equal(pick(NULL, "http://[::2]/"), "p:1");
        assert_string_equal(pick(NULL, "http://128.0.0.1/"), "p:1");
        assert_string_equal(pick(NULL, "http://notlocalhost/"), "p:1");
}

static void no_proxy_lists_names_addresses_and_networks(void **state)
{
        (void)state;
        static const struct {
                const char *url;
                bool direct;
        } cases[] = {
                {"http://example.org/", true},     {"http://www.EXAMPLE.org/", true},
                {"http://badexample.org/", false}, {"http://example.org.evil/", false},
                {"http://dotted.net/", true},      {"http://www.dotted.net/", true},
                {"http://port.com:8080/", true},   {"http://port.com/", false},
                {"http://10.1.2.3/", true},        {"http://11.1.2.3/", false},
                {"http://192.168.7.9/", true},     {"http://192.168.8.0/", false},
                {"http://192.168.7.200/", false},  {"http://1.2.3.4/", true},
                {"http://1.2.3.5/", false},        {"http://[fd00::1]/", true},
                {"http://[fe00::1]/", false},      {"http://[2001:db8::7]:99/", true},
                {"http://10.name/", false},
        };
        SET("all_proxy=p:1",
            "no_proxy= Example.org,.dotted.net port.com:8080,10.0.0.0/8,"
            "192.168.7.0/25,1.2.3.4,,fd00::/8,[2001:db8::7], 300.0.0.0/8, x/y,1.1.1.1/99", );
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                assert_string_equal(pick(NULL, cases[i].url), cases[i].direct ? "direct" : "p:1");
        SET("all_proxy=p:1", "NO_PROXY=*", );
        assert_string_equal(pick(NULL, "http://any/"), "direct");
}

static void refuses_settings_that_are_malformed(void **state)
{
        (void)state;
        http_proxies p;
        SET(NULL, );
        assert_int_equal(http_proxy_init(&p, arena, "socks5://a:1", get), -EINVAL);
        assert_int_equal(http_proxy_init(&p, arena, "http://a b", get), -EINVAL);
        SET("all_proxy=socks5h://a:1", );
        assert_int_equal(http_proxy_init(&p, arena, NULL, get), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(goes_directly_without_settings),
                cmocka_unit_test(takes_the_variable_of_the_scheme),
                cmocka_unit_test(does_not_believe_http_proxy_in_upper_case),
                cmocka_unit_test(an_option_stands_above_the_environment),
                cmocka_unit_test(loopback_is_reached_directly),
                cmocka_unit_test(no_proxy_lists_names_addresses_and_networks),
                cmocka_unit_test(refuses_settings_that_are_malformed),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
