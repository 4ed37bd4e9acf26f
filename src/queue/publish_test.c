/* SPDX-License-Identifier: MIT */
/* Sending: what a call says, patience with a broker that cannot be reached, and many at once. */
#include "queue/app_unit.h"

/* ── Options ─────────────────────────────────────────────────────────────────────────────── */

static int what_a_call_says_is_in_its_message(void *arg)
{
        (void)arg;
        WORLD(w);
        const sj_json *stamps = NULL;
        expect_equal(sj_json_parse(w->arena, SJ_STR("{\"who\": [1]}"), 0, &stamps, NULL), 0);
        const sj_call call = {.routing_key = "other",
                              .transient = true,
                              .stamps = stamps,
                              .reply_to = "rt",
                              .group_id = "g",
                              .root_id = "r",
                              .parent_id = "p",
                              .argsrepr = "(secret)",
                              .kwargsrepr = "{none}",
                              .serializer = "json",
                              .compression = "none"};
        for (int i = 0; i < 2; i++) {
                sj_signature *s = sj_signature_new("add", "[1, 2]", NULL, &call);
                expect_equal(i ? sj_signature_send(w->app, s, NULL)
                               : sj_send_task(w->app, "add", "[1, 2]", NULL, &call, NULL),
                             0);
                sj_signature_free(s);
                message m = taken(w);
                expect(sj_str_equal(m.routing_key, SJ_STR("other")));
                expect_equal(m.delivery_mode, 1);
                expect(sj_str_equal(m.reply_to, SJ_STR("rt")));
                expect(sj_str_equal(m.group, SJ_STR("g")));
                expect(sj_str_equal(m.root_id, SJ_STR("r")));
                expect(sj_str_equal(m.parent_id, SJ_STR("p")));
                expect(sj_str_equal(m.argsrepr, SJ_STR("(secret)")));
                expect(sj_str_equal(m.kwargsrepr, SJ_STR("{none}")));
                expect_equal(sj_json_count(m.stamped_headers), 1);
                expect(sj_json_equal(m.stamps, stamps));
        }
        const sj_call far = {.exchange = "ex", .routing_key = "rk"};
        expect_equal(sj_send_task(w->app, "add", NULL, NULL, &far, NULL), -EOPNOTSUPP);
        sj_signature *s = sj_signature_new("add", NULL, NULL, &far);
        expect_equal(sj_signature_send(w->app, s, NULL), -EOPNOTSUPP);
        sj_signature_free(s);
        return 0;
}

/* ── Patience ────────────────────────────────────────────────────────────────────────────── */

static void impatient(world *w, sj_app **ret, const sj_retry_policy *policy)
{
        sj_app_options o = {.default_queue = NULL};
        if (policy)
                o.publish = *policy;
        expect_equal(app_new_over(&w->faulty.base, &o, ret), 0);
}

static int a_broker_that_cannot_be_reached_is_tried_again(void *arg)
{
        (void)arg;
        WORLD(w);
        sj_app *app;
        impatient(w, &app, NULL);
        faulty_plan *plan = &w->faulty.plans[FAULTY_PUBLISH];
        *plan = (faulty_plan){.error = -ECONNREFUSED, .times = 3};
        expect_equal(add_delay(app, 1, 2, NULL), 0);
        expect_equal(plan->calls, 4);
        *plan = (faulty_plan){.error = -ECONNREFUSED, .times = 4};
        sj_time start = sj_now();
        expect_equal(add_delay(app, 1, 2, NULL), -ECONNREFUSED);
        expect_equal((sj_now() - start) / SJ_MS, 600); /* 0, 0.2, 0.4 */
        /* The call's own policy goes first. */
        const sj_retry_policy none = {.max_retries = SJ_NO_RETRIES};
        faulty_plan *once = &w->faulty.plans[FAULTY_PUBLISH_ONCE];
        *once = (faulty_plan){.error = -ECONNREFUSED, .times = 1};
        expect_equal(sj_send_task(app, "add", NULL, NULL, &(sj_call){.retry = &none}, NULL),
                     -ECONNREFUSED);
        const sj_retry_policy ever = {.max_retries = SJ_RETRY_FOREVER,
                                      .interval_start = 1,
                                      .interval_step = 1,
                                      .interval_max = 3};
        *once = (faulty_plan){.error = -EPIPE};
        start = sj_now();
        const sj_call call = {.retry = &ever, .deadline = sj_after(10 * SJ_SEC)};
        expect_equal(sj_send_task(app, "add", NULL, NULL, &call, NULL), -EPIPE);
        expect_equal((sj_now() - start) / SJ_SEC, 9); /* 1, 2, 3, 3 and no time for one more */
        *plan = (faulty_plan){.error = -ENOSPC};
        expect_equal(add_delay(app, 1, 2, NULL), -ENOSPC);
        expect_equal(plan->calls, 1);
        const sj_retry_policy wrong = {.interval_step = -1};
        expect_equal(sj_send_task(app, "add", NULL, NULL, &(sj_call){.retry = &wrong}, NULL),
                     -EINVAL);
        sj_app_free(app);
        expect_equal(app_new_over(w->broker, &(sj_app_options){.publish = wrong}, &app), -EINVAL);
        return 0;
}

