/* SPDX-License-Identifier: MIT */
/*
 * The broker in Redis keeps what every broker promises, on a real server; each case in a database
 * that was emptied. And what is its own; but for what has a file of its own
 * (broker_redis_*_test.c).
 */
#include "queue/broker/broker_conformance.h"
#include "queue/redis/broker_redis_unit.h"

#include <stdlib.h>

static void test_case(void **state)
{
        const conformance_case *c = *state;
        conformance factory = {.open = open_it, .tick = 150 * SJ_MS};
        assert_int_equal(sj_run(c->body, &factory), 0);
}

/* ── What is this broker's own ───────────────────────────────────────────────────────────── */

static void a_thread_without_a_loop_uses_it_too(void **state)
{
        (void)state;
        broker *b;
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        once_through(b, "a");
        broker_close(b);
}

static void a_publish_is_done_whole_or_not_at_all(void **state)
{
        (void)state;
        broker *b;
        sj_arena *arena;
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        broker_message two[] = {message_of(arena, "a", "q"), message_of(arena, "b", "other")};
        redis_server_ask(server, "SET other wrong");
        assert_int_equal(broker_publish(b, two, 2, NULL, soon()), -EIO);
        assert_string_equal(redis_server_ask(server, "EXISTS q"), ":0");
        redis_server_ask(server, "DEL other");
        redis_server_ask(server, "RPUSH sanjab.key.k wrong");
        two[1].key = SJ_STR("k");
        assert_int_equal(broker_publish(b, two, 2, NULL, soon()), -EIO);
        assert_string_equal(redis_server_ask(server, "EXISTS q other"), ":0");
        redis_server_ask(server, "DEL sanjab.key.k");
        redis_server_ask(server, "SET unacked wrong");
        two[1].eta = (sj_wall){sj_wall_now().us + 3600000000};
        assert_int_equal(broker_publish(b, two, 2, NULL, soon()), -EIO);
        assert_string_equal(redis_server_ask(server, "EXISTS q other unacked_index"), ":0");
        redis_server_ask(server, "DEL unacked");
        assert_int_equal(broker_publish(b, two, 2, NULL, soon()), 0);
        assert_string_equal(redis_server_ask(server, "LLEN q"), ":1");
        broker_close(b);
        sj_arena_free(arena);
}

static void *call_it(void *arg)
{
        once_through(arg, "from a thread");
        return NULL;
}

static int open_here_and_call_there(void *arg)
{
        (void)arg;
        broker *b;
        os_thread *thread;
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        once_through(b, "from a fiber");
        assert_int_equal(os_thread_start(call_it, b, "caller", &thread), 0);
        os_thread_join(thread);
        broker_close(b);
        return 0;
}

static void others_than_the_loop_that_opened_it_may_call(void **state)
{
        (void)state;
        assert_int_equal(sj_run(open_here_and_call_there, NULL), 0);
}

/* Who asked may be dead: its mailbox is not read, nor closed, any more. */
static int post_to_nobody(void *arg)
{
        (void)arg;
        broker *b;
        broker_subscription *unread;
        sj_arena *arena;
        const broker_depth *depths;
        sj_str exchange = SJ_STR("reply.celery.pidbox"), address = SJ_STR("me");
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        assert_int_equal(broker_mailbox(b, exchange, address, &unread, soon()), 0);
        for (int i = 0; i < 2; i++)
                assert_int_equal(broker_post(b, exchange, address, SJ_STR("{}"), soon()), 0);
        assert_string_equal(redis_server_ask(server, "LLEN me.reply.celery.pidbox"), ":2");
        int64_t left = atoll(redis_server_ask(server, "PTTL me.reply.celery.pidbox") + 1);
        assert_true(left > 60000 && left <= 600000);
        assert_int_equal(broker_queues(b, arena, &depths, soon()), 0);
        broker_unsubscribe(unread);
        sj_arena_free(arena);
        broker_close(b);
        return 0;
}

static void letters_that_nobody_reads_are_no_queue_and_end(void **state)
{
        (void)state;
        assert_int_equal(sj_run(post_to_nobody, NULL), 0);
}

