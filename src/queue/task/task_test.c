/* SPDX-License-Identifier: MIT */
/* Tasks: the macros, binding as Python does it, what bodies say, the registry, the manifest. */
#include "queue/task/task.h"

#include "base/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ── The tasks ───────────────────────────────────────────────────────────────────────────── */

SJ_TASK(multiply, int64_t, (int64_t, a), (int64_t, b))
{
        *ret = a * b;
        return 0;
}
SJ_TASK_OPTIONS(multiply, .name = "proj.tasks.multiply", .rate_limit = "10/m", .max_retries = 5,
                .retry_backoff = 60, .time_limit = 30);

SJ_TASK(half, double, (double, x))
{
        *ret = x / 2;
        return 0;
}

SJ_TASK(negate, bool, (bool, x))
{
        *ret = !x;
        return 0;
}

SJ_TASK(greet, const char *, (const char *, name))
{
        static char text[64];
        snprintf(text, sizeof(text), "hello, %s", name);
        *ret = text;
        return 0;
}

SJ_TASK(echo, const sj_json *, (const sj_json *, value))
{
        *ret = value;
        return 0;
}

static int ticks;
SJ_TASK(tick, void)
{
        ticks++;
        return 0;
}
SJ_TASK_OPTIONS(tick, .retry_jitter = SJ_OFF, .max_retries = SJ_NO_RETRIES);

SJ_TASK(eight, const char *, (int64_t, a), (bool, b), (double, c), (const char *, d),
        (const sj_json *, e), (int64_t, f), (int64_t, g), (int64_t, h))
{
        static char text[64];
        snprintf(text, sizeof(text), "%d %d %g %s %s %d %d %d", (int)a, b, c, d,
                 sj_json_type_name(e), (int)f, (int)g, (int)h);
        *ret = text;
        return 0;
}

/* As a header would declare it for other programs, and this one defines it. */
SJ_TASK_DECLARE(declared, int64_t, (int64_t, a));
SJ_TASK_OPTIONS(declared, .name = "declared.first", .queue = "q");
SJ_TASK_DEFINE(declared, int64_t, (int64_t, a))
{
        *ret = a + 1;
        return 0;
}

SJ_TASK(gateway, void, (const char *, how))
{
        if (strcmp(how, "raise") == 0)
                return sj_raise(self, "GatewayError", "status %d", 502);
        if (strcmp(how, "qualified") == 0)
                return sj_raise(self, "shop.errors.Full", "%s", "");
        if (strcmp(how, "builtin") == 0)
                return sj_raise(self, "ValueError", "bad \xff bytes");
        if (strcmp(how, "errno") == 0)
                return -ENOENT;
        if (strcmp(how, "retry") == 0)
                return sj_retry(self, NULL);
        if (strcmp(how, "cause") == 0) {
                sj_raise(self, "GatewayError", "once more");
                return sj_retry(self, &(sj_retry_options){.countdown = 2.5, .max_retries = 7});
        }
        if (strcmp(how, "named cause") == 0)
                return sj_retry(self,
                                &(sj_retry_options){.exc_type = "OSError", .exc_message = "slow"});
        if (strcmp(how, "no retry") == 0) {
                sj_retry(self, NULL);
                return sj_raise(self, "GatewayError", "given up");
        }
        sj_raise(self, "Unused", "raised, and thought better of");
        return 0;
}

SJ_TASK(report, int64_t)
{
        *ret = sj_task_cancelled(self);
        int r = sj_task_progress(self, "PROGRESS", "{\"done\": 1}");
        if (r < 0)
                return r;
        if (sj_task_progress(self, "SUCCESS", NULL) != -EINVAL ||
            sj_task_progress(self, "PROGRESS", "{") != -EINVAL)
                return -EPROTO;
        return 0;
}

SJ_TASK(bad_text, const char *)
{
        *ret = "\xff";
        return 0;
}

SJ_TASK(slow, void)
{
        return -ECANCELED;
}

