/* SPDX-License-Identifier: MIT */
/* What a queue holds is counted; the dead are kept with their reason. */
#include "queue/broker/conformance_unit.h"

static int the_depth_of_a_queue_is_counted_by_kind(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 4);
        broker_message m = message_of("later");
        m.eta = ticks_from_now(f, 1000);
        publish(f, m);
        broker_lease *l = lease(f);
        settle_and_free(f, lease(f),
                        (broker_settlement){.verdict = BROKER_DEAD, .reason = SJ_STR("why")});
        broker_depth d = depth_of(f);
        expect_equal(d.ready, 2);
        expect_equal(d.delayed, 1);
        expect_equal(d.leased, 1);
        expect_equal(d.dead, 1);
        expect((d.oldest.us > 0 || !broker_can(f->b, BROKER_KNOWS_IDS)) &&
               d.oldest.us <= sj_wall_now().us);
        finish(f, l, "SUCCESS");
        expect_equal(depth_of(f).leased, 0);
        return 0;
}

static void bury(fixture *f, const char *reason)
{
        broker_lease *l = lease(f);
        broker_result r = result_of(l->message.id.data, "FAILURE");
        settle_and_free(f, l,
                        (broker_settlement){.verdict = BROKER_DEAD,
                                            .reason = sj_str_of(reason),
                                            .results = &r,
                                            .n_results = 1});
}

static int the_dead_are_listed_with_their_reason(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 5);
        for (int i = 0; i < 5; i++)
                bury(f, i == 0 ? "unreadable" : "too often");
        expect_none(f);
        expect_text(state_of(f, "id3"), "FAILURE");
        const broker_dead *d;
        expect_equal(broker_dead_list(f->b, the_queue, SJ_STR(""), 2, f->arena, &d, soon()), 2);
        expect_text(d[0].message.id, "id0");
        expect_text(d[0].message.task, "t");
        expect(d[0].message.envelope.n > 0);
        expect_text(d[0].reason, "unreadable");
        expect_equal(d[0].deliveries, 1);
        expect(d[0].died.us > 0);
        expect_equal(broker_dead_list(f->b, SJ_STR(""), SJ_STR("id1"), 9, f->arena, &d, soon()), 3);
        expect_text(d[0].message.id, "id2");
        expect_equal(broker_dead_list(f->b, SJ_STR("no such"), SJ_STR(""), 9, f->arena, &d, soon()),
                     0);
        return 0;
}

static int the_dead_can_be_tried_again_or_dropped(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 3);
        for (int i = 0; i < 3; i++)
                bury(f, "why");
        const sj_str ids[] = {SJ_STR("id0"), SJ_STR("unknown")};
        expect_equal(broker_dead_retry(f->b, ids, 2, soon()), 1);
        expect_text(state_of(f, "id0"), "PENDING");
        broker_lease *l = lease(f);
        expect_text(l->message.id, "id0");
        expect_equal(l->deliveries, 1);
        expect_equal(l->fate, BROKER_RUN);
        finish(f, l, "SUCCESS");
        expect_equal(broker_dead_drop(f->b, &(sj_str){"id1", 3}, 1, soon()), 1);
        expect_equal(broker_dead_drop(f->b, &(sj_str){"id1", 3}, 1, soon()), 0);
        expect_text(state_of(f, "id1"), "FAILURE");
        expect_equal(depth_of(f).dead, 1);
        if (broker_can(f->b, BROKER_CANCELS))
                expect_equal(broker_cancel(f->b, SJ_STR("id2"), soon()), -EALREADY);
        return 0;
}

const conformance_case conformance_dead[] = {
        CASE(the_depth_of_a_queue_is_counted_by_kind),
        CASE(the_dead_are_listed_with_their_reason),
        CASE(the_dead_can_be_tried_again_or_dropped),
        {NULL, NULL},
};
