/* SPDX-License-Identifier: MIT */
#include "store/redis_server.h"

#include "base/unit.h"

#include <unistd.h>

static void it_answers_and_leaves_nothing_behind(void **state)
{
        (void)state;
        char folder[80];
        redis_server *s = redis_server_start(NULL);
        assert_string_equal(redis_server_ask(s, "PING"), "+PONG");
        snprintf(folder, sizeof(folder), "%s", redis_server_folder(s));
        assert_int_equal(access(folder, F_OK), 0);
        redis_server_stop(s);
        assert_int_not_equal(access(folder, F_OK), 0);
}

static void what_it_is_told_to_keep_outlives_a_kill(void **state)
{
        (void)state;
        const char *const arguments[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};
        redis_server *s = redis_server_start(&(redis_server_options){.arguments = arguments});
        uint16_t port = redis_server_port(s);
        assert_string_equal(redis_server_ask(s, "SET a b"), "+OK");
        redis_server_kill(s);
        redis_server_restart(s);
        assert_int_equal(redis_server_port(s), port);
        assert_string_equal(redis_server_ask(s, "EXISTS a"), ":1");
        redis_server_stop(s);
}

int main(void)
{
        REDIS_SERVER_OR_SKIP();
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(it_answers_and_leaves_nothing_behind),
                cmocka_unit_test(what_it_is_told_to_keep_outlives_a_kill),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
