/* SPDX-License-Identifier: MIT */
/*
 * The broker where Redis is more than one server that stays: what was published and leased is
 * there after a restart from the append-only file, after a failover that Sentinels arranged, and in
 * a Cluster whose slot moves to another node; and where there is none for a while. On real servers.
 */
#include "base/unit.h"
#include "queue/redis/broker_redis.h"
#include "store/redis_server.h"

#include <sanjab/canvas.h>

#include <stdio.h>

/* Longer than a Sentinel that was held up for two seconds keeps still (its "tilt", 30 s). */
static sj_time soon(void)
{
        return sj_after(90 * SJ_SEC);
}

static broker *open_at(const char *url, const broker_options *options)
{
        broker *b = NULL;
        char error[256] = "";
        int r = broker_open(url, options, &b, error, sizeof(error), soon());
        if (r < 0)
                print_message("%s\n", error);
        assert_int_equal(r, 0);
        return b;
}

static int pause_in_a_loop(void *arg)
{
        (void)arg;
        return sj_sleep(10 * SJ_MS);
}

/* Asks until the answer begins so. */
static void await_answer(redis_server *s, const char *line, const char *answer)
{
        for (int i = 0; strncmp(redis_server_ask(s, line), answer, strlen(answer)) != 0; i++) {
                assert_true(i < 6000);
                assert_int_equal(sj_run(pause_in_a_loop, NULL), 0);
        }
}

static int publish(broker *b, const char *id)
{
        sj_arena *arena;
        message m = {.id = sj_str_of(id), .task = SJ_STR("t"), .routing_key = SJ_STR("q")};
        broker_message x = {.id = m.id, .queue = SJ_STR("q")};
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_int_equal(message_encode(arena, &m, &x.envelope), 0);
        int r = broker_publish(b, &x, 1, NULL, soon());
        sj_arena_free(arena);
        return r;
}

static broker_lease *lease(broker *b, const char *id)
{
        broker_lease *lease = NULL;
        sj_str q = SJ_STR("q");
        broker_claim claim = {.queues = &q, .n_queues = 1};
        int r;
        do
                r = broker_wait(b, &q, 1, soon());
        while (r == -EPIPE);
        assert_int_equal(r, 0);
        assert_int_equal(broker_lease_next(b, &claim, &lease, 1, soon()), 1);
        assert_true(sj_str_equal(lease->message.id, sj_str_of(id)));
        return lease;
}

static void settle(broker *b, broker_lease *lease)
{
        broker_result r = {lease->message.id, SJ_STR("SUCCESS"),
                           SJ_STR("{\"status\": \"SUCCESS\", \"result\": 1}")};
        broker_settlement s = {.lease = lease, .results = &r, .n_results = 1};
        int k;
        do
                k = broker_settle(b, &s, 1, soon());
        while (k == -EPIPE);
        assert_int_equal(k, 0);
        assert_int_equal(s.status, 0);
        broker_lease_free(lease);
}

static void what_was_leased_is_still_ours_after_a_restart_from_the_file(void **state)
{
        (void)state;
        const char *const arguments[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};
        redis_server *s = redis_server_start(&(redis_server_options){.arguments = arguments});
        broker *b = open_at(redis_server_url(s), NULL);
        assert_int_equal(publish(b, "a"), 0);
        assert_int_equal(publish(b, "b"), 0);
        broker_lease *held = lease(b, "a");
        redis_server_kill(s);
        redis_server_restart(s);
        broker_lease *next = lease(b, "b");
        settle(b, held);
        settle(b, next);
        assert_string_equal(redis_server_ask(s, "EXISTS q unacked sanjab.leases"), ":0");
        assert_string_equal(redis_server_ask(s, "EXISTS celery-task-meta-a celery-task-meta-b"),
                            ":2");
        broker_close(b);
        redis_server_stop(s);
}

static int take_name(void *b)
{
        const broker_token token = {1, 2};
        const broker_node node = {.name = SJ_STR("w@here"), .info = SJ_STR("{}")};
        return broker_node_join(b, &node, token, SJ_MIN, soon());
}

typedef struct lost_link {
        redis_server *s;
        broker *b;
} lost_link;

