/* SPDX-License-Identifier: MIT */
/*
 * The thread of a file, and the jobs' way through it.
 *
 *            ┌► reads ──────────────────────────► done        of whatever kind, once: its future
 *   inbox ───┼► writes ──► running ──► group ───► done        is set under the lock, so that the
 *            └► awaits ◄─► running ─────────────► done        caller may go as soon as it has it
 *
 * A job is in one list, or RUNNING and in none. All lists but the running one may lose a job at
 * any moment to its caller giving up, so that they are looked at under the lock only. A RUNNING
 * job is left alone; it is marked unwanted and set free as soon as its function has returned.
 *
 * A turn of the thread: reads, one attempt at a group of writes, the awaits if something has
 * changed, a checkpoint if the log is long, and then sleep until the next reason to wake. A lock
 * of another process is never waited for but in that sleep, so reads go on meanwhile.
 */
#include "store/sqlite_db.h"

#include "exec/await.h"

#include <sanjab/future.h>

#include <stdio.h>
#include <stdlib.h>

enum {
        JOB_QUEUED,
        JOB_RUNNING,
        JOB_DONE,
};

#define SLOW_TICK  SJ_SEC
#define ONCE_TIME  SJ_SEC /* the most that one look takes, which does not wait for anything */
#define READ_RETRY (2 * SJ_MS)

void *sqlite_arg(sqlite_db *db)
{
        return db->options.arg;
}

/* ── Jobs ────────────────────────────────────────────────────────────────────────────────── */

/* With the lock held. */
static void sqlite_finish(sqlite_job *job, int result)
{
        list_remove(&job->node);
        job->state = JOB_DONE;
        job->result = result;
        sj_future_set(&job->done, 0, NULL);
}

void sqlite_finish_all(sqlite_db *db, list *jobs, int result)
{
        mutex_lock(&db->lock);
        while (!list_empty(jobs)) {
                sqlite_job *job = container_of(jobs->next, sqlite_job, node);
                sqlite_finish(job, result < 0 ? result : job->result);
        }
        mutex_unlock(&db->lock);
}

/* The first of the list, to be run; NULL when it is empty. */
sqlite_job *sqlite_take(sqlite_db *db, list *jobs)
{
        mutex_lock(&db->lock);
        list *node = list_pop(jobs);
        sqlite_job *job = node ? container_of(node, sqlite_job, node) : NULL;
        if (job)
                job->state = JOB_RUNNING;
        mutex_unlock(&db->lock);
        return job;
}

/*
 * After a run: into the list `next`, or done if that is NULL or nobody wants it any more. Then it
 * is not known yet how it ends, and its caller is told why he has not waited.
 */
void sqlite_put(sqlite_db *db, sqlite_job *job, int result, list *next)
{
        mutex_lock(&db->lock);
        if (!next || job->unwanted) {
                sqlite_finish(job, next ? job->unwanted : result);
        } else {
                job->state = JOB_QUEUED;
                job->result = result;
                list_append(next, &job->node);
        }
        mutex_unlock(&db->lock);
}

/* Whether it was taken back in time; else it is done, or will be at once. */
static bool sqlite_withdraw(sqlite_db *db, sqlite_job *job, int why)
{
        mutex_lock(&db->lock);
        bool queued = job->state == JOB_QUEUED;
        if (queued)
                list_remove(&job->node);
        job->unwanted = why;
        mutex_unlock(&db->lock);
        return queued;
}

int sqlite_call(sqlite_db *db, sqlite_job *job, sj_time deadline)
{
        list_init(&job->node);
        job->state = JOB_QUEUED;
        job->unwanted = 0;
        job->done = (sj_future)SJ_FUTURE_INIT;
        bool reads = job->kind == SQLITE_JOB_READ || job->kind == SQLITE_JOB_AWAIT;
        job->once = reads && deadline <= sj_now();
        if (job->once)
                deadline = sj_after(ONCE_TIME);
        mutex_lock(&db->lock);
        list_append(&db->inbox, &job->node);
        bool wake = db->sleeping;
        db->sleeping = false;
        mutex_unlock(&db->lock);
        if (wake)
                os_poller_wake(db->poller);
        int r = sj_future_get(&job->done, NULL, deadline);
        if (r < 0) {
                if (sqlite_withdraw(db, job, r))
                        return r;
                await_surely(&job->done, NULL);
        }
        /* The thread sets the future under the lock, and is not done with it before. */
        mutex_lock(&db->lock);
        int result = job->result;
        mutex_unlock(&db->lock);
        return result;
}

