/* SPDX-License-Identifier: MIT */
/* From a signature to the message that it is sent as. */
#include "queue/message/message_unit.h"

static message from(const char *signature, const char *partial)
{
        const sj_json *value = partial ? parse(sj_str_of(partial)) : NULL;
        message m;
        message_error error;
        int r = message_from_signature(arena, parse(sj_str_of(signature)), &value, partial ? 1 : 0,
                                       SJ_STR("root"), SJ_STR("parent"), (sj_wall){1000000}, &m,
                                       &error);
        if (r < 0)
                fail_msg("%d: %s", r, error.text);
        return m;
}

static void a_signature_becomes_a_message(void **state)
{
        (void)state;
        message m = from("{\"task\": \"mul\", \"args\": [8], \"kwargs\": {}, \"options\": "
                         "{\"task_id\": \"the-id\", \"reply_to\": \"r\", \"priority\": null, "
                         "\"chord\": null, \"countdown\": 2, \"expires\": 3.5, \"time_limit\": 9, "
                         "\"queue\": \"q\", \"link\": {\"task\": \"one\"}, "
                         "\"headers\": {\"x\": 1}}, \"subtask_type\": null, \"immutable\": false}",
                         "4");
        assert_text(m.task, "mul");
        assert_text(m.id, "the-id");
        assert_text(m.root_id, "root");
        assert_text(m.parent_id, "parent");
        assert_text(m.reply_to, "r");
        assert_text(m.routing_key, "q");
        assert_true(m.eta.us == 3000000 && m.expires.us == 4500000 && m.time_limit == 9);
        assert_int_equal(sj_json_count(m.callbacks), 1);
        assert_null(m.chord);
        message sent = decode(encode(&m));
        assert_text(sent.argsrepr, "(4, 8)");
        assert_non_null(sj_json_member(sent.headers, "x"));
}

static void an_immutable_signature_keeps_its_own_arguments(void **state)
{
        (void)state;
        message m = from("{\"task\": \"mul\", \"args\": [8], \"kwargs\": {}, \"options\": {}, "
                         "\"immutable\": true}",
                         "4");
        assert_int_equal(sj_json_count(m.args), 1);
        assert_int_equal(m.id.n, 36);
}

static void a_signature_names_its_queue_or_its_routing_key(void **state)
{
        (void)state;
        assert_text(
                from("{\"task\": \"t\", \"options\": {\"routing_key\": \"r\"}}", NULL).routing_key,
                "r");
        assert_text(from("{\"task\": \"t\", \"options\": {\"routing_key\": \"r\", "
                         "\"queue\": \"q\"}}",
                         NULL)
                            .routing_key,
                    "q");
        assert_int_equal(from("{\"task\": \"t\"}", NULL).routing_key.n, 0);
}

static void a_signature_that_is_none_is_refused(void **state)
{
        (void)state;
        static const char *const bad[] = {
                "3",
                "{}",
                "{\"task\": 3}",
                "{\"task\": \"t\", \"args\": 3}",
                "{\"task\": \"t\", \"kwargs\": []}",
                "{\"task\": \"t\", \"options\": {\"eta\": \"soon\"}}",
                "{\"task\": \"t\", \"options\": {\"countdown\": -1}}",
                "{\"task\": \"t\", \"options\": {\"priority\": \"high\"}}"};
        message m;
        message_error error;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_int_equal(message_from_signature(arena, parse(sj_str_of(bad[i])), NULL, 0,
                                                        SJ_STR(""), SJ_STR(""), (sj_wall){1}, &m,
                                                        &error),
                                 -EBADMSG);
        assert_int_equal(message_from_signature(
                                 arena,
                                 parse(SJ_STR("{\"task\": \"celery.group\", \"subtask_type\": "
                                              "\"group\"}")),
                                 NULL, 0, SJ_STR(""), SJ_STR(""), (sj_wall){1}, &m, &error),
                         -EOPNOTSUPP);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_signature_becomes_a_message),
                cmocka_unit_test(an_immutable_signature_keeps_its_own_arguments),
                cmocka_unit_test(a_signature_names_its_queue_or_its_routing_key),
                cmocka_unit_test(a_signature_that_is_none_is_refused),
        };
        return cmocka_run_group_tests(tests, arena_unit_begin, arena_unit_end);
}
