/* SPDX-License-Identifier: MIT */
/* The system's resolver, which is linked here even if the library has a better one. */
#include "base/unit.h"
#include "net/names.h"
#include "os/os.h"

static names_answer answer;

static int ask_localhost(void *arg)
{
        names_config config = {0};
        return names_query(&config, "localhost", 0, &answer, *(sj_time *)arg);
}

static void the_systems_resolver_knows_this_machine(void **state)
{
        (void)state;
        sj_time deadline = SJ_NEVER;
        os_stat hosts;
        if (os_stat_path("/etc/hosts", false, &hosts) < 0)
                skip(); /* a machine without it does not know itself */
        assert_int_equal(sj_run(ask_localhost, &deadline), 0);
        assert_true(answer.n > 0 && answer.ttl > 0);
        bool v4 = false;
        for (size_t i = 0; i < answer.n; i++)
                v4 |= answer.addresses[i].family == AF_INET && answer.addresses[i].bytes[0] == 127;
        assert_true(v4);
}

static int ask_when_cancelled(void *arg)
{
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_scope_cancel(s);
        return ask_localhost(arg);
}

static void a_cancelled_question_is_not_asked(void **state)
{
        (void)state;
        sj_time deadline = SJ_NEVER;
        assert_int_equal(sj_run(ask_when_cancelled, &deadline), -ECANCELED);
}

static void it_asks_as_long_as_it_likes(void **state)
{
        (void)state;
        assert_true(names_patience(&(names_config){.timeout = 1}) == SJ_NEVER);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_systems_resolver_knows_this_machine),
                cmocka_unit_test(a_cancelled_question_is_not_asked),
                cmocka_unit_test(it_asks_as_long_as_it_likes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
