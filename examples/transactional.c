/* SPDX-License-Identifier: MIT */
/*
 * An order and the task that ships it, in one transaction of one file: when it is committed both
 * are there; when it is undone, or the program is killed before its end, neither is.
 *
 *         LDLIBS=-lsqlite3 sanjab worker -A transactional.c
 */
#include <sanjab/sqlite.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCHEMA "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY)"

SJ_TASK(ship, void, (const char *, order))
{
        printf("shipping %s\n", order);
        return 0;
}

/* The file of the queue is the file of the orders. */
static int orders_open(sj_sqlite **ret)
{
        char error[256];
        const char *url = getenv("SANJAB_BROKER_URL");
        const char *path = url && strncmp(url, "sqlite:", 7) == 0 ? url + 7 : "sanjab.db";
        int r = sj_sqlite_open(path, ret, error, sizeof(error), sj_after(30 * SJ_SEC));
        if (r < 0)
                fprintf(stderr, "%s\n", error);
        return r;
}

static int run(sj_sqlite *orders, const char *sql)
{
        return sqlite3_exec(sj_sqlite_handle(orders), sql, NULL, NULL, NULL) == SQLITE_OK ? 0
                                                                                          : -EIO;
}

/* Within a transaction: the row, and the task with the same name. */
static int add_order(sj_sqlite *orders, const char *id)
{
        char sql[128], args[64];
        const sj_call call = {.task_id = id};
        snprintf(sql, sizeof(sql), SCHEMA "; INSERT INTO orders VALUES ('%s')", id);
        snprintf(args, sizeof(args), "[\"%s\"]", id);
        int r = run(orders, sql);
        return r < 0 ? r : sj_sqlite_send_task(orders, "ship", args, NULL, &call, NULL, NULL);
}

static int place_order(const char *id, int (*end)(sj_sqlite *orders))
{
        sj_sqlite *orders;
        int r = orders_open(&orders);
        if (r < 0)
                return r;
        r = sj_sqlite_begin(orders, sj_after(30 * SJ_SEC));
        if (r >= 0)
                r = add_order(orders, id);
        if (r >= 0)
                r = end(orders);
        sj_sqlite_close(orders);
        return r;
}

static int roll_back(sj_sqlite *orders)
{
        sj_sqlite_rollback(orders);
        return 0;
}

static int crash(sj_sqlite *orders)
{
        (void)orders;
        return raise(SIGKILL);
}

static int place_order_and_crash(const char *id)
{
        int status;
        pid_t pid = fork();
        if (pid == 0)
                _exit(place_order(id, crash) < 0);
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
                return -errno;
        return WIFSIGNALED(status) ? 0 : -EIO;
}

static int has_order(sj_sqlite *orders, const char *id, bool *ret)
{
        sqlite3_stmt *statement;
        if (sqlite3_prepare_v2(sj_sqlite_handle(orders), "SELECT 1 FROM orders WHERE id = ?1", -1,
                               &statement, NULL) != SQLITE_OK)
                return -EIO;
        sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
        *ret = sqlite3_step(statement) == SQLITE_ROW;
        sqlite3_finalize(statement);
        return 0;
}

static int show(sj_app *app, sj_sqlite *orders, const char *id)
{
        bool row;
        sj_outcome outcome;
        sj_arena *arena;
        sj_result result = {.app = app};
        snprintf(result.id, sizeof(result.id), "%s", id);
        int r = has_order(orders, id, &row);
        if (r >= 0)
                r = sj_arena_new(&arena);
        if (r < 0)
                return r;
        r = sj_result_get(&result, arena, &outcome, sj_after(60 * SJ_SEC));
        sj_arena_free(arena);
        if (r < 0 && r != -ENOENT) /* there is no task with that id */
                return r;
        printf("%-11s  %-8s  %s\n", id, row ? "a row" : "no row", r < 0 ? "no task" : "shipped");
        return 0;
}

int main(void)
{
        sj_app *app = NULL;
        sj_sqlite *orders = NULL;
        int r = place_order("committed", sj_sqlite_commit);
        if (r >= 0)
                r = place_order("rolled-back", roll_back);
        if (r >= 0)
                r = place_order_and_crash("crashed");
        if (r >= 0)
                r = orders_open(&orders);
        if (r >= 0)
                r = sj_app_new(NULL, &app);
        if (r >= 0)
                r = show(app, orders, "committed");
        if (r >= 0)
                r = show(app, orders, "rolled-back");
        if (r >= 0)
                r = show(app, orders, "crashed");
        sj_app_free(app);
        sj_sqlite_close(orders);
        return r < 0;
}
