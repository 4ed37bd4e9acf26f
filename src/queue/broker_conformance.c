/* SPDX-License-Identifier: MIT */
/*
 * The cases, in the order of broker.h. Each says one promise. They wait in ticks, whose length is
 * the broker's test's matter, and never assert that something was quick.
 */
#include "queue/broker_conformance.h"

#include <stdio.h>
#include <stdlib.h>

#define expect(condition)                                                          \
        do {                                                                       \
                if (!(condition)) {                                                \
                        fprintf(stderr, "%s: not so: %s\n", SJ_WHERE, #condition); \
                        abort();                                                   \
                }                                                                  \
        } while (0)

#define expect_equal(a, b)                                                                    \
        do {                                                                                  \
                long long expect_a = (long long)(a), expect_b = (long long)(b);               \
                if (expect_a != expect_b) {                                                   \
                        fprintf(stderr, "%s: %s is %lld, not %lld\n", SJ_WHERE, #a, expect_a, \
                                expect_b);                                                    \
                        abort();                                                              \
                }                                                                             \
        } while (0)

#define expect_text(a, b) expect(sj_str_equal((a), sj_str_of(b)))

/* ── Short names for what the cases do all the time ─────────────────────────────────────────── */

static const sj_str the_queue = {"q", 1};

typedef struct fixture {
        const conformance *c;
        broker *b;
        sj_arena *arena;
} fixture;

static void fixture_open(fixture *f, void *arg)
{
        f->c = arg;
        expect_equal(f->c->open(f->c->arg, &(broker_options){0}, &f->b), 0);
        expect_equal(sj_arena_new(&f->arena), 0);
}

static void fixture_close(fixture *f)
{
        broker_close(f->b);
        sj_arena_free(f->arena);
}

/* A case's beginning: f is the fixture, closed at the end of the block. */
#define FIXTURE(f, arg)                                             \
        __attribute__((cleanup(fixture_close))) fixture f##_ = {0}; \
        fixture *f = &f##_;                                         \
        fixture_open(f, arg)

#define NEEDS(f, capability)                           \
        do {                                           \
                if (!broker_can((f)->b, (capability))) \
                        return 0;                      \
        } while (0)

static sj_time soon(void)
{
        return sj_after(30 * SJ_SEC);
}

/* The wall clock n ticks from now. */
static sj_wall ticks_from_now(const fixture *f, int n)
{
        return (sj_wall){sj_wall_now().us + n * (f->c->tick / SJ_US)};
}

static void pass(const fixture *f, int ticks)
{
        expect_equal(sj_sleep(ticks * f->c->tick), 0);
}

static broker_message message_of(const char *id)
{
        return (broker_message){.id = sj_str_of(id),
                                .queue = the_queue,
                                .task = SJ_STR("t"),
                                .envelope = SJ_STR("{\"an\": \"envelope\"}")};
}

static void publish(fixture *f, broker_message m)
{
        expect_equal(broker_publish(f->b, &m, 1, NULL, soon()), 0);
}

static void publish_ids(fixture *f, int n)
{
        for (int i = 0; i < n; i++) {
                char id[16];
                snprintf(id, sizeof(id), "id%d", i);
                publish(f, message_of(id));
        }
}

static int lease_many(fixture *f, broker_lease *ret[], size_t n, int ticks)
{
        broker_claim claim = {.queues = &the_queue,
                              .n_queues = 1,
                              .worker = SJ_STR("w"),
                              .duration = ticks ? ticks * f->c->tick : 0};
        int r = broker_lease_next(f->b, &claim, ret, n, soon());
        expect(r >= 0);
        return r;
}

/* The next message, which must be there, leased for that many ticks. */
static broker_lease *lease_for(fixture *f, int ticks)
{
        broker_lease *lease = NULL;
        expect_equal(lease_many(f, &lease, 1, ticks), 1);
        return lease;
}

static broker_lease *lease(fixture *f)
{
        return lease_for(f, 0);
}

static void expect_none(fixture *f)
{
        broker_lease *none = NULL;
        expect_equal(lease_many(f, &none, 1, 0), 0);
}

static int settle(fixture *f, broker_settlement s)
{
        s.status = -1;
        expect_equal(broker_settle(f->b, &s, 1, soon()), 0);
        return s.status;
}

static void settle_and_free(fixture *f, broker_lease *l, broker_settlement s)
{
        s.lease = l;
        expect_equal(settle(f, s), 0);
        broker_lease_free(l);
}

static broker_result result_of(const char *id, const char *state, const char *content)
{
        return (broker_result){sj_str_of(id), sj_str_of(state), sj_str_of(content)};
}

/* Settles as done, with a result of that state. */
static void finish(fixture *f, broker_lease *l, const char *state)
{
        broker_result r = {l->message.id, sj_str_of(state), SJ_STR("{\"the\": \"result\"}")};
        settle_and_free(f, l, (broker_settlement){.results = &r, .n_results = 1});
}

static sj_str state_of(fixture *f, const char *id)
{
        broker_result r;
        sj_str text = sj_str_of(id);
        expect_equal(broker_result_get(f->b, &text, 1, f->arena, &r, soon()), 0);
        return r.state;
}

static broker_depth depth_of(fixture *f)
{
        const broker_depth *all = NULL;
        int n = broker_queues(f->b, f->arena, &all, soon());
        expect(n >= 0);
        for (int i = 0; i < n; i++)
                if (sj_str_equal(all[i].queue, the_queue))
                        return all[i];
        return (broker_depth){0};
}

/* ── Publish and lease ───────────────────────────────────────────────────────────────────── */

static int what_is_published_is_leased_whole_and_once(void *arg)
{
        FIXTURE(f, arg);
        broker_message m = message_of("the-id");
        m.priority = 3;
        m.max_deliveries = 7;
        m.envelope = (sj_str){"a\0b\xff", 4};
        m.expires = ticks_from_now(f, 1000);
        publish(f, m);
        broker_lease *l = lease(f);
        expect_text(l->message.id, "the-id");
        expect_text(l->message.queue, "q");
        expect_text(l->message.task, "t");
        expect(sj_str_equal(l->message.envelope, m.envelope));
        expect_equal(l->message.priority, 3);
        expect_equal(l->message.max_deliveries, 7);
        expect_equal(l->message.expires.us, m.expires.us);
        expect_equal(l->deliveries, 1);
        expect_equal(l->fate, BROKER_RUN);
        expect(l->owner == f->b);
        expect(l->until.us > l->published.us && l->published.us > 0);
        expect_none(f);
        finish(f, l, "SUCCESS");
        expect_none(f);
        return 0;
}

static int a_large_message_comes_whole(void *arg)
{
        FIXTURE(f, arg);
        size_t n = 3 << 20;
        char *large = malloc(n);
        for (size_t i = 0; i < n; i++)
                large[i] = (char)(i * 7);
        broker_message m = message_of("large");
        m.envelope = (sj_str){large, n};
        publish(f, m);
        broker_lease *l = lease(f);
        expect(sj_str_equal(l->message.envelope, m.envelope));
        finish(f, l, "SUCCESS");
        free(large);
        return 0;
}

static int a_batch_is_published_whole_or_not_at_all(void *arg)
{
        FIXTURE(f, arg);
        broker_message batch[] = {message_of("a"), message_of("b"), message_of("a")};
        expect_equal(broker_publish(f->b, batch, 3, NULL, soon()), -EEXIST);
        expect_none(f);
        if (broker_can(f->b, BROKER_KNOWS_IDS))
                expect_equal(state_of(f, "b").n, 0);
        expect_equal(broker_publish(f->b, batch, 2, NULL, soon()), 0);
        broker_lease *l[3];
        expect_equal(lease_many(f, l, 3, 0), 2);
        /* An id is in use while it is leased, too. */
        expect_equal(broker_publish(f->b, batch, 1, NULL, soon()), -EEXIST);
        finish(f, l[0], "SUCCESS");
        finish(f, l[1], "SUCCESS");
        /* A stored result is no hindrance, and goes. */
        expect_equal(broker_publish(f->b, batch, 1, NULL, soon()), 0);
        expect_text(state_of(f, "a"), "PENDING");
        return 0;
}

static int bad_arguments_are_refused(void *arg)
{
        FIXTURE(f, arg);
        broker_message m = message_of("");
        expect_equal(broker_publish(f->b, &m, 1, NULL, soon()), -EINVAL);
        m = message_of("a\nb");
        expect_equal(broker_publish(f->b, &m, 1, NULL, soon()), -EINVAL);
        m = message_of("a");
        m.queue = SJ_STR("");
        expect_equal(broker_publish(f->b, &m, 1, NULL, soon()), -EINVAL);
        m = message_of("a");
        m.priority = 10;
        expect_equal(broker_publish(f->b, &m, 1, NULL, soon()), -EINVAL);
        expect_none(f);
        expect_equal(broker_publish(f->b, NULL, 0, NULL, soon()), 0);
        expect_equal(broker_settle(f->b, NULL, 0, soon()), 0);
        return 0;
}

static int a_lease_takes_the_oldest_first_and_no_more_than_asked(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 5);
        broker_lease *l[8];
        expect_equal(lease_many(f, l, 2, 0), 2);
        expect_text(l[0]->message.id, "id0");
        expect_text(l[1]->message.id, "id1");
        expect_equal(lease_many(f, l + 2, 6, 0), 3);
        for (int i = 0; i < 5; i++) {
                char id[16];
                snprintf(id, sizeof(id), "id%d", i);
                expect_text(l[i]->message.id, id);
                finish(f, l[i], "SUCCESS");
        }
        return 0;
}

