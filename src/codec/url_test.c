/* SPDX-License-Identifier: MIT */
#include "codec/url.h"

#include "base/unit.h"

static int new_arena(void **state)
{
        return sj_arena_new((sj_arena **)state);
}

static int free_arena(void **state)
{
        sj_arena_free(*state);
        return 0;
}

static void assert_text(sj_str got, const char *expected)
{
        if (!sj_str_equal(got, sj_str_of(expected)))
                print_error("got %.*s\n", SJ_STR_ARG(got));
        assert_true(sj_str_equal(got, sj_str_of(expected)));
}

static void takes_a_url_apart(void **state)
{
        struct url u;
        assert_int_equal(url_parse(*state,
                                   SJ_STR("HTTPS://us%20er:se:cret@Example.COM:8443/A/./b/../%7e"
                                          "?q=%20&r=|#top"),
                                   &u),
                         URL_OK);
        assert_true(u.https);
        assert_text(u.userinfo, "us%20er:se:cret");
        assert_text(u.host, "example.com");
        assert_int_equal(u.port, 8443);
        assert_text(u.authority, "example.com:8443");
        assert_text(u.path, "/A/%7e");
        assert_text(u.query, "q=%20&r=|");
        assert_text(u.target, "/A/%7e?q=%20&r=|");
        assert_text(u.text, "https://example.com:8443/A/%7e?q=%20&r=|");
        assert_int_equal(u.text.data[u.text.n], '\0');
}

static void normalises(void **state)
{
        static const struct {
                const char *from, *to;
        } cases[] = {
                {"http://a", "http://a/"},
                {"http://a:80", "http://a/"},
                {"https://a:443/", "https://a/"},
                {"http://a:443/", "http://a:443/"},
                {"http://a:/x", "http://a/x"},
                {"http://a:00080/x", "http://a/x"},
                {"http://a?q", "http://a/?q"},
                {"http://a?", "http://a/?"},
                {"http://a#f", "http://a/"},
                {"http://a.", "http://a./"},
                {"http://A_b-1.x", "http://a_b-1.x/"},
                {"http://1.2.3.4/", "http://1.2.3.4/"},
                {"http://1.2.3.a4/", "http://1.2.3.a4/"},
                {"http://[::1]:8080/", "http://[::1]:8080/"},
                {"http://[2001:DB8::A]", "http://[2001:db8::a]/"},
                {"http://[1:2:3:4:5:6:7:8]", "http://[1:2:3:4:5:6:7:8]/"},
                {"http://[1:2:3:4:5:6:7::]", "http://[1:2:3:4:5:6:7::]/"},
                {"http://[::]", "http://[::]/"},
                {"http://[::ffff:1.2.3.4]", "http://[::ffff:1.2.3.4]/"},
                {"http://[1:2:3:4:5:6:1.2.3.4]", "http://[1:2:3:4:5:6:1.2.3.4]/"},
                {"http://a/..", "http://a/"},
                {"http://a/../../b", "http://a/b"},
                {"http://a/b/.", "http://a/b/"},
                {"http://a/b/..", "http://a/"},
                {"http://a//b/../c", "http://a//c"},
                {"http://a/.b/..c/...", "http://a/.b/..c/..."},
                {"http://a/\xc3\xa9?\xc3\xa9#\xc3\xa9", "http://a/%C3%A9?%C3%A9"},
                {"http://@a/", "http://a/"},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct url u, again;
                url_error error = url_parse(*state, sj_str_of(cases[i].from), &u);
                if (error)
                        print_error("%s: %s\n", cases[i].from, url_error_text(error));
                assert_int_equal(error, URL_OK);
                assert_text(u.text, cases[i].to);
                assert_int_equal(url_parse(*state, u.text, &again), URL_OK);
                assert_text(again.text, cases[i].to);
        }
}

