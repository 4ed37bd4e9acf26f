/* SPDX-License-Identifier: MIT */
/*
 * sanjab/sqlite.h: a program's own tables in the file of a queue.
 *
 * Rows and tasks in one transaction: both are there, or neither, whenever the program ends.
 *
 *         sj_sqlite *s;
 *         r = sj_sqlite_open("jobs.db", &s, error, sizeof(error), sj_after(5 * SJ_SEC));
 *         r = sj_sqlite_begin(s, sj_after(5 * SJ_SEC));
 *         sqlite3_exec(sj_sqlite_handle(s), "INSERT INTO orders ...", NULL, NULL, NULL);
 *         r = sj_sqlite_send_task(s, "ship", "[1]", NULL, NULL, NULL, id);
 *         r = sj_sqlite_commit(s);
 *
 * Why not sqlite3_open: SQLite 3.7.0 to 3.51.2 may lose a page of a file when one connection
 * resets its write-ahead log while another's checkpoint has not ended. So of all connections to a
 * queue's file none makes checkpoints but the library, which keeps every commit out meanwhile by a
 * lock on the file PATH-lock. What writes to the file must open it by sj_sqlite_open; what only
 * reads may also open it by itself, with SQLITE_OPEN_READONLY.
 *
 * The header is there in builds of the library with SQLite only.
 *
 * Threads and blocking. One thread at a time may use an sj_sqlite and its handle; not a child of
 * fork. All calls block their thread, for the disk or for other writers: a fiber makes them by
 * sj_offload. Between begin and commit all other writers of the file wait, workers among them: do
 * nothing slow there.
 */
#ifndef SANJAB_SQLITE_H
#define SANJAB_SQLITE_H

#include <sanjab/task.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sqlite3;

typedef struct sj_sqlite sj_sqlite;

/*
 * Opens the queue in the file at path, as the broker sqlite:PATH does; it is made, with mode 0600,
 * if it is not there. On an error, error (size bytes; may be NULL) has a sentence.
 * Errors: -ENOENT, -ENOTDIR there is no such folder; -EACCES; -ENOSPC; -EBADMSG it is another
 * kind of file, or of a newer version; -ETIMEDOUT somebody else has it locked; -EINVAL,
 * -ENAMETOOLONG the path is malformed; -EIO; -ENOMEM.
 */
SJ_PUBLIC int sj_sqlite_open(const char *path, sj_sqlite **ret, char *error, size_t size,
                             sj_time deadline);
/* What is not committed is undone. Its statements must be finalized before. NULL is allowed. */
SJ_PUBLIC void sj_sqlite_close(sj_sqlite *s);

/*
 * The connection, for the program's own statements; it stays the sj_sqlite's, which closes it.
 * It has a write-ahead log, synchronous=FULL, no automatic checkpoints, no memory-mapped pages,
 * and a busy timeout of five seconds. These must be left as they are; no VACUUM and no checkpoint,
 * and the tables whose names begin with sanjab_ are the library's.
 * Reads need no transaction, but one that is left open keeps the log from being emptied. A write
 * outside of sj_sqlite_begin and sj_sqlite_commit is refused when it would be committed
 * (SQLITE_CONSTRAINT_COMMITHOOK), and undone.
 */
SJ_PUBLIC struct sqlite3 *sj_sqlite_handle(sj_sqlite *s);

/*
 * Begins a transaction that writes. 0; -ETIMEDOUT others were writing until the deadline;
 * -EALREADY one is open; -EIO a commit has failed before: close it; -EBADMSG the file is damaged;
 * -ENOSPC; -ENOMEM.
 */
SJ_PUBLIC int sj_sqlite_begin(sj_sqlite *s, sj_time deadline);
/*
 * Ends it. 0: all of it is on the disk, and workers that wait have been woken. On an error it is
 * undone: -EBUSY a statement that writes was not finished (sqlite3_reset); -EINVAL none is open,
 * or SQLite has undone it after an error of a statement; -EBADMSG the file is damaged; -ENOSPC;
 * -ENOMEM; -EIO: only then it may yet be there after the machine starts again.
 */
SJ_PUBLIC int sj_sqlite_commit(sj_sqlite *s);
/* Undoes it. Without one nothing is done. */
SJ_PUBLIC void sj_sqlite_rollback(sj_sqlite *s);

/*
 * Sends a task within the transaction: it exists if and only if that is committed. name, args,
 * kwargs and call as for sj_send_task, but that call->deadline is not looked at. Of routes, which
 * may be NULL, the default queue and the routes count. ret_id, which may be NULL, gets the id of
 * the task, or, with an idempotency key that is in use, of the one that has the key.
 * Errors: -EINVAL none is open, or as sj_send_task; -ENAMETOOLONG, -EMSGSIZE, -EEXIST likewise;
 * -EBUSY a statement of the program's is in the way; -EBADMSG, -ENOSPC, -EIO, -ENOMEM. The task
 * is not sent then; the rest of the transaction stands, unless sj_sqlite_commit says otherwise.
 */
SJ_PUBLIC int sj_sqlite_send_task(sj_sqlite *s, const char *name, const char *args,
                                  const char *kwargs, const sj_call *call,
                                  const sj_app_options *routes, char ret_id[SJ_TASK_ID_MAX + 1]);

#ifdef __cplusplus
}
#endif

#endif
