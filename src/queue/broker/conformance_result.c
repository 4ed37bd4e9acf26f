/* SPDX-License-Identifier: MIT */
/* Results: stored, read, waited for, forgotten. */
#include "queue/broker/conformance_unit.h"

static int what_is_done_in_a_state_of_its_own_is_kept(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_KNOWS_IDS);
        publish_ids(f, 1);
        finish(f, lease(f), "STARTED");
        expect_text(state_of(f, "id0"), "STARTED");
        broker_result r = result_of("id0", "SUCCESS");
        expect_equal(broker_result_put(f->b, &r, 1, soon()), 0);
        expect_text(state_of(f, "id0"), "SUCCESS");
        return 0;
}

static int what_is_unknown_is_told_apart_from_what_is_pending(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_KNOWS_IDS);
        publish_ids(f, 1);
        broker_result r[2];
        const sj_str ids[] = {SJ_STR("id0"), SJ_STR("never heard of")};
        expect_equal(broker_result_get(f->b, ids, 2, f->arena, r, soon()), 0);
        expect_text(r[0].state, "PENDING");
        expect_equal(r[0].content.n, 0);
        expect_equal(r[1].state.n, 0);
        expect_equal(broker_result_wait(f->b, ids[1], f->arena, r, soon()), -ENOENT);
        return 0;
}

static int states_follow_each_other_but_never_back(void *arg)
{
        FIXTURE(f, arg);
        static const struct {
                const char *put;
                const char *then;
        } steps[] = {{"STARTED", "STARTED"}, {"PROGRESS", "PROGRESS"}, {"STARTED", "STARTED"},
                     {"FAILURE", "FAILURE"}, {"STARTED", "FAILURE"},   {"REVOKED", "REVOKED"},
                     {"SUCCESS", "SUCCESS"}, {"FAILURE", "SUCCESS"},   {"STARTED", "SUCCESS"}};
        publish_ids(f, 1);
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
                broker_result r = result_of("id0", steps[i].put);
                expect_equal(broker_result_put(f->b, &r, 1, soon()), 0);
                expect_text(state_of(f, "id0"), steps[i].then);
        }
        return 0;
}

typedef struct reader {
        fixture *f;
        broker_result result;
} reader;

static int wait_for_result(void *arg)
{
        reader *w = arg;
        return broker_result_wait(w->f->b, SJ_STR("id0"), w->f->arena, &w->result, soon());
}

static int who_waits_for_a_result_is_woken_by_a_final_state(void *arg)
{
        FIXTURE(f, arg);
        FIXTURE(g, arg);
        publish_ids(f, 1);
        reader w = {.f = g};
        sj_fiber *fiber;
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect_equal(sj_spawn(s, wait_for_result, &w, &fiber), 0);
        broker_lease *l = lease(f);
        broker_result r = result_of("id0", "STARTED");
        expect_equal(broker_result_put(f->b, &r, 1, soon()), 0);
        pass(f, 2);
        expect(!sj_fiber_done(fiber, NULL));
        finish(f, l, "SUCCESS");
        expect_equal(sj_join(fiber, soon()), 0);
        expect_text(w.result.state, "SUCCESS");
        expect_text(w.result.content, content_of("SUCCESS"));
        expect_text(w.result.id, "id0");
        return 0;
}

static int waiting_for_a_result_ends_at_its_deadline(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 1);
        broker_result r;
        expect_equal(broker_result_wait(f->b, SJ_STR("id0"), f->arena, &r, sj_after(f->c->tick)),
                     -ETIMEDOUT);
        finish(f, lease(f), "FAILURE");
        expect_equal(broker_result_wait(f->b, SJ_STR("id0"), f->arena, &r, SJ_POLL), 0);
        expect_text(r.state, "FAILURE");
        return 0;
}

static int who_waits_for_what_is_forgotten_is_told(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_KNOWS_IDS);
        publish_ids(f, 1);
        reader w = {.f = f};
        sj_fiber *fiber;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        expect_equal(sj_spawn(s, wait_for_result, &w, &fiber), 0);
        pass(f, 1);
        settle_and_free(f, lease(f), (broker_settlement){.verdict = BROKER_DONE});
        expect_equal(sj_join(fiber, soon()), -ENOENT);
        return 0;
}

static int results_can_be_dropped_once_they_are_final(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 2);
        finish(f, lease(f), "SUCCESS");
        broker_result r = result_of("id1", "STARTED");
        expect_equal(broker_result_put(f->b, &r, 1, soon()), 0);
        const sj_str ids[] = {SJ_STR("id0"), SJ_STR("id1"), SJ_STR("unknown")};
        expect_equal(broker_result_drop(f->b, ids, 3, soon()), 1);
        expect_text(state_of(f, "id1"), "STARTED");
        if (broker_can(f->b, BROKER_KNOWS_IDS))
                expect_equal(state_of(f, "id0").n, 0);
        return 0;
}

static int results_expire(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_KNOWS_IDS);
        broker *other;
        broker_options options = {.result_expires = 3 * f->c->tick};
        expect_equal(f->c->open(f->c->arg, &options, &other), 0);
        fixture g = {.c = f->c, .b = other, .arena = f->arena};
        publish_ids(&g, 1);
        finish(&g, lease(&g), "SUCCESS");
        pass(f, 10);
        expect_equal(state_of(&g, "id0").n, 0);
        broker_close(other);
        return 0;
}

const conformance_case conformance_result[] = {
        CASE(what_is_done_in_a_state_of_its_own_is_kept),
        CASE(what_is_unknown_is_told_apart_from_what_is_pending),
        CASE(states_follow_each_other_but_never_back),
        CASE(who_waits_for_a_result_is_woken_by_a_final_state),
        CASE(waiting_for_a_result_ends_at_its_deadline),
        CASE(who_waits_for_what_is_forgotten_is_told),
        CASE(results_can_be_dropped_once_they_are_final),
        CASE(results_expire),
        {NULL, NULL},
};
