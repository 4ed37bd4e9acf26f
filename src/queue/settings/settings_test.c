/* SPDX-License-Identifier: MIT */
/* Which settings count, and what is said of wrong ones. */
#include "queue/settings/settings_unit.h"

#include <sys/stat.h>

static void count_line(void *arg, sj_log_level level, const char *text)
{
        *(int *)arg += level == SJ_LOG_WARNING && strstr(text, "chmod o-r") != NULL;
}

/* How many warnings that others can read a password there are, by the file's mode. */
static int warnings_of(const char *text, mode_t mode)
{
        fixture f = {.error = BUF_INIT(0)};
        int warnings = 0;
        write_file("sanjab.conf", text);
        assert_int_equal(chmod("sanjab.conf", mode), 0);
        sj_log_set(count_line, &warnings, SJ_LOG_WARNING);
        assert_int_equal(settings_load(NULL, NULL, 0, &f.s, &f.error, SJ_NEVER), 0);
        sj_log_set(NULL, NULL, SJ_LOG_WARNING);
        done(&f);
        return warnings;
}

static void a_password_that_anybody_can_read_is_warned_of(void **state)
{
        (void)state;
        assert_int_equal(warnings_of("broker_url = redis://me:word@host/0\n", 0644), 1);
        assert_int_equal(warnings_of("broker_url = redis://me:word@host/0\n", 0640), 0);
        assert_int_equal(warnings_of("result_backend = redis://host/0?password=word\n", 0604), 1);
        assert_int_equal(warnings_of("broker_url = redis://host:6379/0\n", 0644), 0);
        assert_int_equal(warnings_of("broker_url = redis://me@host:6379/0\n", 0644), 0);
}

static void each_layer_is_written_over_the_one_below(void **state)
{
        (void)state;
        const settings_given given[] = {{"worker_concurrency", "5", "--concurrency"},
                                        {"worker_pool", NULL, "--pool"}};
        fixture f;
        setenv("SANJAB_WORKER_CONCURRENCY", "4", 1);
        setenv("SANJAB_WORKER_HOSTNAME", "w@%h", 1);
        load(&f, "worker_concurrency = 3\nworker_hostname = f@%h\nworker_pool = threads\n", given,
             2, 0);
        unsetenv("SANJAB_WORKER_CONCURRENCY");
        unsetenv("SANJAB_WORKER_HOSTNAME");
        assert_int_equal(f.v->worker_concurrency, 5);
        assert_string_equal(f.v->worker_hostname, "w@%h");
        assert_int_equal(f.v->worker_pool, WORKER_THREADS);
        assert_string_equal(f.v->broker_url, "sqlite:sanjab.db");
        from_is(&f, "worker_concurrency", "--concurrency");
        from_is(&f, "worker_hostname", "$SANJAB_WORKER_HOSTNAME");
        from_is(&f, "worker_pool", "sanjab.conf:3");
        from_is(&f, "broker_url", "default");
        done(&f);
}

static void the_file_is_the_first_that_there_is(void **state)
{
        (void)state;
        fixture f = {.error = BUF_INIT(0)};
        char path[300], home[200];
        snprintf(home, sizeof(home), "%s/home", folder);
        snprintf(path, sizeof(path), "mkdir -p %.150s/sanjab", home);
        assert_int_equal(system(path), 0);
        setenv("XDG_CONFIG_HOME", home, 1);
        snprintf(path, sizeof(path), "%.150s/sanjab/sanjab.conf", home);
        write_file(path, "task_default_queue = home\n");
        write_file("named.conf", "task_default_queue = named\n");
        write_file("sanjab.conf", "task_default_queue = here\n");
        static const struct {
                const char *config, *variable, *queue;
                bool here;
        } cases[] = {{"named.conf", "absent.conf", "named", true},
                     {NULL, "named.conf", "named", true},
                     {NULL, "", "here", true},
                     {NULL, "", "home", false},
                     {"", "named.conf", "celery", true}};
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                setenv("SANJAB_CONFIG", cases[i].variable, 1);
                if (cases[i].here)
                        write_file("sanjab.conf", "task_default_queue = here\n");
                else
                        unlink("sanjab.conf");
                assert_int_equal(settings_load(cases[i].config, NULL, 0, &f.s, &f.error, SJ_NEVER),
                                 0);
                assert_string_equal(settings_of(f.s)->task_default_queue, cases[i].queue);
                settings_free(f.s);
                f.s = NULL;
        }
        unsetenv("SANJAB_CONFIG");
        assert_int_equal(settings_load("absent.conf", NULL, 0, &f.s, &f.error, SJ_NEVER), -EINVAL);
        assert_int_equal(settings_load(".", NULL, 0, &f.s, &f.error, SJ_NEVER), -EINVAL);
        unlink(path);
        unsetenv("XDG_CONFIG_HOME");
        done(&f);
}

