/* SPDX-License-Identifier: MIT */
/*
 * The broker in a SQLite file: publishing, and where a message waits.
 *
 * Of one queue and priority the order is that of `place`: a new one gets the last one's and one
 * more, one that is given back the first one's and one less. The last place is remembered within
 * a transaction, so that a batch does not look for it each time.
 */
#include "queue/sqlite/broker_sqlite.h"

enum { ENVELOPE_INLINE = 2048 }; /* bytes; a longer one lies in sanjab_body */

/* ── Places ──────────────────────────────────────────────────────────────────────────────── */

int sqlite_queue_back(sqlite_db *db, sj_str queue, int priority, int64_t *ret)
{
        sqlite_queue *q = sqlite_queue_in(db);
        if (q->last.queue_n != queue.n || q->last.priority != priority ||
            memcmp(q->last.queue, queue.data, queue.n) != 0) {
                int64_t place = 0;
                int r = sqlite_number(db, &place, SQL_LAST_PLACE, "si", queue, (int64_t)priority);
                if (r < 0)
                        return r;
                if (queue.n > SJ_TASK_NAME_MAX)
                        return -EBADMSG;
                memcpy(q->last.queue, queue.data, queue.n);
                q->last.queue_n = queue.n;
                q->last.priority = priority;
                q->last.place = place;
        }
        *ret = ++q->last.place;
        return 0;
}

int sqlite_queue_front(sqlite_db *db, sj_str queue, int priority, int64_t *ret)
{
        int64_t place = 0;
        int r = sqlite_number(db, &place, SQL_FIRST_PLACE, "si", queue, (int64_t)priority);
        if (r < 0)
                return r;
        *ret = place - 1;
        return 0;
}

/* When it comes due, if it has to wait; else 0. */
static int64_t sqlite_queue_due(sj_wall eta, sj_wall expires, sj_wall now)
{
        /* One that expires need not wait for its eta to be told so. */
        if (expires.us && expires.us < eta.us)
                eta = expires;
        return eta.us > now.us ? eta.us : 0;
}

int sqlite_queue_place(sqlite_db *db, int64_t seq, sj_str queue, int priority, sj_wall eta,
                       sj_wall expires, sj_wall now, bool front)
{
        int64_t due = sqlite_queue_due(eta, expires, now);
        int64_t place = 0;
        int r = 0;
        if (!due)
                r = front ? sqlite_queue_front(db, queue, priority, &place)
                          : sqlite_queue_back(db, queue, priority, &place);
        if (r < 0)
                return r;
        return sqlite_do(db, SQL_PLACE, "iiIi", seq,
                         (int64_t)(due ? SQLITE_QUEUE_DELAYED : SQLITE_QUEUE_READY), due, place);
}

/* ── Keys and ids ────────────────────────────────────────────────────────────────────────── */

static void sqlite_queue_say(broker_published *ret, sj_str id, bool duplicate)
{
        if (!ret)
                return;
        ret->duplicate = duplicate;
        memcpy(ret->id, id.data, id.n);
        ret->id[id.n] = 0;
}

/* 1 when another task has the key, and is told; 0 when it is free now. */
static int sqlite_queue_key(sqlite_db *db, sj_str key, sj_wall now, broker_published *ret)
{
        sqlite3_stmt *s = sqlite_begin(db, SQL_FIND_KEY, "s", key);
        int r = sqlite_row(db, s);
        if (r != 1)
                return r;
        int64_t seq = sqlite3_column_int64(s, 0);
        sj_str id = sqlite_text(s, 3);
        bool over = sqlite3_column_int(s, 1) == SQLITE_QUEUE_IDLE &&
                    sqlite3_column_int64(s, 2) <= now.us;
        if (id.n > SJ_TASK_ID_MAX)
                r = -EBADMSG;
        else if (!over)
                sqlite_queue_say(ret, id, true);
        sqlite_end(s);
        return r < 0 || !over ? r : sqlite_do(db, SQL_FREE_KEY, "i", seq) < 0 ? -EIO : 0;
}

