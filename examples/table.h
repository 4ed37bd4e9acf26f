/* SPDX-License-Identifier: MIT */
/*
 * The table that the queue examples work on: shop.db in the current folder, of the worker and of
 * the program alike.
 */
#ifndef EXAMPLES_TABLE_H
#define EXAMPLES_TABLE_H

#include <sanjab/base.h>
#include <sqlite3.h>

/* Opens it, and makes what is not there yet. */
static inline int table_open(const char *schema, sqlite3 **ret)
{
        int r = sqlite3_open("shop.db", ret);
        if (r == SQLITE_OK)
                r = sqlite3_busy_timeout(*ret, 30000);
        if (r == SQLITE_OK) /* a loss of power may cost the last rows of an example */
                r = sqlite3_exec(*ret, "PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL", NULL,
                                 NULL, NULL);
        if (r == SQLITE_OK)
                r = sqlite3_exec(*ret, schema, NULL, NULL, NULL);
        if (r == SQLITE_OK)
                return 0;
        sqlite3_close(*ret);
        return -EIO;
}

/*
 * Runs one statement, whose ?1 and ?2 are the two values (NULL: none), and gives the first column
 * of its first row, if it has one, as an integer.
 */
static inline int table_run(sqlite3 *db, const char *sql, const char *first, const char *second,
                            int64_t *ret)
{
        sqlite3_stmt *statement;
        if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
                return -EIO;
        if (first)
                sqlite3_bind_text(statement, 1, first, -1, SQLITE_STATIC);
        if (second)
                sqlite3_bind_text(statement, 2, second, -1, SQLITE_STATIC);
        int r = sqlite3_step(statement);
        if (r == SQLITE_ROW && ret)
                *ret = sqlite3_column_int64(statement, 0);
        sqlite3_finalize(statement);
        return r == SQLITE_ROW || r == SQLITE_DONE ? 0 : -EIO;
}

#endif