/* ── Running them ────────────────────────────────────────────────────────────────────────── */

static sj_arena *arena;
static task_registry *registry;

static int begin(void **state)
{
        (void)state;
        char error[256];
        int r = sj_arena_new(&arena);
        return r < 0 ? r : task_registry_new(&registry, error, sizeof(error));
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
        if (sj_json_parse(arena, sj_str_of(text), SJ_JSON_PYTHON, &v, NULL) < 0)
                fail_msg("%s", text);
        return v;
}

static task_return run_with(const char *name, const char *args, const char *kwargs,
                            const task_host *host, sj_time deadline)
{
        const sj_task *task = task_registry_find(registry, sj_str_of(name), NULL);
        if (!task)
                fail_msg("no task %s", name);
        sj_task_request request = {.id = "i", .name = name, .deadline = deadline};
        task_return r;
        assert_int_equal(task_run(task, &request, host, parse(args), parse(kwargs), arena, &r), 0);
        return r;
}

static task_return run(const char *name, const char *args, const char *kwargs)
{
        return run_with(name, args, kwargs, NULL, SJ_NEVER);
}

static void assert_text(sj_str text, const char *expected)
{
        if (!sj_str_equal(text, sj_str_of(expected)))
                fail_msg("'%.*s' is not '%s'", SJ_STR_ARG(text), expected);
}

static void assert_returns(const char *name, const char *args, const char *kwargs,
                           const char *expected)
{
        task_return r = run(name, args, kwargs);
        if (r.end != TASK_SUCCEEDED)
                fail_msg("%s: %.*s: %.*s", name, SJ_STR_ARG(r.type), SJ_STR_ARG(r.args));
        assert_text(r.value, expected);
}

static void assert_raises(const char *name, const char *args, const char *kwargs, const char *type,
                          const char *message)
{
        task_return r = run(name, args, kwargs);
        assert_int_equal(r.end, TASK_FAILED);
        assert_text(r.type, type);
        assert_text(r.args, message);
}

static void a_body_is_a_function(void **state)
{
        (void)state;
        int64_t product;
        assert_int_equal(multiply(NULL, &product, 6, 7), 0);
        assert_int_equal(product, 42);
        ticks = 0;
        assert_int_equal(tick(NULL, NULL), 0);
        assert_int_equal(ticks, 1);
        assert_true(gateway(NULL, NULL, "raise") < 0);
}

static void every_type_of_argument_and_result_passes(void **state)
{
        (void)state;
        assert_returns("proj.tasks.multiply", "[6, 7]", "{}", "42");
        assert_returns("proj.tasks.multiply", "[-9223372036854775808, 1]", "{}",
                       "-9223372036854775808");
        assert_returns("half", "[3]", "{}", "1.5");
        assert_returns("half", "[NaN]", "{}", "NaN");
        assert_returns("negate", "[true]", "{}", "false");
        /* To Python they are the numbers 1 and 0. */
        assert_returns("proj.tasks.multiply", "[true, 7]", "{}", "7");
        assert_returns("proj.tasks.multiply", "[false, 7]", "{}", "0");
        assert_returns("half", "[true]", "{}", "0.5");
        assert_returns("greet", "[\"w\\u00f6rld\"]", "{}", "\"hello, w\xc3\xb6rld\"");
        assert_returns("echo", "[[1, {\"a\": 123456789012345678901234567890}]]", "{}",
                       "[1, {\"a\": 123456789012345678901234567890}]");
        assert_returns("echo", "[null]", "{}", "null");
        assert_returns("tick", "[]", "{}", "null");
        assert_returns("eight", "[1, true, 2.5, \"s\", [], 6, 7, 8]", "{}",
                       "\"1 1 2.5 s array 6 7 8\"");
        assert_returns("declared.first", "[1]", "{}", "2");
}

