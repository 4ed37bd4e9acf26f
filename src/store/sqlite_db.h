/* SPDX-License-Identifier: MIT */
/*
 * sqlite_db: the inside of sqlite.h, for its own files: sqlite.c (jobs and their thread),
 * sqlite_write.c (transactions and the log), sqlite_open.c (the file), sqlite_statement.c
 * (statements and errors), sqlite_user.c (without jobs and a thread).
 */
#ifndef SANJAB_STORE_SQLITE_DB_H
#define SANJAB_STORE_SQLITE_DB_H

#include "fiber/mutex.h"
#include "store/sqlite.h"

#include <sanjab/future.h>

#define SQLITE_PATH_MAX  4096
#define SQLITE_IDLE_TIME SJ_SEC /* without a commit, until the log is moved though it is short */

struct sqlite_db {
        const sqlite_options options;
        char path[SQLITE_PATH_MAX]; /* absolute */
        char said[SQLITE_PATH_MAX]; /* as the user says it */
        os_thread *thread;
        sj_future opened;
        sj_time open_deadline;
        char error[SQLITE_PATH_MAX + 256]; /* why it cannot be opened */

        /* Shared with callers, under the lock. */
        mutex lock;
        list inbox;
        list reads;
        list writes;
        list group;  /* done, but not yet committed */
        list awaits; /* to be run again */
        bool sleeping;
        bool closing;

        /* The thread's own. */
        sqlite3 *handle;
        sqlite3_stmt **statements;
        sqlite3_stmt *ask_version;
        os_poller *poller;
        int lock_fd;
        bool locked; /* a transaction of sqlite_user.c is open */
        int watch_fd;
        bool watching;   /* watch_fd is armed */
        bool relaxed;    /* what PRAGMA synchronous says now */
        bool dirty;      /* awaits have to be looked at: there was a change */
        bool fresh;      /* the alarm has to be asked anew */
        bool tick_due;   /* a transaction is wanted, if only for its tick */
        int broken;      /* 0, or why nothing works any more */
        int64_t version; /* PRAGMA data_version when awaits were looked at last */
        sj_wall alarm;
        sj_time retry; /* when the file's lock is tried again */
        sj_time retry_reads;
        sj_time retry_tick;
        sj_time delay;
        sj_time slow; /* when awaits are looked at without a reason */
        int frames;   /* in the write-ahead log, as far as we know */
        int frames_tried;
        sj_time committed;  /* the last time */
        sj_time checkpoint; /* when one may be tried again */
};

/* In sqlite.c. Without file and thread; NULL: no memory. */
sqlite_db *sqlite_new(const char *path, const sqlite_options *options, sj_time deadline);
/* The first job of the list, RUNNING then; NULL when it is empty. */
sqlite_job *sqlite_take(sqlite_db *db, list *jobs);
/* After a run: into the list `next`, or done if that is NULL or nobody wants it any more. */
void sqlite_put(sqlite_db *db, sqlite_job *job, int result, list *next);
/* All of the list are done: with that error, or with what they returned. */
void sqlite_finish_all(sqlite_db *db, list *jobs, int result);

/* In sqlite_write.c: one attempt at a transaction, if there is something to write. */
void sqlite_write(sqlite_db *db);
/* Moves the log to the database, if it is long or idle. */
void sqlite_tidy_log(sqlite_db *db);

static inline sj_time sqlite_earlier(sj_time a, sj_time b)
{
        return a < b ? a : b;
}
static inline sj_time sqlite_later(sj_time a, sj_time b)
{
        return a > b ? a : b;
}

/* In sqlite_open.c, on the thread: 0, or an error and its text in db->error. */
int sqlite_open_file(sqlite_db *db);
void sqlite_close_file(sqlite_db *db);

/* In sqlite_statement.c. */
int sqlite_error(sqlite_db *db, int code);
int sqlite_exec(sqlite_db *db, const char *sql);
void sqlite_statements_fini(sqlite_db *db);

/* How long a lock that is taken is waited for before the next try: 100 us, doubled up to 8 ms. */
sj_time sqlite_back_off(sqlite_db *db);

#endif
