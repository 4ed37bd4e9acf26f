/* SPDX-License-Identifier: MIT */
#include "queue/control/cluster.h"

#include "queue/message/message_unit.h"

#include <stdio.h>
#include <stdlib.h>

static cluster *fresh(void)
{
        cluster *c;
        assert_int_equal(cluster_new(&c), 0);
        return c;
}

static int hear(cluster *c, const char *text, sj_time now)
{
        const sj_json *event;
        const char *why;
        assert_int_equal(sj_json_parse(arena, sj_str_of(text), SJ_JSON_PYTHON, &event, NULL), 0);
        return cluster_take(c, event, now, &why);
}

static const cluster_task *task(const cluster *c, const char *id)
{
        return cluster_find_task(c, sj_str_of(id));
}

/* A capture of a real worker, as a letter. */
static sj_str capture(const char *name)
{
        char path[200];
        snprintf(path, sizeof(path), "remote/%s", name);
        return read_capture(path);
}

static void captures_are_understood(void **state)
{
        (void)state;
        static const struct {
                const char *file;
                const char *id;
                const char *becomes;
        } rows[] = {
                {"event-task-sent", "f633d5c3-e035-41e2-a687-ca39193a61ba", "PENDING"},
                {"event-task-received", "863fac1c-3ad5-4e4b-86ee-74a8321d6ec7", "RECEIVED"},
                {"event-task-started", "863fac1c-3ad5-4e4b-86ee-74a8321d6ec7", "STARTED"},
                {"event-task-succeeded", "863fac1c-3ad5-4e4b-86ee-74a8321d6ec7", "SUCCESS"},
                {"event-task-failed", "b95b1405-5d93-45e5-aa34-4cc479095862", "FAILURE"},
                {"event-task-retried", "f4a3cfc3-2264-44c5-a8bd-8047a7766aa6", "RETRY"},
                {"event-task-rejected", "2390db11-f614-4d6a-90c9-3a2f1998acbc", "REJECTED"},
                {"event-task-revoked", "645026dc-a324-4fb9-b594-c183b5793119", "REVOKED"},
        };
        cluster *c = fresh();
        const char *why;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                assert_int_equal(cluster_take_letter(c, arena, capture(rows[i].file), SJ_SEC, NULL,
                                                     NULL, &why),
                                 1);
                assert_non_null(task(c, rows[i].id));
                assert_string_equal(task(c, rows[i].id)->state, rows[i].becomes);
        }
        const cluster_task *t = task(c, "863fac1c-3ad5-4e4b-86ee-74a8321d6ec7");
        assert_string_equal(t->name, "capapp.add");
        assert_string_equal(t->args, "(2, 3)");
        assert_string_equal(t->outcome, "5");
        assert_string_equal(t->node, "w1@capture");
        assert_true(t->runtime > 0.0024 && t->runtime < 0.0025);
        assert_string_equal(task(c, "b95b1405-5d93-45e5-aa34-4cc479095862")->outcome,
                            "ValueError('bang', 42)");
        cluster_free(c);
}

static void a_worker_is_alive_for_two_of_its_heartbeats(void **state)
{
        (void)state;
        cluster *c = fresh();
        const char *why;
        sj_time now = 10 * SJ_SEC;
        cluster_take_letter(c, arena, capture("event-worker-heartbeat"), now, NULL, NULL, &why);
        const cluster_node *node = cluster_next_node(c, NULL);
        assert_non_null(node);
        assert_null(cluster_next_node(c, node));
        assert_string_equal(node->name, "w1@capture");
        assert_string_equal(node->software, "py-celery 5.2.6");
        assert_int_equal(node->pid, 20157);
        assert_true(node->load[0] > 0.54 && node->load[0] < 0.56);
        assert_true(cluster_is_alive(node, now + 4 * SJ_SEC - 1));
        assert_false(cluster_is_alive(node, now + 4 * SJ_SEC));
        assert_int_equal(cluster_next_death(c, now), now + 4 * SJ_SEC);
        cluster_take_letter(c, arena, capture("event-worker-offline"), now, NULL, NULL, &why);
        assert_false(cluster_is_alive(node, now));
        assert_int_equal(node->processed, 46);
        assert_int_equal(cluster_next_death(c, now), SJ_NEVER);
        cluster_take_letter(c, arena, capture("event-worker-online"), now, NULL, NULL, &why);
        assert_true(cluster_is_alive(node, now));
        cluster_free(c);
}