static void keywords_are_bound_as_python_does(void **state)
{
        (void)state;
        assert_returns("proj.tasks.multiply", "[]", "{\"b\": 2, \"a\": 3}", "6");
        assert_returns("proj.tasks.multiply", "[5]", "{\"b\": 2}", "10");
        assert_raises("proj.tasks.multiply", "[]", "{}", "TypeError",
                      "[\"multiply() missing 2 required positional arguments: 'a' and 'b'\"]");
        assert_raises("proj.tasks.multiply", "[1]", "{}", "TypeError",
                      "[\"multiply() missing 1 required positional argument: 'b'\"]");
        assert_raises("eight", "[1, true, 2.5, \"s\"]", "{\"f\": 1}", "TypeError",
                      "[\"eight() missing 3 required positional arguments: 'e', 'g', and 'h'\"]");
        assert_raises("proj.tasks.multiply", "[1, 2, 3]", "{}", "TypeError",
                      "[\"multiply() takes 2 positional arguments but 3 were given\"]");
        assert_raises("tick", "[1]", "{}", "TypeError",
                      "[\"tick() takes 0 positional arguments but 1 was given\"]");
        assert_raises("half", "[1, 2]", "{}", "TypeError",
                      "[\"half() takes 1 positional argument but 2 were given\"]");
        assert_raises("proj.tasks.multiply", "[1, 2]", "{\"c\": 3}", "TypeError",
                      "[\"multiply() got an unexpected keyword argument 'c'\"]");
        assert_raises("proj.tasks.multiply", "[1, 2]", "{\"a\": 3}", "TypeError",
                      "[\"multiply() got multiple values for argument 'a'\"]");
}

static void wrong_types_are_clear_failures(void **state)
{
        (void)state;
        assert_raises("proj.tasks.multiply", "[1, \"2\"]", "{}", "TypeError",
                      "[\"multiply() argument 'b' must be an integer, not string\"]");
        assert_raises("proj.tasks.multiply", "[1, 2.5]", "{}", "TypeError",
                      "[\"multiply() argument 'b' must be an integer, not number\"]");
        assert_raises("proj.tasks.multiply", "[1, null]", "{}", "TypeError",
                      "[\"multiply() argument 'b' must be an integer, not null\"]");
        assert_raises("negate", "[1]", "{}", "TypeError",
                      "[\"negate() argument 'x' must be a boolean, not integer\"]");
        assert_raises("proj.tasks.multiply", "[1, 123456789012345678901]", "{}", "OverflowError",
                      "[\"multiply() argument 'b' does not fit into 64 bits\"]");
        assert_raises("half", "[null]", "{}", "TypeError",
                      "[\"half() argument 'x' must be a number, not null\"]");
        assert_raises("negate", "[1]", "{}", "TypeError",
                      "[\"negate() argument 'x' must be a boolean, not integer\"]");
        assert_raises("greet", "[null]", "{}", "TypeError",
                      "[\"greet() argument 'name' must be a string, not null\"]");
        assert_raises("greet", "[\"a\\u0000b\"]", "{}", "ValueError",
                      "[\"greet() argument 'name': embedded null character\"]");
        task_return r = run("greet", "[3]", "{}");
        assert_text(r.module, "builtins");
        assert_raises("bad_text", "[]", "{}", "ValueError",
                      "[\"bad_text() returned text that is not UTF-8\"]");
}

static void what_a_body_raises_is_kept(void **state)
{
        (void)state;
        task_return r = run("gateway", "[\"raise\"]", "{}");
        assert_int_equal(r.end, TASK_FAILED);
        assert_text(r.type, "GatewayError");
        assert_text(r.module, "sanjab");
        assert_text(r.args, "[\"status 502\"]");
        assert_non_null(strstr(r.traceback.data, "in gateway\nGatewayError: status 502\n"));
        assert_non_null(strstr(r.traceback.data, "task_test.c\", line "));
        r = run("gateway", "[\"qualified\"]", "{}");
        assert_text(r.module, "shop.errors");
        assert_text(r.type, "Full");
        r = run("gateway", "[\"builtin\"]", "{}");
        assert_text(r.module, "builtins");
        assert_text(r.args, "[\"bad ? bytes\"]");
        r = run("gateway", "[\"errno\"]", "{}");
        assert_text(r.type, "OSError");
        assert_memory_equal(r.args.data, "[2,", 3);
}