static int higher_priority_goes_first(void *arg)
{
        FIXTURE(f, arg);
        static const int priorities[] = {0, 9, 3, 9, 5};
        static const char *const order[] = {"id1", "id3", "id4", "id2", "id0"};
        for (int i = 0; i < 5; i++) {
                char id[16];
                snprintf(id, sizeof(id), "id%d", i);
                broker_message m = message_of(id);
                m.priority = priorities[i];
                publish(f, m);
        }
        for (int i = 0; i < 5; i++) {
                broker_lease *l = lease(f);
                expect_text(l->message.id, order[i]);
                finish(f, l, "SUCCESS");
        }
        return 0;
}

static int only_the_queues_that_are_named_are_served(void *arg)
{
        FIXTURE(f, arg);
        broker_message m = message_of("other");
        m.queue = SJ_STR("another");
        publish(f, m);
        expect_none(f);
        expect_equal(broker_wait(f->b, &the_queue, 1, sj_after(f->c->tick)), -ETIMEDOUT);
        expect_equal(broker_wait(f->b, &m.queue, 1, soon()), 0);
        return 0;
}

static int no_queue_starves_another(void *arg)
{
        FIXTURE(f, arg);
        const sj_str queues[] = {SJ_STR("q1"), SJ_STR("q2")};
        for (int i = 0; i < 20; i++) {
                char id[16];
                snprintf(id, sizeof(id), "id%d", i);
                broker_message m = message_of(id);
                m.queue = queues[i >= 10];
                publish(f, m);
        }
        int from_second = 0;
        broker_claim claim = {.queues = queues, .n_queues = 2, .worker = SJ_STR("w")};
        for (int i = 0; i < 10; i++) {
                broker_lease *l;
                expect_equal(broker_lease_next(f->b, &claim, &l, 1, soon()), 1);
                from_second += sj_str_equal(l->message.queue, queues[1]);
                finish(f, l, "SUCCESS");
        }
        expect(from_second >= 2 && from_second <= 8);
        return 0;
}