static int take_name_while_it_breaks(void *arg)
{
        const lost_link *l = arg;
        sj_fiber *f;
        SJ_SCOPE(all, SJ_NEVER, 0);
        redis_server_pause(l->s);
        assert_int_equal(sj_spawn(all, take_name, l->b, &f), 0);
        /* That it has been sent; if not yet, there is less to be seen. */
        assert_int_equal(sj_sleep(50 * SJ_MS), 0);
        redis_server_kill(l->s);
        redis_server_restart(l->s);
        return sj_join(f, SJ_NEVER);
}

static void a_worker_that_starts_while_its_connection_breaks_has_its_name(void **state)
{
        (void)state;
        redis_server *s = redis_server_start(NULL);
        broker *b = open_at(redis_server_url(s), NULL);
        lost_link l = {s, b};
        assert_int_equal(sj_run(take_name_while_it_breaks, &l), 0);
        assert_string_equal(redis_server_ask(s, "EXISTS sanjab.node.w@here"), ":1");
        broker_close(b);
        redis_server_stop(s);
}

/* ── Two ends of one fetch, of which the first is not heard ──────────────────────────────── */

typedef struct ending {
        broker *b;
        broker_settlement s;
        sj_time deadline;
        int result;
} ending;

static int end_lease(void *arg)
{
        ending *e = arg;
        e->result = broker_settle(e->b, &e->s, 1, e->deadline);
        return 0;
}

static redis_server *place;

static int end_both(void *arg)
{
        ending *both = arg;
        SJ_SCOPE(scope, SJ_NEVER, 0);
        both[0].deadline = sj_after(200 * SJ_MS);
        both[1].deadline = soon();
        both[0].result = 1;
        assert_int_equal(sj_spawn(scope, end_lease, &both[0], NULL), 0);
        assert_int_equal(sj_spawn(scope, end_lease, &both[1], NULL), 0);
        while (both[0].result == 1)
                sj_sleep(SJ_MS);
        redis_server_restart(place);
        return sj_scope_join(scope);
}

static void a_lease_whose_end_was_not_heard_keeps_its_record(void **state)
{
        (void)state;
        const char *const arguments[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};
        place = redis_server_start(&(redis_server_options){.arguments = arguments});
        broker *b = open_at(redis_server_url(place), NULL);
        sj_arena *arena;
        const broker_depth *unused;
        broker_lease *leases[2];
        sj_str q = SJ_STR("q");
        broker_claim claim = {.queues = &q, .n_queues = 1};
        assert_int_equal(publish(b, "a"), 0);
        assert_int_equal(publish(b, "b"), 0);
        assert_int_equal(broker_lease_next(b, &claim, leases, 2, soon()), 2);
        redis_server_kill(place);
        assert_int_equal(sj_arena_new(&arena), 0);
        assert_true(broker_queues(b, arena, &unused, sj_after(50 * SJ_MS)) < 0);
        sj_arena_free(arena);
        ending both[2] = {{.b = b, .s = {.lease = leases[0]}}, {.b = b, .s = {.lease = leases[1]}}};
        assert_int_equal(sj_run(end_both, both), 0);
        assert_true(both[0].result < 0);
        assert_int_equal(both[1].result, 0);
        assert_int_equal(both[1].s.status, 0);
        broker_lease_free(leases[1]);
        assert_string_equal(redis_server_ask(place, "ZCARD sanjab.leases"), ":1");
        settle(b, leases[0]);
        assert_string_equal(redis_server_ask(place, "EXISTS unacked sanjab.leases"), ":0");
        broker_close(b);
        redis_server_stop(place);
}

/*
 * The Sentinel is told that the master is gone. What it finds out by itself depends on the time: a
 * replica whose link was down for ten times `down-after` is never chosen, which is soon on a busy
 * machine if that is short.
 */
