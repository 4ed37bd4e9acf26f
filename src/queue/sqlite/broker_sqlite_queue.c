/* SPDX-License-Identifier: MIT */
/* The broker in a SQLite file, seen from outside: its queues, revoking, and the dead letters. */
#include "queue/sqlite/broker_sqlite.h"

#include <stdlib.h>

/* A purge takes so many in one transaction, so that nobody waits for long. */
enum { PURGE_STEP = 500 };

typedef struct queue_job {
        sqlite_job job;
        sj_str id;
        sj_str queue;
        const sj_str *ids;
        size_t n;
        sj_arena *arena;
        broker_depth *depths;
        broker_dead *dead;
        broker_delayed *delayed;
        int64_t all;
        int64_t count;
} queue_job;

/* ── Depths ──────────────────────────────────────────────────────────────────────────────── */

static void sqlite_queue_count(broker_depth *d, int phase, uint64_t n, int64_t oldest)
{
        switch (phase) {
        case SQLITE_QUEUE_READY:
                d->ready += n;
                if (!d->oldest.us || oldest < d->oldest.us)
                        d->oldest.us = oldest;
                break;
        case SQLITE_QUEUE_DELAYED:
                d->delayed += n;
                break;
        case SQLITE_QUEUE_LEASED:
                d->leased += n;
                break;
        default:
                d->dead += n;
                break;
        }
}

static int sqlite_queue_depth_order(const void *a, const void *b)
{
        const broker_depth *x = a, *y = b;
        size_t n = x->queue.n < y->queue.n ? x->queue.n : y->queue.n;
        int order = memcmp(x->queue.data, y->queue.data, n);
        return order ? order : (x->queue.n > y->queue.n) - (x->queue.n < y->queue.n);
}

/* Room for one more; in the arena, where what it had before stays. */
static int sqlite_queue_grow(queue_job *j, size_t *capacity)
{
        if ((size_t)j->count < *capacity)
                return 0;
        size_t more = *capacity ? *capacity * 2 : 16;
        broker_depth *depths = sj_arena_alloc(j->arena, more * sizeof(*depths));
        if (!depths)
                return -ENOMEM;
        if (j->count)
                memcpy(depths, j->depths, (size_t)j->count * sizeof(*depths));
        j->depths = depths;
        *capacity = more;
        return 0;
}

/* The rows of one queue follow each other. */
static int sqlite_queue_run_depths(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        queue_job *j = container_of(job, queue_job, job);
        size_t capacity = 0;
        bool bad = false;
        int r;
        j->count = 0;
        sqlite3_stmt *s = sqlite_begin(db, SQL_DEPTHS, "i", now.us);
        while ((r = sqlite_row(db, s)) == 1) {
                sj_str queue = sqlite_text(s, 0);
                if (!j->count || !sj_str_equal(j->depths[j->count - 1].queue, queue)) {
                        bad |= sqlite_queue_grow(j, &capacity) < 0;
                        if (!bad)
                                j->depths[j->count++] = (broker_depth){
                                        .queue = sqlite_queue_keep(j->arena, queue, &bad)};
                }
                if (bad) {
                        sqlite_end(s);
                        return -ENOMEM;
                }
                sqlite_queue_count(&j->depths[j->count - 1], sqlite3_column_int(s, 1),
                                   (uint64_t)sqlite3_column_int64(s, 2),
                                   sqlite3_column_int64(s, 3));
        }
        return r;
}

int sqlite_queue_queues(broker *b, sj_arena *arena, const broker_depth **ret, sj_time deadline)
{
        queue_job j = {.arena = arena};
        int r = sqlite_queue_call(b, &j.job, sqlite_queue_run_depths, SQLITE_JOB_READ, deadline);
        if (r < 0)
                return r;
        if (j.count)
                qsort(j.depths, (size_t)j.count, sizeof(*j.depths), sqlite_queue_depth_order);
        *ret = j.depths;
        return (int)j.count;
}

/* ── Revoking ────────────────────────────────────────────────────────────────────────────── */

/* Has it settled by a worker, before all others: so those that are left stay clear of a purge. */
static int sqlite_queue_leave_revoked(sqlite_db *db, sj_str queue, const sqlite_queue_ending *e)
{
        int64_t place;
        int r = sqlite_queue_front(db, queue, BROKER_PRIORITY_MAX, &place);
        return r < 0 ? r
                     : sqlite_do(db, SQL_REVOKE_AWAITED, "iiisb", e->seq,
                                 (int64_t)BROKER_PRIORITY_MAX, place, e->state, e->content);
}

