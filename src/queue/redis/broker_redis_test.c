/* SPDX-License-Identifier: MIT */
/*
 * The broker in Redis keeps what every broker promises, on a real server; each case in a database
 * that was emptied. And what is its own.
 */
#include "queue/broker/broker_conformance.h"

#include "base/unit.h"
#include "queue/redis/broker_redis.h"
#include "store/redis_server.h"

#include <stdio.h>
#include <stdlib.h>

static redis_server *server;

static int start_server(void **state)
{
        (void)state;
        server = redis_server_start(NULL);
        return server ? 0 : -1;
}

static int stop_server(void **state)
{
        (void)state;
        redis_server_stop(server);
        return 0;
}

static int flush(void **state)
{
        (void)state;
        redis_server_ask(server, "FLUSHALL");
        return 0;
}

static int open_it(void *arg, const broker_options *options, broker **ret)
{
        (void)arg;
        char error[256];
        int r = broker_open(redis_server_url(server), options, ret, error, sizeof(error),
                            sj_after(60 * SJ_SEC));
        if (r < 0)
                fprintf(stderr, "%s\n", error);
        return r;
}

static void test_case(void **state)
{
        const conformance_case *c = *state;
        conformance factory = {.open = open_it, .tick = 150 * SJ_MS};
        assert_int_equal(sj_run(c->body, &factory), 0);
}

/* ── What is this broker's own ───────────────────────────────────────────────────────────── */

static sj_time soon(void)
{
        return sj_after(60 * SJ_SEC);
}

static sj_str envelope_of(sj_arena *arena, const char *id)
{
        sj_str text = {NULL, 0};
        message m = {.id = sj_str_of(id), .task = SJ_STR("t"), .routing_key = SJ_STR("q")};
        assert_int_equal(message_encode(arena, &m, &text), 0);
        return text;
}

/* Publishes one, takes it and settles it, by whatever thread calls. */
static void once_through(broker *b, const char *id)
{
        sj_arena *arena;
        sj_str q = SJ_STR("q");
        broker_lease *lease;
        broker_result stored, r = {sj_str_of(id), SJ_STR("SUCCESS"),
                                   SJ_STR("{\"status\": \"SUCCESS\", \"result\": 1}")};
        assert_int_equal(sj_arena_new(&arena), 0);
        broker_message m = {.id = sj_str_of(id), .queue = q, .envelope = envelope_of(arena, id)};
        assert_int_equal(broker_publish(b, &m, 1, NULL, soon()), 0);
        assert_int_equal(broker_wait(b, &q, 1, soon()), 0);
        broker_claim claim = {.queues = &q, .n_queues = 1};
        assert_int_equal(broker_lease_next(b, &claim, &lease, 1, soon()), 1);
        broker_settlement s = {.lease = lease, .results = &r, .n_results = 1};
        assert_int_equal(broker_settle(b, &s, 1, soon()), 0);
        assert_int_equal(s.status, 0);
        assert_int_equal(broker_result_wait(b, r.id, arena, &stored, soon()), 0);
        assert_true(sj_str_equal(stored.content, r.content));
        broker_lease_free(lease);
        sj_arena_free(arena);
}

static void a_thread_without_a_loop_uses_it_too(void **state)
{
        (void)state;
        broker *b;
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        once_through(b, "a");
        broker_close(b);
}

static broker_message message_of(sj_arena *arena, const char *id, const char *queue)
{
        return (broker_message){
                .id = sj_str_of(id), .queue = sj_str_of(queue), .envelope = envelope_of(arena, id)};
}

