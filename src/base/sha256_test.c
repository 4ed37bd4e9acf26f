/* SPDX-License-Identifier: MIT */
/* The examples of FIPS 180-4 (its published test vectors). */
#include "base/sha256.h"

#include "base/unit.h"

static void assert_digest(const char *text, size_t times, const char *expected)
{
        sha256 h;
        unsigned char digest[SHA256_BYTES];
        char hex[2 * SHA256_BYTES + 1];
        sha256_init(&h);
        for (size_t i = 0; i < times; i++)
                sha256_add(&h, text, strlen(text));
        sha256_end(&h, digest);
        sha256_hex(digest, sizeof(digest), hex);
        assert_string_equal(hex, expected);
}

static void the_published_digests_come_out(void **state)
{
        (void)state;
        assert_digest("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_digest("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
                      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
        assert_digest("a", 1000000,
                      "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(the_published_digests_come_out)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
