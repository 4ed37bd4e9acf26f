/* SPDX-License-Identifier: MIT */
/* What becomes of a delivery: before it runs, and what its end says of the task itself. */
#include "queue/outcome/outcome_unit.h"

/* ── Success ─────────────────────────────────────────────────────────────────────────────── */

static void a_success_stores_its_value(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{}");
        t.m.group = SJ_STR("g");
        t.m.parent_id = SJ_STR("p");
        succeed(&t, "[1, NaN, 123456789012345678901]");
        assert_int_equal(t.s.verdict, BROKER_DONE);
        assert_int_equal(t.s.n_follow_ups, 0);
        assert_int_equal(t.s.n_results, 1);
        stored(&t, 0, "the-id", "SUCCESS");
        assert_text(t.s.results[0].content,
                    "{\"status\": \"SUCCESS\", \"result\": [1, NaN, 123456789012345678901], "
                    "\"traceback\": null, \"children\": [], "
                    "\"date_done\": \"1970-01-01T00:16:40.000000+00:00\", "
                    "\"group_id\": \"g\", \"parent_id\": \"p\", \"task_id\": \"the-id\"}");
        t.context.extended = true;
        t.m.stamped_headers = parse(SJ_STR("[\"colour\"]"));
        t.m.stamps = parse(SJ_STR("{\"colour\": \"red\"}"));
        succeed(&t, "5");
        assert_text(t.s.results[0].content,
                    "{\"status\": \"SUCCESS\", \"result\": 5, \"traceback\": null, "
                    "\"children\": [], \"date_done\": \"1970-01-01T00:16:40.000000+00:00\", "
                    "\"group_id\": \"g\", \"parent_id\": \"p\", \"name\": \"t\", "
                    "\"args\": [1], \"kwargs\": {}, \"worker\": \"w@h\", \"retries\": 0, "
                    "\"queue\": \"q\", \"stamped_headers\": [\"colour\"], \"colour\": "
                    "\"red\", \"task_id\": \"the-id\"}");
}

static void an_ignored_result_is_not_stored_and_its_links_still_run(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{\"callbacks\": [" SIG("u", "next") "]}");
        t.m.ignore_result = true;
        succeed(&t, "5");
        assert_int_equal(t.s.n_results, 0);
        assert_int_equal(t.s.n_follow_ups, 1);
        trial_begin(&t, "{}");
        t.info.ignore_result = true;
        succeed(&t, "5");
        assert_int_equal(t.s.n_results, 0);
        /* A failure is worth knowing, all the same. */
        fail_with(&t, "builtins", "ValueError", "[]");
        assert_int_equal(t.s.n_results, 1);
}

/* ── Failure ─────────────────────────────────────────────────────────────────────────────── */

static void a_failure_stores_its_error(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{}");
        fail_with(&t, "builtins", "ValueError", "[\"bang\", 42]");
        assert_int_equal(t.s.verdict, BROKER_DONE);
        assert_int_equal(t.s.n_results, 1);
        assert_error(stored(&t, 0, "the-id", "FAILURE"),
                     "{\"exc_type\": \"ValueError\", \"exc_message\": [\"bang\", 42], "
                     "\"exc_module\": \"builtins\"}");
}

/* ── Before a run ────────────────────────────────────────────────────────────────────────── */

static int before(trial *t)
{
        return outcome_before(&t->context, &t->delivery, arena, &t->s);
}

static void a_sound_message_is_run(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{}");
        assert_int_equal(before(&t), 0);
        t.lease.deliveries = 5;
        assert_int_equal(before(&t), 0);
        t.lease.message.expires = (sj_wall){NOW + 1};
        assert_int_equal(before(&t), 0);
}