static void all_mistakes_are_told_at_once(void **state)
{
        (void)state;
        complains("worker_concurency = 3\n"
                  "BROKER_URL = x\n"
                  "celery_result_backend = x\n"
                  "quite_other = 1\n"
                  "just words\n"
                  "[task_rutes\n"
                  "worker_concurrency = 0\n"
                  "worker_pool = process\n"
                  "result_extended = maybe\n"
                  "task_time_limit = -1\n"
                  "worker_autoscale = 3,10\n"
                  "task_default_rate_limit = 10/x\n"
                  "task_queues = a,,b\n"
                  "worker_loglevel = info\n"
                  "worker_loglevel = debug\n"
                  "task_routes = [1]\n"
                  "accept_content = json, pickle\n"
                  "[task_rutes]\n"
                  "a = b\n"
                  "c = d\n",
                  "sanjab.conf:1: there is no setting 'worker_concurency': did you mean "
                  "'worker_concurrency'?\n"
                  "sanjab.conf:2: settings are written in lower case: broker_url\n"
                  "sanjab.conf:3: there is no setting 'celery_result_backend': did you mean "
                  "'result_backend'?\n"
                  "sanjab.conf:4: there is no setting 'quite_other': see sanjab conf\n"
                  "sanjab.conf:5: this is neither NAME = VALUE nor [SECTION]\n"
                  "sanjab.conf:6: this is neither NAME = VALUE nor [SECTION]\n"
                  "sanjab.conf:7: worker_concurrency is a number from 1 to 4096, or none, not "
                  "'0'\n"
                  "sanjab.conf:8: worker_pool is prefork, threads, fibers or solo, not "
                  "'process'\n"
                  "sanjab.conf:9: result_extended is true or false, not 'maybe'\n"
                  "sanjab.conf:10: task_time_limit is a number of seconds, as 10 or 0.5, or none, "
                  "not '-1'\n"
                  "sanjab.conf:11: worker_autoscale is the most and the least, as 10,3, at most "
                  "4096, not '3,10'\n"
                  "sanjab.conf:12: task_default_rate_limit is a rate, as 10/s, 10/m or 10/h, not "
                  "'10/x'\n"
                  "sanjab.conf:13: task_queues is a list of names with commas between, not "
                  "'a,,b'\n"
                  "sanjab.conf:15: worker_loglevel is set twice: in line 14, too\n"
                  "sanjab.conf:16: task_routes is no JSON object\n"
                  "sanjab.conf:17: accept_content is json, msgpack or both (pickle and yaml are "
                  "never decoded), not 'json, pickle'\n"
                  "sanjab.conf:19: there is no section [task_rutes]: did you mean "
                  "[task_routes]?\n");
}