/* A task that waits, and is not revoked yet. */
typedef struct waiting {
        sj_str id;
        sj_str queue;
        bool awaited;
        sqlite_queue_ending ending;
} waiting;

/* Revokes it: it has ended, or, if it is awaited, waits to be settled. */
static int sqlite_queue_end_revoked(sqlite_db *db, waiting *w, const char *reason, sj_wall now)
{
        sqlite_queue_ending *e = &w->ending;
        sj_arena *arena;
        if (sj_arena_new(&arena) < 0)
                return -ENOMEM;
        int r = 0;
        if (sqlite_queue_follows(e->state, SJ_STR("REVOKED"))) {
                e->state = SJ_STR("REVOKED");
                e->stored = true;
                r = result_revoked(arena, w->id, reason, now, &e->content);
        }
        if (r >= 0)
                r = w->awaited && e->stored ? sqlite_queue_leave_revoked(db, w->queue, e)
                                            : sqlite_queue_end(db, e, now);
        sj_arena_free(arena);
        return r;
}

static int sqlite_queue_run_cancel(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        queue_job *j = container_of(job, queue_job, job);
        sqlite3_stmt *s = sqlite_begin(db, SQL_FIND, "s", j->id);
        int r = sqlite_row(db, s);
        if (r != 1)
                return r < 0 ? r : -ENOENT;
        waiting w = {.id = j->id,
                     .queue = sqlite_text(s, 8),
                     .awaited = sqlite3_column_int(s, 7),
                     .ending = {.seq = sqlite3_column_int64(s, 0),
                                .state = sqlite_text(s, 2),
                                .has_key = sqlite3_column_int(s, 4),
                                .key_for = sqlite3_column_int64(s, 5),
                                .has_body = sqlite3_column_int(s, 6)}};
        int phase = sqlite3_column_int(s, 1);
        bool known = phase != SQLITE_QUEUE_IDLE || w.ending.state.n;
        bool over = phase != SQLITE_QUEUE_IDLE || sj_state_is_final(result_state(w.ending.state));
        bool waits = (phase == SQLITE_QUEUE_READY || phase == SQLITE_QUEUE_DELAYED) &&
                     !sj_str_equal(w.ending.state, SJ_STR("REVOKED"));
        if (waits)
                r = sqlite_queue_end_revoked(db, &w, "revoked", now);
        else if (phase == SQLITE_QUEUE_LEASED)
                r = sqlite_do(db, SQL_REVOKE, "i", w.ending.seq);
        else if (!known || over)
                r = known ? -EALREADY : -ENOENT;
        sqlite_end(s);
        return r < 0 ? r : !waits;
}

int sqlite_queue_cancel(broker *b, sj_str id, sj_time deadline)
{
        queue_job j = {.id = id};
        return sqlite_queue_call(b, &j.job, sqlite_queue_run_cancel, SQLITE_JOB_WRITE, deadline);
}

static int sqlite_queue_run_count(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        (void)now;
        queue_job *j = container_of(job, queue_job, job);
        return sqlite_number(db, &j->count, SQL_COUNT_WAITING, "s", j->queue);
}

/* Revokes the first of those that wait: 1, or 0 when there is none. */
static int sqlite_queue_purge_one(sqlite_db *db, sj_str queue, sqlite_queue_sql which, sj_wall now)
{
        sqlite3_stmt *s = sqlite_begin(db, which, "si", queue, (int64_t)1);
        int r = sqlite_row(db, s);
        if (r != 1)
                return r;
        waiting w = {.id = sqlite_text(s, 1),
                     .queue = queue,
                     .awaited = sqlite3_column_int(s, 6),
                     .ending = {.seq = sqlite3_column_int64(s, 0),
                                .state = sqlite_text(s, 2),
                                .has_key = sqlite3_column_int(s, 3),
                                .key_for = sqlite3_column_int64(s, 4),
                                .has_body = sqlite3_column_int(s, 5)}};
        r = sqlite_queue_end_revoked(db, &w, "purged", now);
        sqlite_end(s);
        return r < 0 ? r : 1;
}

