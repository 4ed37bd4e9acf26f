/* SPDX-License-Identifier: MIT */
/* The client on a real redis-server. */
#include "store/redis_server.h"
#include "store/redis_unit.h"

static redis_server *server;

static redis *open_server(void)
{
        return test_open((redis_options){.url = redis_server_url(server)});
}

/* ── Commands ────────────────────────────────────────────────────────────────────────────── */

static int each_kind_of_reply_is_read(void *arg)
{
        (void)arg;
        redis *r = open_server();
        sj_arena *a = test_arena();
        expect(test_ask(r, a, WORDS(W("SET"), W("k"), W("v")))->type == REDIS_STATUS);
        expect(test_is(test_ask(r, a, WORDS(W("GET"), W("k"))), "v"));
        expect(test_ask(r, a, WORDS(W("GET"), W("none")))->type == REDIS_NIL);
        expect(test_ask(r, a, WORDS(W("RPUSH"), W("l"), W("a"), W(""), W("c")))->integer == 3);
        const redis_reply *all = test_ask(r, a, WORDS(W("LRANGE"), W("l"), W("0"), W("-1")));
        expect(all->type == REDIS_ARRAY && all->n == 3);
        expect(test_is(&all->elements[0], "a") && test_is(&all->elements[1], "") &&
               test_is(&all->elements[2], "c"));
        const redis_reply *reply;
        expect(redis_call(r, a, WORDS(W("INCR"), W("l")), &reply, SJ_NEVER) == -EREMOTEIO);
        expect(strncmp(redis_error(r), "WRONGTYPE ", 10) == 0);
        expect(strcmp(redis_place(r) + strlen(redis_place(r)) - 2, "/0") == 0);
        sj_arena_free(a);
        redis_close(r);
        return 0;
}

enum { ECHOES = 200 };

typedef struct echo {
        redis *r;
        int number;
} echo;

static int echo_many(void *arg)
{
        echo *e = arg;
        sj_arena *a = test_arena();
        for (int i = 0; i < ECHOES; i++) {
                char text[32];
                snprintf(text, sizeof(text), "%d of %d", i, e->number);
                const sj_str words[] = {W("ECHO"), sj_str_of(text)};
                const redis_command commands[] = {{words, 2}, {words, 2}};
                const redis_reply *replies[2];
                expect(redis_call_all(e->r, a, commands, 2, replies, SJ_NEVER) == 0);
                expect(test_is(replies[0], text) && test_is(replies[1], text));
                sj_arena_reset(a);
        }
        sj_arena_free(a);
        return 0;
}

static int fibers_share_a_connection_and_each_gets_its_own(void *arg)
{
        (void)arg;
        enum { FIBERS = 50 };
        redis *r = open_server();
        echo echoes[FIBERS];
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < FIBERS; i++) {
                echoes[i] = (echo){r, i};
                expect(sj_spawn(s, echo_many, &echoes[i], NULL) == 0);
        }
        expect(sj_scope_join(s) == 0);
        redis_close(r);
        return 0;
}

static int a_script_is_loaded_wherever_it_is_not_known(void *arg)
{
        (void)arg;
        redis *r = open_server();
        sj_arena *a = test_arena();
        redis_script script = {.text = "return {KEYS[1], ARGV[1]}"};
        for (int i = 0; i < 3; i++) {
                const redis_reply *reply;
                expect(redis_script_call(r, a, &script, (sj_str[]){W("k"), W("v")}, 1, 2, &reply,
                                         false, SJ_NEVER) == 0);
                expect(reply->n == 2 && test_is(&reply->elements[0], "k") &&
                       test_is(&reply->elements[1], "v"));
                test_ask(r, a, WORDS(W("SCRIPT"), W("FLUSH")));
        }
        sj_arena_free(a);
        redis_close(r);
        return 0;
}

static int a_transaction_is_all_or_none(void *arg)
{
        (void)arg;
        redis *r = open_server();
        sj_arena *a = test_arena();
        test_ask(r, a, WORDS(W("DEL"), W("n"), W("l")));
        const sj_str incr[] = {W("INCR"), W("n")}, push[] = {W("LPUSH"), W("l"), W("x")};
        const sj_str wrong[] = {W("INCR")};
        const redis_reply *replies[2];
        expect(redis_transact(r, a, (redis_command[]){{incr, 2}, {push, 3}}, 2, replies,
                              SJ_NEVER) == 0);
        expect(replies[0]->integer == 1 && replies[1]->integer == 1);
        expect(redis_transact(r, a, (redis_command[]){{incr, 2}, {wrong, 1}}, 2, replies,
                              SJ_NEVER) == -EREMOTEIO);
        expect(test_is(test_ask(r, a, WORDS(W("GET"), W("n"))), "1"));
        sj_arena_free(a);
        redis_close(r);
        return 0;
}

