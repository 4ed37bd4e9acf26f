/* SPDX-License-Identifier: MIT */
/* The broker in a SQLite file: results. */
#include "queue/sqlite/broker_sqlite.h"

bool sqlite_queue_follows(sj_str had, sj_str state)
{
        sj_state now = result_state(had), next = result_state(state);
        return now != SJ_SUCCESS && !(sj_state_is_final(now) && !sj_state_is_final(next));
}

int sqlite_queue_store(sqlite_db *db, const broker_result *result, sj_wall now)
{
        int64_t until = sqlite_queue_later(now, sqlite_queue_in(db)->base.result_expires).us;
        sqlite3_stmt *s = sqlite_begin(db, SQL_FIND, "s", result->id);
        int r = sqlite_row(db, s);
        if (r < 0)
                return r;
        if (r == 0)
                return sqlite_do(db, SQL_NEW_RESULT, "sisb", result->id, until, result->state,
                                 result->content);
        int64_t seq = sqlite3_column_int64(s, 0), due = sqlite3_column_int64(s, 3);
        bool idle = sqlite3_column_int(s, 1) == SQLITE_QUEUE_IDLE;
        bool follows = sqlite_queue_follows(sqlite_text(s, 2), result->state);
        sqlite_end(s);
        if (follows)
                r = sqlite_do(db, SQL_SET_RESULT, "isb", seq, result->state, result->content);
        /* A key may be kept for longer than the result. */
        if (r >= 0 && follows && idle && until > due)
                r = sqlite_do(db, SQL_KEEP_RESULT, "ii", seq, until);
        return r;
}

/* ── Put and drop ────────────────────────────────────────────────────────────────────────── */

typedef struct result_job {
        sqlite_job job;
        const broker_result *results;
        const sj_str *ids;
        size_t n;
        sj_arena *arena;
        broker_result *ret;
        int count;
} result_job;

static int sqlite_queue_run_put(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        result_job *j = container_of(job, result_job, job);
        for (size_t i = 0; i < j->n; i++) {
                int r = sqlite_queue_store(db, &j->results[i], now);
                if (r < 0)
                        return r;
        }
        return 0;
}

int sqlite_queue_result_put(broker *b, const broker_result results[], size_t n, sj_time deadline)
{
        result_job j = {.results = results, .n = n};
        return sqlite_queue_call(b, &j.job, sqlite_queue_run_put, SQLITE_JOB_WRITE, deadline);
}

/* 1 if there was a result to be dropped; a key outlives it. */
static int sqlite_queue_drop(sqlite_db *db, sj_str id)
{
        sqlite3_stmt *s = sqlite_begin(db, SQL_FIND, "s", id);
        int r = sqlite_row(db, s);
        if (r != 1)
                return r;
        int64_t seq = sqlite3_column_int64(s, 0);
        bool there = sqlite3_column_int(s, 1) == SQLITE_QUEUE_IDLE && sqlite_text(s, 2).n;
        bool has_key = sqlite3_column_int(s, 4);
        sqlite_end(s);
        if (!there)
                return 0;
        r = sqlite_do(db, has_key ? SQL_DROP_RESULT : SQL_DELETE, "i", seq);
        return r < 0 ? r : 1;
}

static int sqlite_queue_run_drop(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        (void)now;
        result_job *j = container_of(job, result_job, job);
        int dropped = 0;
        for (size_t i = 0; i < j->n; i++) {
                int r = sqlite_queue_drop(db, j->ids[i]);
                if (r < 0)
                        return r;
                dropped += r;
        }
        return dropped;
}

int sqlite_queue_result_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        result_job j = {.ids = ids, .n = n};
        return sqlite_queue_call(b, &j.job, sqlite_queue_run_drop, SQLITE_JOB_WRITE, deadline);
}

/* ── Get and wait ────────────────────────────────────────────────────────────────────────── */

static int sqlite_queue_get(sqlite_db *db, sj_str id, sj_arena *arena, sj_wall now,
                            broker_result *ret)
{
        broker_result result = {.id = id};
        sqlite3_stmt *s = sqlite_begin(db, SQL_GET_RESULT, "s", id);
        int r = sqlite_row(db, s);
        if (r < 0)
                return r;
        bool bad = false;
        if (r == 1) {
                bool idle = sqlite3_column_int(s, 0) == SQLITE_QUEUE_IDLE;
                bool over = idle && sqlite3_column_int64(s, 1) <= now.us;
                if (!over && sqlite_text(s, 2).n) {
                        result.state = sqlite_queue_keep(arena, sqlite_text(s, 2), &bad);
                        result.content = sqlite_queue_keep(arena, sqlite_text(s, 3), &bad);
                } else if (!idle) {
                        result.state = SJ_STR("PENDING");
                }
                sqlite_end(s);
        }
        if (bad)
                return -ENOMEM;
        *ret = result;
        return 0;
}

static int sqlite_queue_run_get(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        result_job *j = container_of(job, result_job, job);
        for (size_t i = 0; i < j->n; i++) {
                int r = sqlite_queue_get(db, j->ids[i], j->arena, now, &j->ret[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

int sqlite_queue_result_get(broker *b, const sj_str ids[], size_t n, sj_arena *arena,
                            broker_result ret[], sj_time deadline)
{
        result_job j = {.ids = ids, .n = n, .arena = arena, .ret = ret};
        return sqlite_queue_call(b, &j.job, sqlite_queue_run_get, SQLITE_JOB_READ, deadline);
}

/* Looks at the state alone until it is final. */
static int sqlite_queue_run_result_wait(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        result_job *j = container_of(job, result_job, job);
        sqlite3_stmt *s = sqlite_begin(db, SQL_GET_RESULT, "s", j->ids[0]);
        int r = sqlite_row(db, s);
        if (r != 1)
                return r < 0 ? r : -ENOENT;
        bool idle = sqlite3_column_int(s, 0) == SQLITE_QUEUE_IDLE;
        sj_str state = sqlite_text(s, 2);
        bool unknown = idle && (!state.n || sqlite3_column_int64(s, 1) <= now.us);
        bool final = sj_state_is_final(result_state(state));
        sqlite_end(s);
        if (unknown)
                return -ENOENT;
        return final ? sqlite_queue_get(db, j->ids[0], j->arena, now, j->ret) : -EAGAIN;
}

int sqlite_queue_result_wait(broker *b, sj_str id, sj_arena *arena, broker_result *ret,
                             sj_time deadline)
{
        broker_result found;
        result_job j = {.ids = &id, .n = 1, .arena = arena, .ret = &found};
        int r = sqlite_queue_call(b, &j.job, sqlite_queue_run_result_wait, SQLITE_JOB_AWAIT,
                                  deadline);
        if (r >= 0)
                *ret = found;
        return r;
}