static void a_failover_by_sentinels_is_followed(void **state)
{
        (void)state;
        char of[32], config[400], url[64];
        redis_server *master = redis_server_start(NULL);
        snprintf(of, sizeof(of), "127.0.0.1 %u", redis_server_port(master));
        const char *const arguments[] = {"--replicaof", of, "--repl-diskless-sync-delay", "0",
                                         NULL};
        redis_server *replica = redis_server_start(&(redis_server_options){.arguments = arguments});
        await_answer(master, "WAIT 1 100", ":1");
        snprintf(config, sizeof(config),
                 "sentinel monitor mine 127.0.0.1 %u 1\n"
                 "sentinel down-after-milliseconds mine 60000\n"
                 "sentinel failover-timeout mine 60000\n",
                 redis_server_port(master));
        redis_server *guide =
                redis_server_start(&(redis_server_options){.config = config, .sentinel = true});
        snprintf(url, sizeof(url), "sentinel://127.0.0.1:%u/0", redis_server_port(guide));
        broker *b = open_at(url, &(broker_options){.transport = "{\"master_name\": \"mine\"}"});
        assert_int_equal(publish(b, "a"), 0);
        assert_int_equal(publish(b, "b"), 0);
        broker_lease *held = lease(b, "a");
        redis_server_ask(master, "SET all replicated");
        await_answer(replica, "GET all", "replicated");
        await_answer(guide, "SENTINEL REPLICAS mine", "*1");
        redis_server_kill(master);
        await_answer(guide, "SENTINEL FAILOVER mine", "+OK");
        broker_lease *next = lease(b, "b");
        settle(b, held);
        settle(b, next);
        assert_string_equal(redis_server_ask(replica, "EXISTS q unacked sanjab.leases"), ":0");
        broker_close(b);
        redis_server_stop(guide);
        redis_server_stop(replica);
        redis_server_stop(master);
}

static redis_server *start_node(char bus[8])
{
        snprintf(bus, 8, "%u", redis_server_free_port());
        const char *const arguments[] = {"--cluster-enabled", "yes", "--cluster-port", bus, NULL};
        return redis_server_start(&(redis_server_options){.arguments = arguments});
}

static void a_cluster_is_served_by_the_node_that_has_the_tags_slot(void **state)
{
        (void)state;
        char bus_a[8], bus_b[8], line[128], id[64], slot[16];
        redis_server *a = start_node(bus_a), *b = start_node(bus_b);
        const broker_options options = {.transport = "{\"global_keyprefix\": \"{jobs}:\"}",
                                        .result_transport = "{\"global_keyprefix\": \"{jobs}:\"}"};
        redis_server_ask(b, "CLUSTER ADDSLOTSRANGE 0 16383");
        snprintf(line, sizeof(line), "CLUSTER MEET 127.0.0.1 %u %s", redis_server_port(b), bus_b);
        redis_server_ask(a, line);
        await_answer(a, "SET {jobs}:k v", "-MOVED");
        await_answer(b, "SET {jobs}:k v", "+OK");
        broker *q = open_at(redis_server_url(a), &options);
        assert_int_equal(publish(q, "a"), 0);
        settle(q, lease(q, "a"));
        assert_string_equal(redis_server_ask(b, "EXISTS {jobs}:celery-task-meta-a"), ":1");
        redis_server_ask(b, "FLUSHALL");
        snprintf(id, sizeof(id), "%s", redis_server_ask(a, "CLUSTER MYID"));
        snprintf(slot, sizeof(slot), "%s", redis_server_ask(a, "CLUSTER KEYSLOT {jobs}") + 1);
        snprintf(line, sizeof(line), "CLUSTER SETSLOT %s NODE %s", slot, id);
        redis_server_ask(a, line);
        redis_server_ask(b, line);
        assert_int_equal(publish(q, "b"), 0);
        settle(q, lease(q, "b"));
        assert_string_equal(redis_server_ask(a, "EXISTS {jobs}:celery-task-meta-b"), ":1");
        broker_close(q);
        redis_server_stop(a);
        redis_server_stop(b);
}

static int send_chord(void *app)
{
        sj_signature *chord = sj_chord(SJ_GROUP(sj_signature_new("t", NULL, NULL, NULL)),
                                       sj_signature_new("t", NULL, NULL, NULL));
        SJ_SCOPE(s, sj_after(SJ_HOUR), 0);
        assert_int_equal(sj_signature_send(app, chord, NULL), -ECONNREFUSED);
        sj_signature_free(chord);
        return 0;
}

