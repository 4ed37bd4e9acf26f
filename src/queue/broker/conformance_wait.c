/* SPDX-License-Identifier: MIT */
/* Who waits for messages is woken, and not too late. */
#include "queue/broker/conformance_unit.h"

typedef struct waiter {
        fixture *f;
        sj_time deadline;
} waiter;

static int wait_for_message(void *arg)
{
        waiter *w = arg;
        int r = broker_wait(w->f->b, &the_queue, 1, w->deadline);
        /* Woken, and not merely lucky when its time was over. */
        expect(r < 0 || sj_now() < w->deadline);
        return r;
}

static int who_waits_is_woken_by_a_publish(void *arg)
{
        FIXTURE(f, arg);
        FIXTURE(g, arg);
        waiter w = {.f = f, .deadline = soon()};
        sj_fiber *fiber;
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect_equal(sj_spawn(s, wait_for_message, &w, &fiber), 0);
        pass(f, 2);
        expect(!sj_fiber_done(fiber, NULL));
        publish(g, message_of("a"));
        expect_equal(sj_join(fiber, soon()), 0);
        return 0;
}

static int waiting_ends_at_its_deadline(void *arg)
{
        FIXTURE(f, arg);
        expect_equal(broker_wait(f->b, &the_queue, 1, SJ_POLL), -ETIMEDOUT);
        sj_time deadline = sj_after(2 * f->c->tick);
        expect_equal(broker_wait(f->b, &the_queue, 1, deadline), -ETIMEDOUT);
        expect(sj_now() >= deadline);
        publish_ids(f, 1);
        expect_equal(broker_wait(f->b, &the_queue, 1, SJ_POLL), 0);
        return 0;
}

static int who_waits_is_woken_by_what_is_given_back(void *arg)
{
        FIXTURE(f, arg);
        FIXTURE(g, arg);
        publish_ids(f, 1);
        broker_lease *l = lease(f);
        waiter w = {.f = g, .deadline = soon()};
        sj_fiber *fiber;
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect_equal(sj_spawn(s, wait_for_message, &w, &fiber), 0);
        pass(f, 1);
        expect(!sj_fiber_done(fiber, NULL));
        settle_and_free(f, l, (broker_settlement){.verdict = BROKER_REQUEUE});
        expect_equal(sj_join(fiber, soon()), 0);
        return 0;
}

static int who_waits_is_woken_by_a_lease_that_runs_out(void *arg)
{
        FIXTURE(f, arg);
        FIXTURE(g, arg);
        publish_ids(g, 1);
        broker_lease *lost = lease_for(g, 4);
        expect_equal(broker_wait(f->b, &the_queue, 1, soon()), 0);
        broker_lease *l = lease(f);
        expect_equal(l->deliveries, 2);
        finish(f, l, "SUCCESS");
        broker_lease_free(lost);
        return 0;
}

/* It is published, by another handle, after the waiting has begun. */
static int who_waits_is_woken_when_what_came_later_is_due(void *arg)
{
        FIXTURE(f, arg);
        FIXTURE(g, arg);
        NEEDS(f, BROKER_DELAYED);
        waiter w = {.f = f, .deadline = soon()};
        sj_fiber *fiber;
        SJ_SCOPE(s, SJ_NEVER, 0);
        expect_equal(sj_spawn(s, wait_for_message, &w, &fiber), 0);
        pass(f, 1);
        broker_message other = message_of("other");
        other.queue = SJ_STR("another");
        other.eta = ticks_from_now(f, 3);
        publish(g, other);
        broker_message m = message_of("a");
        m.eta = ticks_from_now(f, 6);
        publish(g, m);
        pass(f, 4);
        expect(!sj_fiber_done(fiber, NULL));
        expect_equal(sj_join(fiber, soon()), 0);
        expect(sj_wall_now().us >= m.eta.us);
        return 0;
}

static int a_cancelled_fiber_does_not_wait(void *arg)
{
        FIXTURE(f, arg);
        waiter w = {.f = f, .deadline = SJ_NEVER};
        sj_fiber *fiber;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        expect_equal(sj_spawn(s, wait_for_message, &w, &fiber), 0);
        pass(f, 1);
        sj_cancel(fiber);
        expect_equal(sj_join(fiber, soon()), -ECANCELED);
        publish_ids(f, 1);
        finish(f, lease(f), "SUCCESS");
        return 0;
}

/* ── Waiting and leasing in one ──────────────────────────────────────────────────────────── */

typedef struct taker {
        fixture *f;
        const sj_str *queues;
        size_t n_queues;
        size_t n;
        sj_time deadline;
        broker_lease *leases[8];
        size_t had;
} taker;

/* As often as others were quicker; how many it has then. */
static int take(void *arg)
{
        taker *t = arg;
        const broker_claim claim = {.queues = t->queues ? t->queues : &the_queue,
                                    .n_queues = t->queues ? t->n_queues : 1,
                                    .worker = SJ_STR("w")};
        int r = 0;
        while (r == 0)
                r = broker_lease_wait(t->f->b, &claim, t->leases, t->n, t->deadline);
        t->had = r > 0 ? (size_t)r : 0;
        return r;
}

static void settle_taken(taker *t)
{
        for (size_t i = 0; i < t->had; i++)
                finish(t->f, t->leases[i], "SUCCESS");
        t->had = 0;
}

