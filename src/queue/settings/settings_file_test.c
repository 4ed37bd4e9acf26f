/* SPDX-License-Identifier: MIT */
/* How a settings file is read: its lines, its text, its pairs. */
#include "queue/settings/settings_unit.h"

static void lines_are_as_long_as_they_are(void **state)
{
        (void)state;
        char text[6000] = "; ", url[1500] = "redis://", queues[900] = "", expected[900] = "";
        for (int i = 0; i < 700; i++)
                strcat(text, i % 7 ? "x" : " ");
        for (int i = 0; i < 1200; i++)
                strcat(url, i % 50 ? "x" : ";");
        for (int i = 0; i < 60; i++) {
                snprintf(queues + strlen(queues), 20, "%squeue%d", i ? ",  " : "", i);
                snprintf(expected + strlen(expected), 20, "%squeue%d", i ? "," : "", i);
        }
        strcat(text, "\nbroker_url = ");
        strcat(text, url);
        strcat(text, "\n  \t\ntask_queues= ");
        strcat(text, queues);
        strcat(text, " ; the queues ");
        strcat(text, queues);
        strcat(text,
               "\r\n[task_routes]\na.* = {\"queue\":\n  \"q\",\n  # not this\n \"priority\": 3}\n");
        fixture f;
        load(&f, text, NULL, 0, 0);
        assert_string_equal(f.v->broker_url, url);
        assert_string_equal(f.v->task_queues, expected);
        sj_app_options o = {.config = NULL};
        settings_app_options(f.s, &o);
        assert_int_equal(o.n_routes, 1);
        assert_string_equal(o.routes[0].queue, "q");
        assert_int_equal(o.routes[0].priority, 3);
        from_is(&f, "task_queues", "sanjab.conf:4");
        done(&f);
}

static void an_address_may_go_on_in_the_next_line(void **state)
{
        (void)state;
        fixture f;
        load(&f, "\xef\xbb\xbf[sanjab]\nbroker_url = sentinel://one;\n   sentinel://two\n", NULL, 0,
             0);
        assert_string_equal(f.v->broker_url, "sentinel://one;sentinel://two");
        done(&f);
}

static void no_text_is_no_settings_file(void **state)
{
        (void)state;
        complains("a = \xff\n", "sanjab.conf: this is no text in UTF-8\n");
        char path[] = "sanjab.conf";
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fwrite("worker_shared = true\0\n", 1, 22, file);
        fclose(file);
        fixture f = {.error = BUF_INIT(0)};
        assert_int_equal(settings_load(path, NULL, 0, &f.s, &f.error, SJ_NEVER), -EINVAL);
        done(&f);
}

static void pairs_may_be_a_json_object_anywhere(void **state)
{
        (void)state;
        fixture f;
        setenv("SANJAB_TASK_ANNOTATIONS",
               "{\"*\": {\"rate_limit\": \"1/s\"}, \"a.b\": "
               "{\"max_retries\": 0, \"acks_late\": false}}",
               1);
        load(&f,
             "broker_transport_options = {\"a\": 1, \"b\": \"x\", \"c\": {\"d\": [2]}}\n"
             "[task_annotations]\nz.rate_limit = 3/s\n"
             "[result_backend_transport_options]\nn = 1\nt = a b\no = {\"x\": 1}\nb = true\n",
             NULL, 0, 0);
        unsetenv("SANJAB_TASK_ANNOTATIONS");
        sj_app_options o = {.config = NULL};
        settings_app_options(f.s, &o);
        assert_string_equal(o.transport, "{\"a\":1,\"b\":\"x\",\"c\":{\"d\": [2]}}");
        assert_string_equal(o.result_transport,
                            "{\"n\":1,\"t\":\"a b\",\"o\":{\"x\": 1},\"b\":true}");
        worker_options w = {.broker = NULL};
        settings_worker_options(f.s, &w);
        assert_int_equal(w.n_annotations, 3);
        task_info tasks[] = {{.name = SJ_STR("a.b"), .max_retries = 3}, {.name = SJ_STR("a.c")}};
        task_annotate(tasks, 2, w.annotations, w.n_annotations);
        assert_true(tasks[0].rate == 1 && tasks[1].rate == 1);
        assert_int_equal(tasks[0].max_retries, 0);
        assert_true(tasks[0].acks_early && !tasks[1].acks_early);
        done(&f);
        complains("task_routes = {}\n[task_routes]\na = b\n",
                  "sanjab.conf:3: task_routes is set twice: in line 1, too\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(lines_are_as_long_as_they_are),
                cmocka_unit_test(an_address_may_go_on_in_the_next_line),
                cmocka_unit_test(no_text_is_no_settings_file),
                cmocka_unit_test(pairs_may_be_a_json_object_anywhere),
        };
        return cmocka_run_group_tests(tests, begin, end);
}
