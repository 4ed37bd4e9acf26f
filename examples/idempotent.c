/* SPDX-License-Identifier: MIT */
/*
 * Tasks that may run twice, or in any order, and do their work once. A photo is matched by a hash
 * of its content, an order by its number; whoever is first makes the row.
 *
 *         LDLIBS=-lsqlite3 sanjab worker -A idempotent.c -c 2
 */
#include "table.h"

#include <inttypes.h>
#include <sanjab/queue.h>
#include <stdio.h>

#define SCHEMA                                                       \
        "CREATE TABLE IF NOT EXISTS photos (hash TEXT PRIMARY KEY);" \
        "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, state TEXT)"

/* Opens the table, runs the statement, and says whether it has changed a row. */
static int change(const char *sql, const char *key, bool *ret)
{
        sqlite3 *db;
        int r = table_open(SCHEMA, &db);
        if (r < 0)
                return r;
        r = table_run(db, sql, key, NULL, NULL);
        if (r >= 0)
                *ret = sqlite3_changes(db) > 0;
        sqlite3_close(db);
        return r;
}

SJ_TASK(match_photo, bool, (const char *, content)) /* true: it was new */
{
        uint64_t hash = 14695981039346656037U; /* FNV-1a */
        char key[17];
        for (const char *c = content; *c; c++)
                hash = (hash ^ (unsigned char)*c) * 1099511628211U;
        snprintf(key, sizeof(key), "%016" PRIx64, hash);
        return change("INSERT INTO photos VALUES (?1) ON CONFLICT DO NOTHING", key, ret);
}

SJ_TASK(create_order, bool, (const char *, id)) /* false: it was there, or was cancelled before */
{
        return change("INSERT INTO orders VALUES (?1, 'open') ON CONFLICT DO NOTHING", id, ret);
}

SJ_TASK(cancel_order, bool, (const char *, id)) /* also one that is yet to be created */
{
        return change("INSERT INTO orders VALUES (?1, 'cancelled') "
                      "ON CONFLICT DO UPDATE SET state = 'cancelled'",
                      id, ret);
}

SJ_TASK(print_photo, void, (const char *, content))
{
        printf("printing %s\n", content);
        return 0;
}
SJ_TASK_OPTIONS(print_photo, .idempotent = true); /* the queue itself sees to it */

static int await_bool(const sj_result *result, sj_arena *arena, bool *ret)
{
        sj_outcome outcome;
        int r = sj_result_get(result, arena, &outcome, sj_after(60 * SJ_SEC));
        return r < 0 ? r : sj_json_bool(outcome.value, ret);
}

static int same_photo_twice(sj_app *app, sj_arena *arena, sqlite3 *db)
{
        sj_result results[2];
        int64_t rows = 0;
        bool is_new[2];
        int r = match_photo_delay(app, "a squirrel in the snow", &results[0]);
        if (r >= 0)
                r = match_photo_delay(app, "a squirrel in the snow", &results[1]);
        for (int i = 0; r >= 0 && i < 2; i++)
                r = await_bool(&results[i], arena, &is_new[i]);
        if (r >= 0)
                r = table_run(db, "SELECT count(*) FROM photos", NULL, NULL, &rows);
        if (r >= 0)
                printf("the same photo twice: %d new, %d known, rows: %" PRId64 "\n",
                       is_new[0] + is_new[1], !is_new[0] + !is_new[1], rows);
        return r;
}

typedef int send_fn(sj_app *app, const char *id, sj_result *ret);

static int order(sj_app *app, sj_arena *arena, sqlite3 *db, const char *id, send_fn *const send[2])
{
        int64_t cancelled = 0;
        int r = 0;
        for (int i = 0; r >= 0 && i < 2; i++) {
                sj_result result;
                bool changed;
                r = send[i](app, id, &result);
                if (r >= 0)
                        r = await_bool(&result, arena, &changed);
        }
        if (r >= 0)
                r = table_run(db,
                              "SELECT count(*) FROM orders WHERE id = ?1 AND state = 'cancelled'",
                              id, NULL, &cancelled);
        if (r >= 0)
                printf("%s: %s\n", id, cancelled == 1 ? "cancelled" : "open");
        return r;
}

static int same_call_twice(sj_app *app)
{
        sj_result first, second;
        int r = print_photo_delay(app, "a squirrel", &first);
        if (r >= 0)
                r = print_photo_delay(app, "a squirrel", &second);
        if (r >= 0)
                printf("the same call twice: %s\n",
                       strcmp(first.id, second.id) == 0 ? "one task" : "two tasks");
        return r;
}

int main(void)
{
        sj_app *app = NULL;
        sj_arena *arena = NULL;
        sqlite3 *db = NULL;
        int r = sj_app_new(NULL, &app);
        if (r >= 0)
                r = sj_arena_new(&arena);
        if (r >= 0)
                r = table_open(SCHEMA ";DELETE FROM photos; DELETE FROM orders", &db);
        if (r >= 0)
                r = same_photo_twice(app, arena, db);
        if (r >= 0)
                r = order(app, arena, db, "created, then cancelled",
                          (send_fn *const[]){create_order_delay, cancel_order_delay});
        if (r >= 0)
                r = order(app, arena, db, "cancelled, then created",
                          (send_fn *const[]){cancel_order_delay, create_order_delay});
        if (r >= 0)
                r = same_call_twice(app);
        sqlite3_close(db);
        sj_arena_free(arena);
        sj_app_free(app);
        return r < 0;
}