/* ── Blocking, subscriptions ─────────────────────────────────────────────────────────────── */

static int push_soon(void *arg)
{
        redis *r = arg;
        sj_arena *a = test_arena();
        expect(sj_sleep(20 * SJ_MS) == 0);
        test_ask(r, a, WORDS(W("LPUSH"), W("q"), W("x")));
        sj_arena_free(a);
        return 0;
}

static int what_blocks_holds_up_nobody_else(void *arg)
{
        (void)arg;
        redis *r = open_server();
        sj_arena *a = test_arena();
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < 3; i++) {
                const redis_reply *reply;
                expect(sj_spawn(s, push_soon, r, NULL) == 0);
                expect(redis_block(r, a, WORDS(W("BRPOP"), W("q"), W("5")), &reply, SJ_NEVER) == 0);
                expect(reply->n == 2 && test_is(&reply->elements[1], "x"));
        }
        expect(sj_scope_join(s) == 0);
        const redis_reply *reply;
        expect(redis_block(r, a, WORDS(W("BRPOP"), W("q"), W("5")), &reply, sj_after(20 * SJ_MS)) ==
               -ETIMEDOUT);
        test_ask(r, a, WORDS(W("LPUSH"), W("q"), W("y")));
        expect(test_ask(r, a, WORDS(W("LLEN"), W("q")))->integer == 1);
        test_ask(r, a, WORDS(W("DEL"), W("q")));
        /* What the server has closed meanwhile is not used. */
        for (int i = 0; i < 3; i++) {
                expect(redis_block(r, a, WORDS(W("PING")), &reply, SJ_NEVER) == 0);
                test_ask(r, a,
                         WORDS(W("CLIENT"), W("KILL"), W("TYPE"), W("normal"), W("SKIPME"),
                               W("yes")));
                expect_equal(sj_sleep(20 * SJ_MS), 0);
        }
        sj_arena_free(a);
        redis_close(r);
        return 0;
}

static int subscriptions_share_a_connection(void *arg)
{
        (void)arg;
        redis *r = open_server();
        sj_arena *a = test_arena();
        redis_subscription *one, *two, *all;
        expect(redis_subscribe(r, (sj_str[]){W("c1"), W("c2")}, 2, false, 10, &one) == 0);
        test_news(one, a, REDIS_SUBSCRIBED, "", "");
        expect(redis_subscribe(r, (sj_str[]){W("c1")}, 1, false, 10, &two) == 0);
        expect(redis_subscribe(r, (sj_str[]){W("c*")}, 1, true, 10, &all) == 0);
        test_news(two, a, REDIS_SUBSCRIBED, "", "");
        test_news(all, a, REDIS_SUBSCRIBED, "", "");
        expect(test_ask(r, a, WORDS(W("PUBLISH"), W("c1"), W("hello")))->integer == 2);
        test_news(one, a, REDIS_MESSAGE, "c1", "hello");
        test_news(two, a, REDIS_MESSAGE, "c1", "hello");
        test_news(all, a, REDIS_MESSAGE, "c1", "hello");
        redis_unsubscribe(two);
        expect(redis_subscribe(r, (sj_str[]){W("c1")}, 1, false, 10, &two) == 0);
        test_news(two, a, REDIS_SUBSCRIBED, "", "");
        redis_unsubscribe(two);
        redis_unsubscribe(one);
        redis_unsubscribe(all);
        sj_arena_free(a);
        redis_close(r);
        return 0;
}

#define TESTS(X)                                           \
        X(each_kind_of_reply_is_read)                      \
        X(fibers_share_a_connection_and_each_gets_its_own) \
        X(a_script_is_loaded_wherever_it_is_not_known)     \
        X(a_transaction_is_all_or_none)                    \
        X(what_blocks_holds_up_nobody_else)                \
        X(subscriptions_share_a_connection)

#define DEFINE(fn)                             \
        static void test_##fn(void **state)    \
        {                                      \
                (void)state;                   \
                expect(sj_run(fn, NULL) == 0); \
        }
#define ROW(fn) {#fn, test_##fn, NULL, NULL, NULL},

TESTS(DEFINE)

static int start_server(void **state)
{
        (void)state;
        server = redis_server_start(NULL);
        return 0;
}

static int stop_server(void **state)
{
        (void)state;
        redis_server_stop(server);
        return 0;
}

int main(void)
{
        REDIS_SERVER_OR_SKIP();
        const struct CMUnitTest tests[] = {TESTS(ROW)};
        return cmocka_run_group_tests(tests, start_server, stop_server);
}