static int sqlite_queue_run_purge(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        queue_job *j = container_of(job, queue_job, job);
        for (int i = 0; i < PURGE_STEP; i++) {
                int r = sqlite_queue_purge_one(db, j->queue, SQL_WAITING, now);
                if (r == 0)
                        r = sqlite_queue_purge_one(db, j->queue, SQL_DELAYED, now);
                if (r <= 0)
                        return r < 0 ? r : i;
        }
        return PURGE_STEP;
}

/* At most as many as there were, so that it ends while others publish. */
int sqlite_queue_purge(broker *b, sj_str queue, uint64_t *ret_awaited, sj_time deadline)
{
        (void)ret_awaited;
        queue_job j = {.queue = queue};
        int r = sqlite_queue_call(b, &j.job, sqlite_queue_run_count, SQLITE_JOB_READ, deadline);
        int64_t purged = 0;
        while (r >= 0 && purged < j.count) {
                r = sqlite_queue_call(b, &j.job, sqlite_queue_run_purge, SQLITE_JOB_WRITE,
                                      deadline);
                if (r <= 0)
                        break;
                purged += r;
        }
        return r < 0 ? r : (int)(purged < INT32_MAX ? purged : INT32_MAX);
}

/* ── The delayed, and the dead ───────────────────────────────────────────────────────────── */

static int sqlite_queue_read_dead(sqlite_db *db, sqlite3_stmt *s, sj_arena *arena, broker_dead *ret)
{
        bool bad = false;
        sqlite3_stmt *body;
        sj_str envelope;
        int r = sqlite_queue_envelope(db, s, 13, sqlite3_column_int64(s, 0), &envelope, &body);
        if (r < 0)
                return r;
        *ret = (broker_dead){
                .message = {.id = sqlite_queue_keep(arena, sqlite_text(s, 1), &bad),
                            .queue = sqlite_queue_keep(arena, sqlite_text(s, 2), &bad),
                            .task = sqlite_queue_keep(arena, sqlite_text(s, 3), &bad),
                            .envelope = sqlite_queue_keep(arena, envelope, &bad),
                            .priority = sqlite3_column_int(s, 4),
                            .eta = {sqlite3_column_int64(s, 5)},
                            .expires = {sqlite3_column_int64(s, 6)},
                            .max_deliveries = (uint32_t)sqlite3_column_int64(s, 7),
                            .key = sqlite_queue_keep(arena, sqlite_text(s, 8), &bad),
                            .key_for = sqlite3_column_int64(s, 9)},
                .reason = sqlite_queue_keep(arena, sqlite_text(s, 10), &bad),
                .died = {sqlite3_column_int64(s, 11)},
                .deliveries = (uint32_t)sqlite3_column_int64(s, 12),
        };
        sqlite_end(body);
        return bad ? -ENOMEM : 0;
}

/* Their rows are read as those of the dead are. */
static int sqlite_queue_run_delayed_list(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        queue_job *j = container_of(job, queue_job, job);
        size_t bytes = 0;
        int r = sqlite_number(db, &j->all, SQL_COUNT_DELAYED, "is", now.us, j->queue);
        j->delayed = sj_arena_alloc(j->arena, j->n * sizeof(*j->delayed));
        j->count = 0;
        if (r < 0 || !j->delayed)
                return r < 0 ? r : -ENOMEM;
        sqlite3_stmt *s =
                sqlite_begin(db, SQL_DELAYED_FIRST, "isi", now.us, j->queue, (int64_t)j->n);
        while ((r = sqlite_row(db, s)) == 1) {
                broker_dead row;
                r = bytes < BROKER_LIST_BYTES ? sqlite_queue_read_dead(db, s, j->arena, &row) : 1;
                if (r != 0) {
                        sqlite_end(s);
                        return r < 0 ? r : 0;
                }
                bytes += row.message.envelope.n;
                j->delayed[j->count++] = (broker_delayed){row.message, row.died};
        }
        return r;
}

int sqlite_queue_delayed_list(broker *b, sj_str queue, size_t n, sj_arena *arena,
                              const broker_delayed **ret, uint64_t *ret_more, sj_time deadline)
{
        queue_job j = {.queue = queue, .n = n, .arena = arena};
        int r = sqlite_queue_call(b, &j.job, sqlite_queue_run_delayed_list, SQLITE_JOB_READ,
                                  deadline);
        if (r < 0)
                return r;
        *ret = j.delayed;
        *ret_more = (uint64_t)(j.all - j.count);
        return (int)j.count;
}

