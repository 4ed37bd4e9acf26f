/* SPDX-License-Identifier: MIT */
#include "cli/hook_words.h"

#include "base/unit.h"

#include <stdlib.h>

/* The words with bars between them. */
static void expect(const char *text, const char *expected)
{
        char **words, found[200] = "";
        assert_int_equal(hook_words_split(text, &words), 0);
        for (char **w = words; *w; w++) {
                strcat(found, *w);
                strcat(found, "|");
        }
        assert_string_equal(found, expected);
        free(words);
}

static void words_are_split_as_a_shell_does(void **state)
{
        (void)state;
        expect("a", "a|");
        expect("  notify --to  me\t", "notify|--to|me|");
        expect("'a b' \"c d\"e", "a b|c de|");
        expect("\"a \\\" b\" '\\\"' \\ x", "a \" b|\\\"| x|");
        expect("'' \"\"", "||");
        expect("a$HOME;`id` *", "a$HOME;`id`|*|");
        expect("a b c d e f g h", "a|b|c|d|e|f|g|h|");
}

static void what_has_no_end_or_no_word_is_refused(void **state)
{
        (void)state;
        static const char *const wrong[] = {"", "  ", "'a", "\"a", "a\\", "a \"b\\"};
        char **words;
        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
                assert_int_equal(hook_words_split(wrong[i], &words), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(words_are_split_as_a_shell_does),
                cmocka_unit_test(what_has_no_end_or_no_word_is_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
