/* SPDX-License-Identifier: MIT */
/* What follows from the end of a task: callbacks, chains, errbacks. */
#include "queue/outcome/outcome_unit.h"

static void a_callback_gets_the_result_in_front_of_its_arguments(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{\"callbacks\": [" SIG("elsewhere", "next") "]}");
        succeed(&t, "5");
        message m = follow_up(&t, 0);
        assert_text(m.id, "next");
        assert_text(m.root_id, "the-root");
        assert_text(m.parent_id, "the-id");
        assert_text(m.routing_key, "other queue");
        assert_text(m.origin, "gen7@h");
        assert_text(m.reply_to, "reply");
        assert_args(&m, "[5, 10]");
        assert_null(m.group.data);
        const sj_json *children = sj_json_member(stored(&t, 0, "the-id", "SUCCESS"), "children");
        assert_true(sj_json_equal(children, parse(SJ_STR("[[[\"next\", null], null]]"))));
}

static void several_callbacks_form_a_group(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{\"callbacks\": [" SIG("u", "a") ", " SIG("u", "b") "]}");
        succeed(&t, "5");
        assert_int_equal(t.s.n_follow_ups, 2);
        message a = follow_up(&t, 0), b = follow_up(&t, 1);
        assert_int_equal(a.group.n, 36);
        assert_true(sj_str_equal(a.group, b.group));
}

static void the_next_link_of_a_chain_is_the_last_of_its_list(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{\"chain\": [" SIG("u", "third") ", " SIG("u", "second") "]}");
        succeed(&t, "5");
        assert_int_equal(t.s.n_follow_ups, 1);
        message m = follow_up(&t, 0);
        assert_text(m.id, "second");
        assert_args(&m, "[5, 10]");
        assert_int_equal(sj_json_count(m.chain), 1);
        assert_text(message_signature_id(sj_json_at(m.chain, 0)), "third");
        trial_begin(&t, "{\"chain\": []}");
        succeed(&t, "5");
        assert_int_equal(t.s.n_follow_ups, 0);
}

static void an_immutable_link_gets_no_result(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{\"chain\": [{\"task\": \"u\", \"args\": [1], \"kwargs\": {}, "
                        "\"options\": {}, \"immutable\": true}]}");
        succeed(&t, "5");
        message m = follow_up(&t, 0);
        assert_args(&m, "[1]");
}

static void a_group_in_a_link_is_sent_member_by_member(void **state)
{
        (void)state;
        trial t;
        trial_begin(
                &t,
                "{\"callbacks\": [{\"task\": \"celery.group\", \"args\": [], \"kwargs\": "
                "{\"tasks\": [" SIG("u", "a") ", " SIG(
                        "u", "b") "]}, \"options\": "
                                  "{\"task_id\": \"the-group\"}, \"subtask_type\": \"group\"}]}");
        succeed(&t, "5");
        assert_int_equal(t.s.n_follow_ups, 2);
        message b = follow_up(&t, 1);
        assert_text(b.group, "the-group");
        assert_args(&b, "[5, 10]");
}

static void a_chain_in_a_link_goes_before_what_follows_it(void **state)
{
        (void)state;
        trial t;
        trial_begin(
                &t,
                "{\"chain\": [" SIG(
                        "u", "last") ", {\"task\": \"celery.chain\", \"args\": "
                                     "[], \"kwargs\": {\"tasks\": [" SIG("u", "a") ", " SIG(
                                             "u",
                                             "b") ", " SIG("u",
                                                           "c") "]}, \"options\": {}, "
                                                                "\"subtask_type\": \"chain\"}]}");
        succeed(&t, "5");
        message m = follow_up(&t, 0);
        assert_text(m.id, "a");
        static const char *const rest[] = {"last", "c", "b"};
        assert_int_equal(sj_json_count(m.chain), 3);
        for (size_t i = 0; i < 3; i++)
                assert_text(message_signature_id(sj_json_at(m.chain, i)), rest[i]);
}