static void refuses(void **state)
{
        static const struct {
                sj_str text;
                url_error error;
        } cases[] = {
                {{"", 0}, URL_BAD_SCHEME},
                {{"a", 1}, URL_BAD_SCHEME},
                {{"ftp://a/", 8}, URL_BAD_SCHEME},
                {{"http:/a", 7}, URL_BAD_SCHEME},
                {{"http:a", 6}, URL_BAD_SCHEME},
                {{"//a/", 4}, URL_BAD_SCHEME},
                {{"http://", 7}, URL_NO_HOST},
                {{"http:///x", 9}, URL_NO_HOST},
                {{"http://:80/", 11}, URL_NO_HOST},
                {{"http://u@/", 10}, URL_NO_HOST},
                {{"http://a b/", 11}, URL_BAD_BYTE},
                {{"http://a/ b", 11}, URL_BAD_BYTE},
                {{" http://a/", 10}, URL_BAD_BYTE},
                {{"http://a/\n", 10}, URL_BAD_BYTE},
                {{"http://a/\r\nX: y", 15}, URL_BAD_BYTE},
                {{"http://a/\0", 10}, URL_BAD_BYTE},
                {{"http://a/\x7f", 10}, URL_BAD_BYTE},
                {{"http://a/\\b", 11}, URL_BAD_BYTE},
                {{"http://a\\@b/", 12}, URL_BAD_BYTE},
                {{"http://a/<", 10}, URL_BAD_BYTE},
                {{"http://a/%", 10}, URL_BAD_PERCENT},
                {{"http://a/%4", 11}, URL_BAD_PERCENT},
                {{"http://a/%zz", 12}, URL_BAD_PERCENT},
                {{"http://a%41/", 12}, URL_BAD_HOST},
                {{"http://a..b/", 12}, URL_BAD_HOST},
                {{"http://.a/", 10}, URL_BAD_HOST},
                {{"http://./", 9}, URL_BAD_HOST},
                {{"http://a../", 11}, URL_BAD_HOST},
                {{"http://\xc3\xa9/", 10}, URL_BAD_HOST},
                {{"http://a,b/", 11}, URL_BAD_HOST},
                {{"http://127.1/", 13}, URL_BAD_HOST},
                {{"http://1/", 9}, URL_BAD_HOST},
                {{"http://0x7f.0.0.1/", 18}, URL_BAD_HOST},
                {{"http://0x7f000001/", 18}, URL_BAD_HOST},
                {{"http://1.2.3.04/", 16}, URL_BAD_HOST},
                {{"http://1.2.3.256/", 17}, URL_BAD_HOST},
                {{"http://1.2.3.4./", 16}, URL_BAD_HOST},
                {{"http://1.2.3.4.5/", 17}, URL_BAD_HOST},
                {{"http://[::1/", 12}, URL_BAD_HOST},
                {{"http://[]/", 10}, URL_BAD_HOST},
                {{"http://[:]/", 11}, URL_BAD_HOST},
                {{"http://[:::]/", 13}, URL_BAD_HOST},
                {{"http://[1]/", 11}, URL_BAD_HOST},
                {{"http://[1:2:3:4:5:6:7:8:9]/", 27}, URL_BAD_HOST},
                {{"http://[::1:2:3:4:5:6:7:8]/", 27}, URL_BAD_HOST},
                {{"http://[1::2::3]/", 17}, URL_BAD_HOST},
                {{"http://[1:2:3:4:5:6:7:]/", 24}, URL_BAD_HOST},
                {{"http://[1:2:3:4:5:6:7:8:]/", 26}, URL_BAD_HOST},
                {{"http://[::1:2:3:4:5:6:1.2.3.4]/", 31}, URL_BAD_HOST},
                {{"http://[12345::]/", 17}, URL_BAD_HOST},
                {{"http://[::1%25eth0]/", 20}, URL_BAD_HOST},
                {{"http://[v1.a]/", 14}, URL_BAD_HOST},
                {{"http://[::1]a/", 14}, URL_BAD_HOST},
                {{"http://[::1.2.3]/", 17}, URL_BAD_HOST},
                {{"http://::1/", 11}, URL_NO_HOST},
                {{"http://a:b/", 11}, URL_BAD_PORT},
                {{"http://a:0/", 11}, URL_BAD_PORT},
                {{"http://a:65536/", 15}, URL_BAD_PORT},
                {{"http://a:123456/", 16}, URL_BAD_PORT},
                {{"http://a:-1/", 12}, URL_BAD_PORT},
                {{"http://a:80:80/", 15}, URL_BAD_PORT},
                {{"http://u@v@a/", 13}, URL_BAD_HOST},
                {{"http://u[@a/", 12}, URL_BAD_USERINFO},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct url u;
                url_error error = url_parse(*state, cases[i].text, &u);
                if (error != cases[i].error)
                        print_error("%.*s: %s\n", SJ_STR_ARG(cases[i].text), url_error_text(error));
                assert_int_equal(error, cases[i].error);
        }
}

