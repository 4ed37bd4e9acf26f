/* SPDX-License-Identifier: MIT */
/* Joins: what the end of a task says to one, and what follows when all have arrived. */
#include "queue/outcome/outcome_unit.h"

#include <stdio.h>

#define BODY \
        "{\"task\": \"sum\", \"args\": [7], \"kwargs\": {}, \"options\": {\"task_id\": \"body\"}}"

/* A member of the group "g" at place 1, with that word of the body. */
static void member_begin(trial *t, const char *chord)
{
        char embed[8192];
        snprintf(embed, sizeof(embed), "{\"chord\": %s}", chord);
        trial_begin(t, embed);
        t->m.group = SJ_STR("g");
        t->m.has_group_index = true;
        t->m.group_index = 1;
}

/* The one arrival of the trial, complete with these members. */
static void complete(trial *t, size_t i, const char *const texts[], size_t n, const char *saved,
                     const broker_result found[], size_t n_found)
{
        static sj_str members[8];
        broker_arrival *a = &t->arrivals.list[i];
        for (size_t k = 0; k < n; k++)
                members[k] = sj_str_of(texts[k]);
        a->complete = true;
        a->members = members;
        a->n_members = n;
        a->saved = sj_str_of(saved);
        assert_int_equal(outcome_joined(&t->context, &t->delivery, i, found, n_found, arena, &t->s),
                         0);
}

static void the_end_of_a_member_is_told_as_celery_does(void **state)
{
        (void)state;
        trial t;
        member_begin(&t, BODY);
        succeed(&t, "{\"a\": 5}");
        assert_int_equal(t.arrivals.n, 1);
        const broker_arrival *a = &t.arrivals.list[0];
        assert_text(a->group, "g");
        assert_text(a->id, "the-id");
        assert_int_equal(a->index, 1);
        assert_text(a->text, "[1, \"the-id\", \"SUCCESS\", {\"a\": 5}]");
        fail_with(&t, "builtins", "ValueError", "[\"bang\", 42]");
        assert_int_equal(t.arrivals.n, 1);
        assert_text(t.arrivals.list[0].text,
                    "[1, \"the-id\", \"FAILURE\", {\"exc_type\": \"ValueError\", \"exc_message\": "
                    "[\"bang\", 42], \"exc_module\": \"builtins\"}]");
        assert_int_equal(outcome_revoked(&t.context, &t.delivery, "terminated", arena, &t.s), 0);
        assert_text(t.arrivals.list[0].text,
                    "[1, \"the-id\", \"REVOKED\", {\"exc_type\": \"TaskRevokedError\", "
                    "\"exc_message\": [\"terminated\"], \"exc_module\": \"celery.exceptions\"}]");
}

static void what_is_ignored_arrives_all_the_same_and_a_retry_does_not(void **state)
{
        (void)state;
        trial t;
        member_begin(&t, BODY);
        t.m.ignore_result = true;
        succeed(&t, "5");
        assert_int_equal(t.s.n_results, 0);
        assert_text(t.arrivals.list[0].text, "[1, \"the-id\", \"SUCCESS\", 5]");
        after(&t, &(task_return){.end = TASK_RETRIED, .countdown = 1});
        assert_int_equal(t.arrivals.n, 0);
        outcome_crashed(&t.context, &t.delivery, "killed", arena, &t.s);
        assert_int_equal(t.arrivals.n, 0);
}

static void who_is_dead_arrives_as_failed(void **state)
{
        (void)state;
        trial t;
        member_begin(&t, BODY);
        t.delivery.info = NULL;
        assert_int_equal(outcome_before(&t.context, &t.delivery, arena, &t.s), 1);
        assert_int_equal(t.s.verdict, BROKER_DEAD);
        assert_int_equal(t.arrivals.n, 1);
        /* Also when how it ended is what the broker refuses. */
        assert_int_equal(outcome_refused(&t.context, &t.delivery, -EMSGSIZE, arena, &t.s), 0);
        assert_int_equal(t.arrivals.n, 1);
}

static void without_a_group_or_a_body_nothing_is_told(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{\"chord\": " BODY "}");
        succeed(&t, "5");
        assert_int_equal(t.arrivals.n, 0);
        member_begin(&t, "null");
        succeed(&t, "5");
        assert_int_equal(t.arrivals.n, 0);
}