static void what_pairs_mean_is_checked_with_their_lines(void **state)
{
        (void)state;
        complains("[task_routes]\n"
                  "a = {\"queue\": \"q\", \"priority\": 10}\n"
                  "b = {\"que\": \"q\"}\n"
                  "b = q\n"
                  "[task_annotations]\n"
                  "rate_limit = 1/s\n"
                  "a.rate_limit = fast\n"
                  "a.rat_limit = 1/s\n"
                  "[task_publish_retry_policy]\n"
                  "retries = 3\n",
                  "sanjab.conf:4: 'b' is set twice in [task_routes]\n"
                  "sanjab.conf:2: task_routes: 'a': a route is a queue, or an object with queue "
                  "and priority\n"
                  "sanjab.conf:3: task_routes: 'b': a route is a queue, or an object with queue "
                  "and priority\n"
                  "sanjab.conf:6: task_annotations: 'rate_limit' is not PATTERN.OPTION\n"
                  "sanjab.conf:7: task_annotations: rate_limit is a rate, as 10/s, 10/m or 10/h, "
                  "not 'fast'\n"
                  "sanjab.conf:8: task_annotations: no option of a task's is called 'rat_limit': "
                  "did you mean 'rate_limit'?\n"
                  "sanjab.conf:10: task_publish_retry_policy has max_retries (a number, or none), "
                  "interval_start, interval_step and interval_max (seconds), but not 'retries' = "
                  "'3'\n");
}

static void a_setting_that_is_refused_says_why_but_not_of_what_is_so_anyway(void **state)
{
        (void)state;
        fixture f;
        complains("worker_prefetch_multiplier = 4\n",
                  "sanjab.conf:1: worker_prefetch_multiplier is no setting here: a worker takes "
                  "what it has room for, and one task ahead while tasks are short, which it gives "
                  "back when they are not\n");
        complains("worker_concurrency = 4\n  5\n",
                  "sanjab.conf:1: worker_concurrency is a number from 1 to 4096, or none, not "
                  "'4 5'\n");
        complains("cassandra_port = 4\n",
                  "sanjab.conf:1: cassandra_port is no setting here: results are kept at the "
                  "broker, or where result_backend says\n");
        load(&f, "worker_prefetch_multiplier = 1\ntask_track_started = yes\nenable_utc = 1\n", NULL,
             0, 0);
        done(&f);
}

static void a_variable_that_is_nearly_a_setting_is_a_mistake_and_others_are_not_ours(void **state)
{
        (void)state;
        /* What Kubernetes sets for a service called sanjab. */
        static const char *const others[] = {"SANJAB_PORT",
                                             "SANJAB_SERVICE_HOST",
                                             "SANJAB_SERVICE_PORT",
                                             "SANJAB_SERVICE_PORT_REDIS",
                                             "SANJAB_PORT_6379_TCP",
                                             "SANJAB_PORT_6379_TCP_PROTO",
                                             "SANJAB_PORT_6379_TCP_PORT",
                                             "SANJAB_PORT_6379_TCP_ADDR"};
        fixture f;
        for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
                setenv(others[i], "tcp://10.0.0.1:6379", 1);
        load(&f, "", NULL, 0, 0);
        done(&f);
        for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
                unsetenv(others[i]);
        setenv("SANJAB_BROKER_URI", "sqlite:x.db", 1);
        complains("", "there is no setting '$SANJAB_BROKER_URI': did you mean 'broker_url'?\n");
        unsetenv("SANJAB_BROKER_URI");
        setenv("SANJAB_WORKER_CONCURRENCY", "many", 1);
        complains("", "$SANJAB_WORKER_CONCURRENCY is a number from 1 to 4096, or none, not "
                      "'many'\n");
        unsetenv("SANJAB_WORKER_CONCURRENCY");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_layer_is_written_over_the_one_below),
                cmocka_unit_test(the_file_is_the_first_that_there_is),
                cmocka_unit_test(all_mistakes_are_told_at_once),
                cmocka_unit_test(what_pairs_mean_is_checked_with_their_lines),
                cmocka_unit_test(a_setting_that_is_refused_says_why_but_not_of_what_is_so_anyway),
                cmocka_unit_test(a_password_that_anybody_can_read_is_warned_of),
                cmocka_unit_test(
                        a_variable_that_is_nearly_a_setting_is_a_mistake_and_others_are_not_ours),
        };
        return cmocka_run_group_tests(tests, begin, end);
}
