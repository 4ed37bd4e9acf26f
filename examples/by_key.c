/* SPDX-License-Identifier: MIT */
/*
 * A task gets the key of a row, not the row: by the time that it runs the row may be another, and
 * what it should work on is what is there then.
 *
 *         LDLIBS=-lsqlite3 sanjab worker -A by_key.c
 */
#include "speed.h"
#include "table.h"

#include <inttypes.h>
#include <sanjab/queue.h>
#include <stdio.h>

#define SCHEMA "CREATE TABLE IF NOT EXISTS items (name TEXT PRIMARY KEY, price INTEGER)"

SJ_TASK(price_of_row, int64_t, (int64_t, price)) /* the row as it was when the task was sent */
{
        *ret = price;
        return 0;
}

SJ_TASK(price_by_key, int64_t, (const char *, name))
{
        sqlite3 *db;
        int r = table_open(SCHEMA, &db);
        if (r < 0)
                return r;
        *ret = -1;
        r = table_run(db, "SELECT price FROM items WHERE name = ?1", name, NULL, ret);
        sqlite3_close(db);
        if (r >= 0 && *ret < 0)
                return sj_raise(self, "KeyError", "%s", name);
        return r;
}

static int show(const sj_result *result, sj_arena *arena, const char *what)
{
        sj_outcome outcome;
        int64_t price;
        int r = sj_result_get(result, arena, &outcome, sj_after(60 * SJ_SEC));
        if (r >= 0)
                r = sj_json_int(outcome.value, &price);
        if (r >= 0)
                printf("given the %s, the task saw %" PRId64 "\n", what, price);
        return r;
}

static int change_the_price(sj_app *app, sj_arena *arena, sqlite3 *db)
{
        const sj_call later = {.countdown = scaled(2)};
        sj_result by_row, by_key;
        int r = price_of_row_apply_async(app, &later, &by_row, 100);
        if (r >= 0)
                r = price_by_key_apply_async(app, &later, &by_key, "acorn");
        if (r >= 0)
                r = table_run(db, "UPDATE items SET price = 120 WHERE name = 'acorn'", NULL, NULL,
                              NULL);
        if (r < 0)
                return r;
        printf("sent at a price of 100, which is 120 now\n");
        r = show(&by_row, arena, "row");
        return r < 0 ? r : show(&by_key, arena, "key");
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
                r = table_open(SCHEMA "; INSERT OR REPLACE INTO items VALUES ('acorn', 100)", &db);
        if (r >= 0)
                r = change_the_price(app, arena, db);
        sqlite3_close(db);
        sj_arena_free(arena);
        sj_app_free(app);
        return r < 0;
}