static void the_body_gets_the_results_and_the_join_is_closed(void **state)
{
        (void)state;
        static const char *const members[] = {"[1, \"a\", \"SUCCESS\", 10]",
                                              "[1, \"the-id\", \"SUCCESS\", [NaN]]"};
        trial t;
        member_begin(&t, BODY);
        succeed(&t, "[NaN]");
        complete(&t, 0, members, 2, NULL, NULL, 0);
        assert_int_equal(t.s.n_results, 1);
        assert_int_equal(t.s.n_joins, 1);
        assert_text(t.s.joins[0].group, "g");
        assert_int_equal(t.s.joins[0].size, 0);
        message m = follow_up(&t, 0);
        assert_text(m.id, "body");
        assert_text(m.parent_id, "the-id");
        assert_text(m.root_id, "the-root");
        assert_text(m.argsrepr, "([10, [nan]], 7)");
}

static void a_member_that_failed_is_the_failure_of_the_body(void **state)
{
        (void)state;
        static const char *const members[] = {
                "[1, \"the-id\", \"SUCCESS\", 5]",
                "[1, \"b\", \"FAILURE\", {\"exc_type\": \"ValueError\", \"exc_message\": "
                "[\"bang\", 42], \"exc_module\": \"builtins\"}]",
                "[1, \"c\", \"REVOKED\", {\"exc_type\": \"TaskRevokedError\", \"exc_message\": "
                "[\"revoked\"], \"exc_module\": \"celery.exceptions\"}]"};
        trial t;
        member_begin(&t, "{\"task\": \"sum\", \"options\": {\"task_id\": \"body\", "
                         "\"link_error\": [" SIG("mourn", "errback") "], \"chain\": [" SIG(
                                 "u", "behind") "], \"group_id\": \"outer\", \"group_index\": 3, "
                                                "\"chord\": " SIG("v", "outer-body") "}}");
        succeed(&t, "5");
        complete(&t, 0, members, 3, NULL, NULL, 0);
        assert_int_equal(t.s.n_joins, 0);
        assert_int_equal(t.s.n_results, 3);
        stored(&t, 0, "the-id", "SUCCESS");
        const sj_json *meta = stored(&t, 1, "body", "FAILURE");
        assert_error(meta, "{\"exc_type\": \"ChordError\", \"exc_message\": [\"Dependency b raised "
                           "ValueError('bang', 42)\"], \"exc_module\": \"celery.exceptions\"}");
        stored(&t, 2, "behind", "FAILURE");
        assert_int_equal(t.s.n_follow_ups, 1);
        message m = follow_up(&t, 0);
        assert_text(m.id, "errback");
        assert_true(m.group.n > 0);
        assert_args(&m, "[\"body\", 10]");
        /* The body is a member itself: that is told now. */
        assert_int_equal(t.arrivals.n, 2);
        assert_text(t.arrivals.list[1].group, "outer");
        assert_text(t.arrivals.list[1].id, "body");
        assert_int_equal(t.arrivals.list[1].index, 3);
        complete(&t, 0, members + 2, 1, NULL, NULL, 0);
        assert_error(stored(&t, 3, "body", "FAILURE"),
                     "{\"exc_type\": \"ChordError\", \"exc_message\": [\"Dependency c raised "
                     "TaskRevokedError('revoked')\"], \"exc_module\": \"celery.exceptions\"}");
}

static void a_failed_chain_arrives_for_the_link_that_is_the_member(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{\"chain\": [{\"task\": \"u\", \"options\": {\"task_id\": \"last\", "
                        "\"group_id\": \"g\", \"group_index\": 2, \"chord\": " BODY
                        "}}, " SIG("u", "next") "]}");
        fail_with(&t, "builtins", "ValueError", "[1]");
        assert_int_equal(t.arrivals.n, 1);
        assert_text(t.arrivals.list[0].id, "last");
        assert_int_equal(t.arrivals.list[0].index, 2);
        assert_text(t.arrivals.list[0].text,
                    "[1, \"last\", \"FAILURE\", {\"exc_type\": \"ValueError\", \"exc_message\": "
                    "[1], \"exc_module\": \"builtins\"}]");
        stored(&t, 0, "the-id", "FAILURE");
        stored(&t, 1, "next", "FAILURE");
        stored(&t, 2, "last", "FAILURE");
}