static int what_had_arrived_when_the_connection_broke_is_not_sent_twice(void *arg)
{
        (void)arg;
        WORLD(w);
        sj_app *app;
        sj_result result;
        w->faulty.base.capabilities = w->broker->capabilities;
        impatient(w, &app, NULL);
        w->faulty.plans[FAULTY_PUBLISH] = (faulty_plan){.error = -EPIPE, .done = true, .times = 1};
        expect_equal(add_delay(app, 1, 2, &result), 0);
        message m = taken(w);
        expect(sj_str_equal(m.id, sj_str_of(result.id)));
        const broker_depth *queues;
        int n = broker_queues(w->broker, w->arena, &queues, SJ_NEVER);
        expect(n == 0 || queues[0].ready == 0);
        sj_app_free(app);
        return 0;
}

/* ── Many at once ────────────────────────────────────────────────────────────────────────── */

static int many_are_sent_in_few_round_trips(void *arg)
{
        (void)arg;
        WORLD(w);
        enum { MANY = 2500 };
        sj_app *app;
        impatient(w, &app, NULL);
        sj_task_call *calls = sj_arena_alloc(w->arena, MANY * sizeof(*calls));
        sj_result *results = sj_arena_alloc(w->arena, MANY * sizeof(*results));
        for (size_t i = 0; i < MANY; i++)
                calls[i] = (sj_task_call){.name = "add", .args = "[1, 2]"};
        expect_equal(sj_send_many(app, calls, MANY, results, SJ_NEVER), 0);
        expect_equal(w->faulty.plans[FAULTY_PUBLISH].calls, 3);
        expect(strcmp(results[0].id, results[MANY - 1].id) != 0);
        sj_outcome o;
        results[MANY - 1].app = w->app;
        expect_equal(sj_result_state(&results[MANY - 1], w->arena, &o, SJ_NEVER), 0);
        expect_equal(o.state, SJ_PENDING);
        /* What is malformed is found before anything is sent. */
        calls[MANY - 1].args = "5";
        w->faulty.plans[FAULTY_PUBLISH] = (faulty_plan){.calls = 0};
        expect_equal(sj_send_many(app, calls, MANY, results, SJ_NEVER), -EINVAL);
        expect_equal(w->faulty.plans[FAULTY_PUBLISH].calls, 0);
        expect_equal(results[0].id[0], 0);
        /* The first batch has gone when the second one fails. */
        calls[MANY - 1].args = NULL;
        w->faulty.plans[FAULTY_PUBLISH] = (faulty_plan){.error = -ENOSPC, .after = 1};
        expect_equal(sj_send_many(app, calls, MANY, results, SJ_NEVER), -ENOSPC);
        expect(results[SJ_SEND_MANY_MAX - 1].id[0]);
        expect_equal(results[SJ_SEND_MANY_MAX].id[0], 0);
        expect_equal(sj_send_many(app, calls, 0, NULL, SJ_NEVER), 0);
        sj_app_free(app);
        return 0;
}

#define CASES(X)                                          \
        X(what_a_call_says_is_in_its_message)             \
        X(a_broker_that_cannot_be_reached_is_tried_again) \
        X(what_had_arrived_when_the_connection_broke_is_not_sent_twice)

CASES(SIM_UNIT_DEFINE)

/* It has no two ways to go: one seed is as good as many. */
static void test_many_are_sent_in_few_round_trips(void **state)
{
        (void)state;
        sim_unit_once(1, many_are_sent_in_few_round_trips, NULL, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                CASES(SIM_UNIT_ROW) cmocka_unit_test(test_many_are_sent_in_few_round_trips)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
