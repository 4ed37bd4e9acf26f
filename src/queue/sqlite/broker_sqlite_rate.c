/* SPDX-License-Identifier: MIT */
/* The broker in a SQLite file: rates, a row each until its last turn is over. */
#include "queue/broker/broker_bucket.h"
#include "queue/sqlite/broker_sqlite.h"

typedef struct rate_job {
        sqlite_job job;
        broker_turn *turns;
        size_t n;
        sj_time horizon;
} rate_job;

static int read_bucket(sqlite_db *db, sj_str name, broker_bucket *ret)
{
        *ret = (broker_bucket){0};
        sqlite3_stmt *s = sqlite_begin(db, SQL_RATE, "s", name);
        int r = sqlite_row(db, s);
        if (r != 1)
                return r;
        *ret = (broker_bucket){sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1)};
        sqlite_end(s);
        return 0;
}

static int take(sqlite_db *db, broker_turn *turn, sj_wall now, sj_time horizon)
{
        broker_bucket buckets[BROKER_RATES_MAX];
        int r = 0;
        for (size_t i = 0; i < turn->n && r >= 0; i++)
                r = read_bucket(db, turn->rates[i].name, &buckets[i]);
        if (r < 0)
                return r;
        broker_bucket_take(buckets, turn, now, horizon);
        for (size_t i = 0; i < turn->n && r >= 0; i++)
                r = sqlite_do(db, SQL_RATE_SET, "siii", turn->rates[i].name, buckets[i].free,
                              buckets[i].last, broker_bucket_until(&buckets[i]));
        return r;
}

static int run_take(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        rate_job *j = container_of(job, rate_job, job);
        int r = sqlite_do(db, SQL_RATE_SWEEP, "i", now.us);
        for (size_t i = 0; i < j->n && r >= 0; i++)
                r = take(db, &j->turns[i], now, j->horizon);
        return r < 0 ? r : 0;
}

int sqlite_queue_rate_take(broker *b, broker_turn turns[], size_t n, sj_time horizon,
                           sj_time deadline)
{
        rate_job j = {.turns = turns, .n = n, .horizon = horizon};
        return sqlite_queue_call(b, &j.job, run_take, SQLITE_JOB_WRITE, deadline);
}
