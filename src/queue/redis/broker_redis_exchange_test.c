/* SPDX-License-Identifier: MIT */
/* Exchanges of the broker in Redis: who gets what is published by one. */
#include "queue/redis/broker_redis_unit.h"

static int publish_by(broker *b, const char *exchange, const char *key, const char *id)
{
        sj_arena *arena;
        assert_int_equal(sj_arena_new(&arena), 0);
        broker_message m = {.id = sj_str_of(id),
                            .queue = SJ_STR("unused"),
                            .envelope = envelope_of(arena, id),
                            .exchange = sj_str_of(exchange),
                            .routing_key = sj_str_of(key)};
        broker_published published;
        int r = broker_publish(b, &m, 1, &published, soon());
        if (r == 0)
                assert_string_equal(published.id, id);
        sj_arena_free(arena);
        return r;
}

/* kombu's bindings: KEY, PATTERN and QUEUE, with its separator in between. */
static void what_is_published_by_an_exchange_goes_to_all_that_is_bound_to_it(void **state)
{
        (void)state;
        broker *b;
        broker_subscription *fan;
        sj_arena *arena;
        sj_str channels[] = {SJ_STR("fan")}, channel, text;
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        assert_true(broker_can(b, BROKER_EXCHANGES));
        redis_server_ask(server, "SADD _kombu.binding.direct \"k\\x06\\x16\\x06\\x16one\"");
        redis_server_ask(server, "SADD _kombu.binding.direct \"k\\x06\\x16\\x06\\x16two\"");
        redis_server_ask(server, "SADD _kombu.binding.direct \"j\\x06\\x16\\x06\\x16three\"");
        redis_server_ask(server, "SADD _kombu.binding.topic "
                                 "\"a.*.#\\x06\\x16^a\\..*?\\..*?$\\x06\\x16four\"");
        assert_int_equal(publish_by(b, "direct", "k", "x"), 0);
        assert_string_equal(redis_server_ask(server, "LLEN one"), ":1");
        assert_string_equal(redis_server_ask(server, "LLEN two"), ":1");
        assert_string_equal(redis_server_ask(server, "EXISTS three unused"), ":0");
        assert_int_equal(publish_by(b, "topic", "a.b.c.d", "y"), 0);
        assert_string_equal(redis_server_ask(server, "LLEN four"), ":1");
        assert_int_equal(publish_by(b, "topic", "b.a", "z"), -ENOENT);
        redis_server_ask(server, "SADD _kombu.binding.deep \"#.a.#.b\\x06\\x16^x$\\x06\\x16five\"");
        assert_int_equal(publish_by(b, "deep", "x.a.y.a.z.b", "w"), 0);
        assert_int_equal(publish_by(b, "deep", "a.b", "v"), 0);
        assert_int_equal(publish_by(b, "deep", "x.b.a", "u"), -ENOENT);
        /* A stranger's pattern that could be tried in more ways than there is time for. */
        redis_server_ask(server, "SADD _kombu.binding.odd "
                                 "\"#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.b\\x06\\x16^x$"
                                 "\\x06\\x16six\"");
        assert_int_equal(publish_by(b, "odd",
                                    "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a."
                                    "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a",
                                    "t"),
                         -ENOENT);
        assert_int_equal(publish_by(b, "fan", "k", "z"), -ENOENT);
        assert_int_equal(broker_subscribe(b, channels, 1, &fan, soon()), 0);
        assert_int_equal(publish_by(b, "fan", "k", "z"), 0);
        assert_int_equal(broker_next(fan, arena, &channel, &text, soon()), 0);
        assert_true(memmem(text.data, text.n, "\"z\"", 3) != NULL);
        broker_unsubscribe(fan);
        broker_close(b);
        sj_arena_free(arena);
}

/* One that nobody has bound stays in the queue of its key: there is nobody to be told. */
static void what_follows_by_an_exchange_goes_to_all_that_is_bound_to_it(void **state)
{
        (void)state;
        broker *b;
        sj_arena *arena;
        broker_lease *leases[2];
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        redis_server_ask(server, "SADD _kombu.binding.direct \"k\x06\x16\x06\x16one\"");
        redis_server_ask(server, "SADD _kombu.binding.direct \"k\x06\x16\x06\x16two\"");
        assert_int_equal(lease_two(b, arena, leases), 2);
        const broker_message next[] = {
                {.id = SJ_STR("x"),
                 .queue = SJ_STR("k"),
                 .envelope = envelope_of(arena, "x"),
                 .exchange = SJ_STR("direct"),
                 .routing_key = SJ_STR("k")},
                {.id = SJ_STR("y"), .queue = SJ_STR("plain"), .envelope = envelope_of(arena, "y")},
                {.id = SJ_STR("z"),
                 .queue = SJ_STR("kept"),
                 .envelope = envelope_of(arena, "z"),
                 .exchange = SJ_STR("nobody"),
                 .routing_key = SJ_STR("kept")}};
        broker_settlement s[] = {{.lease = leases[0], .status = 7},
                                 {.lease = leases[1], .follow_ups = next, .n_follow_ups = 3}};
        s[1].status = 7;
        assert_int_equal(broker_settle(b, s, 2, soon()), 0);
        assert_int_equal(s[0].status, 0);
        assert_int_equal(s[1].status, 0);
        assert_string_equal(redis_server_ask(server, "LLEN one"), ":1");
        assert_string_equal(redis_server_ask(server, "LLEN two"), ":1");
        assert_string_equal(redis_server_ask(server, "LLEN plain"), ":1");
        assert_string_equal(redis_server_ask(server, "LLEN kept"), ":1");
        assert_string_equal(redis_server_ask(server, "EXISTS k unacked"), ":0");
        broker_lease_free(leases[0]);
        broker_lease_free(leases[1]);
        broker_close(b);
        sj_arena_free(arena);
}

/* Nobody noted which of the queues it was taken from. */
static void what_came_by_an_exchange_goes_back_to_all_its_queues(void **state)
{
        (void)state;
        broker *b;
        sj_str q = SJ_STR("q");
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        redis_server_ask(server, "SADD _kombu.binding.x k\x06\x16\x06\x16one k\x06\x16\x06\x16two");
        redis_server_ask(server, "HSET unacked t '[{\"headers\":{\"id\":\"a\",\"task\":\"t\"},"
                                 "\"properties\":{}},\"x\",\"k\"]'");
        redis_server_ask(server, "ZADD unacked_index 1 t");
        assert_int_equal(broker_wait(b, &q, 1, sj_after(100 * SJ_MS)), -ETIMEDOUT);
        assert_string_equal(redis_server_ask(server, "LLEN one"), ":1");
        assert_string_equal(redis_server_ask(server, "LLEN two"), ":1");
        assert_string_equal(redis_server_ask(server, "EXISTS unacked unacked_index"), ":0");
        broker_close(b);
}

int main(void)
{
        REDIS_SERVER_OR_SKIP();
        const struct CMUnitTest tests[] = {
                OWN(what_is_published_by_an_exchange_goes_to_all_that_is_bound_to_it),
                OWN(what_follows_by_an_exchange_goes_to_all_that_is_bound_to_it),
                OWN(what_came_by_an_exchange_goes_back_to_all_its_queues),
        };
        return cmocka_run_group_tests(tests, start_server, stop_server);
}