static void what_cannot_be_noted_goes_back_to_its_list(void **state)
{
        (void)state;
        broker *b;
        sj_arena *arena;
        broker_lease *leases[2];
        sj_str q = SJ_STR("q");
        broker_claim claim = {.queues = &q, .n_queues = 1};
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        const broker_message two[] = {message_of(arena, "a", "q"), message_of(arena, "b", "q")};
        assert_int_equal(broker_publish(b, two, 2, NULL, soon()), 0);
        static const char *const keys[] = {"unacked", "unacked_index"};
        for (size_t i = 0; i < 2; i++) {
                char line[64];
                snprintf(line, sizeof(line), "SET %s wrong", keys[i]);
                redis_server_ask(server, line);
                assert_int_equal(broker_lease_next(b, &claim, leases, 2, soon()), -EIO);
                assert_string_equal(redis_server_ask(server, "LLEN q"), ":2");
                snprintf(line, sizeof(line), "DEL %s", keys[i]);
                redis_server_ask(server, line);
                assert_string_equal(redis_server_ask(server, "EXISTS unacked sanjab.leases"), ":0");
        }
        assert_int_equal(broker_lease_next(b, &claim, leases, 2, soon()), 2);
        for (size_t i = 0; i < 2; i++) {
                assert_true(sj_str_equal(leases[i]->message.id, two[i].id));
                broker_lease_free(leases[i]);
        }
        broker_close(b);
        sj_arena_free(arena);
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

static void a_wrong_option_is_told_with_the_right_one(void **state)
{
        (void)state;
        broker *b;
        char error[256];
        broker_options options = {.transport = "{\"visibility_timeot\": 5}"};
        int r = broker_open(redis_server_url(server), &options, &b, error, sizeof(error), soon());
        assert_int_equal(r, -EINVAL);
        assert_string_equal(error,
                            "broker_transport_options: there is no option 'visibility_timeot'; "
                            "did you mean 'visibility_timeout'?");
        options.transport = "{\"priority_steps\": [3, 1]}";
        r = broker_open(redis_server_url(server), &options, &b, error, sizeof(error), soon());
        assert_int_equal(r, -EINVAL);
        assert_string_equal(error, "broker_transport_options: priority_steps is a list of numbers "
                                   "from 0 to 9 that grow, as [0, 3, 6, 9]");
        options = (broker_options){.result_transport = "{\"global_keyprefx\": \"x\"}"};
        r = broker_open(redis_server_url(server), &options, &b, error, sizeof(error), soon());
        assert_int_equal(r, -EINVAL);
        assert_string_equal(error, "result_backend_transport_options: there is no option "
                                   "'global_keyprefx'; did you mean 'global_keyprefix'?");
        options = (broker_options){.result_backend = "db+sqlite:///x"};
        r = broker_open(redis_server_url(server), &options, &b, error, sizeof(error), soon());
        assert_int_equal(r, -EPROTONOSUPPORT);
        char far[64];
        snprintf(far, sizeof(far), "redis://127.0.0.1:%d/99", redis_server_port(server));
        options.result_backend = far;
        r = broker_open(redis_server_url(server), &options, &b, error, sizeof(error), soon());
        assert_int_equal(r, -EINVAL);
        assert_memory_equal(error, "result_backend: 127.0.0.1:", 26);
}

static void options_that_tune_the_python_client_are_let_pass(void **state)
{
        (void)state;
        broker *b;
        const broker_options options = {.transport = "{\"unacked_restore_interval\": 10, "
                                                     "\"unacked_restore_throttle\": 1.5, "
                                                     "\"ack_emulation\": true, "
                                                     "\"min_other_sentinels\": 1, "
                                                     "\"result_chord_ordered\": false}",
                                        .result_transport = "{\"visibility_timeout\": 18000, "
                                                            "\"retry_policy\": {}}"};
        assert_int_equal(open_it(NULL, &options, &b), 0);
        broker_close(b);
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

static void no_secret_is_told_when_it_cannot_be_opened(void **state)
{
        (void)state;
        broker *b;
        char error[256], url[128];
        snprintf(url, sizeof(url), "redis://user:hunter2@127.0.0.1:%d/0", redis_server_free_port());
        int r = broker_open(url, NULL, &b, error, sizeof(error), sj_after(200 * SJ_MS));
        assert_true(r < 0);
        assert_true(error[0] && !strstr(error, "hunter2"));
}

static void results_may_be_kept_in_another_database(void **state)
{
        (void)state;
        broker *b;
        char url[128];
        snprintf(url, sizeof(url), "redis://127.0.0.1:%d/3", redis_server_port(server));
        const broker_options options = {.result_backend = url};
        assert_int_equal(open_it(NULL, &options, &b), 0);
        assert_false(broker_can(b, BROKER_ATOMIC));
        once_through(b, "a");
        assert_string_equal(redis_server_ask(server, "EXISTS celery-task-meta-a"), ":0");
        broker_close(b);
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

static void publish_some(broker *b, sj_str queue, const char *const ids[], size_t n)
{
        sj_arena *arena;
        assert_int_equal(sj_arena_new(&arena), 0);
        for (size_t i = 0; i < n; i++) {
                broker_message m = {.id = sj_str_of(ids[i]),
                                    .queue = queue,
                                    .envelope = envelope_of(arena, ids[i])};
                assert_int_equal(broker_publish(b, &m, 1, NULL, soon()), 0);
        }
        sj_arena_free(arena);
}

/* The server takes them, and nobody waits for its answer any more. */
static void lose_an_answer(broker *b, sj_str q, size_t n)
{
        broker_lease *leases[8];
        broker_claim claim = {.queues = &q, .n_queues = 1};
        redis_server_pause(server);
        assert_int_equal(broker_lease_next(b, &claim, leases, n, sj_after(100 * SJ_MS)),
                         -ETIMEDOUT);
        redis_server_resume(server);
}

static void what_was_taken_and_not_answered_is_had_by_asking_again(void **state)
{
        (void)state;
        broker *b;
        broker_lease *leases[8];
        sj_str q = SJ_STR("q");
        const char *const ids[] = {"a", "b", "c", "d", "e"};
        broker_claim claim = {.queues = &q, .n_queues = 1};
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        assert_int_equal(broker_lease_next(b, &claim, leases, 8, soon()), 0);
        publish_some(b, q, ids, 5);
        lose_an_answer(b, q, 4);
        assert_string_equal(redis_server_ask(server, "HLEN unacked"), ":4");
        /* Fewer than were taken: the others are in their list again, behind these. */
        assert_int_equal(broker_lease_next(b, &claim, leases, 2, soon()), 2);
        assert_string_equal(redis_server_ask(server, "LLEN q"), ":3");
        assert_int_equal(broker_lease_next(b, &claim, leases + 2, 6, soon()), 3);
        for (size_t i = 0; i < 5; i++) {
                assert_true(sj_str_equal(leases[i]->message.id, sj_str_of(ids[i])));
                assert_true(sj_str_equal(leases[i]->message.queue, q));
                assert_int_equal(leases[i]->deliveries, 1);
        }
        assert_int_equal(broker_renew(b, leases, 5, SJ_MIN, NULL, soon()), 0);
        for (size_t i = 0; i < 5; i++) {
                broker_settlement s = {.lease = leases[i]};
                assert_int_equal(broker_settle(b, &s, 1, soon()), 0);
                assert_int_equal(s.status, 0);
                broker_lease_free(leases[i]);
        }
        assert_string_equal(redis_server_ask(server, "EXISTS unacked unacked_index sanjab.leases"),
                            ":0");
        broker_close(b);
}

/* Its call may still be on the way: it must not take anything after it was given up. */
static void a_fetch_that_was_given_up_takes_nothing_any_more(void **state)
{
        (void)state;
        broker *b;
        broker_lease *lease;
        sj_str q = SJ_STR("q");
        const char *const ids[] = {"a"};
        broker_claim claim = {.queues = &q, .n_queues = 1};
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        assert_int_equal(broker_lease_next(b, &claim, &lease, 1, soon()), 0);
        lose_an_answer(b, q, 1);
        publish_some(b, q, ids, 1);
        assert_int_equal(broker_lease_next(b, &claim, &lease, 1, soon()), 1);
        char handle[17], command[64];
        snprintf(handle, sizeof(handle), "%016llx", (unsigned long long)lease->token.high);
        snprintf(command, sizeof(command), "EXISTS sanjab.lost.%s.1", handle);
        assert_string_equal(redis_server_ask(server, command), ":1");
        broker_settlement s = {.lease = lease, .verdict = BROKER_RETURN};
        assert_int_equal(broker_settle(b, &s, 1, soon()), 0);
        broker_lease_free(lease);
        /* The next fetch of this handle, as if it had been given up before it came. */
        snprintf(command, sizeof(command), "SET sanjab.lost.%s.3 1", handle);
        redis_server_ask(server, command);
        assert_int_equal(broker_lease_next(b, &claim, &lease, 1, soon()), 0);
        assert_string_equal(redis_server_ask(server, "LLEN q"), ":1");
        assert_int_equal(broker_lease_next(b, &claim, &lease, 1, soon()), 1);
        broker_lease_free(lease);
        broker_close(b);
}

/* Else every command on it would go through all of it, while it is short. */
static void the_index_is_no_listpack_even_while_it_is_short(void **state)
{
        (void)state;
        broker *b;
        broker_lease *leases[3];
        sj_str q = SJ_STR("q");
        const char *const ids[] = {"a", "b", "c"};
        broker_claim claim = {.queues = &q, .n_queues = 1};
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        publish_some(b, q, ids, 3);
        assert_int_equal(broker_lease_next(b, &claim, leases, 3, soon()), 3);
        assert_string_equal(redis_server_ask(server, "OBJECT ENCODING unacked_index"), "skiplist");
        for (int i = 0; i < 3; i++) {
                broker_settlement s = {.lease = leases[i], .verdict = BROKER_DONE};
                assert_int_equal(broker_settle(b, &s, 1, soon()), 0);
                assert_int_equal(s.status, 0);
                broker_lease_free(leases[i]);
        }
        assert_string_equal(redis_server_ask(server, "EXISTS unacked unacked_index sanjab.leases"),
                            ":0");
        broker_close(b);
}

static broker_lease *lease_long(broker *b, const char *id)
{
        broker_lease *lease;
        sj_str q = SJ_STR("q");
        broker_claim claim = {.queues = &q, .n_queues = 1, .duration = SJ_HOUR};
        publish_some(b, q, &id, 1);
        assert_int_equal(broker_lease_next(b, &claim, &lease, 1, soon()), 1);
        assert_true(sj_str_equal(lease->message.id, sj_str_of(id)));
        return lease;
}

static void settle_well(broker *b, broker_lease *lease)
{
        broker_settlement s = {.lease = lease};
        assert_int_equal(broker_settle(b, &s, 1, soon()), 0);
        assert_int_equal(s.status, 0);
        broker_lease_free(lease);
}

/* Its handle is closed with a lease, as that of one that was killed. */
static void what_a_dead_handle_had_leased_is_ready_long_before_its_end(void **state)
{
        (void)state;
        broker *living, *dead, *other;
        broker_lease *lease;
        sj_str q = SJ_STR("q");
        broker_claim claim = {.queues = &q, .n_queues = 1};
        assert_int_equal(open_it(NULL, NULL, &living), 0);
        assert_int_equal(open_it(NULL, NULL, &dead), 0);
        assert_int_equal(open_it(NULL, NULL, &other), 0);
        broker_lease *held = lease_long(living, "held");
        broker_lease_free(lease_long(dead, "left"));
        broker_close(dead);
        assert_int_equal(broker_wait(other, &q, 1, soon()), 0);
        assert_int_equal(broker_lease_next(other, &claim, &lease, 1, soon()), 1);
        assert_true(sj_str_equal(lease->message.id, SJ_STR("left")));
        assert_int_equal(lease->deliveries, 2);
        assert_int_equal(broker_lease_next(other, &claim, &held, 1, soon()), 0);
        settle_well(other, lease);
        settle_well(living, held);
        broker_close(living);
        broker_close(other);
        assert_string_equal(redis_server_ask(server, "EXISTS sanjab.beats unacked"), ":0");
}

/* As all beats are after a server stood still: the living come back within seconds. */
static void an_old_beat_makes_nobody_dead_at_once(void **state)
{
        (void)state;
        broker *b;
        broker_lease *lease;
        sj_str q = SJ_STR("q");
        broker_claim claim = {.queues = &q, .n_queues = 1};
        char lease_it[128];
        redis_server_ask(server, "ZADD sanjab.beats 1000 feedfeedfeedfeed");
        snprintf(lease_it, sizeof(lease_it), "ZADD sanjab.leases %lld feedfeedfeedfeed.1.1.1",
                 (long long)sj_wall_now().us + SJ_HOUR / SJ_US);
        redis_server_ask(server, lease_it);
        redis_server_ask(server, "ZADD unacked_index 1900000000 feedfeedfeedfeed.1.1");
        redis_server_ask(server, "HSET unacked feedfeedfeedfeed.1.1 "
                                 "'[{\"headers\":{\"id\":\"x\",\"task\":\"t\"}},\"\",\"q\"]'");
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        assert_int_equal(broker_lease_next(b, &claim, &lease, 1, soon()), 0);
        assert_int_equal(broker_wait(b, &q, 1, sj_after(2 * SJ_SEC)), -ETIMEDOUT);
        redis_server_ask(server, "ZADD sanjab.beats 2000 feedfeedfeedfeed");
        assert_int_equal(broker_wait(b, &q, 1, sj_after(2 * SJ_SEC)), -ETIMEDOUT);
        assert_int_equal(broker_wait(b, &q, 1, soon()), 0);
        assert_int_equal(broker_lease_next(b, &claim, &lease, 1, soon()), 1);
        assert_true(sj_str_equal(lease->message.id, SJ_STR("x")));
        settle_well(b, lease);
        broker_close(b);
}

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

/* Where the results are not in the script that sees whose lease it is. */
static size_t lease_two(broker *b, sj_arena *arena, broker_lease *leases[2])
{
        sj_str q = SJ_STR("q");
        broker_claim claim = {.queues = &q, .n_queues = 1};
        broker_message m[2];
        const char *ids[] = {"a", "b"};
        for (int i = 0; i < 2; i++)
                m[i] = (broker_message){.id = sj_str_of(ids[i]),
                                        .queue = q,
                                        .envelope = envelope_of(arena, ids[i])};
        assert_int_equal(broker_publish(b, m, 2, NULL, soon()), 0);
        return (size_t)broker_lease_next(b, &claim, leases, 2, soon());
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

static void who_is_late_says_nothing_elsewhere_either(void **state)
{
        (void)state;
        broker *late, *other;
        broker_lease *lost, *lease;
        sj_arena *arena;
        char url[128];
        sj_str q = SJ_STR("q");
        const char *const ids[] = {"a"};
        broker_result r = {SJ_STR("a"), SJ_STR("FAILURE"), SJ_STR("{\"status\": \"FAILURE\"}")};
        assert_int_equal(sj_arena_new(&arena), 0);
        snprintf(url, sizeof(url), "redis://127.0.0.1:%d/3", redis_server_port(server));
        const broker_options options = {.result_backend = url};
        assert_int_equal(open_it(NULL, &options, &late), 0);
        assert_int_equal(open_it(NULL, &options, &other), 0);
        publish_some(late, q, ids, 1);
        broker_claim claim = {.queues = &q, .n_queues = 1, .duration = 100 * SJ_MS};
        assert_int_equal(broker_lease_next(late, &claim, &lost, 1, soon()), 1);
        assert_int_equal(broker_wait(other, &q, 1, soon()), 0);
        claim.duration = SJ_MIN;
        assert_int_equal(broker_lease_next(other, &claim, &lease, 1, soon()), 1);
        broker_message next = {.id = SJ_STR("next"),
                               .queue = SJ_STR("follow"),
                               .envelope = envelope_of(arena, "next")};
        broker_join join = {.group = SJ_STR("g"), .size = 2, .body = SJ_STR("{}")};
        broker_settlement s = {.lease = lost,
                               .results = &r,
                               .n_results = 1,
                               .follow_ups = &next,
                               .n_follow_ups = 1,
                               .joins = &join,
                               .n_joins = 1};
        assert_int_equal(broker_settle(late, &s, 1, soon()), 0);
        assert_int_equal(s.status, -ESTALE);
        broker_result stored;
        assert_int_equal(broker_result_get(late, &r.id, 1, arena, &stored, soon()), 0);
        assert_true(sj_str_equal(stored.state, SJ_STR("PENDING")));
        assert_string_equal(redis_server_ask(server, "EXISTS follow"), ":0");
        s.lease = lease;
        assert_int_equal(broker_settle(other, &s, 1, soon()), 0);
        assert_int_equal(s.status, 0);
        assert_int_equal(broker_result_get(late, &r.id, 1, arena, &stored, soon()), 0);
        assert_true(sj_str_equal(stored.state, SJ_STR("FAILURE")));
        assert_string_equal(redis_server_ask(server, "LLEN follow"), ":1");
        broker_lease_free(lost);
        broker_lease_free(lease);
        broker_close(late);
        broker_close(other);
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

/* A script is not rolled back: one end that cannot be told must not take others with it. */
static void a_settlement_that_fails_comes_again_and_harms_no_other(void **state)
{
        (void)state;
        broker *b;
        sj_arena *arena;
        broker_lease *leases[2], *again;
        sj_str q = SJ_STR("q");
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        assert_int_equal(lease_two(b, arena, leases), 2);
        redis_server_ask(server, "SADD other x");
        broker_message follow = {
                .id = SJ_STR("c"), .queue = SJ_STR("other"), .envelope = envelope_of(arena, "c")};
        broker_result done = {SJ_STR("b"), SJ_STR("SUCCESS"), SJ_STR("{\"status\": \"SUCCESS\"}")};
        broker_settlement s[] = {{.lease = leases[0], .follow_ups = &follow, .n_follow_ups = 1},
                                 {.lease = leases[1], .results = &done, .n_results = 1}};
        assert_int_equal(broker_settle(b, s, 2, soon()), 0);
        assert_int_equal(s[0].status, -EIO);
        assert_int_equal(s[1].status, 0);
        assert_string_equal(redis_server_ask(server, "EXISTS celery-task-meta-b"), ":1");
        broker_claim claim = {.queues = &q, .n_queues = 1};
        assert_int_equal(broker_wait(b, &q, 1, soon()), 0);
        assert_int_equal(broker_lease_next(b, &claim, &again, 1, soon()), 1);
        assert_true(sj_str_equal(again->message.id, SJ_STR("a")));
        assert_int_equal(again->deliveries, 2);
        broker_lease_free(again);
        broker_lease_free(leases[0]);
        broker_lease_free(leases[1]);
        broker_close(b);
        sj_arena_free(arena);
}

static void a_key_that_is_no_list_hides_no_queue(void **state)
{
        (void)state;
        broker *b;
        sj_arena *arena;
        broker_lease *leases[2];
        sj_str queues[] = {SJ_STR("p"), SJ_STR("q")};
        assert_int_equal(sj_arena_new(&arena), 0);
        const broker_options options = {.transport = "{\"queue_order_strategy\": \"sorted\"}"};
        assert_int_equal(open_it(NULL, &options, &b), 0);
        redis_server_ask(server, "SADD q x");
        broker_message m = {
                .id = SJ_STR("a"), .queue = queues[0], .envelope = envelope_of(arena, "a")};
        assert_int_equal(broker_publish(b, &m, 1, NULL, soon()), 0);
        broker_claim claim = {.queues = queues, .n_queues = 2};
        assert_int_equal(broker_lease_next(b, &claim, leases, 2, soon()), 1);
        broker_lease_free(leases[0]);
        assert_int_equal(broker_lease_next(b, &claim, leases, 1, soon()), -EIO);
        broker_close(b);
        sj_arena_free(arena);
}

/* The queues of what a handle leases, one by one, from a and b, which it names as b and a. */
static void expect_order(const char *order, const char *expected)
{
        broker *b;
        sj_arena *arena;
        broker_lease *lease;
        char transport[64], got[8] = "";
        sj_str queues[] = {SJ_STR("b"), SJ_STR("a")};
        snprintf(transport, sizeof(transport), "{\"queue_order_strategy\": \"%s\"}", order);
        const broker_options options = {.transport = transport};
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(open_it(NULL, &options, &b), 0);
        for (size_t i = 0; i < 2; i++)
                publish_some(b, queues[i], (const char *[]){i ? "1" : "3", i ? "2" : "4"}, 2);
        for (size_t i = 0; i < 4; i++) {
                broker_claim claim = {.queues = queues, .n_queues = 2};
                assert_int_equal(broker_lease_next(b, &claim, &lease, 1, soon()), 1);
                got[i] = lease->message.queue.data[0];
                broker_settlement s = {.lease = lease, .verdict = BROKER_DONE};
                assert_int_equal(broker_settle(b, &s, 1, soon()), 0);
                broker_lease_free(lease);
        }
        assert_string_equal(got, expected);
        broker_close(b);
        sj_arena_free(arena);
}

static void queues_are_looked_into_by_turns_by_name_or_as_they_stand(void **state)
{
        (void)state;
        expect_order("sorted", "aabb");
        expect_order("priority", "bbaa");
        expect_order("round_robin", "baba");
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

/* kombu before 5.4 does not put the number in when it finds Redis by Sentinels. */
static void the_prefix_of_fanouts_is_read_as_python_reads_it(void **state)
{
        (void)state;
        const char *const rows[][2] = {{"/{db}.", "/7."}, {"/{{db}}.", "/{db}."}, {"x{y", "x{y"}};
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                sj_arena *arena;
                redis_queue_settings s = {.fanout_prefix = sj_str_of(rows[i][0])};
                assert_int_equal(sj_arena_new(&arena), 0);
                assert_int_equal(redis_queue_settle_fanout(arena, &s, 7), 0);
                assert_string_equal(s.fanout_prefix.data, rows[i][1]);
                sj_arena_free(arena);
        }
}

/* As the ACL of Redis 7 gives a new user no channel; results are stored, and deliveries end. */
static void who_may_not_publish_on_channels_settles_all_the_same(void **state)
{
        (void)state;
        broker *b;
        sj_arena *arena;
        broker_lease *leases[2];
        char url[128];
        redis_server_ask(server, "ACL SETUSER app on >pw ~* +@all resetchannels");
        snprintf(url, sizeof(url), "redis://app:pw@127.0.0.1:%d/0", redis_server_port(server));
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(broker_open(url, NULL, &b, NULL, 0, soon()), 0);
        assert_int_equal(lease_two(b, arena, leases), 2);
        broker_result done[] = {
                {SJ_STR("a"), SJ_STR("SUCCESS"), SJ_STR("{\"status\": \"SUCCESS\"}")},
                {SJ_STR("b"), SJ_STR("SUCCESS"), SJ_STR("{\"status\": \"SUCCESS\"}")}};
        broker_settlement s[] = {{.lease = leases[0], .results = &done[0], .n_results = 1},
                                 {.lease = leases[1], .results = &done[1], .n_results = 1}};
        assert_int_equal(broker_settle(b, s, 2, soon()), 0);
        assert_int_equal(s[0].status, 0);
        assert_int_equal(s[1].status, 0);
        assert_string_equal(
                redis_server_ask(server, "EXISTS celery-task-meta-a celery-task-meta-b unacked"),
                ":2");
        broker_lease_free(leases[0]);
        broker_lease_free(leases[1]);
        broker_close(b);
        sj_arena_free(arena);
}

static void keep_line(void *arg, sj_log_level level, const char *line)
{
        (void)level;
        snprintf(arg, 200, "%s", line);
}

static void who_may_not_write_is_told_in_redis_words_once(void **state)
{
        (void)state;
        broker *b;
        sj_arena *arena;
        char url[128], line[200] = "";
        redis_server_ask(server, "ACL SETUSER reader on >pw ~* &* +@read +@connection");
        snprintf(url, sizeof(url), "redis://reader:pw@127.0.0.1:%d/0", redis_server_port(server));
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(broker_open(url, NULL, &b, NULL, 0, soon()), 0);
        broker_message m = {
                .id = SJ_STR("a"), .queue = SJ_STR("q"), .envelope = envelope_of(arena, "a")};
        sj_log_set(keep_line, line, SJ_LOG_ERROR);
        assert_int_equal(broker_publish(b, &m, 1, NULL, soon()), -EACCES);
        assert_non_null(strstr(line, "NOPERM"));
        line[0] = 0;
        assert_int_equal(broker_publish(b, &m, 1, NULL, soon()), -EACCES);
        assert_string_equal(line, "");
        sj_log_set(NULL, NULL, SJ_LOG_OFF);
        broker_close(b);
        sj_arena_free(arena);
}

static void what_is_delayed_waits_by_our_clock(void **state)
{
        (void)state;
        broker *b;
        sj_arena *arena;
        assert_int_equal(redis_queue_ahead((sj_wall){10}, 15, (sj_wall){20}), 0);
        assert_int_equal(redis_queue_ahead((sj_wall){10}, 25, (sj_wall){20}), 5);
        assert_int_equal(redis_queue_ahead((sj_wall){10}, 3, (sj_wall){20}), -7);
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        redis_queue_of(b)->ahead = 7000000;
        sj_wall eta = {sj_wall_now().us + 60000000};
        broker_message m = {.id = SJ_STR("a"),
                            .queue = SJ_STR("q"),
                            .eta = eta,
                            .envelope = envelope_of(arena, "a")};
        char ask[128];
        assert_int_equal(broker_publish(b, &m, 1, NULL, soon()), 0);
        snprintf(ask, sizeof(ask), "ZCOUNT sanjab.delayed %lld %lld", (long long)(eta.us + 7000000),
                 (long long)(eta.us + 7000000));
        assert_string_equal(redis_server_ask(server, ask), ":1");
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

static void who_runs_a_worker_is_told_of_eviction(void **state)
{
        (void)state;
        broker *b;
        sj_log_level level;
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        assert_null(broker_notice(b, &level, soon()));
        redis_server_ask(server, "CONFIG SET maxmemory-policy allkeys-lru");
        assert_null(broker_notice(b, &level, soon()));
        redis_server_ask(server, "CONFIG SET maxmemory 1gb");
        assert_non_null(strstr(broker_notice(b, &level, soon()), "noeviction"));
        redis_server_ask(server, "CONFIG SET maxmemory-policy noeviction maxmemory 0");
        assert_null(broker_notice(b, &level, soon()));
        broker_close(b);
}

/* What a line of INFO says. */
static int info_of(const char *section, const char *pattern)
{
        char line[160];
        snprintf(line, sizeof(line),
                 "EVAL 'return redis.call(\"INFO\",ARGV[1]):match(ARGV[2])or\"0\"' 0 %s %s",
                 section, pattern);
        return atoi(redis_server_ask(server, line));
}

typedef struct taker {
        broker *b;
        const sj_str *queues;
        size_t n_queues;
        broker_lease *leases[2];
} taker;

static int take_two(void *arg)
{
        taker *t = arg;
        const broker_claim claim = {.queues = t->queues, .n_queues = t->n_queues};
        int r = 0;
        while (r == 0)
                r = broker_lease_wait(t->b, &claim, t->leases, 2, soon());
        return r;
}

static void settle_some(broker *b, broker_lease *const leases[], size_t n)
{
        for (size_t i = 0; i < n; i++) {
                broker_settlement s = {.lease = leases[i]};
                assert_int_equal(broker_settle(b, &s, 1, soon()), 0);
                assert_int_equal(s.status, 0);
                broker_lease_free(leases[i]);
        }
}

/*
 * One round of a taker that waits on so many lists, and of three messages in one push while it
 * does. Whether it waited with its taking behind it.
 */
static bool wait_and_take(broker *b, const sj_str queues[], size_t n_queues, sj_str into)
{
        taker t = {.b = b, .queues = queues, .n_queues = n_queues};
        redis_lane *lane = &redis_queue_of(b)->home;
        sj_fiber *fiber;
        sj_arena *arena;
        broker_message all[3];
        char ids[3][8];
        assert_int_equal(sj_arena_new(&arena), 0);
        for (size_t i = 0; i < 3; i++) {
                snprintf(ids[i], sizeof(ids[i]), "%zu", i);
                all[i] = message_of(arena, ids[i], "");
                all[i].queue = into;
        }
        SJ_SCOPE(s, SJ_NEVER, 0);
        assert_int_equal(sj_spawn(s, take_two, &t, &fiber), 0);
        int lists = (int)(n_queues * redis_queue_of(b)->settings.n_steps);
        for (sj_time end = soon(); info_of("clients", "blocked_clients:(%d+)") != lists;) {
                assert_true(sj_now() < end);
                assert_int_equal(sj_sleep(SJ_MS), 0);
        }
        bool armed = !list_empty(&lane->armed);
        assert_int_equal(broker_publish(b, all, 3, NULL, soon()), 0);
        assert_int_equal(sj_join(fiber, soon()), 2);
        settle_some(b, t.leases, 2);
        const broker_claim claim = {.queues = &into, .n_queues = 1};
        assert_int_equal(broker_lease_next(b, &claim, t.leases, 2, soon()), 1);
        settle_some(b, t.leases, 1);
        sj_arena_free(arena);
        return armed;
}

static int wait_and_take_again(void *arg)
{
        (void)arg;
        broker *b;
        const sj_str queues[] = {SJ_STR("q"), SJ_STR("r")};
        assert_int_equal(open_it(NULL, NULL, &b), 0);
        redis_server_ask(server, "CONFIG RESETSTAT");
        assert_false(wait_and_take(b, queues, 1, queues[0]));
        assert_true(wait_and_take(b, queues, 1, queues[0]));
        /* Nobody has waited for the other queue before. */
        assert_true(wait_and_take(b, queues, 2, queues[1]));
        assert_false(wait_and_take(b, queues, 2, queues[0]));
        assert_int_equal(info_of("commandstats", "cmdstat_rpush:calls=(%d+)"), 0);
        broker_close(b);
        return 0;
}

/* It has all its lists watched meanwhile, and puts nothing back. */
static void who_takes_while_it_waits_takes_what_it_asked_for_from_any_list(void **state)
{
        (void)state;
        assert_int_equal(sj_run(wait_and_take_again, NULL), 0);
}

int main(void)
{
        REDIS_SERVER_OR_SKIP();
#define OWN(body)                              \
        {                                      \
#body, body, flush, NULL, NULL \
        }
        struct CMUnitTest tests[200] = {
                OWN(a_thread_without_a_loop_uses_it_too),
                OWN(others_than_the_loop_that_opened_it_may_call),
                OWN(an_expected_result_is_had_whenever_it_was_stored),
                OWN(what_was_expected_long_ago_can_be_waited_for_all_the_same),
                OWN(a_wrong_option_is_told_with_the_right_one),
                OWN(what_cannot_be_noted_goes_back_to_its_list),
                OWN(a_publish_is_done_whole_or_not_at_all),
                OWN(options_that_tune_the_python_client_are_let_pass),
                OWN(letters_that_nobody_reads_are_no_queue_and_end),
                OWN(no_secret_is_told_when_it_cannot_be_opened),
                OWN(results_may_be_kept_in_another_database),
                OWN(what_is_no_message_is_buried),
                OWN(who_runs_a_worker_is_told_of_eviction),
                OWN(a_programs_priority_is_turned),
                OWN(a_settlement_that_fails_comes_again_and_harms_no_other),
                OWN(a_key_that_is_no_list_hides_no_queue),
                OWN(who_may_not_publish_on_channels_settles_all_the_same),
                OWN(what_was_taken_and_not_answered_is_had_by_asking_again),
                OWN(what_is_published_by_an_exchange_goes_to_all_that_is_bound_to_it),
                OWN(what_follows_by_an_exchange_goes_to_all_that_is_bound_to_it),
                OWN(who_is_late_says_nothing_elsewhere_either),
                OWN(a_fetch_that_was_given_up_takes_nothing_any_more),
                OWN(the_index_is_no_listpack_even_while_it_is_short),
                OWN(what_is_delayed_waits_by_our_clock),
                OWN(who_may_not_write_is_told_in_redis_words_once),
                OWN(what_came_by_an_exchange_goes_back_to_all_its_queues),
                OWN(what_a_dead_handle_had_leased_is_ready_long_before_its_end),
                OWN(an_old_beat_makes_nobody_dead_at_once),
                OWN(what_a_worker_of_celerys_has_is_seen_in_its_queue),
                OWN(more_dead_than_are_counted_are_said_to_be_more),
                OWN(what_is_not_understood_in_unacked_is_left_alone),
                OWN(queues_are_looked_into_by_turns_by_name_or_as_they_stand),
                OWN(members_of_a_chord_may_come_as_they_end),
                OWN(the_prefix_of_fanouts_is_read_as_python_reads_it),
                OWN(who_takes_while_it_waits_takes_what_it_asked_for_from_any_list),
        };
        size_t n = conformance_add(tests, 200, test_case, flush, NULL);
        return _cmocka_run_group_tests("broker_redis", tests, n, start_server, stop_server);
}