static int every_handle_sees_the_same(void *arg)
{
        FIXTURE(f, arg);
        FIXTURE(g, arg);
        publish(f, message_of("a"));
        broker_lease *l = lease(g);
        expect_none(f);
        finish(g, l, "SUCCESS");
        expect_text(state_of(f, "a"), "SUCCESS");
        return 0;
}

/* ── Time ────────────────────────────────────────────────────────────────────────────────── */

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
        broker_result r = result_of("id0", "FAILURE", "{}");
        broker_message follow = message_of("follow");
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
        broker_result r = result_of("a", "FAILURE", "{}");
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

/* ── Waiting ─────────────────────────────────────────────────────────────────────────────── */

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

/* ── Settling ────────────────────────────────────────────────────────────────────────────── */

static int a_settlement_stores_and_publishes_at_once(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 1);
        publish(f, message_of("taken"));
        broker_lease *l = lease(f), *taken = lease(f);
        broker_result results[] = {result_of("id0", "SUCCESS", "{\"a\": 1}"),
                                   result_of("elsewhere", "FAILURE", "{\"b\": 2}")};
        broker_message follow[] = {message_of("next"), message_of("taken")};
        settle_and_free(f, l,
                        (broker_settlement){.results = results,
                                            .n_results = 2,
                                            .follow_ups = follow,
                                            .n_follow_ups = 2});
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
        next.envelope = SJ_STR("the second");
        next.eta = ticks_from_now(f, 3);
        broker_result r = result_of("id0", "RETRY", "{}");
        settle_and_free(
                f, l,
                (broker_settlement){
                        .verdict = BROKER_RETRY, .next = &next, .results = &r, .n_results = 1});
        expect_text(state_of(f, "id0"), "RETRY");
        expect_none(f);
        expect_equal(broker_wait(f->b, &the_queue, 1, soon()), 0);
        l = lease(f);
        expect_text(l->message.id, "id0");
        expect_text(l->message.envelope, "the second");
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
        expect_text(l->message.envelope, "{\"an\": \"envelope\"}");
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
                r[i] = (broker_result){l[i]->message.id, SJ_STR("SUCCESS"), SJ_STR("{}")};
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