static void what_is_returned_decides_not_what_was_raised(void **state)
{
        (void)state;
        assert_int_equal(run("gateway", "[\"\"]", "{}").end, TASK_SUCCEEDED);
}

static void a_body_may_ask_for_another_run(void **state)
{
        (void)state;
        task_return r = run("gateway", "[\"retry\"]", "{}");
        assert_int_equal(r.end, TASK_RETRIED);
        assert_int_equal(r.type.n, 0);
        assert_true(r.countdown < 0);
        r = run("gateway", "[\"cause\"]", "{}");
        assert_int_equal(r.end, TASK_RETRIED);
        assert_text(r.type, "GatewayError");
        assert_true(r.countdown == 2.5);
        assert_int_equal(r.max_retries, 7);
        r = run("gateway", "[\"no retry\"]", "{}");
        assert_int_equal(r.end, TASK_FAILED);
        r = run("gateway", "[\"named cause\"]", "{}");
        assert_text(r.type, "OSError");
        assert_text(r.args, "[\"slow\"]");
}

static bool always(void *arg)
{
        return *(bool *)arg;
}

static char noted[64];

static int note(void *arg, sj_str state, sj_str meta)
{
        (void)arg;
        snprintf(noted, sizeof(noted), "%.*s %.*s", SJ_STR_ARG(state), SJ_STR_ARG(meta));
        return 0;
}

static void a_body_learns_of_its_end_and_tells_of_its_progress(void **state)
{
        (void)state;
        bool cancelled = false;
        task_host host = {.arg = &cancelled, .cancelled = always, .progress = note};
        assert_text(run_with("report", "[]", "{}", &host, SJ_NEVER).value, "0");
        assert_string_equal(noted, "PROGRESS {\"done\": 1}");
        cancelled = true;
        assert_text(run_with("report", "[]", "{}", &host, SJ_NEVER).value, "1");
        cancelled = false;
        assert_text(run_with("report", "[]", "{}", &host, SJ_POLL).value, "1");
        assert_text(run_with("report", "[]", "{}", NULL, SJ_NEVER).value, "0");
}

static void past_its_soft_limit_a_cancelled_body_fails_as_in_celery(void **state)
{
        (void)state;
        task_return r = run_with("slow", "[]", "{}", NULL, SJ_POLL);
        assert_text(r.type, "SoftTimeLimitExceeded");
        assert_text(r.module, "billiard.exceptions");
        assert_text(r.args, "[]");
        r = run_with("slow", "[]", "{}", NULL, SJ_NEVER);
        assert_text(r.type, "OSError");
}

/* ── The registry ────────────────────────────────────────────────────────────────────────── */

static void tasks_are_found_by_their_names_on_the_wire(void **state)
{
        (void)state;
        const task_info *info = NULL;
        assert_null(task_registry_find(registry, SJ_STR("multiply"), NULL));
        assert_null(task_registry_find(registry, SJ_STR("system"), NULL));
        assert_null(task_registry_find(registry, SJ_STR(""), NULL));
        assert_non_null(task_registry_find(registry, SJ_STR("proj.tasks.multiply"), &info));
        assert_int_equal(info->max_retries, 5);
        assert_true(info->retry_backoff == 60 && info->retry_backoff_max == 600);
        assert_true(info->default_retry_delay == 180 && info->retry_jitter);
        assert_true(fabs(info->rate - 10.0 / 60) < 1e-12);
        assert_true(info->time_limit == 30);
        assert_int_equal(info->max_deliveries, SJ_MAX_DELIVERIES);
        assert_non_null(task_registry_find(registry, SJ_STR("tick"), &info));
        assert_int_equal(info->max_retries, 0);
        assert_false(info->retry_jitter);
        assert_int_equal(task_registry_count(registry), 12);
}

