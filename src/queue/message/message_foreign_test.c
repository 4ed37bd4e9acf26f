/* SPDX-License-Identifier: MIT */
/*
 * Celery's messages that are no tasks: remote control and its replies, and events. They are JSON
 * like all others; one that has strayed into a queue of tasks is refused for what it is.
 */
#include "queue/message/message.h"

#include "base/base64.h"
#include "base/unit.h"
#include "queue/queue_testdata.h"

#include <stdio.h>

typedef void check_fn(sj_arena *arena, sj_str line);

/* How many lines the file has, each given to the function. */
static unsigned for_each_line(check_fn *check)
{
        FILE *f = fopen(QUEUE_TESTDATA "/not-tasks.lines", "rb");
        assert_non_null(f);
        static char line[1 << 16];
        unsigned n = 0;
        for (; fgets(line, sizeof(line), f); n++) {
                sj_arena *arena = NULL;
                assert_int_equal(sj_arena_new(&arena), 0);
                size_t length = strcspn(line, "\n");
                assert_int_equal(line[length], '\n');
                check(arena, (sj_str){line, length});
                sj_arena_free(arena);
        }
        fclose(f);
        return n;
}

/* Passed on it is the same text, and written anew from its values it is the same value. */
static void comes_back(sj_arena *arena, sj_str text)
{
        const sj_json *v = NULL;
        sj_json_error why;
        if (sj_json_parse(arena, text, SJ_JSON_PYTHON, &v, &why) < 0)
                fail_msg("%.*s: %s", SJ_STR_ARG(text), why.reason);
        sj_str pretty, again;
        const sj_json *copy = NULL;
        assert_int_equal(sj_json_text(arena, v, SJ_JSON_PYTHON | SJ_JSON_PRETTY, &pretty), 0);
        assert_int_equal(sj_json_parse(arena, pretty, SJ_JSON_PYTHON, &copy, NULL), 0);
        assert_true(sj_json_equal(v, copy));
        assert_int_equal(sj_json_text(arena, v, SJ_JSON_PYTHON, &again), 0);
        assert_true(sj_str_equal(text, again));
}

static void envelope_and_body_come_back(sj_arena *arena, sj_str line)
{
        comes_back(arena, line);
        const sj_json *envelope = NULL;
        assert_int_equal(sj_json_parse(arena, line, 0, &envelope, NULL), 0);
        sj_str body, encoding = {0};
        assert_int_equal(sj_json_string(sj_json_member(envelope, "body"), &body), 0);
        sj_json_string(sj_json_member(sj_json_member(envelope, "properties"), "body_encoding"),
                       &encoding);
        if (!sj_str_equal(encoding, SJ_STR("base64"))) {
                comes_back(arena, body);
                return;
        }
        char *bytes = sj_arena_alloc(arena, base64_decoded_room(body.n));
        size_t n;
        assert_non_null(bytes);
        assert_int_equal(base64_decode(body, bytes, &n), 0);
        comes_back(arena, (sj_str){bytes, n});
}

static void no_task(sj_arena *arena, sj_str line)
{
        message m;
        message_error error;
        assert_int_equal(message_decode(arena, line, &m, &error), -EBADMSG);
        if (error.defect != MESSAGE_HEADER && error.defect != MESSAGE_BODY)
                fail_msg("%s: %.*s", error.text, SJ_STR_ARG(line));
}

static void control_and_events_are_read(void **state)
{
        (void)state;
        assert_int_equal(for_each_line(envelope_and_body_come_back), 80);
}

static void control_and_events_are_not_taken_for_tasks(void **state)
{
        (void)state;
        assert_int_equal(for_each_line(no_task), 80);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(control_and_events_are_read),
                cmocka_unit_test(control_and_events_are_not_taken_for_tasks),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
