/* SPDX-License-Identifier: MIT */
/* For tests of the client: what its calls look like there. */
#ifndef SANJAB_STORE_REDIS_UNIT_H
#define SANJAB_STORE_REDIS_UNIT_H

#include "fiber/sim_unit.h"
#include "store/redis.h"

#define W(text) SJ_STR(text)
/* The words of a command, and their number. */
#define WORDS(...) \
        (const sj_str[]){__VA_ARGS__}, sizeof((const sj_str[]){__VA_ARGS__}) / sizeof(sj_str)

static inline redis *test_open(redis_options o)
{
        redis *r = NULL;
        char error[512] = "";
        int k = redis_open(&o, &r, error, sizeof(error), sj_after(SJ_HOUR));
        if (k < 0)
                fprintf(stderr, "%d: %s\n", k, error);
        expect_equal(k, 0);
        return r;
}

static inline void test_open_fails(redis_options o, int expected, const char *sentence)
{
        redis *r = NULL;
        char error[512] = "";
        int k = redis_open(&o, &r, error, sizeof(error), sj_after(20 * SJ_SEC));
        if (k != expected || !strstr(error, sentence))
                fprintf(stderr, "%d: %s\n", k, error);
        expect_equal(k, expected);
        expect(strstr(error, sentence));
        expect(!r);
}

static inline sj_arena *test_arena(void)
{
        sj_arena *a = NULL;
        expect_equal(sj_arena_new(&a), 0);
        return a;
}

/* The call must succeed. */
static inline const redis_reply *test_ask(redis *r, sj_arena *a, const sj_str words[], size_t n)
{
        const redis_reply *reply = NULL;
        int k = redis_call(r, a, words, n, &reply, sj_after(SJ_HOUR));
        if (k < 0)
                fprintf(stderr, "%d: %s\n", k, redis_error(r));
        expect_equal(k, 0);
        return reply;
}

static inline bool test_is(const redis_reply *reply, const char *text)
{
        return sj_str_equal(reply->text, sj_str_of(text));
}

static inline void test_news(redis_subscription *s, sj_arena *a, redis_news kind,
                             const char *channel, const char *text)
{
        redis_news news = REDIS_MESSAGE;
        sj_str from = {0}, what = {0};
        expect_equal(redis_next(s, a, &news, &from, &what, sj_after(SJ_HOUR)), 0);
        expect_equal(news, kind);
        expect(sj_str_equal(from, sj_str_of(channel)) && sj_str_equal(what, sj_str_of(text)));
}

#endif