static sj_task task_named(const char *name, const char *where, const sj_task_options *options)
{
        return (sj_task){.abi = SJ_TASK_ABI, .c_name = name, .where = where, .options = options};
}

static void assert_registry_refuses(const sj_task *a, const sj_task *b, int expected,
                                    const char *sentence)
{
        const sj_task *tasks[] = {a, b};
        task_registry *none;
        char error[256] = "";
        assert_int_equal(task_registry_new_of(tasks, b ? 2 : 1, &none, error, sizeof(error)),
                         expected);
        assert_string_equal(error, sentence);
}

static void a_name_that_is_defined_twice_is_told_with_both_places(void **state)
{
        (void)state;
        static const sj_task_options plain, named = {.name = "add"};
        sj_task a = task_named("add", "a.c:3", &plain), b = task_named("other", "b.c:9", &named);
        assert_registry_refuses(&a, &b, -EEXIST, "task 'add' is defined twice: a.c:3 and b.c:9");
}

static void bad_options_are_told_with_their_place(void **state)
{
        (void)state;
        static const struct {
                sj_task_options options;
                const char *sentence;
        } bad[] = {
                {{.rate_limit = "10/y"},
                 "task 't' (a.c:3): the rate limit is not a number with /s, /m or /h"},
                {{.time_limit = -1}, "task 't' (a.c:3): a duration is negative or too long"},
                {{.max_retries = -3}, "task 't' (a.c:3): max_retries is negative"},
                {{.priority = 10}, "task 't' (a.c:3): the priority is not from 0 to 9"},
                {{.name = ""},
                 "task 't' (a.c:3): the name is empty, too long or has control characters"},
                {{.name = "a\nb"},
                 "task 't' (a.c:3): the name is empty, too long or has control characters"},
        };
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                sj_task t = task_named("t", "a.c:3", &bad[i].options);
                assert_registry_refuses(&t, NULL, -EINVAL, bad[i].sentence);
        }
        static const sj_task_options plain;
        sj_task old = task_named("t", "a.c:3", &plain);
        old.abi = 99;
        assert_registry_refuses(&old, NULL, -EPROTO,
                                "a task was compiled with another version of sanjab/queue.h");
}

static void rates_are_a_number_with_a_unit(void **state)
{
        (void)state;
        double rate;
        assert_int_equal(task_parse_rate(NULL, &rate), 0);
        assert_true(rate == 0);
        assert_int_equal(task_parse_rate("5", &rate), 0);
        assert_true(rate == 5);
        assert_int_equal(task_parse_rate("0.5/s", &rate), 0);
        assert_true(rate == 0.5);
        assert_int_equal(task_parse_rate("3600/h", &rate), 0);
        assert_true(rate == 1);
        static const char *const bad[] = {"/m", "ten", "-1/s", "1/d", "1 /s", "inf", "nan", "0x10"};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_int_equal(task_parse_rate(bad[i], &rate), -EINVAL);
}

static void errors_to_retry_are_named_with_or_without_module(void **state)
{
        (void)state;
        task_info info = {.autoretry = SJ_STR("OSError, shop.Full")};
        assert_true(task_autoretries(&info, "builtins", "OSError"));
        assert_true(task_autoretries(&info, "shop", "Full"));
        assert_false(task_autoretries(&info, "other", "Full"));
        assert_false(task_autoretries(&info, "builtins", "OSErr"));
        info.autoretry = SJ_STR("*");
        assert_true(task_autoretries(&info, "x", "y"));
        info.autoretry = SJ_STR("");
        assert_false(task_autoretries(&info, "x", "y"));
}

/* ── Texts between processes ─────────────────────────────────────────────────────────────── */

