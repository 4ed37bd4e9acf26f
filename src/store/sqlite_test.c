/* SPDX-License-Identifier: MIT */
/* The thread of a file, its transactions and locks, and what is said of a file that is no good. */
#include "store/sqlite.h"

#include "base/unit.h"
#include "os/os.h"
#include "store/sqlite_faults.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ── A small kind of file ────────────────────────────────────────────────────────────────── */

enum { PUT, COUNT, SUM };
static const char *const statements[] = {
        [PUT] = "INSERT INTO number (n) VALUES (?)",
        [COUNT] = "SELECT count(*) FROM number WHERE n = ?",
        [SUM] = "SELECT count(*) FROM number",
};

static int nothing_due(sqlite_db *db, sj_wall now)
{
        (void)db, (void)now;
        return 0;
}

static int no_alarm(sqlite_db *db, sj_wall *ret)
{
        (void)db;
        ret->us = INT64_MAX;
        return 0;
}

static const sqlite_schema numbers = {
        .what = "list of numbers",
        .application_id = 0x4e554d53,
        .version = 3,
        .definition = "CREATE TABLE number (n INTEGER UNIQUE)",
        .statements = statements,
        .n_statements = 3,
        .tick = nothing_due,
        .alarm = no_alarm,
};

static char folder[64];
static char path[128];

static int remove_one(void *arg, const char *name)
{
        char whole[512];
        snprintf(whole, sizeof(whole), "%s/%s", (const char *)arg, name);
        return os_unlink(whole);
}

static int make_folder(void **state)
{
        (void)state;
        snprintf(folder, sizeof(folder), "/tmp/sanjab-sqlite-XXXXXX");
        if (!mkdtemp(folder))
                return -1;
        snprintf(path, sizeof(path), "%s/numbers", folder);
        return 0;
}

static int remove_folder(void **state)
{
        (void)state;
        sqlite_faults_full(false);
        sqlite_faults_sync(false);
        os_read_dir(folder, remove_one, folder);
        return os_rmdir(folder);
}

/* With a log of so many pages. */
static sqlite_db *open_with_log(int pages)
{
        sqlite_db *db;
        char error[300] = "";
        const sqlite_options options = {.schema = &numbers, .log_pages = pages};
        int r = sqlite_open(path, &options, &db, error, sizeof(error), sj_after(10 * SJ_SEC));
        if (r < 0)
                fprintf(stderr, "%s\n", error);
        assert_int_equal(r, 0);
        return db;
}

static sqlite_db *open_numbers(void)
{
        return open_with_log(0);
}

/* Puts n, n + 1, ... */
typedef struct put {
        sqlite_job job;
        int64_t n;
        int count;
        int fail; /* returned after that */
} put;

static int run_put(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        (void)now;
        put *p = container_of(job, put, job);
        for (int i = 0; i < p->count; i++) {
                int r = sqlite_do(db, PUT, "i", p->n + i);
                if (r < 0)
                        return r;
        }
        return p->fail;
}

static int put_numbers(sqlite_db *db, int64_t n, int count, int fail, sj_time deadline)
{
        put p = {.job = {.run = run_put, .kind = SQLITE_JOB_WRITE},
                 .n = n,
                 .count = count,
                 .fail = fail};
        return sqlite_call(db, &p.job, deadline);
}

typedef struct count {
        sqlite_job job;
        int64_t n;
        int64_t found;
} count;

static int run_sum(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        (void)now;
        count *c = container_of(job, count, job);
        int r = sqlite_number(db, &c->found, SUM, "");
        return r < 0 ? r : 0;
}

static int64_t how_many(sqlite_db *db)
{
        count c = {.job = {.run = run_sum, .kind = SQLITE_JOB_READ}};
        assert_int_equal(sqlite_call(db, &c.job, sj_after(10 * SJ_SEC)), 0);
        return c.found;
}

static sj_time soon(void)
{
        return sj_after(20 * SJ_SEC);
}

/* ── Files that are no good ──────────────────────────────────────────────────────────────── */

static void expect_refused(const char *place, bool must_exist, int error, const char *sentence)
{
        char said[300] = "", expected[300];
        sqlite_db *db = NULL;
        const sqlite_options options = {.schema = &numbers, .must_exist = must_exist};
        int r = sqlite_open(place, &options, &db, said, sizeof(said), sj_after(5 * SJ_SEC));
        snprintf(expected, sizeof(expected), sentence, place);
        assert_string_equal(said, expected);
        assert_int_equal(r, error);
        assert_null(db);
}

