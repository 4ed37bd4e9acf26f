/* SPDX-License-Identifier: MIT */
/* What a settlement does, it does at once. */
#include "queue/broker/conformance_unit.h"

static int a_settlement_stores_and_publishes_at_once(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 1);
        publish(f, message_of("taken"));
        broker_lease *l = lease(f), *taken = lease(f);
        broker_result results[] = {result_of("id0", "SUCCESS"), result_of("elsewhere", "FAILURE")};
        broker_message follow[] = {seal(f, message_of("next")), seal(f, message_of("taken"))};
        settle_and_free(
                f, l,
                (broker_settlement){.results = results,
                                    .n_results = 2,
                                    .follow_ups = follow,
                                    .n_follow_ups = broker_can(f->b, BROKER_UNIQUE_IDS) ? 2 : 1});
        expect_text(state_of(f, "id0"), "SUCCESS");
        expect_text(state_of(f, "elsewhere"), "FAILURE");
        l = lease(f);
        expect_text(l->message.id, "next");
        expect_none(f);
        finish(f, l, "SUCCESS");
        finish(f, taken, "SUCCESS");
        return 0;
}

static int a_retry_takes_the_place_of_its_message(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_DELAYED);
        publish_ids(f, 1);
        settle_and_free(f, lease(f), (broker_settlement){.verdict = BROKER_REQUEUE});
        broker_lease *l = lease(f);
        expect_equal(l->deliveries, 2);
        broker_message next = message_of("id0");
        next.eta = ticks_from_now(f, 3);
        next.task = SJ_STR("the.second");
        next = seal(f, next);
        broker_result r = result_of("id0", "RETRY");
        settle_and_free(
                f, l,
                (broker_settlement){
                        .verdict = BROKER_RETRY, .next = &next, .results = &r, .n_results = 1});
        expect_text(state_of(f, "id0"), "RETRY");
        expect_none(f);
        expect_equal(broker_wait(f->b, &the_queue, 1, soon()), 0);
        l = lease(f);
        expect_text(l->message.id, "id0");
        expect(has_envelope(l, next.envelope));
        expect_equal(l->deliveries, 1);
        finish(f, l, "SUCCESS");
        expect_text(state_of(f, "id0"), "SUCCESS");
        return 0;
}

static int a_retry_may_go_to_another_queue(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 1);
        broker_message next = message_of("id0");
        next.queue = SJ_STR("another");
        next = seal(f, next);
        settle_and_free(f, lease(f), (broker_settlement){.verdict = BROKER_RETRY, .next = &next});
        expect_none(f);
        expect_equal(broker_wait(f->b, &next.queue, 1, SJ_POLL), 0);
        return 0;
}

static int a_requeue_may_be_for_later(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_DELAYED);
        publish_ids(f, 1);
        broker_message next = {.eta = ticks_from_now(f, 3)};
        settle_and_free(f, lease(f), (broker_settlement){.verdict = BROKER_REQUEUE, .next = &next});
        expect_none(f);
        expect_equal(broker_wait(f->b, &the_queue, 1, soon()), 0);
        broker_lease *l = lease(f);
        expect_equal(l->deliveries, 2);
        expect_text(l->message.task, "t");
        finish(f, l, "SUCCESS");
        return 0;
}

static int many_are_settled_in_one_call_each_with_its_status(void *arg)
{
        FIXTURE(f, arg);
        enum { N = 50 };
        publish_ids(f, N);
        broker_lease *l[N];
        expect_equal(lease_many(f, l, N, 0), N);
        settle(f, (broker_settlement){.lease = l[7]});
        broker_settlement s[N];
        broker_result r[N];
        for (int i = 0; i < N; i++) {
                r[i] = result_of(l[i]->message.id.data, "SUCCESS");
                s[i] = (broker_settlement){.lease = l[i], .results = &r[i], .n_results = 1};
        }
        expect_equal(broker_settle(f->b, s, N, soon()), 0);
        for (int i = 0; i < N; i++) {
                expect_equal(s[i].status, i == 7 ? -ESTALE : 0);
                broker_lease_free(l[i]);
        }
        expect_text(state_of(f, "id49"), "SUCCESS");
        expect_none(f);
        return 0;
}

static int what_is_done_without_a_word_is_forgotten(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_KNOWS_IDS);
        publish_ids(f, 1);
        settle_and_free(f, lease(f), (broker_settlement){.verdict = BROKER_DONE});
        expect_equal(state_of(f, "id0").n, 0);
        publish_ids(f, 1);
        expect_text(state_of(f, "id0"), "PENDING");
        return 0;
}

const conformance_case conformance_settle[] = {
        CASE(a_settlement_stores_and_publishes_at_once),
        CASE(a_retry_takes_the_place_of_its_message),
        CASE(a_retry_may_go_to_another_queue),
        CASE(a_requeue_may_be_for_later),
        CASE(many_are_settled_in_one_call_each_with_its_status),
        CASE(what_is_done_without_a_word_is_forgotten),
        {NULL, NULL},
};