/* Again and again, so that a broker that learns where to wait has learned it. */
static int who_waits_to_lease_gets_what_is_published(void *arg)
{
        FIXTURE(f, arg);
        FIXTURE(g, arg);
        for (int i = 0; i < 12; i++) {
                taker t = {.f = f, .n = 3, .deadline = soon()};
                sj_fiber *fiber;
                SJ_SCOPE(s, SJ_NEVER, 0);
                expect_equal(sj_spawn(s, take, &t, &fiber), 0);
                pass(f, i % 4 == 0);
                char id[16];
                snprintf(id, sizeof(id), "id%d", i);
                publish(g, message_of(id));
                expect_equal(sj_join(fiber, soon()), 1);
                expect_text(t.leases[0]->message.id, id);
                expect_equal(t.leases[0]->deliveries, 1);
                settle_taken(&t);
        }
        expect_none(g);
        return 0;
}

/* What comes while it waits, too, of which there is more than it asked for. */
static int who_waits_to_lease_takes_no_more_than_it_asked_for(void *arg)
{
        FIXTURE(f, arg);
        FIXTURE(g, arg);
        for (int i = 0; i < 14; i++) {
                taker t = {.f = f, .n = 2, .deadline = soon()};
                sj_fiber *fiber;
                SJ_SCOPE(s, SJ_NEVER, 0);
                expect_equal(sj_spawn(s, take, &t, &fiber), 0);
                pass(f, 1);
                broker_message all[] = {seal(f, message_of("a")), seal(f, message_of("b")),
                                        seal(f, message_of("c"))};
                expect_equal(broker_publish(g->b, all, 3, NULL, soon()), 0);
                expect_equal(sj_join(fiber, soon()), 2);
                settle_taken(&t);
                finish(f, lease(f), "SUCCESS");
                expect_none(f);
        }
        return 0;
}

static int waiting_to_lease_ends_at_its_deadline(void *arg)
{
        FIXTURE(f, arg);
        taker t = {.f = f, .n = 1, .deadline = SJ_POLL};
        expect_equal(take(&t), -ETIMEDOUT);
        for (int i = 0; i < 3; i++) {
                publish_ids(f, 1);
                t.deadline = soon();
                expect_equal(take(&t), 1);
                settle_taken(&t);
                t.deadline = sj_after(2 * f->c->tick);
                sj_time deadline = t.deadline;
                expect_equal(take(&t), -ETIMEDOUT);
                expect(sj_now() >= deadline);
        }
        return 0;
}

/* Wherever it waits, another queue has the next one, and nothing is taken twice or left. */
static int who_waits_to_lease_gets_what_any_of_its_queues_has(void *arg)
{
        FIXTURE(f, arg);
        FIXTURE(g, arg);
        const sj_str queues[] = {the_queue, SJ_STR("r"), SJ_STR("s")};
        for (int i = 0; i < 30; i++) {
                taker t = {.f = f, .queues = queues, .n_queues = 3, .n = 4, .deadline = soon()};
                sj_fiber *fiber;
                SJ_SCOPE(s, SJ_NEVER, 0);
                expect_equal(sj_spawn(s, take, &t, &fiber), 0);
                pass(f, i % 8 == 0 || i >= 20);
                char id[16];
                snprintf(id, sizeof(id), "id%d", i);
                broker_message m = message_of(id);
                m.queue = queues[i < 20 ? 0 : i % 3];
                publish(g, m);
                expect_equal(sj_join(fiber, soon()), 1);
                expect_text(t.leases[0]->message.id, id);
                settle_taken(&t);
        }
        return 0;
}

/*
 * It is cancelled while it waits, when nothing has come, and just when something comes: then it has
 * that, or the next one to ask has it, at once, as delivered for the first time.
 */
static int a_cancelled_fiber_takes_nothing_with_it(void *arg)
{
        FIXTURE(f, arg);
        FIXTURE(g, arg);
        for (int i = 0; i < 24; i++) {
                taker t = {.f = f, .n = 4, .deadline = SJ_NEVER};
                sj_fiber *fiber;
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                expect_equal(sj_spawn(s, take, &t, &fiber), 0);
                pass(f, i % 6 == 0);
                bool comes = i % 3 != 0;
                if (comes)
                        publish(g, message_of("a"));
                for (int k = 0; i >= 6 && k < i % 7; k++)
                        sj_yield();
                if (i >= 6)
                        sj_cancel(fiber);
                else if (!comes)
                        publish(g, message_of("a"));
                int r = sj_join(fiber, soon());
                if (r != 1)
                        expect_equal(r, i >= 6 ? -ECANCELED : 1);
                if (r == -ECANCELED && !comes)
                        continue;
                if (r == -ECANCELED) {
                        broker_lease *l = lease(g);
                        expect_equal(l->deliveries, 1);
                        finish(g, l, "SUCCESS");
                }
                settle_taken(&t);
                expect_none(g);
        }
        return 0;
}

const conformance_case conformance_wait[] = {
        CASE(who_waits_is_woken_by_a_publish),
        CASE(waiting_ends_at_its_deadline),
        CASE(who_waits_is_woken_by_what_is_given_back),
        CASE(who_waits_is_woken_by_a_lease_that_runs_out),
        CASE(who_waits_is_woken_when_what_came_later_is_due),
        CASE(a_cancelled_fiber_does_not_wait),
        CASE(who_waits_to_lease_gets_what_is_published),
        CASE(who_waits_to_lease_takes_no_more_than_it_asked_for),
        CASE(waiting_to_lease_ends_at_its_deadline),
        CASE(who_waits_to_lease_gets_what_any_of_its_queues_has),
        CASE(a_cancelled_fiber_takes_nothing_with_it),
        {NULL, NULL},
};