static void write_file(const char *text)
{
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(text, f);
        fclose(f);
}

static void by_hand(const char *sql)
{
        sqlite3 *handle;
        assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
        assert_int_equal(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(handle);
}

static void a_missing_folder_is_named(void **state)
{
        (void)state;
        expect_refused("/tmp/no-such-folder/x.db", false, -ENOENT,
                       "there is no folder /tmp/no-such-folder");
        expect_refused("/dev/null/x.db", false, -ENOTDIR, "/dev/null is not a folder");
        expect_refused(folder, false, -EBADMSG, "%s is a folder, not a list of numbers");
        expect_refused("/tmp/", false, -EINVAL, "'/tmp/' is not the path of a file");
}

static void a_missing_file_is_made_unless_it_must_exist(void **state)
{
        (void)state;
        expect_refused(path, true, -ENOENT, "there is no %s");
        assert_int_equal(access(path, F_OK), -1);
        sqlite_close(open_numbers());
        const sqlite_options options = {.schema = &numbers, .must_exist = true};
        sqlite_db *db;
        char said[100];
        assert_int_equal(sqlite_open(path, &options, &db, said, sizeof(said), soon()), 0);
        sqlite_close(db);
}

static void what_is_no_database_is_refused_and_left_alone(void **state)
{
        (void)state;
        static const char letter[] =
                "This is a letter, not a database; it is long enough to have a "
                "header, and more than a hundred bytes of text.\n";
        write_file(letter);
        expect_refused(path, false, -EBADMSG, "%s is not a database, or it is damaged");
        struct stat s;
        assert_int_equal(stat(path, &s), 0);
        assert_int_equal(s.st_size, sizeof(letter) - 1);
}

static void a_database_of_others_is_refused_and_left_alone(void **state)
{
        (void)state;
        by_hand("CREATE TABLE theirs (x)");
        expect_refused(path, false, -EBADMSG, "%s is not a list of numbers");
        by_hand("INSERT INTO theirs VALUES (1)");
}

static void a_newer_version_is_refused(void **state)
{
        (void)state;
        sqlite_close(open_numbers());
        by_hand("PRAGMA user_version = 4");
        expect_refused(path, false, -EBADMSG,
                       "%s was made by a newer version of this program (its format is 4, this one "
                       "knows 3)");
}

/* As somebody who is not root, to whom everything is permitted. */
static int open_as_nobody(void)
{
        static const char sentence[] = "%s or its folder may not be written";
        if (getuid() == 0 && setuid(65534) < 0)
                return 1;
        /* One that is there; and one that would be new. */
        expect_refused(path, false, -EACCES, sentence);
        strcat(path, "-other");
        expect_refused(path, false, -EACCES, sentence);
        return 0;
}

static void a_place_that_may_not_be_written_is_said(void **state)
{
        (void)state;
        sqlite_close(open_numbers());
        assert_int_equal(chmod(path, 0444), 0);
        assert_int_equal(chmod(folder, 0555), 0);
        pid_t child = fork();
        if (child == 0)
                _exit(open_as_nobody());
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(chmod(folder, 0700), 0);
}

static void a_disk_that_is_full_at_the_opening_is_said(void **state)
{
        (void)state;
        sqlite_faults_full(true);
        expect_refused(path, false, -ENOSPC, "%s: the disk is full");
        sqlite_faults_full(false);
        sqlite_close(open_numbers());
}

static void a_file_that_others_lock_is_waited_for_until_the_deadline(void **state)
{
        (void)state;
        sqlite_close(open_numbers());
        sqlite3 *handle;
        assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
        sqlite3_exec(handle, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE", NULL, NULL, NULL);
        char said[300];
        const sqlite_options options = {.schema = &numbers};
        sqlite_db *db;
        int r = sqlite_open(path, &options, &db, said, sizeof(said), sj_after(50 * SJ_MS));
        assert_int_equal(r, -ETIMEDOUT);
        assert_non_null(strstr(said, "is locked by another program"));
        sqlite3_close(handle);
}

static void its_files_are_the_owners_alone(void **state)
{
        (void)state;
        static const char *const names[] = {"", "-wal", "-shm", "-lock"};
        mode_t mask = umask(0777);
        sqlite_db *db = open_numbers();
        umask(mask);
        assert_int_equal(put_numbers(db, 1, 1, 0, soon()), 0);
        for (size_t i = 0; i < 4; i++) {
                char whole[200];
                struct stat s;
                snprintf(whole, sizeof(whole), "%s%s", path, names[i]);
                assert_int_equal(stat(whole, &s), 0);
                assert_int_equal(s.st_mode & 0777, 0600);
        }
        sqlite_close(db);
}

/* ── Transactions ────────────────────────────────────────────────────────────────────────── */

enum { MANY = 64 };

typedef struct crowd {
        sqlite_db *db;
        int results[MANY];
} crowd;

typedef struct member {
        crowd *c;
        int i;
} member;

/* Each third one fails half-way, by itself; each seventh one by a number that is there already. */
static int put_two(void *arg)
{
        member *m = arg;
        int64_t n = m->i % 7 == 6 ? -2 : 10 * m->i;
        m->c->results[m->i] = put_numbers(m->c->db, n, 2, m->i % 3 == 1 ? -EDOM : 0, soon());
        return 0;
}

static int put_in_a_crowd(void *arg)
{
        crowd *c = arg;
        member members[MANY];
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < MANY; i++) {
                members[i] = (member){c, i};
                sj_spawn(s, put_two, &members[i], NULL);
        }
        return sj_scope_join(s);
}

static void one_that_fails_leaves_nothing_and_the_others_untouched(void **state)
{
        (void)state;
        crowd c = {.db = open_numbers()};
        /* The numbers -2, -1: the second is there before, so that it fails after the first. */
        assert_int_equal(put_numbers(c.db, -1, 1, 0, soon()), 0);
        assert_int_equal(sj_run(put_in_a_crowd, &c), 0);
        int64_t expected = 1;
        for (int i = 0; i < MANY; i++) {
                int should = i % 7 == 6 ? -EEXIST : i % 3 == 1 ? -EDOM : 0;
                assert_int_equal(c.results[i], should);
                expected += should == 0 ? 2 : 0;
        }
        assert_int_equal(how_many(c.db), expected);
        sqlite_close(c.db);
}

static void writes_of_one_moment_share_a_sync(void **state)
{
        (void)state;
        crowd c = {.db = open_numbers()};
        assert_int_equal(put_numbers(c.db, -1, 1, 0, soon()), 0);
        unsigned before = sqlite_faults_syncs();
        assert_int_equal(sj_run(put_in_a_crowd, &c), 0);
        assert_in_range(sqlite_faults_syncs() - before, 1, MANY / 4);
        sqlite_close(c.db);
}

static void a_relaxed_write_is_not_synced_and_a_later_one_is(void **state)
{
        (void)state;
        sqlite_db *db = open_numbers();
        assert_int_equal(put_numbers(db, 1, 1, 0, soon()), 0);
        unsigned before = sqlite_faults_syncs();
        put p = {.job = {.run = run_put, .kind = SQLITE_JOB_RELAXED}, .n = 2, .count = 1};
        assert_int_equal(sqlite_call(db, &p.job, soon()), 0);
        assert_int_equal(sqlite_faults_syncs(), before);
        assert_int_equal(put_numbers(db, 3, 1, 0, soon()), 0);
        assert_int_equal(sqlite_faults_syncs(), before + 1);
        assert_int_equal(how_many(db), 3);
        sqlite_close(db);
}

static void a_write_gives_up_at_its_deadline_while_others_hold_the_file(void **state)
{
        (void)state;
        sqlite_db *db = open_numbers();
        sqlite3 *handle;
        assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
        assert_int_equal(sqlite3_exec(handle, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(put_numbers(db, 1, 1, 0, sj_after(30 * SJ_MS)), -ETIMEDOUT);
        assert_int_equal(put_numbers(db, 1, 1, 0, SJ_POLL), -ETIMEDOUT);
        /* Reads go on meanwhile. */
        assert_int_equal(how_many(db), 0);
        assert_int_equal(sqlite3_exec(handle, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(put_numbers(db, 2, 1, 0, soon()), 0);
        assert_int_equal(how_many(db), 1);
        sqlite3_close(handle);
        sqlite_close(db);
}

/* ── Disks that fail ─────────────────────────────────────────────────────────────────────── */

static void a_full_disk_refuses_and_loses_nothing(void **state)
{
        (void)state;
        sqlite_db *db = open_numbers();
        assert_int_equal(put_numbers(db, 0, 1000, 0, soon()), 0);
        sqlite_faults_full(true);
        assert_int_equal(put_numbers(db, 5000, 1000, 0, soon()), -ENOSPC);
        assert_int_equal(put_numbers(db, 7000, 1, 0, soon()), -ENOSPC);
        assert_int_equal(how_many(db), 1000);
        sqlite_faults_full(false);
        assert_int_equal(put_numbers(db, 7000, 1, 0, soon()), 0);
        assert_int_equal(how_many(db), 1001);
        sqlite_close(db);
}

static void a_failed_sync_ends_it_for_good(void **state)
{
        (void)state;
        sqlite_db *db = open_numbers();
        assert_int_equal(put_numbers(db, 0, 10, 0, soon()), 0);
        sqlite_faults_sync(true);
        assert_int_equal(put_numbers(db, 100, 1, 0, soon()), -EIO);
        sqlite_faults_sync(false);
        assert_int_equal(put_numbers(db, 200, 1, 0, soon()), -EIO);
        sqlite_close(db);
        db = open_numbers();
        assert_in_range(how_many(db), 10, 11);
        sqlite_close(db);
}

/* ── Several processes ───────────────────────────────────────────────────────────────────── */

static int run_see(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        (void)now;
        count *c = container_of(job, count, job);
        int r = sqlite_number(db, &c->found, COUNT, "i", c->n);
        return r < 0 ? r : c->found ? 0 : -EAGAIN;
}

static int await_number(void *arg)
{
        count *c = arg;
        return sqlite_call(*(sqlite_db **)(c + 1), &c->job, soon());
}

static void who_awaits_is_woken_by_another_process(void **state)
{
        (void)state;
        int start[2];
        assert_int_equal(pipe(start), 0);
        sqlite_close(open_numbers());
        pid_t child = fork();
        if (child == 0) {
                char c;
                if (read(start[0], &c, 1) != 1)
                        _exit(1);
                sqlite_db *db = open_numbers();
                _exit(put_numbers(db, 42, 1, 0, soon()) == 0 ? 0 : 1);
        }
        struct {
                count c;
                sqlite_db *db;
        } waiting = {.c = {.job = {.run = run_see, .kind = SQLITE_JOB_AWAIT}, .n = 42},
                     .db = open_numbers()};
        /* With a deadline that has passed it looks once. */
        assert_int_equal(sqlite_call(waiting.db, &waiting.c.job, SJ_POLL), -ETIMEDOUT);
        assert_int_equal(write(start[1], "", 1), 1);
        assert_int_equal(sj_run(await_number, &waiting.c), 0);
        assert_int_equal(waiting.c.found, 1);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        sqlite_close(waiting.db);
        close(start[0]);
        close(start[1]);
}

/* A job that is running until the test lets it go. */
typedef struct held {
        sqlite_job job;
        sqlite_db *db;
        sj_future begun, released;
        int result;
        sj_time deadline;
} held;

static int run_held(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        (void)db;
        (void)now;
        held *h = container_of(job, held, job);
        sj_future_set(&h->begun, 0, NULL);
        sj_future_get(&h->released, NULL, SJ_NEVER);
        return h->result;
}

static int call_held(void *arg)
{
        held *h = arg;
        return sqlite_call(h->db, &h->job, h->deadline);
}

/* What the call returns when its caller gives up while the job runs. */
static int give_up_while_it_runs(void *arg)
{
        held *h = arg;
        sj_fiber *fiber;
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        h->begun = h->released = (sj_future)SJ_FUTURE_INIT;
        h->deadline = SJ_NEVER;
        int r = sj_spawn(s, call_held, h, &fiber);
        if (r == 0)
                r = sj_future_get(&h->begun, NULL, soon());
        if (r < 0)
                return r;
        sj_cancel(fiber);
        for (int i = 0; i < 5; i++)
                sj_yield();
        sj_future_set(&h->released, 0, NULL);
        return sj_join(fiber, soon());
}

static void who_gives_up_hears_why_unless_it_has_ended(void **state)
{
        (void)state;
        static const struct {
                sqlite_kind kind;
                int result, expected;
        } cases[] = {
                {SQLITE_JOB_AWAIT, -EAGAIN, -ECANCELED}, /* it would have been run again */
                {SQLITE_JOB_READ, -EAGAIN, -ECANCELED},
                {SQLITE_JOB_WRITE, 0, -ECANCELED}, /* it was not committed yet */
                {SQLITE_JOB_AWAIT, 0, 0},
                {SQLITE_JOB_WRITE, -EDOM, -EDOM},
        };
        held h = {.db = open_numbers()};
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                h.job = (sqlite_job){.run = run_held, .kind = cases[i].kind};
                h.result = cases[i].result;
                assert_int_equal(sj_run(give_up_while_it_runs, &h), cases[i].expected);
        }
        sqlite_close(h.db);
}

/* Commits small groups; each of them is followed by a checkpoint, if the others let it. */
static int commit_for_a_while(int which)
{
        sqlite_db *db = open_with_log(1);
        int r = 0;
        for (int i = 0; i < 200 && r == 0; i++)
                r = put_numbers(db, which * 1000000 + i * 100, 40, 0, soon());
        sqlite_close(db);
        return r;
}

static void expect_sound(void)
{
        sqlite3 *handle;
        sqlite3_stmt *s;
        assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
        assert_int_equal(sqlite3_prepare_v2(handle, "PRAGMA integrity_check", -1, &s, NULL), 0);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        assert_string_equal((const char *)sqlite3_column_text(s, 0), "ok");
        sqlite3_finalize(s);
        sqlite3_close(handle);
}

static void checkpoints_and_commits_of_processes_lose_no_page(void **state)
{
        (void)state;
        enum { WRITERS = 3 };
        sqlite_close(open_numbers());
        for (int i = 0; i < WRITERS; i++)
                if (fork() == 0)
                        _exit(commit_for_a_while(i + 1) == 0 ? 0 : 1);
        /* Opens and closes meanwhile: the last to close moves the log, too. */
        for (int ended = 0; ended < WRITERS;) {
                sqlite_db *db = open_with_log(1);
                assert_true(how_many(db) % 40 == 0);
                sqlite_close(db);
                int status;
                if (waitpid(-1, &status, WNOHANG) > 0) {
                        assert_int_equal(status, 0);
                        ended++;
                }
        }
        sqlite_db *db = open_numbers();
        assert_int_equal(how_many(db), WRITERS * 200 * 40);
        sqlite_close(db);
        expect_sound();
}

static void commits_and_checkpoints_keep_each_other_out(void **state)
{
        (void)state;
        struct stat before, after;
        char lock[200];
        sqlite_db *db = open_with_log(1);
        assert_int_equal(put_numbers(db, 0, 10, 0, soon()), 0);
        snprintf(lock, sizeof(lock), "%s-lock", path);
        int fd = os_open(lock, O_RDWR, 0);
        assert_true(fd >= 0);
        /* Somebody else commits: so can we, but nothing is moved to the database. */
        assert_int_equal(os_lock_file(fd, false, true), 0);
        assert_int_equal(stat(path, &before), 0);
        assert_int_equal(put_numbers(db, 1000, 2000, 0, soon()), 0);
        assert_int_equal(how_many(db), 2010);
        assert_int_equal(stat(path, &after), 0);
        assert_int_equal(after.st_size, before.st_size);
        os_unlock_file(fd);
        /* Somebody else checkpoints: we wait. */
        assert_int_equal(os_lock_file(fd, true, true), 0);
        assert_int_equal(put_numbers(db, 4000, 1, 0, sj_after(20 * SJ_MS)), -ETIMEDOUT);
        os_unlock_file(fd);
        assert_int_equal(put_numbers(db, 5000, 1, 0, soon()), 0);
        assert_int_equal(how_many(db), 2011);
        assert_int_equal(stat(path, &after), 0);
        assert_true(after.st_size > before.st_size);
        os_close(fd);
        sqlite_close(db);
}

static void the_log_is_bounded(void **state)
{
        (void)state;
        char log[200];
        struct stat s;
        sqlite_db *db = open_with_log(20);
        snprintf(log, sizeof(log), "%s-wal", path);
        for (int i = 0; i < 200; i++) {
                assert_int_equal(put_numbers(db, i * 100, 100, 0, soon()), 0);
                assert_int_equal(stat(log, &s), 0);
                assert_true(s.st_size < 60 * 4120);
        }
        assert_int_equal(stat(path, &s), 0);
        assert_true(s.st_size > 100 * 4096);
        sqlite_close(db);
        /* The last one leaves none. */
        assert_int_equal(stat(log, &s), -1);
}

/* ── Power cuts ──────────────────────────────────────────────────────────────────────────── */

enum { CUTS = 100 };

typedef struct cuts {
        _Atomic int64_t confirmed;
        _Atomic int taken;
        int64_t at[CUTS];
        unsigned seed;
} cuts;

static void image_name(int i, char ret[80])
{
        snprintf(ret, 80, "%s.%d", folder, i);
}

static void cut_power(void *arg)
{
        cuts *c = arg;
        char name[80];
        if (c->taken == CUTS)
                return;
        image_name(c->taken, name);
        c->at[c->taken] = c->confirmed;
        if (os_mkdir(name, 0700) < 0 || sqlite_faults_image(name, &c->seed) < 0)
                abort();
        c->taken++;
}

static void check_image(const cuts *c, int i)
{
        char name[80];
        image_name(i, name);
        snprintf(path, sizeof(path), "%s/numbers", name);
        sqlite_db *db = open_numbers();
        int64_t found = how_many(db);
        /* All that was confirmed, and of the rest whole transactions only. */
        assert_true(found >= c->at[i]);
        assert_int_equal(found % 10, 0);
        sqlite_close(db);
        os_read_dir(name, remove_one, name);
        assert_int_equal(os_rmdir(name), 0);
}

static void a_power_cut_loses_nothing_that_was_confirmed(void **state)
{
        (void)state;
        cuts c = {.seed = 7};
        sqlite_db *db = open_with_log(8);
        sqlite_faults_watch(cut_power, &c, 16);
        for (int i = 0; c.taken < CUTS; i++) {
                /* Some that are not synced by themselves, between those that are. */
                put p = {.job = {.run = run_put,
                                 .kind = i % 5 == 3 ? SQLITE_JOB_RELAXED : SQLITE_JOB_WRITE},
                         .n = i * 1000,
                         .count = 10};
                assert_int_equal(sqlite_call(db, &p.job, soon()), 0);
                if (p.job.kind == SQLITE_JOB_WRITE)
                        c.confirmed = (i + 1) * 10;
        }
        sqlite_close(db);
        sqlite_faults_watch(NULL, NULL, 0);
        for (int i = 0; i < CUTS; i++)
                check_image(&c, i);
}

int main(void)
{
#define CASE(body)                                            \
        {                                                     \
#body, body, make_folder, remove_folder, NULL \
        }
        const struct CMUnitTest tests[] = {
                CASE(a_missing_folder_is_named),
                CASE(a_missing_file_is_made_unless_it_must_exist),
                CASE(what_is_no_database_is_refused_and_left_alone),
                CASE(a_database_of_others_is_refused_and_left_alone),
                CASE(a_newer_version_is_refused),
                CASE(a_place_that_may_not_be_written_is_said),
                CASE(a_disk_that_is_full_at_the_opening_is_said),
                CASE(a_file_that_others_lock_is_waited_for_until_the_deadline),
                CASE(its_files_are_the_owners_alone),
                CASE(one_that_fails_leaves_nothing_and_the_others_untouched),
                CASE(writes_of_one_moment_share_a_sync),
                CASE(a_relaxed_write_is_not_synced_and_a_later_one_is),
                CASE(a_write_gives_up_at_its_deadline_while_others_hold_the_file),
                CASE(a_full_disk_refuses_and_loses_nothing),
                CASE(a_failed_sync_ends_it_for_good),
                CASE(who_awaits_is_woken_by_another_process),
                CASE(who_gives_up_hears_why_unless_it_has_ended),
                CASE(checkpoints_and_commits_of_processes_lose_no_page),
                CASE(commits_and_checkpoints_keep_each_other_out),
                CASE(the_log_is_bounded),
                CASE(a_power_cut_loses_nothing_that_was_confirmed),
        };
        sqlite_faults_install();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
