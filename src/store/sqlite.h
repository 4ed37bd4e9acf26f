/* SPDX-License-Identifier: MIT */
/*
 * sqlite: a SQLite file behind a thread of its own, for fibers and threads alike.
 *
 * What is to be done in the file is a job: a function that is called on the file's thread, within
 * a transaction. The caller waits for it, as a fiber or as a thread.
 *
 *         fibers ──┐                    ┌─────────── the file's thread ───────────┐
 *         threads ─┴─► inbox ──► all that wait ──► BEGIN, job, job, ..., COMMIT ──┴─► set free
 *
 * Writes that wait at the same time share one transaction and one sync of the disk; yet one that
 * fails leaves nothing behind and the others untouched. Nothing is spent on that while all goes
 * well: when one fails half-way, all of the transaction are run again, in savepoints.
 * Nobody is told of success before the commit has returned. While the disk is busy with one group
 * the next one gathers; when nothing waits, a job is begun at once.
 *
 * Several processes may have the file open. Each commit is told to the others (sqlite_bell), so
 * that an AWAIT job runs again, soon after whoever changed something.
 *
 * Jobs lie on the stack of the caller. When it gives up (deadline, cancellation) the job is taken
 * back: if its function runs at this moment, that is waited for, but never a lock or the disk.
 */
#ifndef SANJAB_STORE_SQLITE_H
#define SANJAB_STORE_SQLITE_H

#include "base/list.h"

#include <sanjab/fiber.h>
#include <sanjab/future.h>

#include <sqlite3.h>

typedef struct sqlite_db sqlite_db;
typedef struct sqlite_job sqlite_job;

typedef enum sqlite_kind {
        SQLITE_JOB_READ,    /* sees one moment of the file, and changes nothing */
        SQLITE_JOB_WRITE,   /* is on the disk when the call returns */
        SQLITE_JOB_RELAXED, /* outlives a crash of any process, but not one of the machine */
        SQLITE_JOB_AWAIT,   /* a READ that is run again after each change, until not -EAGAIN; with a
                               deadline that has passed, once */
} sqlite_kind;

/*
 * What a job does, on the file's thread: 0 or more, or a negative errno value, and then none of
 * what it has changed in the file is kept. It must not block, and may be called again from its
 * beginning, as if it had not been before. now: the same for all of a transaction.
 */
typedef int sqlite_run(sqlite_db *db, sqlite_job *job, sj_wall now);

struct sqlite_job {
        sqlite_run *run;
        sqlite_kind kind;
        /* private: */
        list node;
        int state;
        int unwanted; /* -ETIMEDOUT or -ECANCELED: its caller has given up */
        bool once;
        int result;
        sj_future done;
};

/* A kind of file: what is in it, and what it does by itself. */
typedef struct sqlite_schema {
        const char *what;       /* "sanjab queue", for error texts */
        int application_id;     /* PRAGMA application_id */
        int version;            /* PRAGMA user_version */
        const char *definition; /* makes a new, empty file into one of these */
        const char *const *statements;
        size_t n_statements;
        /* Called first in each transaction that writes: what is due by now. */
        int (*tick)(sqlite_db *db, sj_wall now);
        /* When tick has to be called next; INT64_MAX never. */
        int (*alarm)(sqlite_db *db, sj_wall *ret);
} sqlite_schema;

typedef struct sqlite_options {
        bool must_exist;
        int log_pages; /* of the log before it is moved to the database; 0: 32 MiB */
        const sqlite_schema *schema;
        void *arg; /* see sqlite_arg */
} sqlite_options;

/*
 * Opens the file, made with mode 0600 if it is not there, and starts its thread. On an error, error
 * (size bytes) has a sentence. -ENOENT, -ENOTDIR, -EACCES, -ENOSPC; -EBADMSG it is another kind of
 * file, or a newer version; -ETIMEDOUT somebody else has it locked; -EIO, -ENOMEM.
 */
int sqlite_open(const char *path, const sqlite_options *options, sqlite_db **ret, char *error,
                size_t size, sj_time deadline);
/* Nobody may be inside a call. Blocks shortly. NULL is allowed. */
void sqlite_close(sqlite_db *db);

void *sqlite_arg(sqlite_db *db);

/*
 * Runs a job, whose run and kind are set; its result. Cancellation point. Errors besides the
 * job's: -ETIMEDOUT, -ECANCELED: whether a write was done is not known; -ENOSPC, -ENOMEM it was
 * not; -EIO the file is lost: once a commit has failed no other is tried.
 */
int sqlite_call(sqlite_db *db, sqlite_job *job, sj_time deadline);

/* ── A connection without jobs, for statements of the user's own: it blocks its thread ────── */

/* As sqlite_open; sqlite_call must not be used with it. */
int sqlite_user_open(const char *path, const sqlite_options *options, sqlite_db **ret, char *error,
                     size_t size, sj_time deadline);
void sqlite_user_close(sqlite_db *db);
sqlite3 *sqlite_user_handle(sqlite_db *db);
/* A transaction: the contracts are those of sanjab/sqlite.h. */
int sqlite_user_begin(sqlite_db *db, sj_time deadline);
int sqlite_user_commit(sqlite_db *db);
void sqlite_user_rollback(sqlite_db *db);
/* Runs a job within it, all or nothing; its result. -EINVAL none is open. */
int sqlite_user_run(sqlite_db *db, sqlite_job *job);
/* Whether connections that do not keep out of our checkpoints can harm the file. */
bool sqlite_user_at_risk(void);

/* ── Within a job ────────────────────────────────────────────────────────────────────────── */

/*
 * The statement with that number, its parameters bound as `kinds` says, one letter for each:
 *   i int64_t, s sj_str as text, b sj_str as bytes; I, S, B likewise, NULL when it is 0 or empty
 * What they point to must last until sqlite_end.
 * NULL: no memory, or the file is damaged; sqlite_row takes it, and tells.
 */
sqlite3_stmt *sqlite_begin(sqlite_db *db, unsigned statement, const char *kinds, ...);
/* 1 a row, 0 there is none, or an error; after the last two the statement is reset. */
int sqlite_row(sqlite_db *db, sqlite3_stmt *s);
/* When no more rows are wanted. */
void sqlite_end(sqlite3_stmt *s);
/* A statement without rows; returns how many it has changed. */
int sqlite_do(sqlite_db *db, unsigned statement, const char *kinds, ...);
/* A statement with one row at most, of one number: 1 and *ret, or 0. */
int sqlite_number(sqlite_db *db, int64_t *ret, unsigned statement, const char *kinds, ...);

/* The number of the row that was inserted last. */
int64_t sqlite_last_row(sqlite_db *db);

/* A column's bytes: valid until the next step. */
sj_str sqlite_text(sqlite3_stmt *s, int column);

#endif
