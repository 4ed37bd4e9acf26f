/* SPDX-License-Identifier: MIT */
/*
 * Opening a file, and the locks around it.
 *
 *   PATH        the database
 *   PATH-wal    its write-ahead log, which SQLite makes
 *   PATH-shm    the log's index
 *   PATH-lock   ours: who commits holds it shared, who checkpoints holds it alone; and who has
 *               committed writes a byte to it, which wakes those who watch it
 *
 * SQLite before 3.51.3 can lose a page when one connection resets the log while another's
 * checkpoint of it has not ended. So SQLite's own checkpoints are off, and ours keep all commits
 * out. For the same reason the last connection's checkpoint at its closing runs under that lock, or
 * not at all.
 *
 * Why the bell is not the log itself: its bytes are written before the commit is seen by others,
 * by the time that the sync of the disk takes; who was woken by them would look too early.
 *
 * A file of the database must never be opened and closed here beside SQLite: closing any
 * descriptor of it drops the locks that SQLite holds on it in this process.
 */
#include "store/sqlite_db.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Commits leave at most this much of the log on the disk once it has been checkpointed. */
#define SQLITE_LOG_KEPT "33554432"

__attribute__((format(printf, 3, 4))) static int sqlite_say(sqlite_db *db, int error,
                                                            const char *format, ...)
{
        va_list values;
        va_start(values, format);
        vsnprintf(db->error, sizeof(db->error), format, values);
        va_end(values);
        return error;
}

/* What went wrong, in general. */
static int sqlite_say_why(sqlite_db *db, int error)
{
        switch (error) {
        case -ENOSPC:
                return sqlite_say(db, error, "%s: the disk is full", db->said);
        case -EACCES:
        case -EROFS:
        case -EPERM:
                return sqlite_say(db, -EACCES, "%s or its folder may not be written", db->said);
        case -EISDIR:
                return sqlite_say(db, -EBADMSG, "%s is a folder, not a %s", db->said,
                                  db->options.schema->what);
        case -EBADMSG:
                return sqlite_say(db, error, "%s is not a database, or it is damaged", db->said);
        case -ETIMEDOUT:
                return sqlite_say(db, error, "%s is locked by another program", db->said);
        case -ECANCELED:
                return error;
        default:
                return sqlite_say(db, error, "cannot open %s: %s", db->said, sj_strerror(error));
        }
}

/* ── Where it is ─────────────────────────────────────────────────────────────────────────── */

static int sqlite_resolve(sqlite_db *db)
{
        char folder[SQLITE_PATH_MAX], real[PATH_MAX];
        const char *slash = strrchr(db->said, '/');
        const char *name = slash ? slash + 1 : db->said;
        size_t n = slash ? (size_t)(slash - db->said) : 0;
        if (!*name)
                return sqlite_say(db, -EINVAL, "'%s' is not the path of a file", db->said);
        memcpy(folder, db->said, n);
        folder[n] = 0;
        int r = os_real_path(n ? folder : slash ? "/" : ".", real, sizeof(real));
        if (r == -ENOENT)
                return sqlite_say(db, r, "there is no folder %s", folder);
        if (r == -ENOTDIR)
                return sqlite_say(db, r, "%s is not a folder", folder);
        os_stat stat;
        if (r == 0)
                r = os_stat_path(real, false, &stat);
        if (r == 0 && (stat.mode & S_IFMT) != S_IFDIR)
                return sqlite_say(db, -ENOTDIR, "%s is not a folder", folder);
        if (r < 0)
                return sqlite_say_why(db, r);
        size_t length = (size_t)snprintf(db->path, sizeof(db->path), "%s/%s",
                                         strcmp(real, "/") == 0 ? "" : real, name);
        /* Room for the names of the files beside it. */
        return length + 8 < sizeof(db->path) ? 0 : sqlite_say_why(db, -ENAMETOOLONG);
}

