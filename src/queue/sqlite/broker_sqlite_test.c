/* SPDX-License-Identifier: MIT */
/* The broker in a SQLite file keeps what every broker promises; each case in a file of its own. */
#include "queue/broker/broker_conformance.h"

#include "base/unit.h"
#include "os/os.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

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
        int r = broker_open(place, options, ret, error, sizeof(error), sj_after(60 * SJ_SEC));
        if (r < 0)
                fprintf(stderr, "%s\n", error);
        return r;
}

static void test_case(void **state)
{
        const conformance_case *c = *state;
        conformance factory = {.open = open_place, .tick = 150 * SJ_MS};
        assert_int_equal(sj_run(c->body, &factory), 0);
}

/* ── What is this broker's own ───────────────────────────────────────────────────────────── */

static broker *open_it(void)
{
        broker *b = NULL;
        assert_int_equal(open_place(NULL, NULL, &b), 0);
        return b;
}

static sj_time soon(void)
{
        return sj_after(60 * SJ_SEC);
}

static void a_path_is_needed_and_may_have_to_exist(void **state)
{
        (void)state;
        broker *b;
        char error[256], expected[256];
        assert_int_equal(broker_open("sqlite:", NULL, &b, error, sizeof(error), soon()), -EINVAL);
        assert_string_equal(error, "the broker's address lacks a path, as in sqlite:jobs.db");
        const broker_options options = {.must_exist = true};
        assert_int_equal(broker_open(place, &options, &b, error, sizeof(error), soon()), -ENOENT);
        snprintf(expected, sizeof(expected), "there is no %s/jobs.db", folder);
        assert_string_equal(error, expected);
}

static void by_hand(const char *sql)
{
        sqlite3 *handle;
        char *why = NULL;
        assert_int_equal(sqlite3_open(strchr(place, ':') + 1, &handle), SQLITE_OK);
        sqlite3_exec(handle, sql, NULL, NULL, &why);
        assert_string_equal(why ? why : "", "");
        sqlite3_close(handle);
}

static void another_database_is_no_queue(void **state)
{
        (void)state;
        broker *b;
        char error[256], expected[256];
        by_hand("CREATE TABLE orders (id)");
        assert_int_equal(broker_open(place, NULL, &b, error, sizeof(error), soon()), -EBADMSG);
        snprintf(expected, sizeof(expected), "%s/jobs.db is not a sanjab queue", folder);
        assert_string_equal(error, expected);
}

static void everything_is_there_after_closing_and_opening(void **state)
{
        (void)state;
        broker *b = open_it();
        broker_message m = {.id = SJ_STR("a"), .queue = SJ_STR("q"), .envelope = SJ_STR("e")};
        assert_int_equal(broker_publish(b, &m, 1, NULL, soon()), 0);
        broker_close(b);
        b = open_it();
        assert_int_equal(broker_wait(b, &m.queue, 1, SJ_POLL), 0);
        assert_int_equal(broker_publish(b, &m, 1, NULL, soon()), -EEXIST);
        broker_close(b);
}

/* Publishes when told to, in a process of its own. */
static pid_t publisher(int start)
{
        pid_t pid = fork();
        if (pid != 0)
                return pid;
        char c;
        broker *b = open_it();
        broker_message m = {.id = SJ_STR("a"), .queue = SJ_STR("q"), .envelope = SJ_STR("e")};
        int r = read(start, &c, 1) == 1 ? broker_publish(b, &m, 1, NULL, soon()) : -EIO;
        broker_close(b);
        _exit(r < 0);
}

static void who_waits_is_woken_by_another_process(void **state)
{
        (void)state;
        int start[2], status;
        sj_str q = SJ_STR("q");
        assert_int_equal(pipe(start), 0);
        pid_t child = publisher(start[0]);
        broker *b = open_it();
        assert_int_equal(broker_wait(b, &q, 1, sj_after(20 * SJ_MS)), -ETIMEDOUT);
        assert_int_equal(write(start[1], "", 1), 1);
        assert_int_equal(broker_wait(b, &q, 1, soon()), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        broker_close(b);
        close(start[0]);
        close(start[1]);
}

/* A file that somebody has prepared: too long a name and id, numbers that are none. */
static void what_is_odd_in_the_file_does_no_harm(void **state)
{
        (void)state;
        broker_close(open_it());
        by_hand("INSERT INTO sanjab_task (id, phase, queue, priority, place, key, envelope)"
                " VALUES (printf('%.*c', 5000, 'x'), 1, 'q', 'high', NULL, 'k', 7),"
                " ('y', 1, 'q', 99999999999, 1, NULL, NULL), (x'ff00', 77, 'q', 1, 1, NULL, NULL);"
                "INSERT INTO sanjab_task (id, phase, due, queue, priority)"
                " VALUES ('z', 2, 1, printf('%.*c', 5000, 'x'), 0)");
        broker *b = open_it();
        broker_published p;
        const broker_depth *depths;
        sj_arena *arena;
        assert_int_equal(sj_arena_new(&arena), 0);
        broker_message m = {.id = SJ_STR("a"),
                            .queue = SJ_STR("q"),
                            .envelope = SJ_STR("e"),
                            .key = SJ_STR("k")};
        assert_int_equal(broker_publish(b, &m, 1, &p, soon()), -EBADMSG);
        assert_true(broker_queues(b, arena, &depths, soon()) > 0);
        broker_lease *leases[8];
        sj_str q = SJ_STR("q");
        broker_claim claim = {.queues = &q, .n_queues = 1};
        int n = broker_lease_next(b, &claim, leases, 8, soon());
        /* None of them can be run, and none is in the way of what can. */
        assert_int_equal(n, 0);
        m.key = SJ_STR("");
        assert_int_equal(broker_publish(b, &m, 1, &p, soon()), 0);
        assert_int_equal(broker_lease_next(b, &claim, leases, 8, soon()), 1);
        broker_lease_free(leases[0]);
        sj_arena_free(arena);
        broker_close(b);
}

int main(void)
{
#define OWN(body)                                             \
        {                                                     \
#body, body, make_folder, remove_folder, NULL \
        }
        struct CMUnitTest tests[128] = {
                OWN(a_path_is_needed_and_may_have_to_exist),
                OWN(another_database_is_no_queue),
                OWN(everything_is_there_after_closing_and_opening),
                OWN(who_waits_is_woken_by_another_process),
                OWN(what_is_odd_in_the_file_does_no_harm),
        };
        size_t n = conformance_add(tests, 128, test_case, make_folder, remove_folder);
        return _cmocka_run_group_tests("broker_sqlite", tests, n, NULL, NULL);
}
