/* SPDX-License-Identifier: MIT */
/* The broker in a SQLite file keeps what every broker promises; each case in a file of its own. */
#include "queue/broker_conformance.h"

#include "base/unit.h"
#include "os/os.h"

#include <stdio.h>
#include <stdlib.h>

static char folder[64];
static char place[128];

static int remove_one(void *arg, const char *name)
{
        (void)arg;
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", folder, name);
        return os_unlink(path);
}

static int make_folder(void **state)
{
        (void)state;
        snprintf(folder, sizeof(folder), "/tmp/sanjab-queue-XXXXXX");
        if (!mkdtemp(folder))
                return -1;
        snprintf(place, sizeof(place), "sqlite:%s/jobs.db", folder);
        return 0;
}

static int remove_folder(void **state)
{
        (void)state;
        os_read_dir(folder, remove_one, NULL);
        return os_rmdir(folder);
}

static int open_place(void *arg, const broker_options *options, broker **ret)
{
        (void)arg;
        char error[256];
        int r = broker_open(place, options, ret, error, sizeof(error), sj_after(10 * SJ_SEC));
        if (r < 0)
                fprintf(stderr, "%s\n", error);
        return r;
}

static void test_case(void **state)
{
        const conformance_case *c = *state;
        conformance factory = {.open = open_place, .tick = 50 * SJ_MS};
        assert_int_equal(sj_run(c->body, &factory), 0);
}

int main(void)
{
        struct CMUnitTest tests[128];
        size_t n = 0;
        for (size_t i = 0; i < conformance_n; i++)
                tests[n++] = (struct CMUnitTest){conformance_cases[i].name, test_case, make_folder,
                                                 remove_folder,
                                                 (void *)(uintptr_t)&conformance_cases[i]};
        return _cmocka_run_group_tests("broker_sqlite", tests, n, NULL, NULL);
}