/* ── Results ─────────────────────────────────────────────────────────────────────────────── */

static int what_is_done_in_a_state_of_its_own_is_kept(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_KNOWS_IDS);
        publish_ids(f, 1);
        finish(f, lease(f), "STARTED");
        expect_text(state_of(f, "id0"), "STARTED");
        broker_result r = result_of("id0", "SUCCESS", "{}");
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
                broker_result r = result_of("id0", steps[i].put, "{}");
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
        broker_result r = result_of("id0", "STARTED", "{}");
        expect_equal(broker_result_put(f->b, &r, 1, soon()), 0);
        pass(f, 2);
        expect(!sj_fiber_done(fiber, NULL));
        finish(f, l, "SUCCESS");
        expect_equal(sj_join(fiber, soon()), 0);
        expect_text(w.result.state, "SUCCESS");
        expect_text(w.result.content, "{\"the\": \"result\"}");
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
        broker_result r = result_of("id1", "STARTED", "{}");
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

/* ── Idempotency keys ────────────────────────────────────────────────────────────────────── */

static broker_message keyed(const char *id, const char *key)
{
        broker_message m = message_of(id);
        m.key = sj_str_of(key);
        return m;
}

/* Publishes one with the key "k"; whether it was taken for a duplicate of the one with id `of`. */
static bool is_duplicate(fixture *f, const char *id, const char *of)
{
        broker_message m = keyed(id, "k");
        broker_published p;
        expect_equal(broker_publish(f->b, &m, 1, &p, soon()), 0);
        expect(strcmp(p.id, p.duplicate ? of : id) == 0);
        return p.duplicate;
}

static int the_same_key_is_published_once_until_it_fails(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_KEYS);
        expect(!is_duplicate(f, "a", ""));
        expect(is_duplicate(f, "b", "a"));
        broker_lease *l = lease(f);
        expect_none(f);
        expect(is_duplicate(f, "c", "a"));
        finish(f, l, "SUCCESS");
        expect(is_duplicate(f, "d", "a"));
        broker_message other = keyed("e", "another");
        publish(f, other);
        finish(f, lease(f), "FAILURE");
        other = keyed("g", "another");
        publish(f, other);
        l = lease(f);
        expect_text(l->message.id, "g");
        finish(f, l, "SUCCESS");
        return 0;
}

static int a_key_is_kept_for_its_time_and_through_retries(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_KEYS);
        broker_message m = keyed("a", "k");
        m.key_for = 4 * f->c->tick;
        publish(f, m);
        pass(f, 6);
        expect(is_duplicate(f, "b", "a"));
        settle_and_free(f, lease(f), (broker_settlement){.verdict = BROKER_RETRY, .next = &m});
        expect(is_duplicate(f, "c", "a"));
        finish(f, lease(f), "SUCCESS");
        expect(is_duplicate(f, "d", "a"));
        pass(f, 10);
        expect(!is_duplicate(f, "e", "a"));
        return 0;
}

static int two_of_one_batch_with_one_key_are_one(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_KEYS);
        broker_message batch[] = {keyed("a", "k"), keyed("b", "k")};
        broker_published p[2];
        expect_equal(broker_publish(f->b, batch, 2, p, soon()), 0);
        expect(!p[0].duplicate && p[1].duplicate);
        expect(strcmp(p[1].id, "a") == 0);
        finish(f, lease(f), "SUCCESS");
        expect_none(f);
        return 0;
}

