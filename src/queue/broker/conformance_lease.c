/* SPDX-License-Identifier: MIT */
/* When a message may be had: delays, expiries, and leases that run out. */
#include "queue/broker/conformance_unit.h"

static int a_delayed_message_waits_in_the_broker(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_DELAYED);
        broker_message m = message_of("later");
        m.eta = ticks_from_now(f, 5);
        publish(f, m);
        publish(f, message_of("now"));
        broker_lease *l = lease(f);
        expect_text(l->message.id, "now");
        finish(f, l, "SUCCESS");
        expect_none(f);
        expect_equal(broker_wait(f->b, &the_queue, 1, soon()), 0);
        expect(sj_wall_now().us >= m.eta.us);
        l = lease(f);
        expect_text(l->message.id, "later");
        expect_equal(l->message.eta.us, m.eta.us);
        finish(f, l, "SUCCESS");
        return 0;
}

static int delayed_messages_come_in_the_order_of_their_time(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_DELAYED);
        static const int when[] = {6, 2, 4};
        static const char *const order[] = {"id1", "id2", "id0"};
        for (int i = 0; i < 3; i++) {
                char id[16];
                snprintf(id, sizeof(id), "id%d", i);
                broker_message m = message_of(id);
                m.eta = ticks_from_now(f, when[i]);
                publish(f, m);
        }
        for (int i = 0; i < 3; i++) {
                expect_equal(broker_wait(f->b, &the_queue, 1, soon()), 0);
                broker_lease *l = lease(f);
                expect_text(l->message.id, order[i]);
                finish(f, l, "SUCCESS");
        }
        return 0;
}

static int an_expired_message_is_leased_marked(void *arg)
{
        FIXTURE(f, arg);
        broker_message m = message_of("a");
        m.expires = ticks_from_now(f, 2);
        publish(f, m);
        pass(f, 4);
        broker_lease *l = lease(f);
        expect_equal(l->fate, BROKER_EXPIRED);
        finish(f, l, "REVOKED");
        expect_text(state_of(f, "a"), "REVOKED");
        return 0;
}

static int one_that_expires_before_its_eta_need_not_wait_for_it(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_DELAYED);
        broker_message m = message_of("a");
        m.eta = ticks_from_now(f, 100000);
        m.expires = ticks_from_now(f, 2);
        publish(f, m);
        expect_none(f);
        expect_equal(broker_wait(f->b, &the_queue, 1, soon()), 0);
        broker_lease *l = lease(f);
        expect_equal(l->fate, BROKER_EXPIRED);
        finish(f, l, "REVOKED");
        return 0;
}

/* ── Leases that run out ─────────────────────────────────────────────────────────────────── */

static int a_lease_that_runs_out_is_another_delivery(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 2);
        broker_lease *lost = lease_for(f, 3);
        expect_equal(lost->deliveries, 1);
        broker_lease *other = lease(f);
        expect_none(f);
        expect_equal(broker_wait(f->b, &the_queue, 1, soon()), 0);
        broker_lease *l = lease(f);
        expect_text(l->message.id, "id0");
        expect_equal(l->deliveries, 2);
        expect(l->token.low != lost->token.low || l->token.high != lost->token.high);
        finish(f, other, "SUCCESS");
        finish(f, l, "SUCCESS");
        broker_lease_free(lost);
        return 0;
}

static int a_lease_that_runs_out_goes_before_those_that_wait(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 3);
        broker_lease *lost = lease_for(f, 2);
        pass(f, 4);
        broker_lease *l = lease(f);
        expect_text(l->message.id, "id0");
        finish(f, l, "SUCCESS");
        broker_lease_free(lost);
        return 0;
}

static int a_message_given_back_goes_before_those_that_wait(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 3);
        broker_lease *l = lease(f);
        settle_and_free(f, l, (broker_settlement){.verdict = BROKER_REQUEUE});
        l = lease(f);
        expect_text(l->message.id, "id0");
        expect_equal(l->deliveries, 2);
        finish(f, l, "SUCCESS");
        return 0;
}

static int a_renewed_lease_does_not_run_out(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 1);
        broker_lease *l = lease_for(f, 4);
        for (int i = 0; i < 6; i++) {
                pass(f, 2);
                broker_hold hold;
                expect_equal(broker_renew(f->b, &l, 1, 4 * f->c->tick, &hold, soon()), 0);
                expect_equal(hold, BROKER_HELD);
                expect_none(f);
        }
        finish(f, l, "SUCCESS");
        return 0;
}