/* Removes what is known of an id that is not in use: its result. -EEXIST it is in use. */
static int sqlite_queue_clear(sqlite_db *db, sj_str id)
{
        sqlite3_stmt *s = sqlite_begin(db, SQL_FIND, "s", id);
        int r = sqlite_row(db, s);
        if (r != 1)
                return r < 0 ? r : -EIO;
        int64_t seq = sqlite3_column_int64(s, 0);
        bool used = sqlite3_column_int(s, 1) != SQLITE_QUEUE_IDLE;
        sqlite_end(s);
        return used ? -EEXIST : sqlite_do(db, SQL_DELETE, "i", seq);
}

/* ── Publishing ──────────────────────────────────────────────────────────────────────────── */

/* The row as it begins: 1, or 0 when there is one with that id. */
static int sqlite_queue_row(sqlite_db *db, const broker_message *m, sj_wall now)
{
        int64_t due = sqlite_queue_due(m->eta, m->expires, now);
        int64_t place = 0;
        int r = due ? 0 : sqlite_queue_back(db, m->queue, m->priority, &place);
        if (r < 0)
                return r;
        bool large = m->envelope.n > ENVELOPE_INLINE;
        r = sqlite_do(db, SQL_INSERT, "siIsiiiiiiSisBi", m->id,
                      (int64_t)(due ? SQLITE_QUEUE_DELAYED : SQLITE_QUEUE_READY), due, m->queue,
                      (int64_t)m->priority, place, now.us, m->eta.us, m->expires.us,
                      (int64_t)m->max_deliveries, m->key, m->key_for, m->task,
                      large ? (sj_str){NULL, 0} : m->envelope, (int64_t)m->awaited);
        if (r != 1 || !large)
                return r;
        return sqlite_do(db, SQL_INSERT_BODY, "ib", sqlite_last_row(db), m->envelope);
}

int sqlite_queue_replace(sqlite_db *db, int64_t seq, bool has_body, const broker_message *m,
                         sj_wall now)
{
        int64_t due = sqlite_queue_due(m->eta, m->expires, now);
        int64_t place = 0;
        int r = due ? 0 : sqlite_queue_back(db, m->queue, m->priority, &place);
        if (r >= 0 && has_body)
                r = sqlite_do(db, SQL_DELETE_BODY, "i", seq);
        if (r < 0)
                return r;
        bool large = m->envelope.n > ENVELOPE_INLINE;
        r = sqlite_do(db, SQL_REPLACE, "iiIsiiiiiiisBi", seq,
                      (int64_t)(due ? SQLITE_QUEUE_DELAYED : SQLITE_QUEUE_READY), due, m->queue,
                      (int64_t)m->priority, place, now.us, m->eta.us, m->expires.us,
                      (int64_t)m->max_deliveries, m->key_for, m->task,
                      large ? (sj_str){NULL, 0} : m->envelope, (int64_t)m->awaited);
        return r < 0 || !large ? r : sqlite_do(db, SQL_INSERT_BODY, "ib", seq, m->envelope);
}

int sqlite_queue_insert(sqlite_db *db, const broker_message *m, sj_wall now, broker_published *ret)
{
        int r = m->key.n ? sqlite_queue_key(db, m->key, now, ret) : 0;
        if (r != 0)
                return r;
        r = sqlite_queue_row(db, m, now);
        if (r == 0) {
                r = sqlite_queue_clear(db, m->id);
                if (r >= 0)
                        r = sqlite_queue_row(db, m, now);
        }
        if (r < 0)
                return r;
        sqlite_queue_say(ret, m->id, false);
        return 0;
}

typedef struct publish_job {
        sqlite_job job;
        const broker_message *messages;
        size_t n;
        broker_published *ret;
} publish_job;

static int sqlite_queue_run_publish(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        publish_job *p = container_of(job, publish_job, job);
        for (size_t i = 0; i < p->n; i++) {
                int r = sqlite_queue_insert(db, &p->messages[i], now, p->ret ? &p->ret[i] : NULL);
                if (r < 0)
                        return r;
        }
        return 0;
}

int sqlite_queue_publish(broker *b, const broker_message messages[], size_t n,
                         broker_published ret[], sj_time deadline)
{
        publish_job p = {.messages = messages, .n = n, .ret = ret};
        return sqlite_queue_call(b, &p.job, sqlite_queue_run_publish, SQLITE_JOB_WRITE, deadline);
}
