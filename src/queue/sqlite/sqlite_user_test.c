/* SPDX-License-Identifier: MIT */
/* A program's own rows in the file of a queue: together with their tasks, or not at all. */
#include "queue/sqlite/broker_sqlite.h"

#include "base/unit.h"
#include "os/os.h"

#include <fcntl.h>
#include <sanjab/sqlite.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];
static char path[96];
static char url[128];

static int remove_one(void *arg, const char *name)
{
        (void)arg;
        char file[512];
        snprintf(file, sizeof(file), "%s/%s", folder, name);
        return os_unlink(file);
}

static int make_folder(void **state)
{
        (void)state;
        snprintf(folder, sizeof(folder), "/tmp/sanjab-user-XXXXXX");
        if (!mkdtemp(folder))
                return -1;
        snprintf(path, sizeof(path), "%s/jobs.db", folder);
        snprintf(url, sizeof(url), "sqlite:%s", path);
        return 0;
}

static int remove_folder(void **state)
{
        (void)state;
        os_read_dir(folder, remove_one, NULL);
        return os_rmdir(folder);
}

static sj_time soon(void)
{
        return sj_after(20 * SJ_SEC);
}

static broker *open_broker(void)
{
        broker *b = NULL;
        char error[256];
        assert_int_equal(broker_open(url, NULL, &b, error, sizeof(error), soon()), 0);
        return b;
}

static int run(sj_sqlite *s, const char *sql)
{
        return sqlite3_exec(sj_sqlite_handle(s), sql, NULL, NULL, NULL);
}

static int64_t number(sj_sqlite *s, const char *sql)
{
        sqlite3_stmt *statement;
        assert_int_equal(sqlite3_prepare_v2(sj_sqlite_handle(s), sql, -1, &statement, NULL),
                         SQLITE_OK);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        int64_t n = sqlite3_column_int64(statement, 0);
        sqlite3_finalize(statement);
        return n;
}

static sj_sqlite *open_user(void)
{
        sj_sqlite *s = NULL;
        char error[256];
        assert_int_equal(sj_sqlite_open(path, &s, error, sizeof(error), soon()), 0);
        assert_int_equal(sj_sqlite_begin(s, soon()), 0);
        assert_int_equal(run(s, "CREATE TABLE IF NOT EXISTS orders (id)"), SQLITE_OK);
        assert_int_equal(sj_sqlite_commit(s), 0);
        return s;
}

/* A transaction with an order and its task, open still. */
static void order(sj_sqlite *s, char *ret_id)
{
        assert_int_equal(sj_sqlite_begin(s, soon()), 0);
        assert_int_equal(run(s, "INSERT INTO orders VALUES (1)"), SQLITE_OK);
        const sj_call call = {.queue = "q"};
        assert_int_equal(sj_sqlite_send_task(s, "ship", "[1]", NULL, &call, NULL, ret_id), 0);
}

/* What a fresh pair of eyes sees, in the file and through the broker. */
static void both_are_there(int n)
{
        sj_sqlite *s = NULL;
        assert_int_equal(sj_sqlite_open(path, &s, NULL, 0, soon()), 0);
        assert_int_equal(number(s, "SELECT count(*) FROM orders"), n);
        sj_sqlite_close(s);
        broker *b = open_broker();
        sj_str q = SJ_STR("q");
        assert_int_equal(broker_wait(b, &q, 1, SJ_POLL), n ? 0 : -ETIMEDOUT);
        broker_close(b);
}

static void a_commit_makes_the_row_and_the_task(void **state)
{
        (void)state;
        char id[SJ_TASK_ID_MAX + 1] = "";
        sj_sqlite *s = open_user();
        order(s, id);
        assert_int_equal(strlen(id), 36);
        both_are_there(0);
        assert_int_equal(sj_sqlite_commit(s), 0);
        sj_sqlite_close(s);
        both_are_there(1);
}

