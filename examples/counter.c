/* SPDX-License-Identifier: MIT */
/*
 * 1000 tasks add one to the same row, in four processes at once: by reading and then writing, which
 * loses what others have added in between; under a lock; and in a single statement.
 *
 *         LDLIBS=-lsqlite3 sanjab worker -A counter.c -c 4
 */
#include "table.h"

#include <inttypes.h>
#include <sanjab/fiber.h>
#include <sanjab/queue.h>
#include <stdio.h>
#include <unistd.h>

#define SCHEMA "CREATE TABLE IF NOT EXISTS counter (way TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID"
enum { TASKS = 1000, WAYS = 3 };

static const char *const ways[WAYS] = {"read, then write", "under a lock", "one statement"};

static int read_then_write(sqlite3 *db, const char *way)
{
        char text[32];
        int64_t n = 0;
        int r = table_run(db, "SELECT n FROM counter WHERE way = ?1", way, NULL, &n);
        if (r < 0)
                return r;
        usleep(1000); /* whatever is done with it */
        snprintf(text, sizeof(text), "%" PRId64, n + 1);
        return table_run(db, "UPDATE counter SET n = ?2 WHERE way = ?1", way, text, NULL);
}

static int under_a_lock(sqlite3 *db, const char *way)
{
        int r = table_run(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
        if (r < 0)
                return r;
        r = read_then_write(db, way);
        return table_run(db, r < 0 ? "ROLLBACK" : "COMMIT", NULL, NULL, NULL) < 0 ? -EIO : r;
}

static int one_statement(sqlite3 *db, const char *way)
{
        return table_run(db, "UPDATE counter SET n = n + 1 WHERE way = ?1", way, NULL, NULL);
}

SJ_TASK(add_one, void, (int64_t, way))
{
        static int (*const add[WAYS])(sqlite3 *, const char *) = {read_then_write, under_a_lock,
                                                                  one_statement};
        sqlite3 *db;
        if (way < 0 || way >= WAYS)
                return sj_raise(self, "ValueError", "there is no way %" PRId64, way);
        int r = table_open(SCHEMA, &db);
        if (r < 0)
                return r;
        r = add[way](db, ways[way]);
        sqlite3_close(db);
        return r;
}

typedef struct request {
        sj_app *app;
        int64_t way;
} request;

static int ask_for_one(void *arg) /* a fiber for each, so that all are on their way at once */
{
        const request *q = arg;
        sj_result result;
        sj_outcome outcome;
        sj_arena *arena;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        r = add_one_delay(q->app, q->way, &result);
        if (r >= 0)
                r = sj_result_get(&result, arena, &outcome, SJ_NEVER);
        if (r >= 0 && outcome.state != SJ_SUCCESS)
                r = -EIO;
        sj_arena_free(arena);
        return r;
}

static int ask_for_all(request *q)
{
        SJ_SCOPE(s, sj_after(60 * SJ_SEC), 0);
        for (int i = 0; i < TASKS; i++) {
                int r = sj_spawn(s, ask_for_one, q, NULL);
                if (r < 0)
                        return r;
        }
        return sj_scope_join(s);
}

static int count(sqlite3 *db, request *q)
{
        const char *way = ways[q->way];
        int64_t n = 0;
        int r = table_run(db, "INSERT OR REPLACE INTO counter VALUES (?1, 0)", way, NULL, NULL);
        if (r >= 0)
                r = ask_for_all(q);
        if (r >= 0)
                r = table_run(db, "SELECT n FROM counter WHERE way = ?1", way, NULL, &n);
        if (r >= 0 && n < TASKS)
                printf("%s: some were lost\n", way);
        else if (r >= 0)
                printf("%s: %" PRId64 "\n", way, n);
        return r;
}

static int main_fiber(void *arg)
{
        request q = {0};
        sqlite3 *db = NULL;
        int r = sj_app_new(arg, &q.app);
        if (r >= 0)
                r = table_open(SCHEMA, &db);
        for (; r >= 0 && q.way < WAYS; q.way++)
                r = count(db, &q);
        sqlite3_close(db);
        sj_app_free(q.app);
        return r;
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
