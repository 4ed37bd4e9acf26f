/* SPDX-License-Identifier: MIT */
/*
 * A connection that is used on its caller's thread, for statements of the user's own, and that
 * keeps the rule of sqlite_open.c: whoever commits holds PATH-lock shared.
 *
 * It is a sqlite_db without the thread, so that opening, errors and statements are the same code.
 * That no commit slips past the lock is not left to the user: the commit hook turns one into a
 * rollback.
 *
 * It never makes a checkpoint, not even when it is closed as the last one: the next process with a
 * thread does.
 */
#include "store/sqlite_db.h"

#include <stdio.h>
#include <stdlib.h>

enum { BUSY_MS = 5000 };

/* Not 0: it becomes a rollback. NULL: closed, but a statement was left. */
static int sqlite_user_on_commit(void *arg)
{
        const sqlite_db *db = arg;
        return !db || !db->locked;
}

int sqlite_user_open(const char *path, const sqlite_options *options, sqlite_db **ret, char *error,
                     size_t size, sj_time deadline)
{
        if (strlen(path) + 8 >= SQLITE_PATH_MAX) {
                snprintf(error, size, "the path is too long");
                return -ENAMETOOLONG;
        }
        sqlite_db *db = sqlite_new(path, options, deadline);
        if (!db) {
                snprintf(error, size, "%s", sj_strerror(-ENOMEM));
                return -ENOMEM;
        }
        int r = sqlite_open_file(db);
        if (r < 0) {
                snprintf(error, size, "%s", db->error);
                sqlite_user_close(db);
                return r;
        }
        os_close(db->watch_fd); /* nobody looks at it */
        db->watch_fd = -1;
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, NULL);
        sqlite3_busy_timeout(db->handle, BUSY_MS);
        sqlite3_commit_hook(db->handle, sqlite_user_on_commit, db);
        *ret = db;
        return 0;
}

sqlite3 *sqlite_user_handle(sqlite_db *db)
{
        return db->handle;
}

/* One attempt. -EAGAIN: not held while waiting, so that a checkpoint finds its gap. */
static int sqlite_user_try(sqlite_db *db)
{
        int r = os_lock_file(db->lock_fd, false, false);
        if (r < 0)
                return r;
        sqlite3_busy_timeout(db->handle, 0);
        r = sqlite_exec(db, "BEGIN IMMEDIATE");
        sqlite3_busy_timeout(db->handle, BUSY_MS);
        db->locked = r == 0;
        if (r < 0)
                os_unlock_file(db->lock_fd);
        return r;
}

int sqlite_user_begin(sqlite_db *db, sj_time deadline)
{
        if (db->locked || !sqlite3_get_autocommit(db->handle))
                return -EALREADY;
        db->delay = 0;
        for (;;) {
                int r = db->broken ? db->broken : sqlite_user_try(db);
                if (r != -EAGAIN)
                        return r;
                if (sj_now() >= deadline)
                        return -ETIMEDOUT;
                os_event event;
                os_poller_wait(db->poller, &event, 1,
                               sqlite_earlier(sqlite_back_off(db), deadline));
        }
}

void sqlite_user_rollback(sqlite_db *db)
{
        if (db->handle && !sqlite3_get_autocommit(db->handle))
                sqlite_exec(db, "ROLLBACK");
        if (db->locked)
                os_unlock_file(db->lock_fd);
        db->locked = false;
}

int sqlite_user_commit(sqlite_db *db)
{
        if (!db->locked)
                return -EINVAL;
        int r = sqlite3_get_autocommit(db->handle) ? -EINVAL : sqlite_exec(db, "COMMIT");
        if (r == -EIO)
                db->broken = r;
        sqlite_user_rollback(db); /* what is left of it, and the lock */
        /* Whatever it was: the user may have said COMMIT, too. */
        os_pwrite(db->lock_fd, "", 1, 0);
        return r == -EAGAIN ? -EBUSY : r;
}

int sqlite_user_run(sqlite_db *db, sqlite_job *job)
{
        if (!db->locked || sqlite3_get_autocommit(db->handle))
                return -EINVAL;
        int r = sqlite_exec(db, "SAVEPOINT sanjab");
        if (r < 0)
                return r == -EAGAIN ? -EBUSY : r;
        r = job->run(db, job, sj_wall_now());
        if (r < 0)
                sqlite_exec(db, "ROLLBACK TO sanjab");
        sqlite_exec(db, "RELEASE sanjab");
        return r;
}

void sqlite_user_close(sqlite_db *db)
{
        if (!db)
                return;
        sqlite_user_rollback(db);
        sqlite_statements_fini(db);
        if (db->handle) {
                sqlite3_commit_hook(db->handle, sqlite_user_on_commit, NULL);
                sqlite3_wal_hook(db->handle, NULL, NULL);
        }
        sqlite3_close_v2(db->handle);
        os_close(db->lock_fd);
        os_close(db->watch_fd);
        os_poller_free(db->poller);
        free(db);
}

bool sqlite_user_at_risk(void)
{
        return sqlite3_libversion_number() < 3051003;
}
