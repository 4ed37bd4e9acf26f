/* SPDX-License-Identifier: MIT */
/*
 * The broker in a SQLite file: settling. Each settlement is found by its token, and then done with
 * as few rows changed as it can be: of a task that ends, its end and its result are one change.
 * All settlements of a call are one transaction; one that is stale changes nothing of it.
 */
#include "queue/sqlite/broker_sqlite.h"

/* ── Ends ────────────────────────────────────────────────────────────────────────────────── */

int sqlite_queue_end(sqlite_db *db, const sqlite_queue_ending *e, sj_wall now)
{
        sj_state state = result_state(e->state);
        bool known = e->stored || sj_state_is_final(state);
        bool keeps_key = e->has_key && state != SJ_FAILURE && state != SJ_REVOKED;
        int64_t seq = e->seq;
        int r = e->has_body ? sqlite_do(db, SQL_DELETE_BODY, "i", seq) : 0;
        if (r < 0)
                return r;
        /* Nothing more will be known of one that has ended without a word of how. */
        if (!known && !keeps_key)
                return sqlite_do(db, SQL_DELETE, "i", seq);
        int64_t until = sqlite_queue_later(now, sqlite_queue_in(db)->base.result_expires).us;
        int64_t key_until = 0;
        if (keeps_key) {
                sj_time key_for = e->key_for ? e->key_for : BROKER_KEY_EXPIRES;
                key_until = sqlite_queue_later(now, key_for).us;
                if (!known || key_until > until)
                        until = key_until;
        }
        if (known && !e->stored)
                return sqlite_do(db, SQL_END, "iiii", seq, until, (int64_t)keeps_key, key_until);
        return sqlite_do(db, SQL_END_RESULT, "iiiiSB", seq, until, (int64_t)keeps_key, key_until,
                         known ? e->state : (sj_str){NULL, 0},
                         known ? e->content : (sj_str){NULL, 0});
}

int sqlite_queue_end_now(sqlite_db *db, sj_str id, sj_wall now)
{
        sqlite3_stmt *s = sqlite_begin(db, SQL_FIND, "s", id);
        int r = sqlite_row(db, s);
        if (r != 1)
                return r;
        sqlite_queue_ending e = {.seq = sqlite3_column_int64(s, 0),
                                 .state = sqlite_text(s, 2),
                                 .has_key = sqlite3_column_int(s, 4),
                                 .key_for = sqlite3_column_int64(s, 5),
                                 .has_body = sqlite3_column_int(s, 6)};
        r = sqlite_queue_end(db, &e, now);
        sqlite_end(s);
        return r;
}

/* ── One settlement ──────────────────────────────────────────────────────────────────────── */

/* What is known of the message that is settled. */
typedef struct held {
        sqlite_queue_ending ending;
        char queue[SJ_TASK_NAME_MAX];
        sj_str queue_name;
        int priority;
        sj_wall expires;
        char state[SJ_TASK_NAME_MAX];
} held;

/* 1, or 0 when the lease is not current. */
static int sqlite_queue_find_held(sqlite_db *db, const broker_token *token, sj_wall now, held *ret)
{
        sqlite3_stmt *s = sqlite_begin(db, SQL_HELD, "iii", (int64_t)token->low,
                                       (int64_t)token->high, now.us);
        int r = sqlite_row(db, s);
        if (r != 1)
                return r;
        sj_str state = sqlite_text(s, 0), queue = sqlite_text(s, 4);
        ret->ending = (sqlite_queue_ending){.seq = (int64_t)token->low,
                                            .has_key = sqlite3_column_int(s, 1),
                                            .key_for = sqlite3_column_int64(s, 2),
                                            .has_body = sqlite3_column_int(s, 3)};
        ret->priority = sqlite3_column_int(s, 5);
        ret->expires.us = sqlite3_column_int64(s, 6);
        if (queue.n > sizeof(ret->queue)) {
                sqlite_end(s);
                return -EBADMSG;
        }
        memcpy(ret->queue, queue.data, queue.n);
        ret->queue_name = (sj_str){ret->queue, queue.n};
        /* Only Celery's states count, and a longer one is none of them. */
        size_t n = state.n < sizeof(ret->state) ? state.n : sizeof(ret->state);
        memcpy(ret->state, state.data, n);
        ret->ending.state = (sj_str){ret->state, n};
        sqlite_end(s);
        return 1;
}