/* Makes the file, so that its mode does not depend on the umask; those beside it take it over. */
static int sqlite_create(sqlite_db *db)
{
        os_stat stat;
        int r = os_stat_path(db->path, false, &stat);
        if (r == 0 && (stat.mode & S_IFMT) == S_IFDIR)
                return sqlite_say_why(db, -EISDIR);
        if (r != -ENOENT)
                return r < 0 ? sqlite_say_why(db, r) : 0;
        if (db->options.must_exist)
                return sqlite_say(db, r, "there is no %s", db->said);
        int fd = os_open(db->path, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd == -EEXIST)
                return 0;
        if (fd < 0)
                return sqlite_say_why(db, fd);
        os_close(fd);
        r = os_chmod(db->path, 0600);
        return r < 0 ? sqlite_say_why(db, r) : 0;
}

static int sqlite_open_lock(sqlite_db *db)
{
        char path[SQLITE_PATH_MAX + 8];
        os_stat stat;
        snprintf(path, sizeof(path), "%s-lock", db->path);
        int r = os_stat_path(db->path, false, &stat);
        if (r < 0)
                return sqlite_say_why(db, r);
        db->lock_fd = os_open(path, O_RDWR | O_CREAT | O_EXCL, stat.mode & 0777);
        if (db->lock_fd >= 0)
                os_chmod(path, stat.mode & 0777);
        else if (db->lock_fd == -EEXIST)
                db->lock_fd = os_open(path, O_RDWR, 0);
        if (db->lock_fd < 0)
                return sqlite_say_why(db, db->lock_fd);
        db->watch_fd = os_watch_path(path);
        if (db->watch_fd < 0)
                sj_log(SJ_LOG_WARNING, "%s: cannot be watched (%s); looked at once a second",
                       db->said, sj_strerror(db->watch_fd));
        return 0;
}

/* ── What it is ──────────────────────────────────────────────────────────────────────────── */

static int sqlite_ask(sqlite_db *db, const char *sql, int64_t *ret)
{
        sqlite3_stmt *s = NULL;
        int r = sqlite_error(db, sqlite3_prepare_v2(db->handle, sql, -1, &s, NULL));
        if (r == 0) {
                int code = sqlite3_step(s);
                r = sqlite_error(db, code);
                if (code == SQLITE_ROW)
                        *ret = sqlite3_column_int64(s, 0);
        }
        sqlite3_finalize(s);
        return r;
}

/* 0 it is ours, 1 it is new and empty. */
static int sqlite_identify(sqlite_db *db)
{
        const sqlite_schema *schema = db->options.schema;
        int64_t id = 0, version = 0, tables = 0;
        int r = sqlite_ask(db, "PRAGMA application_id", &id);
        if (r == 0)
                r = sqlite_ask(db, "PRAGMA user_version", &version);
        if (r == 0)
                r = sqlite_ask(db, "SELECT count(*) FROM sqlite_schema", &tables);
        if (r < 0)
                return r;
        if (id == 0 && version == 0 && tables == 0)
                return 1;
        if (id != schema->application_id)
                return sqlite_say(db, -EBADMSG, "%s is not a %s", db->said, schema->what);
        if (version > schema->version)
                return sqlite_say(db, -EBADMSG,
                                  "%s was made by a newer version of this program (its format is "
                                  "%lld, this one knows %d)",
                                  db->said, (long long)version, schema->version);
        return 0;
}

static int sqlite_define(sqlite_db *db)
{
        const sqlite_schema *schema = db->options.schema;
        char marks[128];
        snprintf(marks, sizeof(marks), "PRAGMA application_id = %d; PRAGMA user_version = %d",
                 schema->application_id, schema->version);
        int r = sqlite_exec(db, "PRAGMA journal_mode = WAL");
        if (r == 0)
                r = sqlite_exec(db, "BEGIN IMMEDIATE");
        if (r < 0)
                return r;
        r = sqlite_exec(db, schema->definition);
        if (r == 0)
                r = sqlite_exec(db, marks);
        if (r == 0)
                r = sqlite_exec(db, "COMMIT");
        if (r < 0 && !sqlite3_get_autocommit(db->handle))
                sqlite_exec(db, "ROLLBACK");
        return r;
}

