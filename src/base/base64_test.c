/* SPDX-License-Identifier: MIT */
#include "base/base64.h"

#include "base/unit.h"

static const struct {
        const char *bytes, *text;
} samples[] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
};

static void agrees_with_the_samples_of_rfc_4648(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
                buf b = BUF_INIT(0);
                unsigned char back[8];
                size_t n = SIZE_MAX;
                sj_str bytes = sj_str_of(samples[i].bytes), text = sj_str_of(samples[i].text);
                assert_int_equal(base64_append_encoded(&b, bytes.data, bytes.n), 0);
                assert_true(sj_str_equal(buf_str(&b), text));
                assert_int_equal(base64_decode(text, back, &n), 0);
                assert_true(sj_str_equal((sj_str){(char *)back, n}, bytes));
                buf_fini(&b);
        }
}

static void every_byte_and_length_comes_back(void **state)
{
        (void)state;
        unsigned char bytes[256], back[256];
        char text[400];
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (unsigned char)(i * 167 + 13);
        for (size_t n = 0; n <= sizeof(bytes); n++) {
                size_t back_n = SIZE_MAX;
                base64_encode(bytes, n, text);
                sj_str encoded = {text, base64_encoded_size(n)};
                assert_int_equal(base64_decode(encoded, back, &back_n), 0);
                assert_int_equal(back_n, n);
                assert_memory_equal(back, bytes, n);
        }
}

static void only_the_alphabet_is_accepted(void **state)
{
        (void)state;
        const char *alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for (size_t place = 0; place < 8; place++)
                for (int c = 0; c < 256; c++) {
                        char text[] = "AAAAAAAA";
                        unsigned char bytes[6];
                        size_t n = 0;
                        text[place] = (char)c;
                        bool good = (c && strchr(alphabet, c)) || (place == 7 && c == '=');
                        int r = base64_decode((sj_str){text, 8}, bytes, &n);
                        assert_int_equal(r, good ? 0 : -EBADMSG);
                }
}

static void refuses_what_is_not_strict(void **state)
{
        (void)state;
        const char *wrong[] = {"Z",      "Zg",       "Zg=",     "Zm9v\n",   "Zg==Zg==", "=",
                               "====",   "A===",     "Zh==",    "Zm9=",     "Z=g=",     "Zm8=Zm8=",
                               "Zg==\n", "Zm9vZg= ", "\xffm9v", "Zm9v Zg=="};
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                unsigned char bytes[16];
                size_t n = SIZE_MAX;
                assert_int_equal(base64_decode(sj_str_of(wrong[i]), bytes, &n), -EBADMSG);
                assert_int_equal(n, SIZE_MAX);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(agrees_with_the_samples_of_rfc_4648),
                cmocka_unit_test(every_byte_and_length_comes_back),
                cmocka_unit_test(only_the_alphabet_is_accepted),
                cmocka_unit_test(refuses_what_is_not_strict),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
