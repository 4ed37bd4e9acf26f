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

static void publish_later(fixture *f, const char *id, sj_str queue, int priority, sj_wall eta)
{
        broker_message m = message_of(id);
        m.queue = queue;
        m.priority = priority;
        m.eta = eta;
        publish(f, m);
}

static const broker_delayed *delayed_of(fixture *f, sj_str queue, size_t n, int expected,
                                        uint64_t more)
{
        const broker_delayed *d = NULL;
        uint64_t others = 99;
        expect_equal(broker_delayed_list(f->b, queue, n, f->arena, &d, &others, soon()), expected);
        expect_equal(others, more);
        return d;
}

static int what_is_delayed_is_listed_the_soonest_first(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_DELAYED);
        const sj_wall etas[] = {ticks_from_now(f, 1000), ticks_from_now(f, 2000),
                                ticks_from_now(f, 3000), ticks_from_now(f, 4000)};
        static const char *const ids[] = {"first", "second", "third", "given back"};
        publish(f, message_of("given back"));
        publish_later(f, "third", the_queue, 0, etas[2]);
        publish_later(f, "first", the_queue, 0, etas[0]);
        publish_later(f, "elsewhere", SJ_STR("other"), 0, etas[0]);
        publish_later(f, "second", the_queue, 9, etas[1]);
        const broker_message until = {.eta = etas[3]};
        settle_and_free(f, lease(f),
                        (broker_settlement){.verdict = BROKER_REQUEUE, .next = &until});
        publish(f, message_of("at once"));
        const broker_delayed *d = delayed_of(f, the_queue, 10, 4, 0);
        for (int i = 0; i < 4; i++) {
                expect_text(d[i].message.id, ids[i]);
                expect_text(d[i].message.task, "t");
                expect(sj_str_equal(d[i].message.queue, the_queue));
                expect(d[i].message.envelope.n > 0);
                expect_equal(d[i].message.priority, i == 1 ? 9 : 0);
                expect(d[i].due.us > etas[i].us - f->c->tick / SJ_US);
                expect(d[i].due.us < etas[i].us + f->c->tick / SJ_US);
        }
        expect_text(delayed_of(f, the_queue, 3, 3, 1)[2].message.id, "third");
        expect_text(delayed_of(f, SJ_STR("other"), 9, 1, 0)[0].message.id, "elsewhere");
        delayed_of(f, SJ_STR("nothing"), 9, 0, 0);
        return 0;
}

static int what_is_due_is_no_more_among_the_delayed(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_DELAYED);
        publish_later(f, "a", the_queue, 0, ticks_from_now(f, 2));
        publish_later(f, "b", the_queue, 0, ticks_from_now(f, 1000));
        pass(f, 3);
        expect_text(delayed_of(f, the_queue, 1, 1, 0)[0].message.id, "b");
        return 0;
}

/* One that is larger than all that a list may have is given all the same. */
static int a_list_of_the_delayed_has_its_size(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_DELAYED);
        sj_str large = {sj_arena_alloc(f->arena, BROKER_LIST_BYTES), BROKER_LIST_BYTES};
        expect(large.data);
        memset((char *)large.data, 'x', large.n);
        static const char *const ids[] = {"a", "b", "c"};
        for (int i = 0; i < 3; i++) {
                broker_message m = message_of(ids[i]);
                m.eta = ticks_from_now(f, 1000 + i);
                const message whole = {.id = m.id,
                                       .task = m.task,
                                       .eta = m.eta,
                                       .argsrepr = {large.data, i == 0 ? 9 : large.n},
                                       .routing_key = m.queue};
                expect_equal(message_encode(f->arena, &whole, &m.envelope), 0);
                publish(f, m);
        }
        expect(delayed_of(f, the_queue, 10, 2, 1)[1].message.envelope.n > large.n);
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
        CASE(what_is_delayed_is_listed_the_soonest_first),
        CASE(what_is_due_is_no_more_among_the_delayed),
        CASE(a_list_of_the_delayed_has_its_size),
        CASE(the_dead_are_listed_with_their_reason),
        CASE(the_dead_can_be_tried_again_or_dropped),
        {NULL, NULL},
};
