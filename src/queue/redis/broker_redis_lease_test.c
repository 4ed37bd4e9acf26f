/* SPDX-License-Identifier: MIT */
/* How the broker in Redis takes messages, keeps them and gives them back. */
#include "queue/redis/broker_redis_unit.h"

#include <stdlib.h>

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
        const struct CMUnitTest tests[] = {
                OWN(what_cannot_be_noted_goes_back_to_its_list),
                OWN(a_settlement_that_fails_comes_again_and_harms_no_other),
                OWN(a_key_that_is_no_list_hides_no_queue),
                OWN(what_was_taken_and_not_answered_is_had_by_asking_again),
                OWN(who_is_late_says_nothing_elsewhere_either),
                OWN(a_fetch_that_was_given_up_takes_nothing_any_more),
                OWN(the_index_is_no_listpack_even_while_it_is_short),
                OWN(what_is_delayed_waits_by_our_clock),
                OWN(what_a_dead_handle_had_leased_is_ready_long_before_its_end),
                OWN(an_old_beat_makes_nobody_dead_at_once),
                OWN(queues_are_looked_into_by_turns_by_name_or_as_they_stand),
                OWN(who_takes_while_it_waits_takes_what_it_asked_for_from_any_list),
        };
        return cmocka_run_group_tests(tests, start_server, stop_server);
}