/* By the moment at which they died; of those of one moment, by their rows. */
static int sqlite_queue_dead_place(sqlite_db *db, sj_str after, int64_t *ret_died, int64_t *ret_seq)
{
        *ret_died = *ret_seq = INT64_MIN;
        if (!after.n)
                return 0;
        sqlite3_stmt *s = sqlite_begin(db, SQL_DEAD_PLACE, "s", after);
        int r = sqlite_row(db, s);
        if (r != 1)
                return r;
        *ret_died = sqlite3_column_int64(s, 0);
        *ret_seq = sqlite3_column_int64(s, 1);
        sqlite_end(s);
        return 0;
}

static int sqlite_queue_run_dead_list(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        (void)now;
        queue_job *j = container_of(job, queue_job, job);
        int64_t died, seq;
        int r = sqlite_queue_dead_place(db, j->id, &died, &seq);
        if (r < 0)
                return r;
        j->dead = sj_arena_alloc(j->arena, j->n * sizeof(*j->dead));
        if (!j->dead)
                return -ENOMEM;
        sqlite3_stmt *s =
                sqlite_begin(db, SQL_DEAD_AFTER, "iisi", died, seq, j->queue, (int64_t)j->n);
        j->count = 0;
        while ((r = sqlite_row(db, s)) == 1) {
                r = sqlite_queue_read_dead(db, s, j->arena, &j->dead[j->count++]);
                if (r < 0) {
                        sqlite_end(s);
                        return r;
                }
        }
        return r;
}

int sqlite_queue_dead_list(broker *b, sj_str queue, sj_str after, size_t n, sj_arena *arena,
                           const broker_dead **ret, sj_time deadline)
{
        enum { MOST = 10000 };
        queue_job j = {.queue = queue, .id = after, .n = n < MOST ? n : MOST, .arena = arena};
        int r = sqlite_queue_call(b, &j.job, sqlite_queue_run_dead_list, SQLITE_JOB_READ, deadline);
        if (r < 0)
                return r;
        *ret = j.dead;
        return (int)j.count;
}

static int sqlite_queue_revive(sqlite_db *db, sj_str id, sj_wall now)
{
        sqlite3_stmt *s = sqlite_begin(db, SQL_FIND_DEAD, "s", id);
        int r = sqlite_row(db, s);
        if (r != 1)
                return r;
        int64_t place;
        r = sqlite_queue_back(db, sqlite_text(s, 2), sqlite3_column_int(s, 3), &place);
        if (r >= 0)
                r = sqlite_do(db, SQL_REVIVE, "iii", sqlite3_column_int64(s, 0), place, now.us);
        sqlite_end(s);
        return r < 0 ? r : 1;
}

static int sqlite_queue_forget_dead(sqlite_db *db, sj_str id, sj_wall now)
{
        int64_t seq;
        int r = sqlite_number(db, &seq, SQL_FIND_DEAD, "s", id);
        if (r == 1)
                r = sqlite_queue_end_now(db, id, now) < 0 ? -EIO : 1;
        return r;
}

static int sqlite_queue_run_dead(sqlite_db *db, queue_job *j, sj_wall now,
                                 int (*each)(sqlite_db *db, sj_str id, sj_wall now))
{
        int found = 0;
        for (size_t i = 0; i < j->n; i++) {
                int r = each(db, j->ids[i], now);
                if (r < 0)
                        return r;
                found += r;
        }
        return found;
}

static int sqlite_queue_run_dead_retry(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        return sqlite_queue_run_dead(db, container_of(job, queue_job, job), now,
                                     sqlite_queue_revive);
}

static int sqlite_queue_run_dead_drop(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        return sqlite_queue_run_dead(db, container_of(job, queue_job, job), now,
                                     sqlite_queue_forget_dead);
}

int sqlite_queue_dead_retry(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        queue_job j = {.ids = ids, .n = n};
        return sqlite_queue_call(b, &j.job, sqlite_queue_run_dead_retry, SQLITE_JOB_WRITE,
                                 deadline);
}

int sqlite_queue_dead_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        queue_job j = {.ids = ids, .n = n};
        return sqlite_queue_call(b, &j.job, sqlite_queue_run_dead_drop, SQLITE_JOB_WRITE, deadline);
}