/* One script has keys of both: with another tag they are in a client, and a slot, of their own. */
static void results_in_a_cluster_have_the_brokers_hash_tag_or_are_elsewhere(void **state)
{
        (void)state;
        char bus[8], error[256] = "", expected[256];
        redis_server *s = start_node(bus);
        redis_server_ask(s, "CLUSTER ADDSLOTSRANGE 0 16383");
        await_answer(s, "SET {jobs}:k v", "+OK");
        const char *const wrong[] = {NULL, "{\"global_keyprefix\": \"jobs:\"}",
                                     "{\"global_keyprefix\": \"{other}:\"}"};
        broker_options options = {.transport = "{\"global_keyprefix\": \"{jobs}:\"}"};
        snprintf(expected, sizeof(expected),
                 "127.0.0.1:%u/0 is a Redis Cluster: the global_keyprefix of results "
                 "(result_backend_transport_options) must have the hash tag of that of the broker, "
                 "as \"{jobs}:\"",
                 redis_server_port(s));
        broker *b = NULL;
        for (size_t i = 0; i < 3; i++) {
                options.result_transport = wrong[i];
                assert_int_equal(broker_open(redis_server_url(s), &options, &b, error,
                                             sizeof(error), soon()),
                                 -EXDEV);
                assert_string_equal(error, expected);
        }
        options.result_backend = redis_server_url(s);
        b = open_at(redis_server_url(s), &options);
        assert_false(broker_can(b, BROKER_ATOMIC));
        assert_int_equal(publish(b, "a"), 0);
        settle(b, lease(b, "a"));
        assert_string_equal(redis_server_ask(s, "EXISTS {other}:celery-task-meta-a"), ":1");
        broker_close(b);
        redis_server_stop(s);
}

/* With the longest deadline, so that it is the policy that ends it; of every kind of message. */
static void a_publish_without_a_server_ends_as_its_policy_says(void **state)
{
        (void)state;
        redis_server *s = redis_server_start(NULL);
        const sj_retry_policy none = {.max_retries = SJ_NO_RETRIES}, one = {.max_retries = 1};
        const sj_app_options options = {
                .config = "", .broker = redis_server_url(s), .publish = one};
        const sj_time far = sj_after(SJ_HOUR);
        const sj_call calls[] = {
                {.retry = &none, .deadline = far},
                {.deadline = far},
                {.queue = "unbound", .deadline = far},
                {.countdown = 60, .deadline = far},
                {.key = "k", .deadline = far},
                {.exchange = "x", .routing_key = "k", .deadline = far},
        };
        sj_app *app;
        assert_int_equal(sj_app_new(&options, &app), 0);
        assert_int_equal(sj_send_task(app, "t", NULL, NULL, &calls[0], NULL), 0);
        redis_server_kill(s);
        /* Nor does what was about to leave when the connection broke wait for long. */
        int r = sj_send_task(app, "t", NULL, NULL, &calls[0], NULL);
        assert_true(r == -EPIPE || r == -ECONNRESET || r == -ECONNREFUSED);
        for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
                assert_int_equal(sj_send_task(app, "t", NULL, NULL, &calls[i], NULL),
                                 -ECONNREFUSED);
        assert_int_equal(sj_run(send_chord, app), 0);
        redis_server_restart(s);
        assert_int_equal(sj_send_task(app, "t", NULL, NULL, &calls[0], NULL), 0);
        assert_string_equal(redis_server_ask(s, "LLEN celery"), ":1");
        sj_app_free(app);
        redis_server_stop(s);
}

int main(void)
{
        REDIS_SERVER_OR_SKIP();
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_was_leased_is_still_ours_after_a_restart_from_the_file),
                cmocka_unit_test(a_worker_that_starts_while_its_connection_breaks_has_its_name),
                cmocka_unit_test(a_lease_whose_end_was_not_heard_keeps_its_record),
                cmocka_unit_test(a_failover_by_sentinels_is_followed),
                cmocka_unit_test(a_cluster_is_served_by_the_node_that_has_the_tags_slot),
                cmocka_unit_test(results_in_a_cluster_have_the_brokers_hash_tag_or_are_elsewhere),
                cmocka_unit_test(a_publish_without_a_server_ends_as_its_policy_says),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