static void what_cannot_be_sent_fails_under_its_id_and_those_behind_it(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t,
                    "{\"chain\": [" SIG(
                            "u", "last") ", {\"task\": \"celery.chord\", "
                                         "\"kwargs\": {}, \"options\": {\"task_id\": \"chord\"}, "
                                         "\"subtask_type\": \"chord\"}]}");
        succeed(&t, "5");
        assert_int_equal(t.s.n_follow_ups, 0);
        assert_int_equal(t.s.n_results, 3);
        assert_error(stored(&t, 0, "chord", "FAILURE"),
                     "{\"exc_type\": \"InvalidTaskError\", \"exc_message\": [\"a signature of "
                     "the message is malformed\"], \"exc_module\": \"celery.exceptions\"}");
        stored(&t, 1, "last", "FAILURE");
        stored(&t, 2, "the-id", "SUCCESS");
        trial_begin(&t, "{\"callbacks\": [{\"task\": 3, \"options\": {\"task_id\": \"bad\"}}]}");
        succeed(&t, "5");
        stored(&t, 0, "bad", "FAILURE");
        stored(&t, 1, "the-id", "SUCCESS");
        /* Names that no broker takes. */
        trial_begin(&t, "{\"callbacks\": [{\"task\": \"u\", \"options\": {\"task_id\": "
                        "\"a\\nb\"}}, {\"task\": \"u\\u0000\"}, {\"task\": \"u\", "
                        "\"options\": {\"queue\": \"\\u0007\"}}, {\"task\": \"u\", "
                        "\"options\": {\"expires\": -1000000000, \"eta\": "
                        "\"1950-01-01T00:00:00\"}}]}");
        succeed(&t, "5");
        assert_int_equal(t.s.n_results, 1);
        assert_int_equal(t.s.n_follow_ups, 1);
        assert_true(t.s.follow_ups[0].expires.us == 1 && t.s.follow_ups[0].eta.us == 1);
}

static void a_result_that_no_message_can_hold_breaks_the_link_and_not_the_task(void **state)
{
        (void)state;
        trial t;
        size_t n = MESSAGE_SIZE_MAX;
        char *large = malloc(n);
        memset(large, 'x', n);
        large[0] = large[n - 2] = '"';
        large[n - 1] = 0;
        trial_begin(&t, "{\"callbacks\": [" SIG("u", "next") "]}");
        succeed(&t, large);
        free(large);
        assert_int_equal(t.s.n_follow_ups, 0);
        assert_int_equal(t.s.n_results, 2);
        assert_error(stored(&t, 0, "next", "FAILURE"),
                     "{\"exc_type\": \"InvalidTaskError\", \"exc_message\": [\"the link and its "
                     "arguments do not fit into a message\"], \"exc_module\": "
                     "\"celery.exceptions\"}");
        assert_text(t.s.results[1].state, "SUCCESS");
}

static void a_failure_reaches_the_rest_of_the_chain_and_the_errbacks(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{\"callbacks\": [" SIG("u", "no") "], \"errbacks\": [" SIG(
                                "u", "err") "], \"chain\": [" SIG("u",
                                                                  "third") ", " SIG("u",
                                                                                    "second") "]}");
        fail_with(&t, "builtins", "ValueError", "[\"bang\"]");
        assert_int_equal(t.s.n_results, 3);
        static const char *const ids[] = {"the-id", "second", "third"};
        for (size_t i = 0; i < 3; i++)
                assert_error(stored(&t, i, ids[i], "FAILURE"),
                             "{\"exc_type\": \"ValueError\", \"exc_message\": [\"bang\"], "
                             "\"exc_module\": \"builtins\"}");
        assert_int_equal(t.s.n_follow_ups, 1);
        message m = follow_up(&t, 0);
        assert_text(m.id, "err");
        assert_args(&m, "[\"the-id\", 10]");
        assert_int_equal(m.group.n, 36);
        assert_text(m.root_id, "the-root");
        assert_text(m.parent_id, "the-id");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_callback_gets_the_result_in_front_of_its_arguments),
                cmocka_unit_test(several_callbacks_form_a_group),
                cmocka_unit_test(the_next_link_of_a_chain_is_the_last_of_its_list),
                cmocka_unit_test(an_immutable_link_gets_no_result),
                cmocka_unit_test(a_group_in_a_link_is_sent_member_by_member),
                cmocka_unit_test(a_chain_in_a_link_goes_before_what_follows_it),
                cmocka_unit_test(what_cannot_be_sent_fails_under_its_id_and_those_behind_it),
                cmocka_unit_test(
                        a_result_that_no_message_can_hold_breaks_the_link_and_not_the_task),
                cmocka_unit_test(a_failure_reaches_the_rest_of_the_chain_and_the_errbacks),
        };
        return cmocka_run_group_tests(tests, begin, end);
}