static void refuses_what_is_too_long(void **state)
{
        static char text[URL_MAX + 2];
        struct url u;
        memset(text, 'a', sizeof(text));
        memcpy(text, "http://a/", 9);
        assert_int_equal(url_parse(*state, (sj_str){text, URL_MAX}, &u), URL_OK);
        assert_int_equal(url_parse(*state, (sj_str){text, URL_MAX + 1}, &u), URL_TOO_LONG);
        /* Also when its normal form would not be. */
        for (size_t i = 9; i + 1 < sizeof(text); i += 2)
                memcpy(text + i, "./", 2);
        assert_int_equal(url_parse(*state, (sj_str){text, URL_MAX + 1}, &u), URL_TOO_LONG);
        /* Encoding makes it too long. */
        memset(text + 9, '\xc3', 4000);
        assert_int_equal(url_parse(*state, (sj_str){text, URL_MAX}, &u), URL_TOO_LONG);
        /* A label of 63 bytes, a name of 253. */
        memset(text + 7, 'a', 300);
        text[7 + 64] = '/';
        assert_int_equal(url_parse(*state, (sj_str){text, 80}, &u), URL_BAD_HOST);
        text[7 + 63] = '.';
        text[7 + 64] = 'a';
        for (size_t i = 1; i < 4; i++)
                text[7 + 64 * i - 1] = '.';
        assert_int_equal(url_parse(*state, (sj_str){text, 7 + 253}, &u), URL_OK);
        assert_int_equal(url_parse(*state, (sj_str){text, 7 + 254}, &u), URL_BAD_HOST);
}

/* RFC 3986 §5.4, but for what is not of our schemes. */
static void resolves_as_the_standards_examples(void **state)
{
        static const struct {
                const char *reference, *to;
        } cases[] = {
                {"g", "http://a/b/c/g"},
                {"./g", "http://a/b/c/g"},
                {"g/", "http://a/b/c/g/"},
                {"/g", "http://a/g"},
                {"//g", "http://g/"},
                {"?y", "http://a/b/c/d;p?y"},
                {"g?y", "http://a/b/c/g?y"},
                {"#s", "http://a/b/c/d;p?q"},
                {"g#s", "http://a/b/c/g"},
                {"g?y#s", "http://a/b/c/g?y"},
                {";x", "http://a/b/c/;x"},
                {"g;x", "http://a/b/c/g;x"},
                {"g;x?y#s", "http://a/b/c/g;x?y"},
                {"", "http://a/b/c/d;p?q"},
                {".", "http://a/b/c/"},
                {"./", "http://a/b/c/"},
                {"..", "http://a/b/"},
                {"../", "http://a/b/"},
                {"../g", "http://a/b/g"},
                {"../..", "http://a/"},
                {"../../", "http://a/"},
                {"../../g", "http://a/g"},
                {"../../../g", "http://a/g"},
                {"../../../../g", "http://a/g"},
                {"/./g", "http://a/g"},
                {"/../g", "http://a/g"},
                {"g.", "http://a/b/c/g."},
                {".g", "http://a/b/c/.g"},
                {"g..", "http://a/b/c/g.."},
                {"..g", "http://a/b/c/..g"},
                {"./../g", "http://a/b/g"},
                {"./g/.", "http://a/b/c/g/"},
                {"g/./h", "http://a/b/c/g/h"},
                {"g/../h", "http://a/b/c/h"},
                {"g;x=1/./y", "http://a/b/c/g;x=1/y"},
                {"g;x=1/../y", "http://a/b/c/y"},
                {"g?y/./x", "http://a/b/c/g?y/./x"},
                {"g?y/../x", "http://a/b/c/g?y/../x"},
                {"g#s/./x", "http://a/b/c/g"},
                {"https://x/y", "https://x/y"},
        };
        struct url base;
        assert_int_equal(url_parse(*state, SJ_STR("http://user@a/b/c/d;p?q"), &base), URL_OK);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct url u;
                assert_int_equal(url_resolve(*state, &base, sj_str_of(cases[i].reference), &u),
                                 URL_OK);
                assert_text(u.text, cases[i].to);
                assert_int_equal(u.userinfo.n, 0);
        }
}

