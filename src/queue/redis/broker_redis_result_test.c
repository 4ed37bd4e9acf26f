/* SPDX-License-Identifier: MIT */
/* Results in Redis that somebody expects. */
#include "queue/redis/broker_redis_unit.h"

static void put_success(broker *b, const char *id)
{
        const broker_result r = {sj_str_of(id), SJ_STR("SUCCESS"),
                                 SJ_STR("{\"status\": \"SUCCESS\", \"result\": 1}")};
        assert_int_equal(broker_result_put(b, &r, 1, soon()), 0);
}

static void expect_success(broker *b, const char *id)
{
        sj_arena *arena;
        broker_result stored;
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(broker_result_wait(b, sj_str_of(id), arena, &stored, soon()), 0);
        assert_true(sj_str_equal(stored.state, SJ_STR("SUCCESS")));
        sj_arena_free(arena);
}

static int expect_before_and_after(void *arg)
{
        (void)arg;
        broker *b;
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        broker_result_expect(b, SJ_STR("told"));
        put_success(b, "told");
        expect_success(b, "told");
        put_success(b, "was there");
        broker_result_expect(b, SJ_STR("was there"));
        expect_success(b, "was there");
        broker_result_expect(b, SJ_STR("twice"));
        broker_result_expect(b, SJ_STR("twice"));
        put_success(b, "twice");
        expect_success(b, "twice");
        expect_success(b, "twice");
        broker_close(b);
        return 0;
}

static void an_expected_result_is_had_whenever_it_was_stored(void **state)
{
        (void)state;
        assert_int_equal(sj_run(expect_before_and_after, NULL), 0);
}

static int expect_too_many(void *arg)
{
        (void)arg;
        broker *b;
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        broker_result_expect(b, SJ_STR("the first"));
        for (int i = 0; i < 3000; i++) {
                char id[16];
                snprintf(id, sizeof(id), "%d", i);
                broker_result_expect(b, sj_str_of(id));
        }
        put_success(b, "the first");
        expect_success(b, "the first");
        put_success(b, "2999");
        expect_success(b, "2999");
        broker_close(b);
        return 0;
}

static void what_was_expected_long_ago_can_be_waited_for_all_the_same(void **state)
{
        (void)state;
        assert_int_equal(sj_run(expect_too_many, NULL), 0);
}

int main(void)
{
        REDIS_SERVER_OR_SKIP();
        const struct CMUnitTest tests[] = {
                OWN(an_expected_result_is_had_whenever_it_was_stored),
                OWN(what_was_expected_long_ago_can_be_waited_for_all_the_same),
        };
        return cmocka_run_group_tests(tests, start_server, stop_server);
}
