/* SPDX-License-Identifier: MIT */
/* The small pure files: node_name, broker_name, queue_list. */
#include "base/unit.h"

#include "cli/broker_name.h"
#include "cli/node_name.h"
#include "cli/queue_list.h"

#include <stdio.h>

static void node_is(const char *given, const char *host, const char *expected)
{
        char name[NODE_NAME_MAX + 1];
        char error[300];
        assert_int_equal(node_name_expand(given, host, name, error, sizeof(error)), 0);
        assert_string_equal(name, expected);
}

static void a_node_name_is_expanded_as_celery_does(void **state)
{
        (void)state;
        node_is(NULL, "box.example.org", "sanjab@box.example.org");
        node_is("w1@%h", "box.example.org", "w1@box.example.org");
        node_is("w1@%n", "box.example.org", "w1@box");
        node_is("w1@%d", "box.example.org", "w1@example.org");
        node_is("%n-2@%h", "box", "box-2@box");
        node_is("w1.%h", "box", "sanjab@w1.box");
        node_is("50%%@box", "box", "50%@box");
}

static void a_node_name_that_is_none_is_refused_with_a_sentence(void **state)
{
        (void)state;
        static const char *const wrong[] = {"w@",  "@box",    "w@%d", "w@%x",
                                            "w@%", "w 1@box", "",     "w\n@box"};
        char name[NODE_NAME_MAX + 1];
        char error[300];
        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
                error[0] = '\0';
                if (node_name_expand(wrong[i], "box", name, error, sizeof(error)) != -EINVAL)
                        fail_msg("accepted: '%s'", wrong[i]);
                assert_non_null(strstr(error, "the node name"));
        }
        char text[400];
        memset(text, 'a', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        assert_int_equal(node_name_expand(text, "box", name, error, sizeof(error)), -EINVAL);
        assert_non_null(strstr(error, "longer"));
}

static void shown_is(const char *url, const char *expected)
{
        char shown[200];
        assert_string_equal(broker_name_show(url, shown, sizeof(shown)), expected);
}

static void a_broker_is_shown_without_its_secrets(void **state)
{
        (void)state;
        shown_is("sqlite:jobs.db", "sqlite:jobs.db");
        shown_is("sqlite:/tmp/a@b?c.db", "sqlite:/tmp/a@b?c.db");
        shown_is("redis://box/0", "redis://box/0");
        shown_is("redis://:secret@box:6379/0", "redis://***@box:6379/0");
        shown_is("amqp://me:p@ss@box/v?key=secret", "amqp://***@box/v?***");
        shown_is("redis://token@box", "redis://***@box");
        shown_is("redis://box?password=secret", "redis://box?***");
}

static void hidden_is(const char *url, const char *expected)
{
        char text[200];
        snprintf(text, sizeof(text), "%s", url);
        broker_name_hide(text);
        assert_string_equal(text, expected);
}

static void a_brokers_secrets_are_wiped_where_they_stand(void **state)
{
        (void)state;
        hidden_is("sqlite:/tmp/a@b?c.db", "sqlite:/tmp/a@b?c.db");
        hidden_is("redis://box/0", "redis://box/0");
        hidden_is("redis://:secret@box:6379/0", "redis://*******@box:6379/0");
        hidden_is("redis+socket://:p@ss@/run/s", "redis+socket://*****@/run/s");
        hidden_is("redis://box?password=secret", "redis://box?***************");
        hidden_is("redis://box?", "redis://box?");
}

static void queues_are(const char *text, int expected)
{
        sj_arena *arena;
        assert_int_equal(sj_arena_new(&arena), 0);
        sj_str *names;
        assert_int_equal(queue_list_parse(arena, text, &names), expected);
        if (expected == 2) {
                assert_true(sj_str_equal(names[0], SJ_STR("mail")));
                assert_true(sj_str_equal(names[1], SJ_STR("reports")));
        }
        sj_arena_free(arena);
}

static void a_list_of_queues_has_each_once_and_none_empty(void **state)
{
        (void)state;
        queues_are("mail", 1);
        queues_are("mail,reports", 2);
        queues_are("mail,reports,mail", 2);
        queues_are("", -EINVAL);
        queues_are("mail,", -EINVAL);
        queues_are(",mail", -EINVAL);
        queues_are("mail, reports", -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_node_name_is_expanded_as_celery_does),
                cmocka_unit_test(a_node_name_that_is_none_is_refused_with_a_sentence),
                cmocka_unit_test(a_broker_is_shown_without_its_secrets),
                cmocka_unit_test(a_brokers_secrets_are_wiped_where_they_stand),
                cmocka_unit_test(a_list_of_queues_has_each_once_and_none_empty),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
