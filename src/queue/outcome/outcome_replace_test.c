/* SPDX-License-Identifier: MIT */
/* Ends that a task asks for itself: replaced, ignored, rejected. */
#include "queue/outcome/outcome_unit.h"

static void replace(trial *t, const char *signature)
{
        after(t, &(task_return){.end = TASK_REPLACED, .value = sj_str_of(signature)});
}

static sj_str option_of(const sj_json *signature, const char *name)
{
        sj_str text = {"", 0};
        sj_json_string(sj_json_member(sj_json_member(signature, "options"), name), &text);
        return text;
}

static void what_replaces_a_task_has_its_id_and_all_that_was_to_come(void **state)
{
        (void)state;
        trial t;
        trial_begin(
                &t,
                "{\"callbacks\": [" SIG("v", "callback") "], \"errbacks\": [" SIG(
                        "w", "errback") "], \"chain\": [" SIG("x", "behind") "], "
                                                                             "\"chord\": " SIG(
                                                                                     "y",
                                                                                     "body") "}");
        t.m.group = SJ_STR("g");
        t.m.has_group_index = true;
        t.m.group_index = 4;
        t.lease.message.key = SJ_STR("key");
        replace(&t,
                "{\"task\": \"u\", \"args\": [3], \"options\": {\"link\": " SIG("z", "own") "}}");
        assert_int_equal(t.s.verdict, BROKER_RETRY);
        assert_int_equal(t.s.n_results, 0);
        assert_int_equal(t.s.n_follow_ups, 0);
        assert_int_equal(t.arrivals.n, 0);
        assert_text(t.s.next->id, "the-id");
        assert_text(t.s.next->key, "key");
        message m;
        message_error error;
        assert_int_equal(message_decode(arena, t.s.next->envelope, &m, &error), 0);
        assert_text(m.task, "u");
        assert_args(&m, "[3]");
        assert_text(m.parent_id, "the-id");
        assert_text(m.root_id, "the-root");
        assert_text(m.group, "g");
        assert_int_equal(m.group_index, 4);
        assert_int_equal(m.replaced_task_nesting, 1);
        assert_int_equal(sj_json_count(m.callbacks), 2);
        assert_int_equal(sj_json_count(m.errbacks), 1);
        assert_text(message_signature_id(m.chord), "body");
        assert_text(message_signature_id(sj_json_at(m.chain, 0)), "behind");
}

static void a_chain_that_replaces_a_task_ends_in_its_place(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{\"callbacks\": [" SIG("v", "callback") "], \"chain\": [" SIG(
                                "x", "behind") "]}");
        t.context.knows_ids = true;
        replace(&t, "{\"task\": \"celery.chain\", \"args\": [], \"kwargs\": {\"tasks\": [" SIG(
                            "a", "first") ", " SIG("b", "second") "]}, \"options\": {}, "
                                                                  "\"subtask_type\": \"chain\"}");
        assert_int_equal(t.s.verdict, BROKER_DONE);
        assert_int_equal(t.s.n_follow_ups, 1);
        message m = follow_up(&t, 0);
        assert_text(m.id, "first");
        assert_int_equal(sj_json_count(m.callbacks), 0);
        assert_int_equal(sj_json_count(m.chain), 2);
        assert_text(message_signature_id(sj_json_at(m.chain, 0)), "behind");
        assert_text(message_signature_id(sj_json_at(m.chain, 1)), "the-id");
        /* It is not forgotten meanwhile. */
        assert_int_equal(t.s.n_results, 1);
        stored(&t, 0, "the-id", "IGNORED");
}

static void a_group_that_replaces_a_task_brings_the_list_of_its_results(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{}");
        replace(&t, "{\"task\": \"celery.group\", \"args\": [], \"kwargs\": {\"tasks\": [" SIG(
                            "a", "first") ", " SIG("b", "second") "]}, \"options\": {}, "
                                                                  "\"subtask_type\": \"group\"}");
        assert_int_equal(t.s.verdict, BROKER_DONE);
        assert_int_equal(t.s.n_results, 0);
        assert_int_equal(t.s.n_follow_ups, 2);
        assert_int_equal(t.s.n_joins, 1);
        assert_int_equal(t.s.joins[0].size, 2);
        message m = follow_up(&t, 1);
        sj_str task;
        assert_text(m.id, "second");
        assert_int_equal(sj_json_string(sj_json_member(m.chord, "task"), &task), 0);
        assert_text(task, "celery.accumulate");
        assert_text(option_of(m.chord, "task_id"), "the-id");
        assert_text(option_of(m.chord, "root_id"), "the-root");
        if (!sj_json_equal(sj_json_member(m.chord, "kwargs"), parse(SJ_STR("{\"index\": 0}"))))
                fail_msg("index");
}