/* 1: the file is new, and has to be defined with the lock held alone. */
static int sqlite_prepare_file(sqlite_db *db, bool alone)
{
        static const char settings[] = "PRAGMA wal_autocheckpoint = 0;"
                                       "PRAGMA synchronous = FULL;"
                                       "PRAGMA mmap_size = 0;"
                                       "PRAGMA temp_store = MEMORY;"
                                       "PRAGMA cache_size = -32768;"
                                       "PRAGMA secure_delete = OFF;"
                                       "PRAGMA trusted_schema = OFF;"
                                       "PRAGMA cell_size_check = ON;"
                                       "PRAGMA journal_size_limit = " SQLITE_LOG_KEPT;
        int r = sqlite_exec(db, settings);
        if (r == 0)
                r = sqlite_identify(db);
        if (r == 1 && alone)
                r = sqlite_define(db);
        int64_t ignored;
        /* The first look at the log may have to recover it, and takes locks for that. */
        return r != 0 ? r : sqlite_ask(db, "SELECT count(*) FROM sqlite_schema", &ignored);
}

static bool sqlite_is_closing(sqlite_db *db)
{
        mutex_lock(&db->lock);
        bool closing = db->closing;
        mutex_unlock(&db->lock);
        return closing;
}

sj_time sqlite_back_off(sqlite_db *db)
{
        sj_time delay = db->delay ? db->delay : 100 * SJ_US;
        db->delay = delay * 2 < 8 * SJ_MS ? delay * 2 : 8 * SJ_MS;
        return sj_after(delay);
}

static int sqlite_prepare_locked(sqlite_db *db)
{
        for (bool alone = false;;) {
                int r = os_lock_file(db->lock_fd, alone, false);
                if (r == 0) {
                        r = sqlite_prepare_file(db, alone);
                        os_unlock_file(db->lock_fd);
                }
                if (r == 1) {
                        alone = true;
                        continue;
                }
                if (r != -EAGAIN)
                        return r;
                if (sqlite_is_closing(db))
                        return -ECANCELED;
                if (sj_now() >= db->open_deadline)
                        return -ETIMEDOUT;
                sj_time retry = sqlite_back_off(db);
                os_event event;
                os_poller_wait(db->poller, &event, 1,
                               retry < db->open_deadline ? retry : db->open_deadline);
        }
}

static int sqlite_on_commit(void *arg, sqlite3 *handle, const char *name, int frames)
{
        (void)handle, (void)name;
        sqlite_db *db = arg;
        db->frames = frames;
        return SQLITE_OK;
}

int sqlite_open_file(sqlite_db *db)
{
        int r = sqlite_resolve(db);
        if (r == 0)
                r = sqlite_create(db);
        if (r < 0)
                return r;
        int code = sqlite3_open_v2(db->path, &db->handle,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                                           SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE,
                                   NULL);
        if (code != SQLITE_OK)
                return sqlite_say_why(db, sqlite_error(db, code));
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        /* A file that may not be written is opened to be read; the lock must not be made then. */
        if (sqlite3_db_readonly(db->handle, "main") == 1)
                return sqlite_say_why(db, -EACCES);
        r = sqlite_open_lock(db);
        if (r < 0)
                return r;
        r = sqlite_prepare_locked(db);
        if (r < 0)
                return db->error[0] ? r : sqlite_say_why(db, r);
        sqlite3_wal_hook(db->handle, sqlite_on_commit, db);
        db->statements = calloc(db->options.schema->n_statements, sizeof(sqlite3_stmt *));
        return db->statements ? 0 : sqlite_say_why(db, -ENOMEM);
}

void sqlite_close_file(sqlite_db *db)
{
        sqlite_statements_fini(db);
        if (db->handle && db->lock_fd >= 0 && !db->broken &&
            os_lock_file(db->lock_fd, true, false) == 0)
                sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
        sqlite3_close(db->handle);
        os_close(db->lock_fd);
        os_close(db->watch_fd);
}
