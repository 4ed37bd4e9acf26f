/* SPDX-License-Identifier: MIT */
/* What is emitted reaches those who subscribe. */
#include "queue/broker/conformance_unit.h"

static void expect_next(fixture *f, broker_subscription *s, const char *channel, const char *text)
{
        sj_str c, t;
        expect_equal(broker_next(s, f->arena, &c, &t, soon()), 0);
        expect_text(c, channel);
        expect_text(t, text);
}

static int what_is_emitted_reaches_all_who_subscribe(void *arg)
{
        FIXTURE(f, arg);
        FIXTURE(g, arg);
        NEEDS(f, BROKER_PUBSUB);
        const sj_str one[] = {SJ_STR("control")};
        const sj_str more[] = {SJ_STR("control"), SJ_STR("task.*")};
        broker_subscription *a, *b;
        sj_str c, t;
        expect_equal(broker_emit(f->b, one[0], SJ_STR("too early"), soon()), 0);
        expect_equal(broker_subscribe(f->b, one, 1, &a, soon()), 0);
        expect_equal(broker_subscribe(g->b, more, 2, &b, soon()), 0);
        expect_equal(broker_emit(g->b, SJ_STR("control"), SJ_STR("1"), soon()), 0);
        expect_equal(broker_emit(f->b, SJ_STR("task.sent"), SJ_STR("2"), soon()), 0);
        expect_equal(broker_emit(f->b, SJ_STR("tasks"), SJ_STR("3"), soon()), 0);
        expect_next(f, a, "control", "1");
        expect_equal(broker_next(a, f->arena, &c, &t, sj_after(f->c->tick)), -ETIMEDOUT);
        expect_next(g, b, "control", "1");
        expect_next(g, b, "task.sent", "2");
        expect_equal(broker_next(b, f->arena, &c, &t, SJ_POLL), -ETIMEDOUT);
        broker_unsubscribe(a);
        broker_unsubscribe(b);
        expect_equal(broker_emit(f->b, SJ_STR("control"), SJ_STR("4"), soon()), 0);
        return 0;
}

static int emit_later(void *arg)
{
        fixture *f = arg;
        pass(f, 1);
        return broker_emit(f->b, SJ_STR("c"), SJ_STR("text"), soon());
}

static int who_subscribes_is_woken(void *arg)
{
        FIXTURE(f, arg);
        FIXTURE(g, arg);
        NEEDS(f, BROKER_PUBSUB);
        const sj_str channel = SJ_STR("c");
        broker_subscription *s;
        expect_equal(broker_subscribe(f->b, &channel, 1, &s, soon()), 0);
        {
                SJ_SCOPE(scope, SJ_NEVER, 0);
                expect_equal(sj_spawn(scope, emit_later, g, NULL), 0);
                expect_next(f, s, "c", "text");
                expect_equal(sj_scope_join(scope), 0);
        }
        broker_unsubscribe(s);
        return 0;
}

static int a_slow_subscriber_loses_the_oldest_and_is_told(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_PUBSUB);
        const sj_str channel = SJ_STR("c");
        broker_subscription *s;
        sj_str c, t;
        expect_equal(broker_subscribe(f->b, &channel, 1, &s, soon()), 0);
        for (int i = 0; i < BROKER_BACKLOG_MAX + 5; i++) {
                char text[16];
                snprintf(text, sizeof(text), "%d", i);
                expect_equal(broker_emit(f->b, channel, sj_str_of(text), soon()), 0);
        }
        /* A broker that hands texts on by itself may have to be given the time. */
        int r = 0;
        for (int i = 0; i < 100 && r != -ENOBUFS; i++) {
                pass(f, 1);
                r = broker_next(s, f->arena, &c, &t, SJ_POLL);
        }
        expect_equal(r, -ENOBUFS);
        expect_equal(broker_next(s, f->arena, &c, &t, soon()), 0);
        broker_unsubscribe(s);
        return 0;
}

const conformance_case conformance_pubsub[] = {
        CASE(what_is_emitted_reaches_all_who_subscribe),
        CASE(who_subscribes_is_woken),
        CASE(a_slow_subscriber_loses_the_oldest_and_is_told),
        {NULL, NULL},
};
