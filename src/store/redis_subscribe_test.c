/* SPDX-License-Identifier: MIT */
/* Subscriptions: told of a break, never piling up, many at once. */
#include "store/redis_model_unit.h"

static int subscriptions_are_told_of_a_break(void *arg)
{
        (void)arg;
        redis_subscription *one, *two;
        RIG(g, s, {0});
        expect_equal(redis_subscribe(g.r, (sj_str[]){W("a"), W("b")}, 2, false, 10, &one), 0);
        expect_equal(redis_subscribe(g.r, (sj_str[]){W("b")}, 1, false, 10, &two), 0);
        test_news(one, g.a, REDIS_SUBSCRIBED, "", "");
        test_news(two, g.a, REDIS_SUBSCRIBED, "", "");
        test_ask(g.r, g.a, WORDS(W("PUBLISH"), W("a"), W("1")));
        test_ask(g.r, g.a, WORDS(W("PUBLISH"), W("b"), W("2")));
        test_news(two, g.a, REDIS_MESSAGE, "b", "2");
        test_news(one, g.a, REDIS_MESSAGE, "a", "1");
        test_news(one, g.a, REDIS_MESSAGE, "b", "2");
        redis_model_break(&g.m);
        test_news(one, g.a, REDIS_SUBSCRIBED, "", "");
        test_news(two, g.a, REDIS_SUBSCRIBED, "", "");
        test_ask(g.r, g.a, WORDS(W("PUBLISH"), W("b"), W("3")));
        test_news(one, g.a, REDIS_MESSAGE, "b", "3");
        redis_unsubscribe(one);
        redis_unsubscribe(two);
        return 0;
}

static int a_slow_reader_loses_the_oldest_and_is_told(void *arg)
{
        (void)arg;
        redis_subscription *one;
        redis_news news;
        sj_str from, what;
        RIG(g, s, {0});
        expect_equal(redis_subscribe(g.r, (sj_str[]){W("a")}, 1, false, 2, &one), 0);
        test_news(one, g.a, REDIS_SUBSCRIBED, "", "");
        for (char c = '1'; c <= '4'; c++)
                test_ask(g.r, g.a, WORDS(W("PUBLISH"), W("a"), {&c, 1}));
        expect_equal(sj_sleep(SJ_MIN), 0);
        expect_equal(redis_next(one, g.a, &news, &from, &what, SJ_NEVER), -ENOBUFS);
        test_news(one, g.a, REDIS_MESSAGE, "a", "3");
        test_news(one, g.a, REDIS_MESSAGE, "a", "4");
        expect_equal(redis_next(one, g.a, &news, &from, &what, sj_after(SJ_MIN)), -ETIMEDOUT);
        redis_unsubscribe(one);
        return 0;
}

static int large_texts_do_not_pile_up(void *arg)
{
        (void)arg;
        redis_subscription *one;
        redis_news news;
        sj_str from, what;
        size_t size = REDIS_BACKLOG_BYTES / 3;
        RIG(g, s, {0});
        char *text = sj_arena_alloc(g.a, size);
        memset(text, 'x', size);
        expect_equal(redis_subscribe(g.r, (sj_str[]){W("a")}, 1, false, 100, &one), 0);
        test_news(one, g.a, REDIS_SUBSCRIBED, "", "");
        for (int i = 0; i < 3; i++)
                test_ask(g.r, g.a, WORDS(W("PUBLISH"), W("a"), {text, size}));
        expect_equal(sj_sleep(SJ_MIN), 0);
        expect_equal(redis_next(one, g.a, &news, &from, &what, SJ_NEVER), -ENOBUFS);
        for (int i = 0; i < 2; i++)
                expect_equal(redis_next(one, g.a, &news, &from, &what, SJ_NEVER), 0);
        expect_equal(redis_next(one, g.a, &news, &from, &what, sj_after(SJ_MIN)), -ETIMEDOUT);
        redis_unsubscribe(one);
        return 0;
}

static int come_and_go(void *arg)
{
        caller *c = arg;
        sj_arena *a = test_arena();
        for (int i = 0; i < 10; i++) {
                redis_subscription *one;
                char name[2] = {(char)('a' + sim_draw(3)), '\0'};
                expect_equal(redis_subscribe(c->r, (sj_str[]){{name, 1}}, 1, false, 10, &one), 0);
                if (sim_draw(2)) {
                        redis_news news;
                        sj_str from, what;
                        expect_equal(redis_next(one, a, &news, &from, &what, SJ_NEVER), 0);
                        expect_equal(news, REDIS_SUBSCRIBED);
                        test_ask(c->r, a, WORDS(W("PUBLISH"), {name, 1}, W("x")));
                        test_news(one, a, REDIS_MESSAGE, name, "x");
                }
                redis_unsubscribe(one);
                sj_arena_reset(a);
        }
        sj_arena_free(a);
        return 0;
}

static int subscriptions_come_and_go(void *arg)
{
        (void)arg;
        enum { CALLERS = 5 };
        caller callers[CALLERS];
        RIG(g, s, {0});
        {
                SJ_SCOPE(inner, SJ_NEVER, 0);
                for (unsigned i = 0; i < CALLERS; i++) {
                        callers[i] = (caller){.r = g.r};
                        expect_equal(sj_spawn(inner, come_and_go, &callers[i], NULL), 0);
                }
                expect_equal(sj_scope_join(inner), 0);
        }
        expect_equal(g.m.accepted, 2);
        return 0;
}

#define TESTS(X)                                      \
        X(subscriptions_are_told_of_a_break)          \
        X(a_slow_reader_loses_the_oldest_and_is_told) \
        X(large_texts_do_not_pile_up)                 \
        X(subscriptions_come_and_go)

TESTS(RIG_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {TESTS(SIM_UNIT_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