static int a_revoked_message_frees_its_key(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_KEYS);
        NEEDS(f, BROKER_CANCELS);
        expect(!is_duplicate(f, "a", ""));
        expect_equal(broker_cancel(f->b, SJ_STR("a"), soon()), 0);
        expect(!is_duplicate(f, "b", ""));
        return 0;
}

/* ── Revoking, purging, the dead ─────────────────────────────────────────────────────────── */

static int what_waits_is_revoked_at_once(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_CANCELS);
        publish_ids(f, 1);
        broker_message m = message_of("later");
        m.eta = ticks_from_now(f, 1000);
        publish(f, m);
        expect_equal(broker_cancel(f->b, SJ_STR("id0"), soon()), 0);
        expect_equal(broker_cancel(f->b, SJ_STR("later"), soon()), 0);
        expect_none(f);
        expect_text(state_of(f, "id0"), "REVOKED");
        expect_text(state_of(f, "later"), "REVOKED");
        expect_equal(broker_cancel(f->b, SJ_STR("id0"), soon()), -EALREADY);
        expect_equal(broker_cancel(f->b, SJ_STR("unknown"), soon()), -ENOENT);
        return 0;
}

static int the_holder_of_what_is_revoked_is_told(void *arg)
{
        FIXTURE(f, arg);
        NEEDS(f, BROKER_CANCELS);
        publish_ids(f, 1);
        broker_lease *l = lease(f);
        expect_equal(broker_cancel(f->b, SJ_STR("id0"), soon()), 1);
        broker_hold hold;
        expect_equal(broker_renew(f->b, &l, 1, 0, &hold, soon()), 0);
        expect_equal(hold, BROKER_HELD_REVOKED);
        finish(f, l, "REVOKED");
        publish_ids(f, 1);
        l = lease(f);
        expect_equal(broker_renew(f->b, &l, 1, 0, &hold, soon()), 0);
        expect_equal(hold, BROKER_HELD);
        finish(f, l, "SUCCESS");
        return 0;
}

static int a_purge_revokes_what_waits(void *arg)
{
        FIXTURE(f, arg);
        publish_ids(f, 3);
        broker_lease *l = lease(f);
        broker_message m = message_of("later");
        m.eta = ticks_from_now(f, 1000);
        publish(f, m);
        m = message_of("other");
        m.queue = SJ_STR("another");
        publish(f, m);
        expect_equal(broker_purge(f->b, the_queue, soon()), 3);
        expect_none(f);
        expect_text(state_of(f, "id1"), "REVOKED");
        expect_text(state_of(f, "later"), "REVOKED");
        expect_text(state_of(f, "other"), "PENDING");
        finish(f, l, "SUCCESS");
        expect_equal(broker_purge(f->b, the_queue, soon()), 0);
        expect_equal(broker_purge(f->b, SJ_STR("no such"), soon()), 0);
        return 0;
}

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
        expect(d.oldest.us > 0 && d.oldest.us <= sj_wall_now().us);
        finish(f, l, "SUCCESS");
        expect_equal(depth_of(f).leased, 0);
        return 0;
}

static void bury(fixture *f, const char *reason)
{
        broker_lease *l = lease(f);
        broker_result r = {l->message.id, SJ_STR("FAILURE"), SJ_STR("{}")};
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
        expect_text(d[0].message.envelope, "{\"an\": \"envelope\"}");
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
        expect_equal(broker_cancel(f->b, SJ_STR("id2"), soon()), -EALREADY);
        return 0;
}

/* ── Nodes ───────────────────────────────────────────────────────────────────────────────── */

