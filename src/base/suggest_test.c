/* SPDX-License-Identifier: MIT */
#include "base/suggest.h"

#include "base/unit.h"

static void suggested_is(const char *word, const char *expected)
{
        static const char *const names[] = {"worker", "call",  "result", "status",
                                            "dead",   "purge", NULL};
        const char *near = suggest_nearest(word, names);
        if (!expected)
                assert_null(near);
        else {
                assert_non_null(near);
                assert_string_equal(near, expected);
        }
}

static void a_typo_finds_the_word_that_was_meant(void **state)
{
        (void)state;
        suggested_is("wroker", "worker");
        suggested_is("workers", "worker");
        suggested_is("stat", "status");
        suggested_is("cal", "call");
        suggested_is("reslut", "result");
        suggested_is("xyz", NULL);
        suggested_is("", NULL);
        suggested_is("a-word-that-is-much-longer-than-any-command-there-is", NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_typo_finds_the_word_that_was_meant),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
