/* SPDX-License-Identifier: MIT */
/*
 * Settings without memory: a file with a section of each kind, the environment and a command line
 * are read over and over, and each time another allocation fails. It is said, nothing is left, and
 * read again they are whole.
 */
#include "base/unit.h"
#include "queue/no_memory_unit.h"
#include "queue/settings/settings.h"

#include <sanjab/fiber.h>

#include <stdio.h>
#include <unistd.h>

static const char text[] = "[sanjab]\n"
                           "broker_url = redis://:secret@127.0.0.1:1/0\n"
                           "result_backend = redis://127.0.0.1:1/1\n"
                           "accept_content = json,msgpack\n"
                           "worker_autoscale = 10,3\n"
                           "task_default_rate_limit = 10/m\n"
                           "result_expires = 60\n"
                           "[task_routes]\n"
                           "a.* = letters\n"
                           "b.c = {\"queue\": \"others\", \"priority\": 3}\n"
                           "[broker_transport_options]\n"
                           "visibility_timeout = 60\n"
                           "[task_annotations]\n"
                           "a.b.rate_limit = 1/s\n";

static char path[] = "/tmp/sanjab-settings-XXXXXX";
static int last; /* what the first attempt said */

static int load(settings **ret)
{
        const settings_given given[] = {{"worker_concurrency", "3", "--concurrency"}};
        buf error = BUF_INIT(SETTINGS_FILE_MAX);
        int r = settings_load(path, given, 1, ret, &error, SJ_NEVER);
        if (r < 0 && r != -ENOMEM)
                fprintf(stderr, "%ld: %.*s\n", number, (int)buf_size(&error), buf_data(&error));
        buf_fini(&error);
        return r;
}

static int day(void *arg)
{
        settings *s = NULL;
        (void)arg;
        atomic_store(&counting, true);
        last = load(&s);
        atomic_store(&counting, false);
        if (last < 0)
                last = last == -ENOMEM ? load(&s) : last;
        if (last < 0)
                return last;
        sj_app_options o = {0};
        worker_options w = {0};
        settings_app_options(s, &o);
        settings_worker_options(s, &w);
        bool whole = strcmp(o.broker, "redis://:secret@127.0.0.1:1/0") == 0 && o.n_routes == 2 &&
                     w.concurrency == 3;
        settings_free(s);
        return whole ? 0 : -EBADMSG;
}

static void a_day(void)
{
        assert_int_equal(sj_run(day, NULL), 0);
}

static void whichever_allocation_fails_it_is_said(void **state)
{
        (void)state;
        fail_each(a_day, 5);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(whichever_allocation_fails_it_is_said),
        };
        int fd = mkstemp(path);
        if (fd < 0 || write(fd, text, sizeof(text) - 1) != (ssize_t)sizeof(text) - 1)
                return 1;
        close(fd);
        int failed = cmocka_run_group_tests(tests, NULL, NULL);
        unlink(path);
        return failed;
}