static int two_workers_of_one_name_are_refused(void *arg)
{
        FIXTURE(f, arg);
        FIXTURE(g, arg);
        broker_node node = {.name = SJ_STR("w@h"), .info = SJ_STR("{\"pid\": 1}")};
        broker_token token, other;
        sj_time ttl = 4 * f->c->tick;
        expect_equal(broker_node_join(f->b, &node, ttl, &token, soon()), 0);
        expect_equal(broker_node_join(g->b, &node, ttl, &other, soon()), -EEXIST);
        for (int i = 0; i < 4; i++) {
                pass(f, 2);
                expect_equal(broker_node_beat(f->b, node.name, token, SJ_STR(""), ttl, soon()), 0);
        }
        expect_equal(broker_node_join(g->b, &node, ttl, &other, soon()), -EEXIST);
        expect_equal(broker_node_leave(f->b, node.name, token, soon()), 0);
        expect_equal(broker_node_join(g->b, &node, ttl, &other, soon()), 0);
        expect_equal(broker_node_beat(f->b, node.name, token, SJ_STR(""), ttl, soon()), -ESTALE);
        expect_equal(broker_node_leave(f->b, node.name, token, soon()), -ESTALE);
        /* One that has gone silent loses its name. */
        pass(f, 8);
        expect_equal(broker_node_beat(g->b, node.name, other, SJ_STR(""), ttl, soon()), -ESTALE);
        expect_equal(broker_node_join(f->b, &node, ttl, &token, soon()), 0);
        return 0;
}

static int the_live_nodes_are_listed_by_name(void *arg)
{
        FIXTURE(f, arg);
        broker_token token;
        const broker_node *nodes;
        static const char *const names[] = {"c@h", "a@h", "b@h"};
        for (int i = 0; i < 3; i++) {
                broker_node n = {.name = sj_str_of(names[i]), .info = SJ_STR("{}")};
                sj_time ttl = (i == 2 ? 2 : 1000) * f->c->tick;
                expect_equal(broker_node_join(f->b, &n, ttl, &token, soon()), 0);
                if (i == 1)
                        expect_equal(broker_node_beat(f->b, n.name, token, SJ_STR("{\"n\": 1}"),
                                                      ttl, soon()),
                                     0);
        }
        expect_equal(broker_nodes(f->b, f->arena, &nodes, soon()), 3);
        pass(f, 4);
        expect_equal(broker_nodes(f->b, f->arena, &nodes, soon()), 2);
        expect_text(nodes[0].name, "a@h");
        expect_text(nodes[0].info, "{\"n\": 1}");
        expect_text(nodes[1].name, "c@h");
        expect(nodes[0].until.us > nodes[0].since.us);
        return 0;
}

/* ── Publish and subscribe ───────────────────────────────────────────────────────────────── */

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

/* ── All together ────────────────────────────────────────────────────────────────────────── */

enum { SOAK_TASKS = 60, SOAK_WORKERS = 4 };

typedef struct soak {
        fixture *f;
        unsigned seed;
        int runs[SOAK_TASKS];
        int settled[SOAK_TASKS];
} soak;

static unsigned soak_draw(soak *k, unsigned n)
{
        k->seed = k->seed * 1103515245 + 12345;
        return k->seed / 65536 % n;
}

/* Settles, forgets, gives back, retries, at random. */
static void soak_one(soak *k, broker_lease *l)
{
        int i = atoi(l->message.id.data + 2);
        broker_result r = {l->message.id, SJ_STR("SUCCESS"), SJ_STR("{}")};
        broker_message next = message_of(l->message.id.data);
        next.max_deliveries = 1000;
        broker_settlement s = {.lease = l, .results = &r, .n_results = 1};
        k->runs[i]++;
        unsigned what = soak_draw(k, 8);
        if (what == 0)
                return;
        if (what == 1) {
                pass(k->f, 6);
        } else if (what == 2) {
                s.verdict = BROKER_REQUEUE;
                s.n_results = 0;
        } else if (what == 3) {
                s.verdict = BROKER_RETRY;
                s.next = &next;
                s.n_results = 0;
        }
        if (settle(k->f, s) == 0 && s.verdict == BROKER_DONE)
                k->settled[i]++;
}

static int soak_worker(void *arg)
{
        soak *k = arg;
        while (broker_wait(k->f->b, &the_queue, 1, sj_after(40 * k->f->c->tick)) == 0) {
                broker_lease *l[5];
                int n = lease_many(k->f, l, 1 + soak_draw(k, 5), 4);
                for (int i = 0; i < n; i++) {
                        soak_one(k, l[i]);
                        broker_lease_free(l[i]);
                }
        }
        return 0;
}