static void a_manifest_tells_the_controller_what_there_is(void **state)
{
        (void)state;
        sj_str text;
        task_manifest manifest;
        assert_int_equal(task_manifest_write(registry, arena, &text), 0);
        assert_int_equal(task_manifest_read(arena, text, &manifest), 0);
        assert_int_equal(manifest.n, task_registry_count(registry));
        for (size_t i = 0; i < manifest.n; i++) {
                const task_info *info = NULL;
                task_registry_at(registry, i, &info);
                const task_info *read = task_manifest_find(&manifest, info->name);
                assert_non_null(read);
                assert_true(sj_str_equal(read->where, info->where));
                assert_int_equal(read->max_retries, info->max_retries);
                assert_true(read->rate == info->rate && read->time_limit == info->time_limit);
                assert_int_equal(read->max_deliveries, info->max_deliveries);
                assert_int_equal(read->retry_jitter, info->retry_jitter);
        }
        assert_null(task_manifest_find(&manifest, SJ_STR("no such")));
        assert_int_equal(task_manifest_read(arena, SJ_STR("[{}]"), &manifest), -EBADMSG);
        assert_int_equal(task_manifest_read(arena, SJ_STR("{"), &manifest), -EBADMSG);
        assert_int_equal(task_manifest_read(arena, SJ_STR("3"), &manifest), -EBADMSG);
}

static void what_came_of_a_run_survives_the_way(void **state)
{
        (void)state;
        static const char *const ways[] = {"raise", "retry", "cause", ""};
        for (size_t i = 0; i < 4; i++) {
                char args[32];
                snprintf(args, sizeof(args), "[\"%s\"]", ways[i]);
                task_return r = run("gateway", args, "{}"), read;
                sj_str text;
                assert_int_equal(task_return_write(arena, &r, &text), 0);
                assert_int_equal(task_return_read(arena, text, &read), 0);
                assert_int_equal(read.end, r.end);
                assert_true(sj_str_equal(read.value, r.value));
                assert_true(sj_str_equal(read.type, r.type));
                assert_true(sj_str_equal(read.args, r.args));
                assert_true(sj_str_equal(read.traceback, r.traceback));
                if (r.end != TASK_SUCCEEDED)
                        assert_true(read.countdown == r.countdown);
                assert_int_equal(read.max_retries, r.max_retries);
        }
        static const char *const bad[] = {"",
                                          "{}",
                                          "{\"end\": 0}",
                                          "{\"end\": 7, \"value\": 1}",
                                          "{\"end\": 1}",
                                          "{\"end\": 1, \"type\": \"T\", \"module\": \"m\", "
                                          "\"args\": \"{\", \"traceback\": \"\", \"countdown\": "
                                          "0, \"max_retries\": 0, \"eta\": 0}"};
        task_return read;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_int_equal(task_return_read(arena, sj_str_of(bad[i]), &read), -EBADMSG);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_body_is_a_function),
                cmocka_unit_test(every_type_of_argument_and_result_passes),
                cmocka_unit_test(keywords_are_bound_as_python_does),
                cmocka_unit_test(wrong_types_are_clear_failures),
                cmocka_unit_test(what_a_body_raises_is_kept),
                cmocka_unit_test(what_is_returned_decides_not_what_was_raised),
                cmocka_unit_test(a_body_may_ask_for_another_run),
                cmocka_unit_test(a_body_learns_of_its_end_and_tells_of_its_progress),
                cmocka_unit_test(past_its_soft_limit_a_cancelled_body_fails_as_in_celery),
                cmocka_unit_test(tasks_are_found_by_their_names_on_the_wire),
                cmocka_unit_test(a_name_that_is_defined_twice_is_told_with_both_places),
                cmocka_unit_test(bad_options_are_told_with_their_place),
                cmocka_unit_test(rates_are_a_number_with_a_unit),
                cmocka_unit_test(errors_to_retry_are_named_with_or_without_module),
                cmocka_unit_test(a_manifest_tells_the_controller_what_there_is),
                cmocka_unit_test(what_came_of_a_run_survives_the_way),
        };
        return cmocka_run_group_tests(tests, begin, end);
}
