/* SPDX-License-Identifier: MIT */
/* Statements, prepared when first used and kept; and what SQLite's results mean to us. */
#include "store/sqlite_db.h"

#include <stdlib.h>

/*
 * SQLite's codes as errno values. -EAGAIN stands for a lock that somebody else holds; it never
 * comes out of a call.
 */
int sqlite_error(sqlite_db *db, int code)
{
        int system = db->handle ? sqlite3_system_errno(db->handle) : 0;
        switch (code & 0xff) {
        case SQLITE_OK:
        case SQLITE_ROW:
        case SQLITE_DONE:
                return 0;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return -EAGAIN;
        case SQLITE_FULL:
                return -ENOSPC;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_TOOBIG:
                return -EMSGSIZE;
        case SQLITE_CONSTRAINT:
                return -EEXIST;
        case SQLITE_READONLY:
        case SQLITE_PERM:
                return -EACCES;
        case SQLITE_CANTOPEN:
                return system ? -system : -EIO;
        case SQLITE_NOTADB:
        case SQLITE_CORRUPT:
                db->broken = -EIO;
                return -EBADMSG;
        case SQLITE_IOERR:
                if (code == SQLITE_IOERR_NOMEM)
                        return -ENOMEM;
                if (code != SQLITE_IOERR_FSYNC && code != SQLITE_IOERR_DIR_FSYNC &&
                    (system == ENOSPC || system == EDQUOT))
                        return -ENOSPC;
                /* After a failed sync nobody knows what is on the disk; a second one would lie. */
                if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC)
                        db->broken = -EIO;
                return -EIO;
        default:
                return -EIO;
        }
}

int sqlite_exec(sqlite_db *db, const char *sql)
{
        return sqlite_error(db, sqlite3_exec(db->handle, sql, NULL, NULL, NULL));
}

static sqlite3_stmt *sqlite_prepared(sqlite_db *db, unsigned number)
{
        if (!db->statements[number])
                sqlite3_prepare_v3(db->handle, db->options.schema->statements[number], -1,
                                   SQLITE_PREPARE_PERSISTENT, &db->statements[number], NULL);
        return db->statements[number];
}

void sqlite_statements_fini(sqlite_db *db)
{
        for (size_t i = 0; db->statements && i < db->options.schema->n_statements; i++)
                sqlite3_finalize(db->statements[i]);
        free(db->statements);
        db->statements = NULL;
        sqlite3_finalize(db->ask_version);
        db->ask_version = NULL;
}

static int sqlite_bind(sqlite3_stmt *s, int place, char kind, va_list *values)
{
        sj_str text;
        int64_t number;
        switch (kind) {
        case 'i':
        case 'I':
                number = va_arg(*values, int64_t);
                return kind == 'I' && !number ? sqlite3_bind_null(s, place)
                                              : sqlite3_bind_int64(s, place, number);
        default:
                text = va_arg(*values, sj_str);
                if (!text.n && (kind == 'S' || kind == 'B'))
                        return sqlite3_bind_null(s, place);
                if (!text.data)
                        text.data = "";
                if (kind == 's' || kind == 'S')
                        return sqlite3_bind_text64(s, place, text.data, text.n, SQLITE_STATIC,
                                                   SQLITE_UTF8);
                return sqlite3_bind_blob64(s, place, text.data, text.n, SQLITE_STATIC);
        }
}

static sqlite3_stmt *sqlite_begin_list(sqlite_db *db, unsigned statement, const char *kinds,
                                       va_list *values)
{
        sqlite3_stmt *s = sqlite_prepared(db, statement);
        int code = s ? SQLITE_OK : SQLITE_ERROR;
        for (int i = 0; kinds[i] && code == SQLITE_OK; i++)
                code = sqlite_bind(s, i + 1, kinds[i], values);
        return code == SQLITE_OK ? s : NULL;
}

sqlite3_stmt *sqlite_begin(sqlite_db *db, unsigned statement, const char *kinds, ...)
{
        va_list values;
        va_start(values, kinds);
        sqlite3_stmt *s = sqlite_begin_list(db, statement, kinds, &values);
        va_end(values);
        return s;
}

int sqlite_row(sqlite_db *db, sqlite3_stmt *s)
{
        int code = s ? sqlite3_step(s) : sqlite3_errcode(db->handle);
        if (code == SQLITE_ROW)
                return 1;
        sqlite_end(s);
        if (!s && code == SQLITE_OK)
                return -EIO;
        return sqlite_error(db, code);
}

void sqlite_end(sqlite3_stmt *s)
{
        if (s)
                sqlite3_reset(s);
}

int sqlite_do(sqlite_db *db, unsigned statement, const char *kinds, ...)
{
        va_list values;
        va_start(values, kinds);
        sqlite3_stmt *s = sqlite_begin_list(db, statement, kinds, &values);
        va_end(values);
        int r = sqlite_row(db, s);
        if (r == 1) {
                sqlite_end(s);
                r = 0;
        }
        return r < 0 ? r : sqlite3_changes(db->handle);
}

int sqlite_number(sqlite_db *db, int64_t *ret, unsigned statement, const char *kinds, ...)
{
        va_list values;
        va_start(values, kinds);
        sqlite3_stmt *s = sqlite_begin_list(db, statement, kinds, &values);
        va_end(values);
        int r = sqlite_row(db, s);
        if (r != 1)
                return r;
        bool there = sqlite3_column_type(s, 0) == SQLITE_INTEGER;
        if (there)
                *ret = sqlite3_column_int64(s, 0);
        sqlite_end(s);
        return there;
}

int64_t sqlite_last_row(sqlite_db *db)
{
        return sqlite3_last_insert_rowid(db->handle);
}

sj_str sqlite_text(sqlite3_stmt *s, int column)
{
        /* In this order: the bytes decide on the conversion, and so on their number. */
        const char *data = sqlite3_column_blob(s, column);
        return (sj_str){data ? data : "", (size_t)sqlite3_column_bytes(s, column)};
}