static void the_body_of_the_join_goes_before_that_of_the_message(void **state)
{
        (void)state;
        static const char *const members[] = {"[1, \"the-id\", \"SUCCESS\", 5]"};
        trial t;
        member_begin(&t, BODY);
        succeed(&t, "5");
        t.arrivals.list[0].body = SJ_STR(SIG("other", "kept"));
        complete(&t, 0, members, 1, NULL, NULL, 0);
        assert_text(follow_up(&t, 0).id, "kept");
}

static void a_saved_group_decides_what_is_joined(void **state)
{
        (void)state;
        static const char *const members[] = {"[1, \"a\", \"SUCCESS\", 1]",
                                              "[1, \"the-id\", \"SUCCESS\", 2]"};
        static const char saved[] = "{\"result\": [[\"g\", null], [[[\"a\", null], null], "
                                    "[[\"inner\", null], [[[\"the-id\", null], null], "
                                    "[[\"stored\", null], null]]]]]}";
        const sj_str *ids;
        trial t;
        member_begin(&t, BODY);
        succeed(&t, "2");
        broker_arrival a = t.arrivals.list[0];
        const sj_str texts[] = {sj_str_of(members[0]), sj_str_of(members[1])};
        a.members = texts;
        a.n_members = 2;
        a.saved = sj_str_of(saved);
        assert_int_equal(outcome_join_lacks(&a, arena, &ids), 1);
        assert_text(ids[0], "stored");
        const broker_result found = {SJ_STR("stored"), SJ_STR("SUCCESS"),
                                     SJ_STR("{\"status\": \"SUCCESS\", \"result\": 3}")};
        complete(&t, 0, members, 2, saved, &found, 1);
        message m = follow_up(&t, 0);
        assert_text(m.argsrepr, "([1, [2, 3]], 7)");
        /* One that nobody knows is not waited for. */
        succeed(&t, "2");
        complete(&t, 0, members, 2, saved, NULL, 0);
        assert_error(stored(&t, 1, "body", "FAILURE"),
                     "{\"exc_type\": \"ChordError\", \"exc_message\": [\"Join error: there is no "
                     "result of stored\"], \"exc_module\": \"celery.exceptions\"}");
}

static void what_members_say_is_not_trusted(void **state)
{
        (void)state;
        static const char *const odd[] = {"[1, 2]", "{}", "nonsense", "[1, 2, 3, 4]", ""};
        trial t;
        for (size_t i = 0; i < 5; i++) {
                member_begin(&t, BODY);
                succeed(&t, "2");
                complete(&t, 0, &odd[i], 1, "{\"result\": 5}", NULL, 0);
                assert_error(stored(&t, 1, "body", "FAILURE"),
                             "{\"exc_type\": \"ChordError\", \"exc_message\": [\"Join error: a "
                             "member has left no result\"], \"exc_module\": "
                             "\"celery.exceptions\"}");
        }
}

static void a_body_that_cannot_be_sent_has_failed(void **state)
{
        (void)state;
        static const char *const members[] = {"[1, \"the-id\", \"SUCCESS\", 5]"};
        trial t;
        member_begin(&t, "{\"task\": 3, \"options\": {\"task_id\": \"body\"}}");
        succeed(&t, "5");
        complete(&t, 0, members, 1, NULL, NULL, 0);
        assert_int_equal(t.s.n_follow_ups, 0);
        assert_error(stored(&t, 1, "body", "FAILURE"),
                     "{\"exc_type\": \"ChordError\", \"exc_message\": [\"Callback error: the body "
                     "is malformed\"], \"exc_module\": \"celery.exceptions\"}");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_end_of_a_member_is_told_as_celery_does),
                cmocka_unit_test(what_is_ignored_arrives_all_the_same_and_a_retry_does_not),
                cmocka_unit_test(who_is_dead_arrives_as_failed),
                cmocka_unit_test(without_a_group_or_a_body_nothing_is_told),
                cmocka_unit_test(the_body_gets_the_results_and_the_join_is_closed),
                cmocka_unit_test(a_member_that_failed_is_the_failure_of_the_body),
                cmocka_unit_test(a_failed_chain_arrives_for_the_link_that_is_the_member),
                cmocka_unit_test(the_body_of_the_join_goes_before_that_of_the_message),
                cmocka_unit_test(a_saved_group_decides_what_is_joined),
                cmocka_unit_test(what_members_say_is_not_trusted),
                cmocka_unit_test(a_body_that_cannot_be_sent_has_failed),
        };
        return cmocka_run_group_tests(tests, begin, end);
}