static void what_cannot_replace_a_task_is_its_failure(void **state)
{
        (void)state;
        static const char *const odd[] = {
                "5",
                "{\"task\": \"u\", \"options\": {\"chord\": {}}}",
                ("{\"task\": \"celery.chain\", \"kwargs\": {\"tasks\": []}, \"subtask_type\": "
                 "\"chain\"}"),
                "{\"task\": 5}",
                "{\"task\": \"celery.chord\", \"kwargs\": {}, \"subtask_type\": \"chord\"}",
        };
        trial t;
        for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
                trial_begin(&t, "{}");
                replace(&t, odd[i]);
                assert_int_equal(t.s.verdict, BROKER_DONE);
                stored(&t, 0, "the-id", "FAILURE");
        }
}

static void stamps_go_on_to_what_replaces(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{}");
        t.m.stamped_headers = parse(SJ_STR("[\"colour\"]"));
        t.m.stamps = parse(SJ_STR("{\"colour\": [\"red\"]}"));
        replace(&t, "{\"task\": \"u\", \"options\": {}}");
        message m;
        message_error error;
        assert_int_equal(message_decode(arena, t.s.next->envelope, &m, &error), 0);
        if (!sj_json_equal(m.stamps, t.m.stamps))
                fail_msg("the stamps are lost");
}

/* What it says itself goes before what the task had. */
static void stamps_of_a_replacement_are_added_to(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "null");
        t.m.stamped_headers = parse(SJ_STR("[\"who\", \"why\", \"task_id\"]"));
        t.m.stamps = parse(SJ_STR("{\"who\": \"a\", \"why\": \"b\", \"task_id\": \"c\"}"));
        replace(&t, "{\"task\": \"u\", \"options\": {\"stamped_headers\": [\"why\", \"own\"], "
                    "\"why\": 1, \"own\": 2}}");
        message m;
        message_error error;
        assert_int_equal(message_decode(arena, t.s.next->envelope, &m, &error), 0);
        assert_text(m.id, "the-id");
        if (!sj_json_equal(m.stamps, parse(SJ_STR("{\"why\": 1, \"own\": 2, \"who\": \"a\"}"))))
                fail_msg("the stamps are others");
        if (!sj_json_equal(m.stamped_headers, parse(SJ_STR("[\"why\", \"own\", \"who\"]"))))
                fail_msg("their names are others");
}

static void who_is_ignored_leaves_nothing(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{\"callbacks\": [" SIG("v", "callback") "]}");
        after(&t, &(task_return){.end = TASK_IGNORED});
        assert_int_equal(t.s.verdict, BROKER_DONE);
        assert_int_equal(t.s.n_results + t.s.n_follow_ups, 0);
}

static void who_is_rejected_is_dead_or_goes_back(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{\"errbacks\": [" SIG("v", "errback") "]}");
        after(&t, &(task_return){.end = TASK_REJECTED});
        assert_int_equal(t.s.verdict, BROKER_DEAD);
        assert_text(t.s.reason, "rejected by its task");
        stored(&t, 0, "the-id", "FAILURE");
        assert_int_equal(t.s.n_follow_ups, 1);
        after(&t, &(task_return){.end = TASK_REQUEUED});
        /* A task that asks for it has not crashed. */
        assert_int_equal(t.s.verdict, BROKER_RETURN);
        assert_int_equal(t.s.n_results, 0);
        assert_true(t.s.next->eta.us > t.context.now.us);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_replaces_a_task_has_its_id_and_all_that_was_to_come),
                cmocka_unit_test(a_chain_that_replaces_a_task_ends_in_its_place),
                cmocka_unit_test(a_group_that_replaces_a_task_brings_the_list_of_its_results),
                cmocka_unit_test(what_cannot_replace_a_task_is_its_failure),
                cmocka_unit_test(stamps_go_on_to_what_replaces),
                cmocka_unit_test(stamps_of_a_replacement_are_added_to),
                cmocka_unit_test(who_is_ignored_leaves_nothing),
                cmocka_unit_test(who_is_rejected_is_dead_or_goes_back),
        };
        return cmocka_run_group_tests(tests, begin, end);
}