/* ── Reads ───────────────────────────────────────────────────────────────────────────────── */

static void sqlite_read(sqlite_db *db)
{
        if (db->retry_reads && sj_now() < db->retry_reads)
                return;
        db->retry_reads = 0;
        sqlite_job *job = sqlite_take(db, &db->reads);
        if (!job)
                return;
        int begun = db->broken ? db->broken : sqlite_exec(db, "BEGIN");
        sj_wall now = sj_wall_now();
        for (; job; job = sqlite_take(db, &db->reads)) {
                int r = begun < 0 ? begun : job->run(db, job, now);
                if (r == -EAGAIN && job->kind == SQLITE_JOB_READ) {
                        /* The file is being recovered, or somebody keeps everyone out. */
                        db->retry_reads = sj_after(READ_RETRY);
                        sqlite_put(db, job, r, &db->reads);
                        break;
                }
                bool again = r == -EAGAIN && !job->once;
                db->fresh |= again;
                sqlite_put(db, job, r == -EAGAIN ? -ETIMEDOUT : r, again ? &db->awaits : NULL);
        }
        if (begun == 0)
                sqlite_exec(db, "COMMIT");
}

/* ── Awaits ──────────────────────────────────────────────────────────────────────────────── */

static bool sqlite_any(sqlite_db *db, const list *jobs)
{
        mutex_lock(&db->lock);
        bool any = !list_empty(jobs);
        mutex_unlock(&db->lock);
        return any;
}

/* Whether other connections have committed since the last time. */
static bool sqlite_changed_by_others(sqlite_db *db)
{
        if (!db->ask_version)
                sqlite3_prepare_v3(db->handle, "PRAGMA data_version", -1, SQLITE_PREPARE_PERSISTENT,
                                   &db->ask_version, NULL);
        int64_t version = db->version;
        if (db->ask_version && sqlite3_step(db->ask_version) == SQLITE_ROW)
                version = sqlite3_column_int64(db->ask_version, 0);
        sqlite_end(db->ask_version);
        bool changed = version != db->version;
        db->version = version;
        return changed;
}

static void sqlite_look_again(sqlite_db *db)
{
        list jobs;
        list_init(&jobs);
        mutex_lock(&db->lock);
        list_splice(&jobs, &db->awaits);
        mutex_unlock(&db->lock);
        bool begun = sqlite_exec(db, "BEGIN") == 0;
        sj_wall now = sj_wall_now();
        for (sqlite_job *job; (job = sqlite_take(db, &jobs));) {
                int r = db->broken ? db->broken : job->run(db, job, now);
                sqlite_put(db, job, r, r == -EAGAIN ? &db->awaits : NULL);
        }
        if (begun)
                sqlite_exec(db, "COMMIT");
}

static void sqlite_await(sqlite_db *db)
{
        if (!sqlite_any(db, &db->awaits))
                return;
        /* In this order: what is committed after the look at the version is seen the next time. */
        bool changed = sqlite_changed_by_others(db) || db->dirty || db->broken != 0;
        db->dirty = false;
        if (changed)
                sqlite_look_again(db);
        if ((changed || db->fresh) && !db->broken) {
                db->fresh = false;
                db->alarm.us = INT64_MAX;
                db->options.schema->alarm(db, &db->alarm);
        }
        db->slow = sj_after(SLOW_TICK);
        db->tick_due =
                !db->broken && db->alarm.us <= sj_wall_now().us && sj_now() >= db->retry_tick;
}

/* ── The thread ──────────────────────────────────────────────────────────────────────────── */

/* When there is something to do without being woken. */
static sj_time sqlite_next_turn(sqlite_db *db)
{
        sj_time next = SJ_NEVER;
        if (db->tick_due || sqlite_any(db, &db->writes))
                next = db->retry;
        if (sqlite_any(db, &db->reads))
                next = sqlite_earlier(next, db->retry_reads);
        if (sqlite_any(db, &db->awaits)) {
                int64_t us = db->alarm.us - sj_wall_now().us;
                sj_time alarm = us < SLOW_TICK / SJ_US ? sj_after(us * SJ_US) : SJ_NEVER;
                if (!db->broken)
                        next = sqlite_earlier(next, sqlite_later(alarm, db->retry_tick));
                next = sqlite_earlier(next, db->slow);
        }
        if (db->frames && !db->broken) {
                sj_time idle = db->committed + SQLITE_IDLE_TIME;
                next = sqlite_earlier(next, sqlite_later(idle, db->checkpoint));
        }
        return next;
}

