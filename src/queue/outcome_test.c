/* SPDX-License-Identifier: MIT */
/* What becomes of a delivery: every rule, without a broker and without a worker. */
#include "queue/outcome.h"

#include "base/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static sj_arena *arena;

static int begin(void **state)
{
        (void)state;
        return sj_arena_new(&arena);
}

static int end(void **state)
{
        (void)state;
        sj_arena_free(arena);
        return 0;
}

/* ── A delivery to try things on ─────────────────────────────────────────────────────────── */

enum { NOW = 1000000000 };

typedef struct trial {
        outcome_context context;
        outcome_delivery delivery;
        message m;
        message_error error;
        task_info info;
        broker_lease lease;
        broker_settlement s;
} trial;

static const sj_json *parse(sj_str text)
{
        const sj_json *v = NULL;
        sj_json_error why;
        if (sj_json_parse(arena, text, SJ_JSON_PYTHON, &v, &why) < 0)
                fail_msg("%.*s: %s", SJ_STR_ARG(text), why.reason);
        return v;
}

static sj_str by_name(void *arg, sj_str task)
{
        (void)arg;
        return sj_str_equal(task, SJ_STR("elsewhere")) ? SJ_STR("other queue") : SJ_STR("q");
}

/* A message with that embed, as it would arrive. */
static void trial_begin(trial *t, const char *embed)
{
        *t = (trial){
                .context = {.now = {NOW},
                            .worker = SJ_STR("w@h"),
                            .pid = 7,
                            .origin = SJ_STR("gen7@h"),
                            .route = by_name},
                .info = {.name = SJ_STR("t"),
                         .max_retries = 3,
                         .default_retry_delay = 180,
                         .retry_backoff_max = 600,
                         .max_deliveries = 5},
        };
        const sj_json *e = parse(sj_str_of(embed));
        message made = {.task = SJ_STR("t"),
                        .id = SJ_STR("the-id"),
                        .args = parse(SJ_STR("[1]")),
                        .root_id = SJ_STR("the-root"),
                        .callbacks = sj_json_member(e, "callbacks"),
                        .errbacks = sj_json_member(e, "errbacks"),
                        .chain = sj_json_member(e, "chain"),
                        .reply_to = SJ_STR("reply"),
                        .routing_key = SJ_STR("q")};
        sj_str envelope;
        assert_int_equal(message_encode(arena, &made, &envelope), 0);
        if (message_decode(arena, envelope, &t->m, &t->error) < 0)
                fail_msg("%s", t->error.text);
        t->lease = (broker_lease){.message = {.id = t->m.id,
                                              .queue = SJ_STR("q"),
                                              .task = t->m.task,
                                              .envelope = envelope},
                                  .deliveries = 1};
        t->delivery = (outcome_delivery){
                .lease = &t->lease, .m = &t->m, .error = &t->error, .info = &t->info};
}

static void after(trial *t, const task_return *r)
{
        assert_int_equal(outcome_after(&t->context, &t->delivery, r, arena, &t->s), 0);
        assert_ptr_equal(t->s.lease, &t->lease);
}

static void succeed(trial *t, const char *value)
{
        after(t, &(task_return){.end = TASK_SUCCEEDED, .value = sj_str_of(value)});
}

static void fail_with(trial *t, const char *module, const char *type, const char *args)
{
        task_return r = task_failed(module, type, sj_str_of(args));
        after(t, &r);
}

static void assert_text(sj_str text, const char *expected)
{
        if (!sj_str_equal(text, sj_str_of(expected)))
                fail_msg("'%.*s' is not '%s'", SJ_STR_ARG(text), expected);
}

static const sj_json *stored(const trial *t, size_t i, const char *id, const char *state)
{
        assert_true(i < t->s.n_results);
        assert_text(t->s.results[i].id, id);
        assert_text(t->s.results[i].state, state);
        const sj_json *meta = parse(t->s.results[i].content);
        sj_str inside;
        assert_int_equal(sj_json_string(sj_json_member(meta, "status"), &inside), 0);
        assert_text(inside, state);
        assert_int_equal(sj_json_string(sj_json_member(meta, "task_id"), &inside), 0);
        assert_text(inside, id);
        return meta;
}

static void assert_error(const sj_json *meta, const char *expected)
{
        sj_str text;
        assert_int_equal(sj_json_text(arena, sj_json_member(meta, "result"), SJ_JSON_SPACED, &text),
                         0);
        if (!sj_json_equal(sj_json_member(meta, "result"), parse(sj_str_of(expected))))
                fail_msg("%.*s is not %s", SJ_STR_ARG(text), expected);
}

static message follow_up(const trial *t, size_t i)
{
        message m;
        message_error error;
        assert_true(i < t->s.n_follow_ups);
        const broker_message *b = &t->s.follow_ups[i];
        assert_int_equal(message_decode(arena, b->envelope, &m, &error), 0);
        assert_true(sj_str_equal(b->id, m.id) && sj_str_equal(b->task, m.task));
        assert_true(sj_str_equal(b->queue, m.routing_key));
        return m;
}

static void assert_args(const message *m, const char *expected)
{
        if (!sj_json_equal(m->args, parse(sj_str_of(expected))))
                fail_msg("%.*s", SJ_STR_ARG(m->argsrepr));
}

#define SIG(task, id)                                                          \
        "{\"task\": \"" task                                                   \
        "\", \"args\": [10], \"kwargs\": {}, \"options\": {\"task_id\": \"" id \
        "\"}, \"subtask_type\": null, \"immutable\": false}"

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
                    "\"task_id\": \"the-id\", \"group_id\": \"g\", \"parent_id\": \"p\"}");
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
                     "{\"exc_type\": \"NotImplementedError\", \"exc_message\": [\"this worker "
                     "does not run chords\"], \"exc_module\": \"builtins\"}");
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
        for (uint32_t i = 1; i <= 5; i++) {
                t.lease.deliveries = i;
                assert_int_equal(
                        outcome_crashed(&t.context, &t.delivery, "killed by SIGSEGV", arena, &t.s),
                        0);
                assert_int_equal(t.s.verdict, i < 5 ? BROKER_REQUEUE : BROKER_DEAD);
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
        assert_int_equal(
                outcome_progress(&t.delivery, SJ_STR("PROGRESS"), SJ_STR("[1, 2]"), arena, &r), 0);
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
                cmocka_unit_test(a_callback_gets_the_result_in_front_of_its_arguments),
                cmocka_unit_test(several_callbacks_form_a_group),
                cmocka_unit_test(the_next_link_of_a_chain_is_the_last_of_its_list),
                cmocka_unit_test(an_immutable_link_gets_no_result),
                cmocka_unit_test(a_group_in_a_link_is_sent_member_by_member),
                cmocka_unit_test(a_chain_in_a_link_goes_before_what_follows_it),
                cmocka_unit_test(what_cannot_be_sent_fails_under_its_id_and_those_behind_it),
                cmocka_unit_test(
                        a_result_that_no_message_can_hold_breaks_the_link_and_not_the_task),
                cmocka_unit_test(a_failure_stores_its_error),
                cmocka_unit_test(a_failure_reaches_the_rest_of_the_chain_and_the_errbacks),
                cmocka_unit_test(a_retry_is_the_message_again_a_little_later),
                cmocka_unit_test(a_retry_without_a_cause_says_when),
                cmocka_unit_test(when_no_retries_are_left_it_fails),
                cmocka_unit_test(chosen_errors_are_retried_without_being_asked),
                cmocka_unit_test(back_off_doubles_up_to_its_limit),
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