/* What somebody else put into the list: it is buried with its reason, and nothing stops. */
static void what_is_no_message_is_buried(void **state)
{
        (void)state;
        broker *b;
        sj_arena *arena;
        const broker_dead *dead;
        broker_lease *lease;
        sj_str q = SJ_STR("q");
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        redis_server_ask(server, "LPUSH q garbage {} [] null {x}");
        broker_claim claim = {.queues = &q, .n_queues = 1};
        assert_int_equal(broker_lease_next(b, &claim, &lease, 1, soon()), 0);
        assert_int_equal(broker_dead_list(b, q, SJ_STR(""), 9, arena, &dead, soon()), 5);
        assert_true(sj_str_equal(dead[0].message.envelope, SJ_STR("garbage")));
        assert_true(dead[0].reason.n > 0);
        assert_string_equal(redis_server_ask(server, "EXISTS unacked unacked_index"), ":0");
        once_through(b, "a");
        broker_close(b);
        sj_arena_free(arena);
}

static void a_programs_priority_is_turned(void **state)
{
        (void)state;
        broker *b;
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        assert_int_equal(broker_wire_priority(b, 9), 1);
        assert_int_equal(broker_wire_priority(b, 1), 9);
        assert_int_equal(broker_wire_priority(b, 0), 0);
        broker_close(b);
}

static bool arrives(broker *b, sj_arena *arena, const char *id, int64_t place, const char *text,
                    broker_arrival *ret)
{
        *ret = (broker_arrival){
                .group = SJ_STR("g"), .id = sj_str_of(id), .index = place, .text = sj_str_of(text)};
        assert_int_equal(broker_join_arrive(b, ret, 1, arena, soon()), 0);
        return ret->complete;
}

/* As Celery's workers have them with this setting, so that both can count one chord. */
static void members_of_a_chord_may_come_as_they_end(void **state)
{
        (void)state;
        broker *b;
        sj_arena *arena;
        broker_arrival a;
        const broker_options options = {.result_transport = "{\"result_chord_ordered\": false}"};
        const broker_join join = {.group = SJ_STR("g"), .size = 3};
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(open_it(NULL, &options, &b), 0);
        assert_int_equal(broker_join_open(b, &join, 1, soon()), 0);
        assert_false(arrives(b, arena, "z", 2, "[1, \"z\", \"SUCCESS\", 1]", &a));
        redis_server_ask(server, "RPUSH celery-taskset-meta-g.j m");
        assert_false(arrives(b, arena, "z", 2, "[1, \"z\", \"SUCCESS\", 2]", &a));
        assert_string_equal(redis_server_ask(server, "TYPE celery-taskset-meta-g.j"), "+list");
        assert_true(arrives(b, arena, "a", 0, "[1, \"a\", \"SUCCESS\", 3]", &a));
        assert_int_equal(a.n_members, 3);
        assert_string_equal(a.members[0].data, "m");
        assert_string_equal(a.members[1].data, "[1, \"z\", \"SUCCESS\", 2]");
        assert_string_equal(a.members[2].data, "[1, \"a\", \"SUCCESS\", 3]");
        broker_close(b);
        sj_arena_free(arena);
}

static int see_others(void *arg)
{
        (void)arg;
        broker *b;
        sj_arena *arena;
        const broker_depth *depths;
        static const char *const held[] = {"nowhere", "plain", "two"}; /* in this order */
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        redis_server_ask(server,
                         "SADD _kombu.binding.ex k\x06\x16\x06\x16one k2\x06\x16\x06\x16two");
        redis_server_ask(server, "HSET unacked t1 '[{},\"\",\"plain\"]' t2 '[{},\"ex\",\"k2\"]' "
                                 "t3 '[{},\"odd\",\"nowhere\"]' t4 garbage");
        redis_server_ask(server, "ZADD unacked_index 1900000000 t1 1900000000 t2 "
                                 "1900000000 t3 1900000000 t4 1900000000 t5");
        int n = broker_queues(b, arena, &depths, soon());
        assert_int_equal(n, 3);
        for (int i = 0; i < n; i++) {
                const broker_depth *d = &depths[i];
                assert_true(sj_str_equal(d->queue, sj_str_of(held[i])));
                assert_int_equal(d->leased, 1);
                assert_false(d->more_leased || d->more_dead);
        }
        sj_arena_free(arena);
        broker_close(b);
        return 0;
}