static void an_unknown_name_is_kept_among_the_dead(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{\"errbacks\": [" SIG("u", "err") "], \"chain\": [" SIG("u", "next") "]}");
        t.delivery.info = NULL;
        assert_int_equal(before(&t), 1);
        assert_int_equal(t.s.verdict, BROKER_DEAD);
        assert_text(t.s.reason, "no task is named 't'");
        assert_error(stored(&t, 0, "the-id", "FAILURE"),
                     "{\"exc_type\": \"NotRegistered\", \"exc_message\": [\"t\"], "
                     "\"exc_module\": \"celery.exceptions\"}");
        stored(&t, 1, "next", "FAILURE");
        assert_int_equal(t.s.n_follow_ups, 1);
}

static void on_a_shared_queue_an_unknown_name_is_put_back_for_others(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{}");
        t.delivery.info = NULL;
        t.context.shared = true;
        t.lease.published = (sj_wall){NOW - OUTCOME_SHARED_PATIENCE + 1};
        assert_int_equal(before(&t), 1);
        assert_int_equal(t.s.verdict, BROKER_RETURN);
        assert_int_equal(t.s.n_results, 0);
        assert_true(t.s.next->eta.us == NOW + 1000000);
        t.lease.published.us--;
        assert_int_equal(before(&t), 1);
        assert_int_equal(t.s.verdict, BROKER_DEAD);
        assert_non_null(strstr(t.s.results[0].content.data, "NotRegistered"));
}

static void an_unreadable_message_is_dead_with_its_reason(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{}");
        assert_int_equal(message_decode(arena, SJ_STR("{"), &t.m, &t.error), -EBADMSG);
        assert_int_equal(before(&t), 1);
        assert_int_equal(t.s.verdict, BROKER_DEAD);
        assert_memory_equal(t.s.reason.data, "not JSON: the message is not JSON: ", 35);
        stored(&t, 0, "the-id", "FAILURE");
        t.error = (message_error){MESSAGE_REFUSED, "content of the type 'x' is never decoded"};
        assert_int_equal(before(&t), 1);
        assert_text(t.s.reason, "refused: content of the type 'x' is never decoded");
        assert_error(stored(&t, 0, "the-id", "FAILURE"),
                     "{\"exc_type\": \"ContentDisallowed\", \"exc_message\": [\"content of the "
                     "type 'x' is never decoded\"], \"exc_module\": \"kombu.exceptions\"}");
}

static void an_expired_message_is_revoked(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{\"errbacks\": [" SIG("u", "err") "], \"chain\": [" SIG("u", "next") "]}");
        t.lease.fate = BROKER_EXPIRED;
        assert_int_equal(before(&t), 1);
        assert_int_equal(t.s.verdict, BROKER_DONE);
        assert_error(stored(&t, 0, "the-id", "REVOKED"),
                     "{\"exc_type\": \"TaskRevokedError\", \"exc_message\": [\"expired\"], "
                     "\"exc_module\": \"celery.exceptions\"}");
        /* Who waits for the end of the chain is told; errbacks are for failures. */
        stored(&t, 1, "next", "REVOKED");
        assert_int_equal(t.s.n_follow_ups, 0);
        t.lease.fate = BROKER_RUN;
        t.lease.message.expires = (sj_wall){NOW};
        assert_int_equal(before(&t), 1);
        assert_int_equal(t.s.verdict, BROKER_DONE);
}

static void a_revoked_message_is_not_run(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{}");
        t.delivery.revoked = true;
        assert_int_equal(before(&t), 1);
        stored(&t, 0, "the-id", "REVOKED");
        assert_int_equal(outcome_revoked(&t.context, &t.delivery, "terminated", arena, &t.s), 0);
        assert_error(stored(&t, 0, "the-id", "REVOKED"),
                     "{\"exc_type\": \"TaskRevokedError\", \"exc_message\": [\"terminated\"], "
                     "\"exc_module\": \"celery.exceptions\"}");
}