static void a_rollback_makes_neither(void **state)
{
        (void)state;
        sj_sqlite *s = open_user();
        order(s, NULL);
        sj_sqlite_rollback(s);
        both_are_there(0);
        order(s, NULL);
        sj_sqlite_close(s);
        both_are_there(0);
}

static void a_kill_before_the_commit_makes_neither(void **state)
{
        (void)state;
        int status;
        pid_t pid = fork();
        if (pid == 0) {
                order(open_user(), NULL);
                raise(SIGKILL);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        both_are_there(0);
}

static void a_task_that_is_refused_leaves_the_rest_of_the_transaction(void **state)
{
        (void)state;
        char id[SJ_TASK_ID_MAX + 1] = "unchanged";
        sj_sqlite *s = open_user();
        const sj_call named = {.queue = "q", .task_id = "a"};
        assert_int_equal(sj_sqlite_send_task(s, "ship", NULL, NULL, NULL, NULL, id), -EINVAL);
        order(s, NULL);
        assert_int_equal(sj_sqlite_send_task(s, "ship", NULL, NULL, &named, NULL, NULL), 0);
        assert_int_equal(sj_sqlite_send_task(s, "ship", NULL, NULL, &named, NULL, id), -EEXIST);
        assert_int_equal(sj_sqlite_send_task(s, "ship", "{}", NULL, NULL, NULL, id), -EINVAL);
        assert_int_equal(sj_sqlite_send_task(s, "", NULL, NULL, NULL, NULL, id), -EINVAL);
        assert_string_equal(id, "unchanged");
        assert_int_equal(sj_sqlite_commit(s), 0);
        assert_int_equal(number(s, "SELECT count(*) FROM sanjab_task"), 2);
        sj_sqlite_close(s);
        both_are_there(1);
}

static void routes_and_keys_count(void **state)
{
        (void)state;
        char first[SJ_TASK_ID_MAX + 1], second[SJ_TASK_ID_MAX + 1];
        const sj_route route = {.pattern = "sh*", .queue = "harbour"};
        const sj_app_options routes = {.routes = &route, .n_routes = 1};
        const sj_call once = {.key = "order 1"};
        sj_sqlite *s = open_user();
        assert_int_equal(sj_sqlite_begin(s, soon()), 0);
        assert_int_equal(sj_sqlite_send_task(s, "ship", NULL, NULL, &once, &routes, first), 0);
        assert_int_equal(sj_sqlite_send_task(s, "ship", NULL, NULL, &once, &routes, second), 0);
        assert_string_equal(first, second);
        assert_int_equal(sj_sqlite_commit(s), 0);
        assert_int_equal(number(s, "SELECT count(*) FROM sanjab_task WHERE queue = 'harbour'"), 1);
        sj_sqlite_close(s);
}

/* The second one takes a key that is free again, and then fails by its id. */
static void a_task_that_is_refused_half_way_leaves_no_half(void **state)
{
        (void)state;
        sj_sqlite *s = open_user();
        const sj_call old = {.queue = "q", .task_id = "a", .key = "k"};
        const sj_call used = {.queue = "q", .task_id = "b"};
        const sj_call both = {.queue = "q", .task_id = "b", .key = "k"};
        assert_int_equal(sj_sqlite_begin(s, soon()), 0);
        assert_int_equal(sj_sqlite_send_task(s, "ship", NULL, NULL, &old, NULL, NULL), 0);
        assert_int_equal(sj_sqlite_send_task(s, "ship", NULL, NULL, &used, NULL, NULL), 0);
        assert_int_equal(run(s, "UPDATE sanjab_task SET phase = 0, key_until = 1 WHERE id = 'a'"),
                         SQLITE_OK);
        assert_int_equal(sj_sqlite_send_task(s, "ship", NULL, NULL, &both, NULL, NULL), -EEXIST);
        assert_int_equal(sj_sqlite_commit(s), 0);
        assert_int_equal(number(s, "SELECT key = 'k' FROM sanjab_task WHERE id = 'a'"), 1);
        sj_sqlite_close(s);
}

static void a_commit_with_an_unfinished_write_undoes_all(void **state)
{
        (void)state;
        sqlite3_stmt *statement;
        sj_sqlite *s = open_user();
        order(s, NULL);
        sqlite3_prepare_v2(sj_sqlite_handle(s), "INSERT INTO orders VALUES (2), (3) RETURNING id",
                           -1, &statement, NULL);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        assert_int_equal(sj_sqlite_commit(s), -EBUSY);
        sqlite3_finalize(statement);
        both_are_there(0);
        assert_int_equal(sj_sqlite_begin(s, soon()), 0);
        sj_sqlite_close(s);
}

static void transactions_are_begun_and_ended_once(void **state)
{
        (void)state;
        sj_sqlite *s = open_user();
        assert_int_equal(sj_sqlite_commit(s), -EINVAL);
        sj_sqlite_rollback(s);
        assert_int_equal(sj_sqlite_begin(s, soon()), 0);
        assert_int_equal(sj_sqlite_begin(s, soon()), -EALREADY);
        sj_sqlite *other = NULL;
        assert_int_equal(sj_sqlite_open(path, &other, NULL, 0, soon()), 0);
        assert_int_equal(sj_sqlite_begin(other, sj_after(20 * SJ_MS)), -ETIMEDOUT);
        /* SQLite's own words end it as well, which a commit must not call a success. */
        assert_int_equal(run(s, "ROLLBACK"), SQLITE_OK);
        assert_int_equal(sj_sqlite_commit(s), -EINVAL);
        assert_int_equal(sj_sqlite_begin(other, soon()), 0);
        sj_sqlite_close(other);
        sj_sqlite_close(s);
}

static void a_write_without_the_lock_is_refused(void **state)
{
        (void)state;
        sj_sqlite *s = open_user();
        assert_int_equal(run(s, "INSERT INTO orders VALUES (1)"), SQLITE_CONSTRAINT_COMMITHOOK);
        assert_int_equal(run(s, "BEGIN; INSERT INTO orders VALUES (1)"), SQLITE_OK);
        assert_int_equal(run(s, "COMMIT"), SQLITE_CONSTRAINT_COMMITHOOK);
        assert_int_equal(number(s, "SELECT count(*) FROM orders"), 0);
        assert_int_equal(sj_sqlite_begin(s, soon()), 0);
        sj_sqlite_close(s);
}

static void the_settings_are_those_of_the_library(void **state)
{
        (void)state;
        struct stat stat_of;
        int no_checkpoint = 0;
        sj_sqlite *s = open_user();
        assert_int_equal(number(s, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
        assert_int_equal(number(s, "PRAGMA synchronous"), 2);
        assert_int_equal(number(s, "PRAGMA wal_autocheckpoint"), 0);
        assert_int_equal(number(s, "PRAGMA busy_timeout"), 5000);
        sqlite3_stmt *mapped;
        sqlite3_prepare_v2(sj_sqlite_handle(s), "PRAGMA mmap_size", -1, &mapped, NULL);
        if (sqlite3_step(mapped) == SQLITE_ROW) /* no row where it is compiled out */
                assert_int_equal(sqlite3_column_int64(mapped, 0), 0);
        sqlite3_finalize(mapped);
        sqlite3_db_config(sj_sqlite_handle(s), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, -1,
                          &no_checkpoint);
        assert_int_equal(no_checkpoint, 1);
        assert_int_equal(stat(path, &stat_of), 0);
        assert_int_equal(stat_of.st_mode & 0777, 0600);
        char log[128];
        snprintf(log, sizeof(log), "%s-wal", path);
        sj_sqlite_close(s);
        assert_int_equal(stat(log, &stat_of), 0);
        assert_true(stat_of.st_size > 0);
}

/* In its own process: waits in the broker, and says so; 0 when there was a task. */
static pid_t waiter(int ready)
{
        pid_t pid = fork();
        if (pid != 0)
                return pid;
        broker *b = open_broker();
        sj_str q = SJ_STR("q");
        int r = write(ready, "", 1) == 1 ? broker_wait(b, &q, 1, soon()) : -EIO;
        broker_close(b);
        _exit(r < 0);
}

static void who_waits_is_woken_by_the_commit(void **state)
{
        (void)state;
        int ready[2], status;
        char c;
        assert_int_equal(pipe(ready), 0);
        pid_t child = waiter(ready[1]);
        assert_int_equal(read(ready[0], &c, 1), 1);
        sj_sqlite *s = open_user();
        /* The bell itself, since who is not woken looks once a second anyway. */
        char lock[128];
        snprintf(lock, sizeof(lock), "%s-lock", path);
        int bell = os_watch_path(lock);
        order(s, NULL);
        os_poller *poller;
        os_event event;
        assert_int_equal(os_poller_new(&poller), 0);
        assert_int_equal(os_poller_arm(poller, bell, OS_READABLE, NULL), 0);
        assert_int_equal(os_poller_wait(poller, &event, 1, SJ_POLL), 0);
        assert_int_equal(sj_sqlite_commit(s), 0);
        assert_int_equal(os_poller_wait(poller, &event, 1, SJ_POLL), 1);
        os_poller_free(poller);
        os_close(bell);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        close(ready[0]);
        close(ready[1]);
        sj_sqlite_close(s);
}

static void a_checkpoint_waits_for_the_commit(void **state)
{
        (void)state;
        char lock[128];
        sj_sqlite *s = open_user();
        snprintf(lock, sizeof(lock), "%s-lock", path);
        int fd = os_open(lock, O_RDWR, 0);
        assert_true(fd >= 0);
        order(s, NULL);
        /* A checkpoint of ours holds the lock alone, and so may no transaction be open ... */
        assert_int_equal(os_lock_file(fd, true, false), -EAGAIN);
        assert_int_equal(sj_sqlite_commit(s), 0);
        assert_int_equal(os_lock_file(fd, true, false), 0);
        /* ... nor begin. */
        assert_int_equal(sj_sqlite_begin(s, sj_after(20 * SJ_MS)), -ETIMEDOUT);
        os_unlock_file(fd);
        assert_int_equal(sj_sqlite_begin(s, soon()), 0);
        sj_sqlite_rollback(s);
        assert_int_equal(os_lock_file(fd, true, false), 0);
        os_close(fd);
        sj_sqlite_close(s);
}

static void what_is_no_queue_is_not_opened(void **state)
{
        (void)state;
        char error[256], expected[256];
        sj_sqlite *s = NULL;
        sqlite3 *other;
        assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
        assert_int_equal(sqlite3_exec(other, "CREATE TABLE t (a)", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(other);
        assert_int_equal(sj_sqlite_open(path, &s, error, sizeof(error), soon()), -EBADMSG);
        snprintf(expected, sizeof(expected), "%s is not a sanjab queue", path);
        assert_string_equal(error, expected);
        assert_int_equal(sj_sqlite_open("/nowhere/a.db", &s, NULL, 0, soon()), -ENOENT);
        assert_null(s);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
        const struct CMUnitTest tests[] = {
                CASE(a_commit_makes_the_row_and_the_task),
                CASE(a_rollback_makes_neither),
                CASE(a_kill_before_the_commit_makes_neither),
                CASE(a_task_that_is_refused_leaves_the_rest_of_the_transaction),
                CASE(routes_and_keys_count),
                CASE(a_task_that_is_refused_half_way_leaves_no_half),
                CASE(a_commit_with_an_unfinished_write_undoes_all),
                CASE(transactions_are_begun_and_ended_once),
                CASE(a_write_without_the_lock_is_refused),
                CASE(the_settings_are_those_of_the_library),
                CASE(who_waits_is_woken_by_the_commit),
                CASE(a_checkpoint_waits_for_the_commit),
                CASE(what_is_no_queue_is_not_opened),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