static void an_earlier_event_does_not_undo_a_later_one(void **state)
{
        (void)state;
        cluster *c = fresh();
        hear(c,
             "{\"type\": \"task-succeeded\", \"hostname\": \"w\", \"uuid\": \"a\", \"clock\": 9, "
             "\"timestamp\": 9.5, \"result\": \"3\", \"runtime\": 0.5}",
             1);
        hear(c,
             "{\"type\": \"task-received\", \"hostname\": \"v\", \"uuid\": \"a\", \"clock\": 7, "
             "\"timestamp\": 8.5, \"name\": \"add\"}",
             2);
        hear(c,
             "{\"type\": \"task-sent\", \"hostname\": \"gen1@x\", \"uuid\": \"a\", "
             "\"clock\": 99, \"timestamp\": 8.0, \"args\": \"(1, 2)\"}",
             2);
        const cluster_task *t = task(c, "a");
        assert_string_equal(t->state, "SUCCESS");
        assert_string_equal(t->node, "w");
        assert_string_equal(t->name, "add");
        assert_string_equal(t->args, "(1, 2)");
        assert_true(t->received == 8.5 && t->sent == 8.0 && t->ended == 9.5);
        assert_int_equal(cluster_count_nodes(c), 2); /* who sends is none */
        cluster_free(c);
}

static void the_task_that_was_heard_of_longest_ago_is_forgotten(void **state)
{
        (void)state;
        cluster *c = fresh();
        char text[200];
        for (int i = 0; i < CLUSTER_TASKS_MAX + 1; i++) {
                snprintf(text, sizeof(text),
                         "{\"type\": \"task-received\", \"hostname\": \"w\", \"uuid\": \"t%d\", "
                         "\"clock\": %d}",
                         i, i);
                assert_int_equal(hear(c, text, 1), 0);
                if (i == CLUSTER_TASKS_MAX - 1) /* the first is heard of again */
                        hear(c,
                             "{\"type\": \"task-started\", \"hostname\": \"w\", \"uuid\": "
                             "\"t0\", \"clock\": 99999}",
                             1);
                sj_arena_reset(arena);
        }
        assert_int_equal(cluster_count_tasks(c), CLUSTER_TASKS_MAX);
        assert_non_null(task(c, "t0"));
        assert_null(task(c, "t1"));
        assert_string_equal(cluster_next_task(c, NULL)->id, "t10000");
        cluster_free(c);
}

static void what_makes_no_sense_is_refused_or_left_out(void **state)
{
        (void)state;
        static const char *const bad[] = {
                "3",
                "[]",
                "{}",
                "{\"type\": 3, \"hostname\": \"w\"}",
                "{\"type\": \"worker-online\"}",
                "{\"type\": \"task-sent\", \"hostname\": \"w\"}",
                "{\"type\": \"task-sent\", \"hostname\": \"w\", \"uuid\": 7}",
        };
        cluster *c = fresh();
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_int_equal(hear(c, bad[i], 1), -EBADMSG);
        assert_int_equal(cluster_count_nodes(c) + cluster_count_tasks(c), 0);
        assert_int_equal(hear(c,
                              "{\"type\": \"worker-heartbeat\", \"hostname\": \"w\", \"freq\": "
                              "-1, \"active\": \"x\", \"processed\": -4, \"loadavg\": [1, {}]}",
                              1),
                         0);
        const cluster_node *node = cluster_next_node(c, NULL);
        assert_true(node->freq == 2.0 && node->active == 0 && node->processed == 0);
        hear(c, "{\"type\": \"worker-heartbeat\", \"hostname\": \"w\", \"freq\": 1e300}", 1);
        assert_true(node->freq == 2.0);
        cluster_free(c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(captures_are_understood),
                cmocka_unit_test(a_worker_is_alive_for_two_of_its_heartbeats),
                cmocka_unit_test(an_earlier_event_does_not_undo_a_later_one),
                cmocka_unit_test(the_task_that_was_heard_of_longest_ago_is_forgotten),
                cmocka_unit_test(what_makes_no_sense_is_refused_or_left_out),
        };
        return cmocka_run_group_tests(tests, arena_unit_begin, arena_unit_end);
}
