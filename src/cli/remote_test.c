/* SPDX-License-Identifier: MIT */
#include "cli/remote.h"

#include "base/arena_unit.h"
#include "queue/worker/worker_control.h"

#include <stdio.h>

/* The arguments as text; of a refusal its sentence. */
static const char *arguments_of(const remote_word words[], const char *name, char **operands)
{
        static char error[300];
        const remote_word *word = remote_find(words, name);
        const sj_json *arguments;
        sj_str text;
        size_t n = 0;
        while (operands[n])
                n++;
        assert_non_null(word);
        int r = remote_arguments(arena, word, operands, n, NULL, &arguments, error, sizeof(error));
        if (r < 0)
                return error;
        if (!arguments)
                return "none";
        assert_int_equal(sj_json_text(arena, arguments, SJ_JSON_SPACED, &text), 0);
        return text.data;
}

#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

static void words_become_arguments(void **state)
{
        (void)state;
        const remote_word *c = remote_control_words, *i = remote_inspect_words;
        assert_string_equal(arguments_of(i, "ping", WORDS(NULL)), "none");
        assert_string_equal(arguments_of(c, "revoke", WORDS("a", "b")),
                            "{\"task_id\": [\"a\", \"b\"]}");
        assert_string_equal(arguments_of(c, "terminate", WORDS("KILL", "a")),
                            "{\"signal\": \"KILL\", \"task_id\": [\"a\"]}");
        assert_string_equal(arguments_of(c, "rate_limit", WORDS("t", "10/m")),
                            "{\"task_name\": \"t\", \"rate_limit\": \"10/m\"}");
        assert_string_equal(arguments_of(c, "time_limit", WORDS("t", "1.5", "3")),
                            "{\"task_name\": \"t\", \"soft\": 1.5, \"hard\": 3.0}");
        assert_string_equal(arguments_of(c, "autoscale", WORDS("4")), "{\"max\": 4}");
        assert_string_equal(arguments_of(c, "add_consumer", WORDS("q")), "{\"queue\": \"q\"}");
        assert_string_equal(arguments_of(c, "revoke_by_stamped_headers", WORDS("k=v", "m=x=y")),
                            "{\"headers\": {\"k\": [\"v\"], \"m\": [\"x=y\"]}}");
        assert_string_equal(arguments_of(i, "dump_conf", WORDS("true")),
                            "{\"with_defaults\": true}");
        assert_string_equal(arguments_of(i, "registered", WORDS(NULL)), "{\"taskinfoitems\": []}");
}

static void wrong_words_are_refused(void **state)
{
        (void)state;
        const remote_word *c = remote_control_words, *i = remote_inspect_words;
        assert_string_equal(arguments_of(i, "ping", WORDS("x")), "ping does not take 'x'");
        assert_string_equal(arguments_of(c, "revoke", WORDS(NULL)),
                            "revoke needs more: revoke ID...");
        assert_string_equal(arguments_of(c, "terminate", WORDS("KILL")),
                            "terminate needs more: terminate SIGNAL ID...");
        assert_string_equal(arguments_of(c, "pool_grow", WORDS("many")),
                            "'many' cannot be the n of pool_grow");
        assert_string_equal(arguments_of(c, "time_limit", WORDS("t", "")),
                            "'' cannot be the soft of time_limit");
        assert_string_equal(arguments_of(c, "revoke_by_stamped_headers", WORDS("k")),
                            "'k' is not NAME=VALUE");
        assert_null(remote_find(c, "ping"));
        assert_null(remote_find(c, "election"));
}

static bool knows(const control_method methods[], const char *name)
{
        for (const control_method *m = methods; m->name; m++)
                if (strcmp(m->name, name) == 0)
                        return true;
        return false;
}

/* What can be said a worker can answer, and the help tells of it. */
static void each_word_is_answered_and_explained(void **state)
{
        (void)state;
        char line[100];
        for (const remote_word *w = remote_inspect_words; w->name; w++) {
                snprintf(line, sizeof(line), "\n  %s", w->name);
                assert_non_null(strstr(cmd_inspect.about, line));
                assert_true(knows(worker_inspect_methods, w->name));
        }
        for (const remote_word *w = remote_control_words; w->name; w++) {
                snprintf(line, sizeof(line), "\n  %s", w->name);
                assert_non_null(strstr(cmd_control.about, line));
                assert_true(knows(worker_steer_methods, w->name));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(words_become_arguments),
                cmocka_unit_test(wrong_words_are_refused),
                cmocka_unit_test(each_word_is_answered_and_explained),
        };
        return cmocka_run_group_tests(tests, arena_unit_begin, arena_unit_end);
}