static void resolves_strictly(void **state)
{
        struct url base, u;
        assert_int_equal(url_parse(*state, SJ_STR("https://a/"), &base), URL_OK);
        assert_int_equal(url_resolve(*state, &base, SJ_STR("g:h"), &u), URL_BAD_SCHEME);
        assert_int_equal(url_resolve(*state, &base, SJ_STR("javascript:x"), &u), URL_BAD_SCHEME);
        assert_int_equal(url_resolve(*state, &base, SJ_STR("https:g"), &u), URL_BAD_SCHEME);
        assert_int_equal(url_resolve(*state, &base, SJ_STR("/a b"), &u), URL_BAD_BYTE);
        assert_int_equal(url_resolve(*state, &base, SJ_STR("/\r\nX: y"), &u), URL_BAD_BYTE);
        assert_int_equal(url_resolve(*state, &base, SJ_STR("\0:"), &u), URL_BAD_BYTE);
        assert_int_equal(url_resolve(*state, &base, SJ_STR("//"), &u), URL_NO_HOST);
        assert_int_equal(url_resolve(*state, &base, SJ_STR("//b:1"), &u), URL_OK);
        assert_text(u.text, "https://b:1/");
}

static void compares_origins(void **state)
{
        struct url a, b;
        assert_int_equal(url_parse(*state, SJ_STR("http://a/x"), &a), URL_OK);
        assert_int_equal(url_parse(*state, SJ_STR("http://A:80/y"), &b), URL_OK);
        assert_true(url_same_origin(&a, &b));
        assert_int_equal(url_parse(*state, SJ_STR("https://a:80/y"), &b), URL_OK);
        assert_false(url_same_origin(&a, &b));
        assert_int_equal(url_parse(*state, SJ_STR("http://a:81/y"), &b), URL_OK);
        assert_false(url_same_origin(&a, &b));
        assert_int_equal(url_parse(*state, SJ_STR("http://b/"), &b), URL_OK);
        assert_false(url_same_origin(&a, &b));
}

static void decodes_percent_encoding(void **state)
{
        (void)state;
        char out[16];
        size_t n;
        assert_int_equal(url_percent_decode(SJ_STR("a%20b%C3%a9"), out, &n), 0);
        assert_text((sj_str){out, n}, "a b\xc3\xa9");
        assert_int_equal(url_percent_decode(SJ_STR("a%2"), out, &n), -EINVAL);
        assert_int_equal(url_percent_decode(SJ_STR("a%"), out, &n), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(takes_a_url_apart),
                cmocka_unit_test(normalises),
                cmocka_unit_test(refuses),
                cmocka_unit_test(refuses_what_is_too_long),
                cmocka_unit_test(resolves_as_the_standards_examples),
                cmocka_unit_test(resolves_strictly),
                cmocka_unit_test(compares_origins),
                cmocka_unit_test(decodes_percent_encoding),
        };
        return cmocka_run_group_tests(tests, new_arena, free_arena);
}