static void what_a_worker_of_celerys_has_is_seen_in_its_queue(void **state)
{
        (void)state;
        assert_int_equal(sj_run(see_others, NULL), 0);
}

/* More than is counted one by one: it is said. */
static int see_many(void *arg)
{
        (void)arg;
        broker *b;
        sj_arena *arena;
        const broker_depth *depths;
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        redis_server_ask(server, "EVAL 'for i=1,20100 do "
                                 "redis.call(\"ZADD\",KEYS[1],i,i);"
                                 "redis.call(\"HSET\",KEYS[2],i,ARGV[1]) end' "
                                 "2 sanjab.died sanjab.dead '{\"queue\":\"q\"}'");
        assert_int_equal(broker_queues(b, arena, &depths, soon()), 1);
        assert_int_equal(depths[0].dead, 20000);
        assert_true(depths[0].more_dead);
        assert_false(depths[0].more_leased);
        sj_arena_free(arena);
        broker_close(b);
        return 0;
}

static void more_dead_than_are_counted_are_said_to_be_more(void **state)
{
        (void)state;
        assert_int_equal(sj_run(see_many, NULL), 0);
}

/* Those of other queues in front of it are passed over up to a limit: then it is one more. */
static int see_past_others(void *arg)
{
        (void)arg;
        broker *b;
        sj_arena *arena;
        const broker_delayed *d;
        uint64_t more = 0;
        static const char *const others[] = {"100", "20000"};
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        broker_message m = message_of(arena, "a", "q");
        m.eta = (sj_wall){sj_wall_now().us + 3600000000};
        assert_int_equal(broker_publish(b, &m, 1, NULL, soon()), 0);
        for (int i = 0; i < 2; i++) {
                char line[200];
                snprintf(line, sizeof(line),
                         "EVAL 'for i=1,ARGV[1] do redis.call(\"ZADD\",KEYS[1],i,"
                         "string.format(\"%%x.%%x.e.other\",i,i)) end' 1 sanjab.delayed %s",
                         others[i]);
                redis_server_ask(server, line);
                int n = broker_delayed_list(b, SJ_STR("q"), 5, arena, &d, &more, soon());
                assert_int_equal(n, i == 0);
                assert_int_equal(more, i == 1);
        }
        sj_arena_free(arena);
        broker_close(b);
        return 0;
}

static void a_delayed_message_behind_too_many_others_is_said_to_be_there(void **state)
{
        (void)state;
        assert_int_equal(sj_run(see_past_others, NULL), 0);
}

static void what_is_not_understood_in_unacked_is_left_alone(void **state)
{
        (void)state;
        broker *b;
        sj_str q = SJ_STR("q");
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        redis_server_ask(server, "HSET unacked t garbage");
        redis_server_ask(server, "ZADD unacked_index 1 t 1 u");
        assert_int_equal(broker_wait(b, &q, 1, sj_after(100 * SJ_MS)), -ETIMEDOUT);
        assert_string_equal(redis_server_ask(server, "HEXISTS unacked t"), ":1");
        assert_string_equal(redis_server_ask(server, "ZCARD unacked_index"), ":1");
        broker_close(b);
}

int main(void)
{
        REDIS_SERVER_OR_SKIP();
        struct CMUnitTest tests[200] = {
                OWN(a_thread_without_a_loop_uses_it_too),
                OWN(others_than_the_loop_that_opened_it_may_call),
                OWN(a_publish_is_done_whole_or_not_at_all),
                OWN(letters_that_nobody_reads_are_no_queue_and_end),
                OWN(what_is_no_message_is_buried),
                OWN(a_programs_priority_is_turned),
                OWN(what_a_worker_of_celerys_has_is_seen_in_its_queue),
                OWN(more_dead_than_are_counted_are_said_to_be_more),
                OWN(a_delayed_message_behind_too_many_others_is_said_to_be_there),
                OWN(what_is_not_understood_in_unacked_is_left_alone),
                OWN(members_of_a_chord_may_come_as_they_end),
        };
        size_t n = conformance_add(tests, 200, test_case, flush, NULL);
        return _cmocka_run_group_tests("broker_redis", tests, n, start_server, stop_server);
}
