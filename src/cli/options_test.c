/* SPDX-License-Identifier: MIT */
#include "base/unit.h"

#include "cli/options.h"

#include <math.h>
#include <stdio.h>

typedef struct target {
        bool flag;
        bool other;
        const char *text;
        unsigned count;
        unsigned choice;
        double seconds;
        double wait;
} target;

static const char *const colours[] = {"red", "green", "blue", NULL};
static const option table[] = {
        {'f', "flag", NULL, "", OPTION_FLAG, offsetof(target, flag), 0, NULL},
        {'o', "other", NULL, "", OPTION_FLAG, offsetof(target, other), 0, NULL},
        {'t', "text", "TEXT", "", OPTION_TEXT, offsetof(target, text), 0, NULL},
        {'c', "count", "N", "", OPTION_COUNT, offsetof(target, count), 10, NULL},
        {0, "colour", "C", "", OPTION_CHOICE, offsetof(target, choice), 0, colours},
        {0, "seconds", "S", "", OPTION_SECONDS, offsetof(target, seconds), 0, NULL},
        {'w', "wait", "S", "", OPTION_WAIT, offsetof(target, wait), 0, NULL},
        {0},
};
static const command it = {.name = "it", .usage = "", .summary = "", .about = "", .options = table};

enum { WORDS_MAX = 12 };

/* Parses the words of a line, which blanks separate; what options_parse returned. */
static int parse(const char *line, target *ret, char *ret_words[WORDS_MAX])
{
        static char copy[200];
        snprintf(copy, sizeof(copy), "it %s", line);
        int argc = 0;
        char *rest;
        for (char *w = strtok_r(copy, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
                ret_words[argc++] = w;
        *ret = (target){.wait = -1};
        int status = -1;
        int n = options_parse(&it, argc, ret_words, ret, &status);
        if (n < 0)
                assert_int_equal(status, STATUS_USAGE);
        return n;
}

static void letters_may_stand_together_and_bear_their_value(void **state)
{
        (void)state;
        target t;
        char *words[WORDS_MAX];
        assert_int_equal(parse("-fo -c7 -t abc", &t, words), 0);
        assert_true(t.flag && t.other);
        assert_int_equal(t.count, 7);
        assert_string_equal(t.text, "abc");
        assert_int_equal(parse("-fct", &t, words), -1);
        assert_int_equal(parse("-fc3", &t, words), 0);
        assert_int_equal(t.count, 3);
}

static void long_names_take_a_value_in_both_ways(void **state)
{
        (void)state;
        target t;
        char *words[WORDS_MAX];
        assert_int_equal(parse("--text=a=b --count 10", &t, words), 0);
        assert_string_equal(t.text, "a=b");
        assert_int_equal(t.count, 10);
        assert_int_equal(parse("--text=", &t, words), 0);
        assert_string_equal(t.text, "");
}

static void operands_may_stand_anywhere(void **state)
{
        (void)state;
        target t;
        char *words[WORDS_MAX];
        assert_int_equal(parse("one -f two --text x - three", &t, words), 4);
        assert_string_equal(words[0], "one");
        assert_string_equal(words[1], "two");
        assert_string_equal(words[2], "-");
        assert_string_equal(words[3], "three");
        assert_true(t.flag);
}

static void two_dashes_end_the_options(void **state)
{
        (void)state;
        target t;
        char *words[WORDS_MAX];
        assert_int_equal(parse("-- -f --text", &t, words), 2);
        assert_string_equal(words[0], "-f");
        assert_false(t.flag);
}

static void a_wait_takes_a_number_that_follows_and_nothing_else(void **state)
{
        (void)state;
        target t;
        char *words[WORDS_MAX];
        assert_int_equal(parse("--wait 2.5 id", &t, words), 1);
        assert_true(t.wait == 2.5);
        assert_int_equal(parse("--wait id", &t, words), 1);
        assert_true(t.wait == HUGE_VAL);
        assert_int_equal(parse("id --wait", &t, words), 1);
        assert_true(t.wait == HUGE_VAL);
        assert_int_equal(parse("--wait=0 7e1f-9", &t, words), 1);
        assert_true(t.wait == 0);
        assert_int_equal(parse("-w 7e1f-9", &t, words), 1); /* an id that begins with a digit */
        assert_true(t.wait == HUGE_VAL);
        assert_int_equal(parse("", &t, words), 0);
        assert_true(t.wait == -1);
}

static void a_choice_is_one_of_its_words(void **state)
{
        (void)state;
        target t;
        char *words[WORDS_MAX];
        assert_int_equal(parse("--colour blue", &t, words), 0);
        assert_int_equal(t.choice, 2);
        assert_int_equal(parse("--colour pink", &t, words), -1);
        assert_int_equal(parse("--colour=", &t, words), -1);
}

static void values_that_are_wrong_are_refused(void **state)
{
        (void)state;
        static const char *const lines[] = {
                "--count 0",       "--count 11",  "--count -1",    "--count 1x",
                "--count ",        "--count=",    "--seconds -1",  "--seconds nan",
                "--seconds 1e300", "--seconds x", "--seconds inf", "--seconds 0x10z",
                "--wait=abc",      "--wait=-1",   "--flag=yes",    "--nonsense",
                "--fla",           "-x",          "--text",        "--count 99999999999999999999",
        };
        for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
                target t;
                char *words[WORDS_MAX];
                if (parse(lines[i], &t, words) != -1)
                        fail_msg("accepted: %s", lines[i]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(letters_may_stand_together_and_bear_their_value),
                cmocka_unit_test(long_names_take_a_value_in_both_ways),
                cmocka_unit_test(operands_may_stand_anywhere),
                cmocka_unit_test(two_dashes_end_the_options),
                cmocka_unit_test(a_wait_takes_a_number_that_follows_and_nothing_else),
                cmocka_unit_test(a_choice_is_one_of_its_words),
                cmocka_unit_test(values_that_are_wrong_are_refused),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
