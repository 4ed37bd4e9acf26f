/* SPDX-License-Identifier: MIT */
/* What the user of the broker in Redis may not do there, and what its server does on its own. */
#include "queue/redis/broker_redis_unit.h"

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

int main(void)
{
        REDIS_SERVER_OR_SKIP();
        const struct CMUnitTest tests[] = {
                OWN(who_runs_a_worker_is_told_of_eviction),
                OWN(who_may_not_publish_on_channels_settles_all_the_same),
                OWN(who_may_not_write_is_told_in_redis_words_once),
        };
        return cmocka_run_group_tests(tests, start_server, stop_server);
}