/* Stores the results; the task's own is put off when its end stores it too. */
static int sqlite_queue_results(sqlite_db *db, const broker_settlement *x, held *h, sj_wall now)
{
        bool ends = x->verdict == BROKER_DONE;
        sqlite_queue_ending *e = &h->ending;
        for (size_t i = 0; i < x->n_results; i++) {
                const broker_result *result = &x->results[i];
                if (!sj_str_equal(result->id, x->lease->message.id)) {
                        int r = sqlite_queue_store(db, result, now);
                        if (r < 0)
                                return r;
                        continue;
                }
                if (!sqlite_queue_follows(e->state, result->state))
                        continue;
                e->state = result->state;
                e->content = result->content;
                e->stored = true;
        }
        if (ends || !e->stored)
                return 0;
        return sqlite_do(db, SQL_SET_RESULT, "isb", e->seq, e->state, e->content);
}

/* How the delivery ends. */
static int sqlite_queue_deliver(sqlite_db *db, const broker_settlement *x, const held *h,
                                sj_wall now)
{
        int64_t seq = h->ending.seq;
        sj_wall eta = x->next ? x->next->eta : (sj_wall){0};
        int r = 0;
        switch (x->verdict) {
        case BROKER_DONE:
                return sqlite_queue_end(db, &h->ending, now);
        case BROKER_RETRY:
                return sqlite_queue_replace(db, seq, h->ending.has_body, x->next, now);
        case BROKER_RETURN:
                r = sqlite_do(db, SQL_UNCOUNT, "i", seq);
                break;
        case BROKER_REQUEUE:
                break;
        case BROKER_DEAD:
                return sqlite_queue_bury(db, seq, x->reason, now);
        }
        if (r < 0)
                return r;
        return sqlite_queue_place(db, seq, h->queue_name, h->priority, eta, h->expires, now, true);
}

/*
 * The usual case in one statement: it is done, with its own final result or none at all. 1; 0 when
 * it is not the usual case, and nothing was done.
 */
static int sqlite_queue_settle_plain(sqlite_db *db, const broker_settlement *x, sj_wall now)
{
        const broker_token *token = &x->lease->token;
        const broker_result *result = x->results;
        if (x->verdict != BROKER_DONE || x->n_follow_ups || x->n_joins || x->n_results > 1)
                return 0;
        if (!x->n_results)
                return sqlite_do(db, SQL_DELETE_PLAIN, "iii", (int64_t)token->low,
                                 (int64_t)token->high, now.us);
        if (!sj_str_equal(result->id, x->lease->message.id))
                return 0;
        sj_wall until = sqlite_queue_later(now, sqlite_queue_in(db)->base.result_expires);
        return sqlite_do(db, SQL_END_PLAIN, "iiiisb", (int64_t)token->low, (int64_t)token->high,
                         now.us, until.us, result->state, result->content);
}

static int sqlite_queue_settle_one(sqlite_db *db, broker_settlement *x, sj_wall now)
{
        held h;
        x->status = 0;
        int r = sqlite_queue_settle_plain(db, x, now);
        if (r != 0)
                return r;
        r = sqlite_queue_find_held(db, &x->lease->token, now, &h);
        if (r != 1) {
                x->status = -ESTALE;
                return r;
        }
        for (size_t i = 0; i < x->n_joins; i++) {
                r = sqlite_queue_set_join(db, &x->joins[i], now);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < x->n_follow_ups; i++) {
                r = sqlite_queue_insert(db, &x->follow_ups[i], now, NULL);
                if (r < 0 && r != -EEXIST)
                        return r;
        }
        r = sqlite_queue_results(db, x, &h, now);
        if (r >= 0)
                r = sqlite_queue_deliver(db, x, &h, now);
        x->status = 0;
        return r;
}

/* ── The verb ────────────────────────────────────────────────────────────────────────────── */

typedef struct settle_job {
        sqlite_job job;
        broker_settlement *settlements;
        size_t n;
} settle_job;

static int sqlite_queue_run_settle(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        settle_job *j = container_of(job, settle_job, job);
        for (size_t i = 0; i < j->n; i++) {
                int r = sqlite_queue_settle_one(db, &j->settlements[i], now);
                if (r < 0)
                        return r;
        }
        return 0;
}

int sqlite_queue_settle(broker *b, broker_settlement settlements[], size_t n, sj_time deadline)
{
        settle_job j = {.settlements = settlements, .n = n};
        return sqlite_queue_call(b, &j.job, sqlite_queue_run_settle, SQLITE_JOB_WRITE, deadline);
}