static void a_message_delivered_too_often_is_dead(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{\"errbacks\": [" SIG("u", "err") "]}");
        t.lease.deliveries = 6;
        assert_int_equal(before(&t), 1);
        assert_int_equal(t.s.verdict, BROKER_DEAD);
        assert_text(t.s.reason, "delivered 5 times without coming to an end");
        assert_error(stored(&t, 0, "the-id", "FAILURE"),
                     "{\"exc_type\": \"WorkerLostError\", \"exc_message\": [\"delivered 5 times "
                     "without coming to an end\"], \"exc_module\": \"billiard.exceptions\"}");
        assert_int_equal(t.s.n_follow_ups, 1);
        t.lease.message.max_deliveries = 10;
        assert_int_equal(before(&t), 0);
        t.lease.fate = BROKER_EXHAUSTED;
        assert_int_equal(before(&t), 1);
}

static void a_crash_is_another_delivery_until_there_were_too_many(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{}");
        int64_t pause = 0;
        for (uint32_t i = 1; i <= 5; i++) {
                t.lease.deliveries = i;
                assert_int_equal(
                        outcome_crashed(&t.context, &t.delivery, "killed by SIGSEGV", arena, &t.s),
                        0);
                assert_int_equal(t.s.verdict, i < 5 ? BROKER_REQUEUE : BROKER_DEAD);
                if (i == 5)
                        break;
                assert_true(t.s.next->eta.us - NOW > pause);
                pause = t.s.next->eta.us - NOW;
        }
        assert_text(t.s.reason, "killed by SIGSEGV");
        stored(&t, 0, "the-id", "FAILURE");
        /* At most once: what was acknowledged early is not run again. */
        t.lease.deliveries = 1;
        t.info.acks_early = true;
        assert_int_equal(outcome_crashed(&t.context, &t.delivery, "killed by SIGSEGV", arena, &t.s),
                         0);
        assert_int_equal(t.s.verdict, BROKER_DONE);
        stored(&t, 0, "the-id", "FAILURE");
}

/* ── On the way ──────────────────────────────────────────────────────────────────────────── */

static void its_beginning_and_its_progress_can_be_stored(void **state)
{
        (void)state;
        trial t;
        broker_result r;
        trial_begin(&t, "{}");
        assert_int_equal(outcome_started(&t.context, &t.delivery, arena, &r), 0);
        t.s.results = &r;
        t.s.n_results = 1;
        assert_error(stored(&t, 0, "the-id", "STARTED"), "{\"pid\": 7, \"hostname\": \"w@h\"}");
        assert_int_equal(outcome_progress(&t.context, &t.delivery, SJ_STR("PROGRESS"),
                                          SJ_STR("[1, 2]"), arena, &r),
                         0);
        assert_error(stored(&t, 0, "the-id", "PROGRESS"), "[1, 2]");
}

static void a_messages_limits_go_before_its_tasks(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{}");
        assert_true(outcome_time_limit(&t.delivery) == 0);
        t.info.time_limit = 30;
        t.info.soft_time_limit = 20;
        assert_true(outcome_time_limit(&t.delivery) == 30);
        assert_true(outcome_soft_time_limit(&t.delivery) == 20);
        t.m.time_limit = 3;
        t.m.soft_time_limit = 40;
        assert_true(outcome_time_limit(&t.delivery) == 3);
        assert_true(outcome_soft_time_limit(&t.delivery) == 40);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_success_stores_its_value),
                cmocka_unit_test(an_ignored_result_is_not_stored_and_its_links_still_run),
                cmocka_unit_test(a_failure_stores_its_error),
                cmocka_unit_test(a_sound_message_is_run),
                cmocka_unit_test(an_unknown_name_is_kept_among_the_dead),
                cmocka_unit_test(on_a_shared_queue_an_unknown_name_is_put_back_for_others),
                cmocka_unit_test(an_unreadable_message_is_dead_with_its_reason),
                cmocka_unit_test(an_expired_message_is_revoked),
                cmocka_unit_test(a_revoked_message_is_not_run),
                cmocka_unit_test(a_message_delivered_too_often_is_dead),
                cmocka_unit_test(a_crash_is_another_delivery_until_there_were_too_many),
                cmocka_unit_test(its_beginning_and_its_progress_can_be_stored),
                cmocka_unit_test(a_messages_limits_go_before_its_tasks),
        };
        return cmocka_run_group_tests(tests, begin, end);
}
