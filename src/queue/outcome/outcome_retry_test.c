/* SPDX-License-Identifier: MIT */
/* Retries: when, how often, and with what message. */
#include "queue/outcome/outcome_unit.h"
#include "queue/queue_testdata.h"

#include <math.h>
#include <stdio.h>

/* ── Retry ───────────────────────────────────────────────────────────────────────────────── */

static task_return retry_in(double countdown)
{
        return (task_return){.end = TASK_RETRIED, .countdown = countdown};
}

static message retried(const trial *t)
{
        message m;
        message_error error;
        assert_int_equal(t->s.verdict, BROKER_RETRY);
        assert_non_null(t->s.next);
        assert_int_equal(message_decode(arena, t->s.next->envelope, &m, &error), 0);
        assert_true(t->s.next->eta.us == m.eta.us);
        assert_text(t->s.next->id, "the-id");
        assert_text(m.id, "the-id");
        return m;
}

static void a_retry_is_the_message_again_a_little_later(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{\"chain\": [" SIG("u", "second") "]}");
        t.lease.message.priority = 3;
        t.lease.message.max_deliveries = 9;
        t.lease.message.key = SJ_STR("k");
        task_return r = retry_in(2.5);
        r.type = SJ_STR("GatewayError");
        r.module = SJ_STR("sanjab");
        r.args = SJ_STR("[\"502\"]");
        after(&t, &r);
        message m = retried(&t);
        assert_int_equal(m.retries, 1);
        assert_true(m.eta.us == NOW + 2500000);
        assert_text(m.parent_id, "the-id");
        assert_text(m.root_id, "the-root");
        assert_text(m.reply_to, "reply");
        assert_text(m.origin, "gen7@h");
        assert_int_equal(sj_json_count(m.chain), 1);
        assert_args(&m, "[1]");
        assert_false(sj_str_equal(m.delivery_tag, t.m.delivery_tag));
        assert_int_equal(t.s.next->priority, 3);
        assert_int_equal(t.s.next->max_deliveries, 9);
        assert_text(t.s.next->key, "k");
        assert_text(t.s.next->queue, "q");
        assert_int_equal(t.s.n_follow_ups, 0);
        const sj_json *meta = stored(&t, 0, "the-id", "RETRY");
        assert_error(meta, "{\"exc_type\": \"GatewayError\", \"exc_message\": [\"502\"], "
                           "\"exc_module\": \"sanjab\"}");
        assert_true(sj_json_is_null(sj_json_member(meta, "date_done")));
}

static void a_retry_whose_result_is_ignored_stores_nothing(void **state)
{
        (void)state;
        trial t;
        task_return r = retry_in(1);
        trial_begin(&t, "{}");
        t.m.ignore_result = true;
        after(&t, &r);
        assert_int_equal(t.s.verdict, BROKER_RETRY);
        assert_int_equal(t.s.n_results, 0);
}

static void a_retry_without_a_cause_says_when(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{}");
        task_return r = retry_in(-1);
        after(&t, &r);
        assert_true(retried(&t).eta.us == NOW + 180000000LL);
        assert_error(stored(&t, 0, "the-id", "RETRY"),
                     "{\"exc_type\": \"Retry\", \"exc_message\": [\"Retry in 180s\"], "
                     "\"exc_module\": \"celery.exceptions\"}");
        r.eta = (sj_wall){NOW + 77};
        after(&t, &r);
        assert_true(retried(&t).eta.us == NOW + 77);
}

static void when_no_retries_are_left_it_fails(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{\"errbacks\": [" SIG("u", "err") "]}");
        t.m.retries = 3;
        task_return r = retry_in(1);
        after(&t, &r);
        assert_int_equal(t.s.verdict, BROKER_DONE);
        assert_error(stored(&t, 0, "the-id", "FAILURE"),
                     "{\"exc_type\": \"MaxRetriesExceededError\", \"exc_message\": [\"Can't retry "
                     "t[the-id] args:(1,) kwargs:{}\"], \"exc_module\": \"celery.exceptions\"}");
        assert_int_equal(t.s.n_follow_ups, 1);
        /* With a cause it fails with that. */
        r.type = SJ_STR("OSError");
        r.module = SJ_STR("builtins");
        r.args = SJ_STR("[5]");
        after(&t, &r);
        assert_error(stored(&t, 0, "the-id", "FAILURE"),
                     "{\"exc_type\": \"OSError\", \"exc_message\": [5], "
                     "\"exc_module\": \"builtins\"}");
        /* The run's own limit goes before the task's. */
        r.max_retries = 4;
        after(&t, &r);
        assert_int_equal(t.s.verdict, BROKER_RETRY);
        r.max_retries = SJ_NO_RETRIES;
        t.m.retries = 0;
        after(&t, &r);
        assert_int_equal(t.s.verdict, BROKER_DONE);
        r.max_retries = SJ_RETRY_FOREVER;
        t.m.retries = 1000000;
        after(&t, &r);
        assert_int_equal(t.s.verdict, BROKER_RETRY);
}

