/* SPDX-License-Identifier: MIT */
/*
 * Transactions that write, and the log that they lengthen. One attempt a turn: the locks that other
 * processes hold are tried, never waited for, and the thread sleeps until the next try.
 */
#include "store/sqlite_db.h"

#define GROUP_TIME (20 * SJ_MS) /* how long one transaction gathers work */
#define TICK_RETRY SJ_SEC       /* after one that has failed */
#define IDLE_RETRY (10 * SJ_SEC)

/* Pages in the log that ask for a checkpoint; an eighth more for the next try, if it failed. */
enum { FRAMES_MANY = 8192 };

/* -EAGAIN somebody else has it. */
static int sqlite_begin_write(sqlite_db *db, bool relaxed)
{
        int r = os_lock_file(db->lock_fd, false, false);
        if (r < 0)
                return r;
        if (relaxed != db->relaxed)
                r = sqlite_exec(db, relaxed ? "PRAGMA synchronous = NORMAL"
                                            : "PRAGMA synchronous = FULL");
        if (r == 0) {
                db->relaxed = relaxed;
                r = sqlite_exec(db, "BEGIN IMMEDIATE");
        }
        /* Not held while waiting: a checkpoint must find its gap. */
        if (r < 0)
                os_unlock_file(db->lock_fd);
        return r;
}

static void sqlite_roll_back(sqlite_db *db)
{
        if (!sqlite3_get_autocommit(db->handle))
                sqlite_exec(db, "ROLLBACK");
}

/* Commits, or undoes everything; then others may write. */
static int sqlite_end_write(sqlite_db *db, int r)
{
        if (r == 0) {
                r = sqlite_exec(db, "COMMIT");
                /* Whatever it was: no part of the log may be trusted that another sync follows. */
                if (r == -EIO)
                        db->broken = r;
        }
        if (r < 0) {
                sqlite_roll_back(db);
                if (db->broken)
                        sj_log(SJ_LOG_CRITICAL, "%s: a commit has failed; nothing more is accepted",
                               db->said);
        }
        os_unlock_file(db->lock_fd);
        if (r < 0)
                return r;
        os_pwrite(db->lock_fd, "", 1, 0);
        /* Our own bell is not for us; all awaits are looked at after this. */
        if (db->watching)
                os_watch_clear(db->watch_fd);
        db->dirty = true;
        db->committed = sj_now();
        return 0;
}

/* Whether there are writes, and whether all of them are relaxed. */
static bool sqlite_wanted(sqlite_db *db, bool *ret_relaxed)
{
        mutex_lock(&db->lock);
        bool any = !list_empty(&db->writes);
        bool relaxed = true;
        list_for_each (node, &db->writes)
                relaxed &= container_of(node, sqlite_job, node)->kind == SQLITE_JOB_RELAXED;
        mutex_unlock(&db->lock);
        *ret_relaxed = relaxed;
        return any;
}

/* -EAGAIN: it has failed half-way, and only a savepoint could undo it alone. */
static int sqlite_run_plain(sqlite_db *db, sqlite_job *job, sj_wall now, int *ret_result)
{
        int64_t before = sqlite3_total_changes64(db->handle);
        *ret_result = job->run(db, job, now);
        bool clean = *ret_result >= 0 || sqlite3_total_changes64(db->handle) == before;
        return clean || sqlite3_get_autocommit(db->handle) ? 0 : -EAGAIN;
}

static int sqlite_run_careful(sqlite_db *db, sqlite_job *job, sj_wall now, int *ret_result)
{
        *ret_result = sqlite_exec(db, "SAVEPOINT job");
        if (*ret_result == 0)
                *ret_result = job->run(db, job, now);
        if (*ret_result < 0)
                sqlite_exec(db, "ROLLBACK TO job");
        sqlite_exec(db, "RELEASE job");
        return 0;
}

/*
 * Runs all that wait, or as many as fit in the time, and puts them into the group. 0; -EAGAIN the
 * transaction must be run again, with savepoints; another error: it is lost.
 */
