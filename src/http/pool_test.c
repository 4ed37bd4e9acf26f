/* SPDX-License-Identifier: MIT */
/* The pool alone, with slots that never become connections, and pairs in the place of some. */
#include "http/rig.h"

#include "http/pool.h"

static http_conn *take(http_pool *p, const char *key)
{
        http_conn *c = NULL;
        expect_equal(http_pool_take(p, sj_str_of(key), false, &c, SJ_POLL), 0);
        expect(c);
        return c;
}

static void expect_full(http_pool *p, const char *key)
{
        http_conn *c = NULL;
        expect_equal(http_pool_take(p, sj_str_of(key), false, &c, SJ_POLL), -ETIMEDOUT);
        expect(!c);
}

static int gives_as_many_slots_as_the_limits_say(void *arg)
{
        http_pool p;
        (void)arg;
        http_pool_init(&p, 3, 2, SJ_SEC);
        http_conn *a = take(&p, "a"), *b = take(&p, "a");
        expect_full(&p, "a");
        http_conn *c = take(&p, "b");
        expect_full(&p, "b");
        http_pool_drop(&p, b);
        http_conn *d = take(&p, "b");
        expect_full(&p, "b");
        expect_full(&p, "a");
        http_pool_drop(&p, a);
        http_pool_drop(&p, c);
        http_pool_drop(&p, d);
        http_pool_drop(&p, NULL);
        http_pool_fini(&p);
        return 0;
}

/* Puts one end of a pair into the slot; the other end is the caller's. */
static sj_stream *connect_slot(http_conn *c)
{
        sj_stream *ends[2];
        expect_equal(sj_stream_pair(ends), 0);
        http_wire_init(&c->wire, ends[0]);
        return ends[1];
}

static int takes_the_most_recently_used_and_closes_the_least(void *arg)
{
        http_pool p;
        (void)arg;
        http_pool_init(&p, 2, 2, SJ_MIN);
        http_conn *a = take(&p, "a"), *b = take(&p, "a");
        sj_stream *peer_a = connect_slot(a), *peer_b = connect_slot(b);
        http_pool_keep(&p, a);
        http_pool_keep(&p, b);
        expect(take(&p, "a") == b);
        http_pool_keep(&p, b);
        /* Another origin gets the slot of the one that was not used for longest. */
        http_conn *c = take(&p, "c");
        expect(!c->wire.stream);
        char byte;
        expect_equal(sj_read(peer_a, &byte, 1, SJ_NEVER), 0);
        expect_equal(sj_read(peer_b, &byte, 1, SJ_POLL), -ETIMEDOUT);
        http_pool_drop(&p, c);
        http_pool_fini(&p);
        sj_stream_close(peer_a);
        sj_stream_close(peer_b);
        return 0;
}

static int a_fresh_one_is_a_slot_though_others_are_kept(void *arg)
{
        http_pool p;
        (void)arg;
        http_pool_init(&p, 1, 1, SJ_MIN);
        http_conn *a = take(&p, "a");
        sj_stream *peer = connect_slot(a);
        http_pool_keep(&p, a);
        expect_equal(http_pool_take(&p, SJ_STR("a"), true, &a, SJ_POLL), 0);
        expect(!a->wire.stream && !a->kept);
        http_pool_drop(&p, a);
        http_pool_fini(&p);
        sj_stream_close(peer);
        return 0;
}

typedef struct asker {
        http_pool *pool;
        const char *key;
        sj_time deadline;
        unsigned served, *order;
} asker;

/* Waits for a slot, and gives it back a little later. */
static int ask(void *arg)
{
        asker *a = arg;
        http_conn *c;
        int r = http_pool_take(a->pool, sj_str_of(a->key), false, &c, a->deadline);
        if (r < 0) {
                expect(r == -ETIMEDOUT || r == -ECANCELED);
                return 0;
        }
        if (a->order)
                a->served = ++*a->order;
        (void)sj_sleep(SJ_MS);
        http_pool_drop(a->pool, c);
        return 0;
}

/* Who gives up in the very moment of being served must not keep what he was given. */
static int a_slot_is_not_lost_to_one_who_gives_up(void *arg)
{
        (void)arg;
        for (int kept = 0; kept < 2; kept++) {
                http_pool p;
                http_pool_init(&p, 1, 1, SJ_HOUR);
                http_conn *held = take(&p, "a");
                sj_stream *peer = kept ? connect_slot(held) : NULL;
                sj_time moment = sj_after(SJ_SEC);
                SJ_SCOPE(scope, SJ_NEVER, 0);
                sj_fiber *cancelled;
                asker late = {&p, "a", moment, 0, NULL}, lost = {&p, "a", SJ_NEVER, 0, NULL};
                expect_equal(sj_spawn(scope, ask, &late, NULL), 0);
                expect_equal(sj_spawn(scope, ask, &lost, &cancelled), 0);
                sj_sleep_until(moment);
                sj_cancel(cancelled);
                if (kept)
                        http_pool_keep(&p, held);
                else
                        http_pool_drop(&p, held);
                expect_equal(sj_scope_join(scope), 0);
                http_pool_drop(&p, take(&p, "a"));
                expect_equal(p.open, 0);
                http_pool_fini(&p);
                sj_stream_close(peer);
        }
        return 0;
}

static int the_line_is_passed_only_by_those_whom_nobody_before_can_use(void *arg)
{
        http_pool p;
        (void)arg;
        http_pool_init(&p, 2, 1, SJ_HOUR);
        unsigned order = 0;
        http_conn *a = take(&p, "a"), *b = take(&p, "b");
        asker askers[4] = {{&p, "a", SJ_NEVER, 0, &order},
                           {&p, "a", SJ_NEVER, 0, &order},
                           {&p, "b", SJ_NEVER, 0, &order},
                           {&p, "c", SJ_NEVER, 0, &order}};
        SJ_SCOPE(scope, SJ_NEVER, 0);
        for (int i = 0; i < 4; i++) {
                expect_equal(sj_spawn(scope, ask, &askers[i], NULL), 0);
                sj_sleep(SJ_MS);
        }
        http_pool_drop(&p, b); /* the two before "b" wait for "a", which is taken */
        sj_sleep(SJ_SEC);
        expect_equal(askers[2].served, 1);
        expect_equal(askers[3].served, 2);
        http_pool_drop(&p, a);
        expect_equal(sj_scope_join(scope), 0);
        expect_equal(askers[0].served, 3);
        expect_equal(askers[1].served, 4);
        http_pool_fini(&p);
        return 0;
}

#define TESTS(X)                                             \
        X(gives_as_many_slots_as_the_limits_say)             \
        X(takes_the_most_recently_used_and_closes_the_least) \
        X(a_fresh_one_is_a_slot_though_others_are_kept)      \
        X(a_slot_is_not_lost_to_one_who_gives_up)            \
        X(the_line_is_passed_only_by_those_whom_nobody_before_can_use)

TESTS(RIG_DEFINE)

int main(void)
{
        const struct CMUnitTest tests[] = {TESTS(RIG_ROW)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