static void chosen_errors_are_retried_without_being_asked(void **state)
{
        (void)state;
        trial t;
        trial_begin(&t, "{}");
        t.info.autoretry = SJ_STR("OSError");
        fail_with(&t, "builtins", "OSError", "[1]");
        assert_int_equal(retried(&t).retries, 1);
        stored(&t, 0, "the-id", "RETRY");
        fail_with(&t, "builtins", "ValueError", "[1]");
        assert_int_equal(t.s.verdict, BROKER_DONE);
        t.m.retries = 3;
        fail_with(&t, "builtins", "OSError", "[1]");
        assert_int_equal(t.s.verdict, BROKER_DONE);
        assert_error(stored(&t, 0, "the-id", "FAILURE"),
                     "{\"exc_type\": \"OSError\", \"exc_message\": [1], "
                     "\"exc_module\": \"builtins\"}");
}

static void back_off_doubles_up_to_its_limit(void **state)
{
        (void)state;
        task_info info = {
                .default_retry_delay = 180, .retry_backoff = 60, .retry_backoff_max = 600};
        static const double expected[] = {60, 120, 240, 480, 600, 600};
        for (int64_t i = 0; i < 6; i++)
                assert_true(outcome_retry_delay(&info, i, -1, 0) == expected[i]);
        assert_true(outcome_retry_delay(&info, INT64_MAX, -1, 0) == 600);
        assert_true(outcome_retry_delay(&info, 3, 7, 0) == 7);
        assert_true(outcome_retry_delay(&info, 3, 0, 0) == 0);
        /* What is no time is not taken for one. */
        assert_true(outcome_retry_delay(&info, 0, 1e300, 0) == 1e9);
        assert_true(outcome_retry_delay(&info, 0, (double)NAN, 0) == 60);
        info.retry_jitter = true;
        assert_true(outcome_retry_delay(&info, 1, -1, 0) == 0);
        double most = outcome_retry_delay(&info, 1, -1, UINT64_MAX);
        assert_true(most > 119.9 && most < 120);
        double half = outcome_retry_delay(&info, 1, -1, (uint64_t)1 << 63);
        assert_true(half == 60);
        info.retry_backoff = 0;
        assert_true(outcome_retry_delay(&info, 4, -1, 5) == 180);
}

/* ── As Celery does it ───────────────────────────────────────────────────────────────────── */

static sj_str sample(const char *name)
{
        char path[512], *text = sj_arena_alloc(arena, 16384);
        snprintf(path, sizeof(path), "%s/%s", QUEUE_TESTDATA, name);
        FILE *f = fopen(path, "rb");
        assert_true(f && text);
        size_t n = fread(text, 1, 16384, f);
        fclose(f);
        return (sj_str){text, n};
}

static sj_str part(sj_str envelope, const char *name)
{
        sj_str text;
        assert_int_equal(sj_json_text(arena, sj_json_member(parse(envelope), name),
                                      SJ_JSON_PYTHON | SJ_JSON_ASCII | SJ_JSON_SPACED, &text),
                         0);
        return text;
}

/* What a worker of Celery's put back for this message, but for the tag of the delivery. */
static void a_retry_of_a_message_of_celerys_is_celerys_to_the_byte(void **state)
{
        (void)state;
        trial t;
        message again;
        sj_str republished = sample("task-retry-republish.json");
        trial_begin(&t, "{}");
        t.lease.message.envelope = sample("task-retry-original.json");
        assert_int_equal(message_decode(arena, t.lease.message.envelope, &t.m, &t.error), 0);
        assert_int_equal(message_decode(arena, republished, &again, &t.error), 0);
        t.lease.message.id = t.m.id;
        t.lease.message.queue = SJ_STR("celery");
        t.context.origin = SJ_STR("gen20160@vm");
        task_return r = retry_in(1);
        r.eta = again.eta;
        after(&t, &r);
        sj_str ours = t.s.next->envelope;
        assert_text(part(ours, "headers"), part(republished, "headers").data);
        assert_text(part(ours, "body"), part(republished, "body").data);
        assert_text(part(ours, "content-type"), part(republished, "content-type").data);
        message m;
        assert_int_equal(message_decode(arena, ours, &m, &t.error), 0);
        assert_true(sj_str_equal(m.correlation_id, again.correlation_id));
        assert_true(sj_str_equal(m.reply_to, again.reply_to));
        assert_true(sj_str_equal(m.routing_key, again.routing_key));
        assert_true(m.priority == again.priority && m.delivery_mode == again.delivery_mode);
        const sj_json *meta = parse(t.s.results[0].content);
        const sj_json *stored_there = parse(sample("result-retry.json"));
        if (!sj_json_equal(sj_json_member(meta, "children"),
                           sj_json_member(stored_there, "children")))
                fail_msg("the children differ");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_retry_is_the_message_again_a_little_later),
                cmocka_unit_test(a_retry_of_a_message_of_celerys_is_celerys_to_the_byte),
                cmocka_unit_test(a_retry_without_a_cause_says_when),
                cmocka_unit_test(a_retry_whose_result_is_ignored_stores_nothing),
                cmocka_unit_test(when_no_retries_are_left_it_fails),
                cmocka_unit_test(chosen_errors_are_retried_without_being_asked),
                cmocka_unit_test(back_off_doubles_up_to_its_limit),
        };
        return cmocka_run_group_tests(tests, begin, end);
}
