/* SPDX-License-Identifier: MIT */
/* Results: Celery's own are read; ours are as Celery's. */
#include "queue/result.h"

#include "queue/message/message_unit.h"

#include <stdio.h>
#include <stdlib.h>

static sj_outcome read_golden(const char *name)
{
        sj_str text = read_file(name), status;
        sj_outcome o;
        assert_int_equal(sj_json_string(sj_json_member(parse(text), "status"), &status), 0);
        assert_int_equal(result_decode(arena, status, text, &o), 0);
        return o;
}

static void celerys_results_are_read(void **state)
{
        (void)state;
        int64_t value;
        sj_outcome o = read_golden("result-success.json");
        assert_int_equal(o.state, SJ_SUCCESS);
        assert_int_equal(sj_json_int(o.value, &value), 0);
        assert_int_equal(value, 5);
        assert_true(o.done.us > 0);
        o = read_golden("result-failure.json");
        assert_int_equal(o.state, SJ_FAILURE);
        assert_null(o.value);
        assert_string_equal(o.error.type, "ValueError");
        assert_string_equal(o.error.module, "builtins");
        assert_string_equal(o.error.message, "[\"bang\", 42]");
        assert_non_null(strstr(o.error.traceback, "ValueError: ('bang', 42)"));
        o = read_golden("result-retry.json");
        assert_int_equal(o.state, SJ_RETRY);
        assert_string_equal(o.error.message, "try again");
        assert_int_equal(o.done.us, 0);
        o = read_golden("result-revoked.json");
        assert_int_equal(o.state, SJ_REVOKED);
        assert_string_equal(o.error.type, "TaskRevokedError");
        assert_null(o.error.traceback);
        o = read_golden("result-started.json");
        assert_int_equal(o.state, SJ_STARTED);
        o = read_golden("result-progress.json");
        assert_int_equal(o.state, SJ_CUSTOM);
        assert_string_equal(o.state_name, "PROGRESS");
        assert_int_equal(sj_json_count(o.value), 2);
}

static void assert_encoded(const result_meta *meta, const char *expected)
{
        sj_str text;
        assert_int_equal(result_encode(arena, meta, &text), 0);
        assert_string_equal(text.data, expected);
}

static void results_are_written_as_celery_does(void **state)
{
        (void)state;
        assert_encoded(&(result_meta){.id = SJ_STR("i"),
                                      .state = SJ_STR("SUCCESS"),
                                      .value = SJ_STR("[1, NaN]"),
                                      .done = {1893553445000001}},
                       "{\"status\": \"SUCCESS\", \"result\": [1, NaN], \"traceback\": null, "
                       "\"children\": [], \"date_done\": \"2030-01-02T03:04:05.000001+00:00\", "
                       "\"task_id\": \"i\"}");
        assert_encoded(&(result_meta){.id = SJ_STR("i"),
                                      .state = SJ_STR("FAILURE"),
                                      .error_type = SJ_STR("ValueError"),
                                      .error_module = SJ_STR("builtins"),
                                      .error_args = SJ_STR("[\"bang\", 42]"),
                                      .traceback = SJ_STR("at a.c:3"),
                                      .group = SJ_STR("g"),
                                      .parent = SJ_STR("p")},
                       "{\"status\": \"FAILURE\", \"result\": {\"exc_type\": \"ValueError\", "
                       "\"exc_message\": [\"bang\", 42], \"exc_module\": \"builtins\"}, "
                       "\"traceback\": \"at a.c:3\", \"children\": [], \"date_done\": null, "
                       "\"group_id\": \"g\", \"parent_id\": \"p\", \"task_id\": \"i\"}");
}

static void what_a_broker_stores_by_itself_can_be_read(void **state)
{
        (void)state;
        sj_str text;
        sj_outcome o;
        assert_int_equal(result_revoked(arena, SJ_STR("i"), "purged", (sj_wall){7}, &text), 0);
        assert_int_equal(result_decode(arena, SJ_STR("REVOKED"), text, &o), 0);
        assert_string_equal(o.error.type, "TaskRevokedError");
        assert_string_equal(o.error.module, "celery.exceptions");
        assert_string_equal(o.error.message, "purged");
        assert_int_equal(o.done.us, 7);
        assert_int_equal(result_dead(arena, SJ_STR("i"), "lost", (sj_wall){7}, &text), 0);
        assert_int_equal(result_decode(arena, SJ_STR("FAILURE"), text, &o), 0);
        assert_string_equal(o.error.message, "lost");
}

static void what_is_pending_has_no_value(void **state)
{
        (void)state;
        sj_outcome o;
        assert_int_equal(result_decode(arena, SJ_STR("PENDING"), SJ_STR(""), &o), 0);
        assert_int_equal(o.state, SJ_PENDING);
        assert_null(o.value);
        assert_string_equal(o.error.type, "");
}

static void what_is_stored_and_is_no_result_is_refused(void **state)
{
        (void)state;
        sj_outcome o;
        assert_int_equal(result_decode(arena, SJ_STR("SUCCESS"), SJ_STR("{"), &o), -EBADMSG);
        assert_int_equal(result_decode(arena, SJ_STR("SUCCESS"), SJ_STR("[]"), &o), -EBADMSG);
        /* An odd error is still an error. */
        assert_int_equal(result_decode(arena, SJ_STR("FAILURE"), SJ_STR("{\"result\": 3}"), &o), 0);
        assert_string_equal(o.error.type, "Exception");
        assert_string_equal(o.error.message, "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(celerys_results_are_read),
                cmocka_unit_test(results_are_written_as_celery_does),
                cmocka_unit_test(what_a_broker_stores_by_itself_can_be_read),
                cmocka_unit_test(what_is_pending_has_no_value),
                cmocka_unit_test(what_is_stored_and_is_no_result_is_refused),
        };
        return cmocka_run_group_tests(tests, arena_unit_begin, arena_unit_end);
}
