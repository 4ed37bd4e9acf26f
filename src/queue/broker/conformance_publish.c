/* SPDX-License-Identifier: MIT */
/* What is published comes whole, once, and in order; the same work once. */
#include "queue/broker/conformance_unit.h"

static int what_is_published_is_leased_whole_and_once(void *arg)
{
        FIXTURE(f, arg);
        broker_message m = message_of("the-id");
        m.priority = 3;
        m.max_deliveries = 7;
        m.expires = ticks_from_now(f, 1000);
        m = seal(f, m);
        if (broker_can(f->b, BROKER_OURS))
                m.envelope = (sj_str){"a\0b\xff", 4};
        publish(f, m);
        broker_lease *l = lease(f);
        expect_text(l->message.id, "the-id");
        expect_text(l->message.queue, "q");
        expect_text(l->message.task, "t");
        expect(has_envelope(l, m.envelope));
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
        broker_message m = seal(f, message_of("large"));
        /* Space is no change to what an envelope says. */
        for (size_t i = 0; i < n; i++)
                large[i] =
                        i < n - m.envelope.n ? " \n"[i % 2] : m.envelope.data[i - n + m.envelope.n];
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
        NEEDS(f, BROKER_UNIQUE_IDS);
        broker_message batch[] = {seal(f, message_of("a")), seal(f, message_of("b")),
                                  seal(f, message_of("a"))};
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
        static const int priorities[] = {0, 9, 3, 9, 6};
        static const char *const high[] = {"id1", "id3", "id4", "id2", "id0"};
        static const char *const low[] = {"id0", "id2", "id4", "id1", "id3"};
        const char *const *order = broker_can(f->b, BROKER_LOW_FIRST) ? low : high;
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

/* ── Idempotency keys ────────────────────────────────────────────────────────────────────── */

static broker_message keyed(fixture *f, const char *id, const char *key)
{
        broker_message m = seal(f, message_of(id));
        m.key = sj_str_of(key);
        return m;
}

/* Publishes one with the key "k"; whether it was taken for a duplicate of the one with id `of`. */
static bool is_duplicate(fixture *f, const char *id, const char *of)
{
        broker_message m = keyed(f, id, "k");
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
        broker_message other = keyed(f, "e", "another");
        publish(f, other);
        finish(f, lease(f), "FAILURE");
        other = keyed(f, "g", "another");
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
        broker_message m = keyed(f, "a", "k");
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
        broker_message batch[] = {keyed(f, "a", "k"), keyed(f, "b", "k")};
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

const conformance_case conformance_publish[] = {
        CASE(what_is_published_is_leased_whole_and_once),
        CASE(a_large_message_comes_whole),
        CASE(a_batch_is_published_whole_or_not_at_all),
        CASE(bad_arguments_are_refused),
        CASE(a_lease_takes_the_oldest_first_and_no_more_than_asked),
        CASE(higher_priority_goes_first),
        CASE(only_the_queues_that_are_named_are_served),
        CASE(no_queue_starves_another),
        CASE(every_handle_sees_the_same),
        CASE(the_same_key_is_published_once_until_it_fails),
        CASE(a_key_is_kept_for_its_time_and_through_retries),
        CASE(two_of_one_batch_with_one_key_are_one),
        CASE(a_revoked_message_frees_its_key),
        {NULL, NULL},
};
