/* SPDX-License-Identifier: MIT */
/* The tasks that every worker has. */
#include "base/unit.h"
#include "queue/task/task.h"

SJ_TASK(add, int64_t, (int64_t, a), (int64_t, b))
{
        *ret = a + b;
        return 0;
}

SJ_TASK(echo, const sj_json *, (const sj_json *, x))
{
        *ret = x;
        return 0;
}

SJ_TASK(again, void, (const sj_json *, x))
{
        (void)x;
        return sj_retry(self, NULL);
}

SJ_TASK(elsewhere, void, (const sj_json *, x))
{
        (void)x;
        return sj_ignore(self);
}

static sj_arena *arena;
static task_registry *registry;
static bool cancelled;

static int begin(void **state)
{
        (void)state;
        char error[200];
        return sj_arena_new(&arena) < 0 ? -1 : task_registry_new(&registry, error, sizeof(error));
}

static int end(void **state)
{
        (void)state;
        task_registry_free(registry);
        sj_arena_free(arena);
        return 0;
}

static const sj_json *parse(const char *text)
{
        const sj_json *v = NULL;
        assert_int_equal(sj_json_parse(arena, sj_str_of(text), SJ_JSON_PYTHON, &v, NULL), 0);
        return v;
}

static bool is_cancelled(void *arg)
{
        (void)arg;
        return cancelled;
}

static task_return run(const char *name, const char *args, const char *kwargs)
{
        const task_host host = {.cancelled = is_cancelled};
        sj_task_request request = {.id = "i", .name = name, .deadline = SJ_NEVER};
        task_return r;
        assert_int_equal(task_run_named(registry, sj_str_of(name), &request, &host, parse(args),
                                        parse(kwargs), arena, &r),
                         0);
        return r;
}

static void assert_value(task_return r, const char *expected)
{
        assert_int_equal(r.end, TASK_SUCCEEDED);
        if (!sj_str_equal(r.value, sj_str_of(expected)))
                fail_msg("%.*s is not %s", SJ_STR_ARG(r.value), expected);
}

static void assert_failure(task_return r, const char *type)
{
        assert_int_equal(r.end, TASK_FAILED);
        if (!sj_str_equal(r.type, sj_str_of(type)))
                fail_msg("%.*s is not %s", SJ_STR_ARG(r.type), type);
}

#define OF(task) "{\"task\": {\"task\": \"" task "\", \"args\": [], \"kwargs\": {}}, \"it\": "

static void map_calls_a_task_for_each_item(void **state)
{
        (void)state;
        assert_value(run("celery.map", "[]", OF("echo") "[1, [2], null]}"), "[1,[2],null]");
        assert_value(run("celery.map", "[]", OF("echo") "[]}"), "[]");
        assert_value(run("celery.starmap", "[]", OF("add") "[[1, 2], [3, 4]]}"), "[3,7]");
        assert_value(run("celery.map", "[{\"task\": \"echo\"}, [5]]", "{}"), "[5]");
}

static void the_first_item_that_fails_is_the_failure_of_all(void **state)
{
        (void)state;
        assert_failure(run("celery.starmap", "[]", OF("add") "[[1, 2], [3]]}"), "TypeError");
        assert_failure(run("celery.starmap", "[]", OF("add") "[[1, 2], 3]}"), "TypeError");
        assert_failure(run("celery.map", "[]", OF("again") "[1]}"), "Retry");
        assert_failure(run("celery.map", "[]", OF("elsewhere") "[1]}"), "RuntimeError");
        assert_failure(run("celery.map", "[]", OF("nobody") "[1]}"), "NotRegistered");
        assert_failure(run("celery.map", "[]", "{}"), "TypeError");
        assert_failure(run("celery.map", "[]", OF("echo") "5}"), "TypeError");
}

static void it_can_be_ended_between_two_items(void **state)
{
        (void)state;
        cancelled = true;
        assert_failure(run("celery.map", "[]", OF("echo") "[1]}"), "TaskRevokedError");
        cancelled = false;
}

static void accumulate_gives_back_its_arguments(void **state)
{
        (void)state;
        assert_value(run("celery.accumulate", "[1, [2]]", "{}"), "[1, [2]]");
        assert_value(run("celery.accumulate", "[[2, 3]]", "{\"index\": 0}"), "[2, 3]");
        assert_value(run("celery.accumulate", "[1, 2]", "{\"index\": -1}"), "2");
        assert_failure(run("celery.accumulate", "[1]", "{\"index\": 1}"), "IndexError");
        assert_failure(run("celery.accumulate", "[1]", "{\"index\": -2}"), "IndexError");
        assert_failure(run("celery.accumulate", "[1]", "{\"index\": \"0\"}"), "TypeError");
}

static void composites_are_replaced_by_what_they_name(void **state)
{
        (void)state;
        task_return r = run("celery.chunks", "[{\"task\": \"add\"}, [1, 2, 3, 4, 5], 2]", "{}");
        assert_int_equal(r.end, TASK_REPLACED);
        const sj_json *group = parse(r.value.data);
        const sj_json *tasks = sj_json_member(sj_json_member(group, "kwargs"), "tasks");
        assert_int_equal(sj_json_count(tasks), 3);
        const sj_json *last = sj_json_at(tasks, 2);
        assert_int_equal(sj_json_count(sj_json_member(sj_json_member(last, "kwargs"), "it")), 1);
        assert_int_equal(run("celery.group", "[[{\"task\": \"add\"}]]", "{}").end, TASK_REPLACED);
        assert_int_equal(run("celery.chain", "[]", "{\"tasks\": [{\"task\": \"add\"}]}").end,
                         TASK_REPLACED);
        assert_int_equal(run("celery.chord", "[]", "{\"header\": [], \"body\": {}}").end,
                         TASK_REPLACED);
        assert_failure(run("celery.chunks", "[{\"task\": \"add\"}, [1], 0]", "{}"), "TypeError");
        assert_failure(run("celery.group", "[]", "{}"), "TypeError");
        assert_failure(run("celery.chain", "[]", "{\"tasks\": 1}"), "TypeError");
        assert_failure(run("celery.chord", "[]", "{\"header\": []}"), "TypeError");
}

static void what_is_of_no_use_here_says_so(void **state)
{
        (void)state;
        assert_value(run("celery.backend_cleanup", "[]", "{}"), "null");
        assert_failure(run("celery.chord_unlock", "[\"g\", {}]", "{}"), "NotImplementedError");
        assert_failure(run("celery.nothing", "[]", "{}"), "NotRegistered");
        assert_null(task_builtin_find(SJ_STR("celery.nothing")));
        assert_non_null(task_builtin_find(SJ_STR("celery.map")));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(map_calls_a_task_for_each_item),
                cmocka_unit_test(the_first_item_that_fails_is_the_failure_of_all),
                cmocka_unit_test(it_can_be_ended_between_two_items),
                cmocka_unit_test(accumulate_gives_back_its_arguments),
                cmocka_unit_test(composites_are_replaced_by_what_they_name),
                cmocka_unit_test(what_is_of_no_use_here_says_so),
        };
        return cmocka_run_group_tests(tests, begin, end);
}