static int sqlite_run_group(sqlite_db *db, bool careful, sj_wall now)
{
        sj_time until = sj_after(GROUP_TIME);
        for (sqlite_job *job; (job = sqlite_take(db, &db->writes));) {
                int result;
                int r = careful ? sqlite_run_careful(db, job, now, &result)
                                : sqlite_run_plain(db, job, now, &result);
                bool lost = sqlite3_get_autocommit(db->handle);
                /* One that failed need not wait for the commit. */
                sqlite_put(db, job, result, r < 0 || result >= 0 ? &db->group : NULL);
                if (r < 0 || lost)
                        return r < 0 ? r : result < 0 ? result : -EIO;
                if (sj_now() >= until)
                        break;
        }
        return 0;
}

/* The group waits again, in front. */
static void sqlite_put_back(sqlite_db *db)
{
        mutex_lock(&db->lock);
        list_splice(&db->group, &db->writes);
        list_splice(&db->writes, &db->group);
        mutex_unlock(&db->lock);
}

/* One transaction with the files' locks held: 0, or an error that has undone all. */
static int sqlite_run_transaction(sqlite_db *db)
{
        for (bool careful = false;; careful = true) {
                sj_wall now = sj_wall_now();
                int r = db->options.schema->tick(db, now);
                if (r == 0)
                        r = sqlite_run_group(db, careful, now);
                if (r != -EAGAIN)
                        return r;
                sqlite_put_back(db);
                sqlite_roll_back(db);
                r = sqlite_exec(db, "BEGIN IMMEDIATE");
                if (r < 0)
                        return r == -EAGAIN ? -EIO : r;
        }
}

void sqlite_write(sqlite_db *db)
{
        bool relaxed;
        if (!sqlite_wanted(db, &relaxed) && !db->tick_due)
                return;
        if (db->broken) {
                db->tick_due = false;
                sqlite_finish_all(db, &db->writes, db->broken);
                return;
        }
        if (db->retry && sj_now() < db->retry)
                return;
        int r = sqlite_begin_write(db, relaxed);
        if (r == -EAGAIN) {
                db->retry = sqlite_back_off(db);
                return;
        }
        db->retry = db->delay = 0;
        db->tick_due = false;
        if (r == 0)
                r = sqlite_end_write(db, sqlite_run_transaction(db));
        /* What has not been begun when everything fails would fail, too. */
        if (r < 0) {
                db->retry_tick = sj_after(TICK_RETRY);
                sqlite_finish_all(db, &db->writes, r);
        }
        sqlite_finish_all(db, &db->group, r);
}

/* ── The log ─────────────────────────────────────────────────────────────────────────────── */

/*
 * The log's file keeps its length, to be written over from its beginning: a sync is cheaper when
 * the file does not grow.
 */
static void sqlite_checkpoint(sqlite_db *db)
{
        /* It is tried again after the next commit: that costs one call. */
        if (os_lock_file(db->lock_fd, true, false) < 0)
                return;
        int frames = 0, moved = 0;
        int code = sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames,
                                             &moved);
        os_unlock_file(db->lock_fd);
        /* Where readers are in the way, not before the log has grown some more. */
        db->frames_tried = db->frames;
        if (sqlite_error(db, code) == 0 && frames == moved)
                db->frames = 0;
}

/*
 * A log that is long is moved to the database at the next moment without another writer; one that
 * is idle, too, so that the next burst begins with an empty one.
 */
void sqlite_tidy_log(sqlite_db *db)
{
        if (!db->frames || db->broken)
                return;
        int many = db->options.log_pages ? db->options.log_pages : FRAMES_MANY;
        if (db->frames < many)
                db->frames_tried = 0;
        if (db->frames >= many && db->frames >= db->frames_tried + many / 8) {
                sqlite_checkpoint(db);
        } else if (db->committed + SQLITE_IDLE_TIME <= sj_now() && db->checkpoint <= sj_now()) {
                db->checkpoint = sj_after(IDLE_RETRY);
                sqlite_checkpoint(db);
        }
}