/* Sorts what has come; false when the file is to be closed. */
static bool sqlite_sort_inbox(sqlite_db *db)
{
        mutex_lock(&db->lock);
        db->sleeping = false;
        for (list *node; (node = list_pop(&db->inbox));) {
                sqlite_job *job = container_of(node, sqlite_job, node);
                bool writes = job->kind == SQLITE_JOB_WRITE || job->kind == SQLITE_JOB_RELAXED;
                list_append(writes ? &db->writes : &db->reads, node);
        }
        bool closing = db->closing;
        mutex_unlock(&db->lock);
        return !closing;
}

static void sqlite_sleep(sqlite_db *db)
{
        sj_time until = sqlite_next_turn(db);
        if (!db->watching && db->watch_fd >= 0 && sqlite_any(db, &db->awaits)) {
                db->watching =
                        os_poller_arm(db->poller, db->watch_fd, OS_READABLE, &db->watch_fd) == 0;
        }
        mutex_lock(&db->lock);
        db->sleeping = list_empty(&db->inbox) && !db->closing;
        bool sleep = db->sleeping;
        mutex_unlock(&db->lock);
        if (!sleep)
                return;
        os_event event;
        if (os_poller_wait(db->poller, &event, 1, until) == 1) {
                db->watching = false;
                os_watch_clear(db->watch_fd);
        }
}

static void *sqlite_thread(void *arg)
{
        sqlite_db *db = arg;
        int r = sqlite_open_file(db);
        mutex_lock(&db->lock);
        sj_future_set(&db->opened, r, NULL);
        mutex_unlock(&db->lock);
        while (r == 0 && sqlite_sort_inbox(db)) {
                sqlite_read(db);
                sqlite_write(db);
                sqlite_await(db);
                sqlite_tidy_log(db);
                sqlite_sleep(db);
        }
        sqlite_close_file(db);
        return NULL;
}

/* ── Opening and closing ─────────────────────────────────────────────────────────────────── */

sqlite_db *sqlite_new(const char *path, const sqlite_options *options, sj_time deadline)
{
        sqlite_db *db = calloc(1, sizeof(*db));
        if (!db)
                return NULL;
        memcpy((void *)&db->options, options, sizeof(*options));
        snprintf(db->said, sizeof(db->said), "%s", path);
        db->open_deadline = deadline;
        db->lock_fd = db->watch_fd = -1;
        list *const lists[] = {&db->inbox, &db->reads, &db->writes, &db->group, &db->awaits};
        for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
                list_init(lists[i]);
        if (os_poller_new(&db->poller) == 0)
                return db;
        free(db);
        return NULL;
}

int sqlite_open(const char *path, const sqlite_options *options, sqlite_db **ret, char *error,
                size_t size, sj_time deadline)
{
        if (strlen(path) + 8 >= SQLITE_PATH_MAX)
                return -ENAMETOOLONG;
        sqlite_db *db = sqlite_new(path, options, deadline);
        if (!db)
                return -ENOMEM;
        int r = os_thread_start(sqlite_thread, db, "sqlite", &db->thread);
        if (r == 0) {
                r = sj_future_get(&db->opened, NULL, deadline);
                mutex_lock(&db->lock);
                if (sj_future_done(&db->opened))
                        snprintf(error, size, "%s", db->error);
                mutex_unlock(&db->lock);
                if (r == -ETIMEDOUT)
                        snprintf(error, size, "%s is locked by another program", path);
        }
        if (r == -EAGAIN)
                snprintf(error, size,
                         "%s needs a thread, and no more can be started: see ulimit -u", path);
        if (r < 0) {
                sqlite_close(db);
                return r;
        }
        *ret = db;
        return 0;
}

void sqlite_close(sqlite_db *db)
{
        if (!db)
                return;
        if (db->thread) {
                mutex_lock(&db->lock);
                db->closing = true;
                mutex_unlock(&db->lock);
                os_poller_wake(db->poller);
                os_thread_join(db->thread);
        }
        os_poller_free(db->poller);
        free(db);
}
