/* SPDX-License-Identifier: MIT */
/* What a URL and its options say of the broker in Redis. */
#include "queue/redis/broker_redis_unit.h"

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

int main(void)
{
        REDIS_SERVER_OR_SKIP();
        const struct CMUnitTest tests[] = {
                OWN(a_wrong_option_is_told_with_the_right_one),
                OWN(options_that_tune_the_python_client_are_let_pass),
                OWN(no_secret_is_told_when_it_cannot_be_opened),
                OWN(results_may_be_kept_in_another_database),
                OWN(the_prefix_of_fanouts_is_read_as_python_reads_it),
        };
        return cmocka_run_group_tests(tests, start_server, stop_server);
}
