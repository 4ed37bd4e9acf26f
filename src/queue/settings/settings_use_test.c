/* SPDX-License-Identifier: MIT */
/* What becomes of settings: the options of an app and of a worker. */
#include "queue/settings/settings_unit.h"

#include "queue/message/message.h"

static void options_that_are_set_win_over_settings(void **state)
{
        (void)state;
        fixture f;
        load(&f,
             "broker_url = redis://s\nresult_backend = redis://r\nresult_expires = none\n"
             "result_extended = true\ntask_default_queue = sq\ntask_default_priority = 4\n"
             "task_serializer = msgpack\ntask_compression = zstd\ntask_send_sent_event = on\n"
             "task_canvas_form = celery\n"
             "broker_connection_timeout = 2\n"
             "[task_routes]\na.* = qa\n"
             "[task_publish_retry_policy]\nmax_retries = none\ninterval_start = 1\n"
             "interval_step = 2.5\ninterval_max = 3\n",
             NULL, 0, 0);
        sj_app_options o = {.config = NULL};
        settings_app_options(f.s, &o);
        assert_string_equal(o.broker, "redis://s");
        assert_string_equal(o.result_backend, "redis://r");
        assert_string_equal(o.default_queue, "sq");
        assert_string_equal(o.serializer, "msgpack");
        assert_string_equal(o.compression, "zstd");
        assert_string_equal(o.routes[0].pattern, "a.*");
        assert_true(o.result_expires < 0 && o.result_extended && o.send_sent_event);
        assert_int_equal(o.default_priority, 4);
        assert_int_equal(o.canvas, SJ_CANVAS_CELERY);
        assert_true(o.open_deadline <= sj_after(2 * SJ_SEC));
        assert_int_equal(o.publish.max_retries, SJ_RETRY_FOREVER);
        assert_true(o.publish.interval_start == 1 && o.publish.interval_step == 2.5 &&
                    o.publish.interval_max == 3);
        const sj_route route = {.pattern = "x", .queue = "y"};
        sj_app_options own = {.broker = "memory:",
                              .default_queue = "dq",
                              .routes = &route,
                              .n_routes = 1,
                              .result_expires = 5,
                              .serializer = "json",
                              .publish = {.max_retries = 1}};
        settings_app_options(f.s, &own);
        assert_string_equal(own.broker, "memory:");
        assert_string_equal(own.default_queue, "dq");
        assert_string_equal(own.serializer, "json");
        assert_ptr_equal(own.routes, &route);
        assert_true(own.result_expires == 5);
        assert_int_equal(own.publish.max_retries, 1);
        assert_true(own.publish.interval_start == 0);
        done(&f);
}

static void load_warm_limit(const char *text, sj_time expected)
{
        fixture f;
        char line[80];
        snprintf(line, sizeof(line), "worker_soft_shutdown_timeout = %s\n", text);
        load(&f, line, NULL, 0, 0);
        worker_options o = {.broker = NULL};
        settings_worker_options(f.s, &o);
        assert_int_equal(o.warm_limit, expected);
        done(&f);
}

static void a_worker_is_what_its_settings_say(void **state)
{
        (void)state;
        fixture f;
        load(&f,
             "worker_pool = fibers\nworker_concurrency = 7\nworker_autoscale = 9, 2\n"
             "worker_max_tasks_per_child = 100\nworker_max_memory_per_child = 2048\n"
             "worker_soft_shutdown_timeout = 1.5\nworker_send_task_events = true\n"
             "worker_shared = true\nworker_enable_remote_control = false\ntask_time_limit = "
             "20\ntask_soft_time_limit = 10\n"
             "accept_content = json, msgpack\n"
             "task_default_rate_limit = 5/m\ntask_acks_late = false\ntask_ignore_result = true\n",
             NULL, 0, 0);
        worker_options o = {.broker = NULL};
        settings_worker_options(f.s, &o);
        assert_int_equal(o.pool, WORKER_FIBERS_POOL);
        assert_int_equal(o.concurrency, 7);
        assert_int_equal(o.autoscale_max, 9);
        assert_int_equal(o.autoscale_min, 2);
        assert_int_equal(o.max_tasks_per_child, 100);
        assert_int_equal(o.max_memory_per_child, 2048 * 1024);
        assert_int_equal(o.warm_limit, 1500000000);
        load_warm_limit("0", 1);
        load_warm_limit("none", WORKER_WARM_LIMIT_MAX);
        load_warm_limit("3.2e9", WORKER_WARM_LIMIT_MAX);
        assert_true(o.deaf && o.events && o.shared && o.time_limit == 20 &&
                    o.soft_time_limit == 10);
        assert_string_equal(o.rate_limit, "5/m");
        assert_int_equal(o.accept, MESSAGE_ACCEPT_ALL);
        task_info task = {.name = SJ_STR("x")};
        task_annotate(&task, 1, o.annotations, o.n_annotations);
        assert_true(task.acks_early && task.ignore_result);
        done(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(options_that_are_set_win_over_settings),
                cmocka_unit_test(a_worker_is_what_its_settings_say),
        };
        return cmocka_run_group_tests(tests, begin, end);
}