static int a_late_settlement_does_nothing_and_says_so(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 1);
        broker_lease *late = lease_for(f, 2);
        pass(f, 4);
        broker_result r = result_of("id0", "FAILURE");
        broker_message follow = seal(f, message_of("follow"));
        broker_settlement s = {.lease = late,
                               .results = &r,
                               .n_results = 1,
                               .follow_ups = &follow,
                               .n_follow_ups = 1};
        /* Nobody else has it yet, but it is not the late one's any more. */
        expect_equal(settle(f, s), -ESTALE);
        broker_lease *l = lease(f);
        expect_text(l->message.id, "id0");
        expect_equal(settle(f, s), -ESTALE);
        expect_text(state_of(f, "id0"), "PENDING");
        expect_none(f);
        broker_hold hold[2];
        broker_lease *both[] = {late, l};
        expect_equal(broker_renew(f->b, both, 2, 0, hold, soon()), 0);
        expect_equal(hold[0], BROKER_LOST);
        expect_equal(hold[1], BROKER_HELD);
        finish(f, l, "SUCCESS");
        /* Once settled, it is nobody's. */
        expect_equal(settle(f, s), -ESTALE);
        expect_text(state_of(f, "id0"), "SUCCESS");
        broker_lease_free(late);
        return 0;
}

static int a_message_delivered_too_often_is_leased_marked(void *arg)
{
        FIXTURE(f, arg);
        broker_message m = message_of("a");
        m.max_deliveries = 2;
        publish(f, m);
        for (unsigned i = 1; i <= 3; i++) {
                broker_lease *l = lease(f);
                expect_equal(l->deliveries, i);
                expect_equal(l->fate, i <= 2 ? BROKER_RUN : BROKER_EXHAUSTED);
                settle_and_free(f, l, (broker_settlement){.verdict = BROKER_REQUEUE});
        }
        broker_lease *l = lease(f);
        broker_result r = result_of("a", "FAILURE");
        settle_and_free(f, l,
                        (broker_settlement){.verdict = BROKER_DEAD,
                                            .reason = SJ_STR("too often"),
                                            .results = &r,
                                            .n_results = 1});
        expect_none(f);
        expect_text(state_of(f, "a"), "FAILURE");
        return 0;
}

static int a_message_that_nobody_can_even_bury_is_buried_by_the_broker(void *arg)
{
        FIXTURE(f, arg);
        broker_message m = message_of("a");
        m.max_deliveries = 1;
        publish(f, m);
        for (int i = 0; i < 1 + BROKER_LAST_RITES; i++)
                settle_and_free(f, lease(f), (broker_settlement){.verdict = BROKER_REQUEUE});
        expect_none(f);
        expect_text(state_of(f, "a"), "FAILURE");
        const broker_dead *dead;
        expect_equal(broker_dead_list(f->b, the_queue, SJ_STR(""), 10, f->arena, &dead, soon()), 1);
        expect_text(dead[0].message.id, "a");
        expect(dead[0].reason.n > 0);
        m = message_of("b");
        m.expires = ticks_from_now(f, 1);
        publish(f, m);
        pass(f, 2);
        for (int i = 0; i < BROKER_LAST_RITES; i++)
                settle_and_free(f, lease(f), (broker_settlement){.verdict = BROKER_REQUEUE});
        expect_none(f);
        expect_text(state_of(f, "b"), "REVOKED");
        return 0;
}

static int a_message_returned_unbegun_is_not_counted(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 1);
        for (int i = 0; i < 10; i++) {
                broker_lease *l = lease(f);
                expect_equal(l->deliveries, 1);
                expect_equal(l->fate, BROKER_RUN);
                settle_and_free(f, l, (broker_settlement){.verdict = BROKER_RETURN});
        }
        return 0;
}

static int no_token_is_given_twice(void *arg)
{
        FIXTURE(f, arg);
        FIXTURE(g, arg);
        publish_ids(f, 1);
        broker_token seen[40];
        for (int i = 0; i < 40; i++) {
                broker_lease *l = lease(i % 2 ? f : g);
                seen[i] = l->token;
                for (int k = 0; k < i; k++)
                        expect(seen[k].low != seen[i].low || seen[k].high != seen[i].high);
                settle_and_free(f, l, (broker_settlement){.verdict = BROKER_RETURN});
        }
        return 0;
}

const conformance_case conformance_lease[] = {
        CASE(a_delayed_message_waits_in_the_broker),
        CASE(delayed_messages_come_in_the_order_of_their_time),
        CASE(an_expired_message_is_leased_marked),
        CASE(one_that_expires_before_its_eta_need_not_wait_for_it),
        CASE(a_lease_that_runs_out_is_another_delivery),
        CASE(a_lease_that_runs_out_goes_before_those_that_wait),
        CASE(a_message_given_back_goes_before_those_that_wait),
        CASE(a_renewed_lease_does_not_run_out),
        CASE(a_late_settlement_does_nothing_and_says_so),
        CASE(a_message_delivered_too_often_is_leased_marked),
        CASE(a_message_that_nobody_can_even_bury_is_buried_by_the_broker),
        CASE(a_message_returned_unbegun_is_not_counted),
        CASE(no_token_is_given_twice),
        {NULL, NULL},
};