static int soak_producer(void *arg)
{
        soak *k = arg;
        for (int i = 0; i < SOAK_TASKS; i++) {
                char id[16];
                snprintf(id, sizeof(id), "id%d", i);
                broker_message m = message_of(id);
                m.max_deliveries = 1000;
                m.priority = (int)soak_draw(k, 10);
                if (soak_draw(k, 3) == 0)
                        m.eta = ticks_from_now(k->f, (int)soak_draw(k, 6));
                publish(k->f, m);
        }
        return 0;
}

static int nothing_is_lost_and_nothing_ends_twice(void *arg)
{
        FIXTURE(f, arg);
        soak k = {.f = f, .seed = 7};
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                expect_equal(sj_spawn(s, soak_producer, &k, NULL), 0);
                for (int i = 0; i < SOAK_WORKERS; i++)
                        expect_equal(sj_spawn(s, soak_worker, &k, NULL), 0);
                expect_equal(sj_scope_join(s), 0);
        }
        for (int i = 0; i < SOAK_TASKS; i++) {
                char id[16];
                snprintf(id, sizeof(id), "id%d", i);
                expect(k.runs[i] >= 1);
                expect_equal(k.settled[i], 1);
                expect_text(state_of(f, id), "SUCCESS");
        }
        broker_depth d = depth_of(f);
        expect_equal(d.ready + d.delayed + d.leased + d.dead, 0);
        return 0;
}

/* ── The list ────────────────────────────────────────────────────────────────────────────── */

#define CASE(body)          \
        {                   \
#body, body \
        }

const conformance_case conformance_cases[] = {
        CASE(what_is_published_is_leased_whole_and_once),
        CASE(a_large_message_comes_whole),
        CASE(a_batch_is_published_whole_or_not_at_all),
        CASE(bad_arguments_are_refused),
        CASE(a_lease_takes_the_oldest_first_and_no_more_than_asked),
        CASE(higher_priority_goes_first),
        CASE(only_the_queues_that_are_named_are_served),
        CASE(no_queue_starves_another),
        CASE(every_handle_sees_the_same),
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
        CASE(who_waits_is_woken_by_a_publish),
        CASE(waiting_ends_at_its_deadline),
        CASE(who_waits_is_woken_by_what_is_given_back),
        CASE(who_waits_is_woken_by_a_lease_that_runs_out),
        CASE(who_waits_is_woken_when_what_came_later_is_due),
        CASE(a_cancelled_fiber_does_not_wait),
        CASE(a_settlement_stores_and_publishes_at_once),
        CASE(a_retry_takes_the_place_of_its_message),
        CASE(a_retry_may_go_to_another_queue),
        CASE(a_requeue_may_be_for_later),
        CASE(many_are_settled_in_one_call_each_with_its_status),
        CASE(what_is_done_without_a_word_is_forgotten),
        CASE(what_is_done_in_a_state_of_its_own_is_kept),
        CASE(what_is_unknown_is_told_apart_from_what_is_pending),
        CASE(states_follow_each_other_but_never_back),
        CASE(who_waits_for_a_result_is_woken_by_a_final_state),
        CASE(waiting_for_a_result_ends_at_its_deadline),
        CASE(who_waits_for_what_is_forgotten_is_told),
        CASE(results_can_be_dropped_once_they_are_final),
        CASE(results_expire),
        CASE(the_same_key_is_published_once_until_it_fails),
        CASE(a_key_is_kept_for_its_time_and_through_retries),
        CASE(two_of_one_batch_with_one_key_are_one),
        CASE(a_revoked_message_frees_its_key),
        CASE(what_waits_is_revoked_at_once),
        CASE(the_holder_of_what_is_revoked_is_told),
        CASE(a_purge_revokes_what_waits),
        CASE(the_depth_of_a_queue_is_counted_by_kind),
        CASE(the_dead_are_listed_with_their_reason),
        CASE(the_dead_can_be_tried_again_or_dropped),
        CASE(two_workers_of_one_name_are_refused),
        CASE(the_live_nodes_are_listed_by_name),
        CASE(what_is_emitted_reaches_all_who_subscribe),
        CASE(who_subscribes_is_woken),
        CASE(a_slow_subscriber_loses_the_oldest_and_is_told),
        CASE(nothing_is_lost_and_nothing_ends_twice),
};
const size_t conformance_n = sizeof(conformance_cases) / sizeof(conformance_cases[0]);
