/* SPDX-License-Identifier: MIT */
/*
 * The broker in a SQLite file: leasing, waiting for what can be leased, and renewing.
 *
 * A lease is not synced to the disk by itself: it outlives any process, and if the machine stops,
 * its holder has stopped too.
 */
#include "queue/sqlite/broker_sqlite.h"

#include <stdlib.h>

enum { CLAIM_QUEUES = 64 };

/* A message as it is leased, and what decides on its place among those of the call. */
typedef struct lent {
        broker_lease *lease;
        int64_t place;
        size_t queue;
} lent;

typedef struct lease_job {
        sqlite_job job;
        const broker_claim *claim;
        lent *all;
        size_t n;
        broker *owner;
        size_t taken;
} lease_job;

/* ── One message ─────────────────────────────────────────────────────────────────────────── */

/* deliveries: without this one. */
static broker_fate sqlite_queue_fate(const broker_message *m, uint32_t deliveries, bool revoked,
                                     sj_wall now)
{
        if (revoked)
                return BROKER_REVOKED;
        uint32_t most = m->max_deliveries ? m->max_deliveries : SJ_MAX_DELIVERIES;
        if (m->expires.us && m->expires.us <= now.us)
                return BROKER_EXPIRED;
        return deliveries >= most ? BROKER_EXHAUSTED : BROKER_RUN;
}

static void sqlite_queue_read_lease(sqlite3_stmt *s, const lease_job *j, sj_wall now,
                                    broker_lease *ret)
{
        *ret = (broker_lease){
                .message = {.id = sqlite_text(s, 0),
                            .queue = sqlite_text(s, 1),
                            .task = sqlite_text(s, 2),
                            .priority = sqlite3_column_int(s, 3),
                            .eta = {sqlite3_column_int64(s, 4)},
                            .expires = {sqlite3_column_int64(s, 5)},
                            .max_deliveries = (uint32_t)sqlite3_column_int64(s, 6),
                            .key = sqlite_text(s, 7),
                            .key_for = sqlite3_column_int64(s, 8),
                            .awaited = sqlite3_column_int(s, 17)},
                .deliveries = (uint32_t)sqlite3_column_int64(s, 9),
                .published = {sqlite3_column_int64(s, 11)},
                .token = {(uint64_t)sqlite3_column_int64(s, 12),
                          (uint64_t)sqlite3_column_int64(s, 13)},
                .until = sqlite_queue_later(now, j->claim->duration),
                .owner = j->owner,
        };
        ret->fate = sqlite_queue_fate(&ret->message, ret->deliveries - 1, sqlite3_column_int(s, 16),
                                      now);
}

/* The broker's own end of a message that no worker managed to settle. */
static int sqlite_queue_last_rites(sqlite_db *db, const broker_lease *l, sj_wall now)
{
        sj_arena *arena;
        if (sj_arena_new(&arena) < 0)
                return -ENOMEM;
        static const char *const reasons[] = {[BROKER_EXPIRED] = "expired",
                                              [BROKER_EXHAUSTED] = "delivered too often",
                                              [BROKER_REVOKED] = "revoked"};
        bool over = l->fate != BROKER_EXHAUSTED;
        sj_str reason = sj_str_of(reasons[l->fate]);
        broker_result result = {.id = l->message.id,
                                .state = over ? SJ_STR("REVOKED") : SJ_STR("FAILURE")};
        int r = over ? result_revoked(arena, result.id, reason.data, now, &result.content)
                     : result_dead(arena, result.id, reason.data, now, &result.content);
        if (r >= 0)
                r = sqlite_queue_store(db, &result, now);
        if (r >= 0 && over)
                r = sqlite_queue_end_now(db, result.id, now);
        else if (r >= 0)
                r = sqlite_queue_bury(db, (int64_t)l->token.low, reason, now);
        sj_arena_free(arena);
        return r < 0 ? r : 0;
}

/* Whether it is as publishing would have it: the file may have been changed by others. */
static bool sqlite_queue_is_sound(const broker_message *m)
{
        return m->id.n > 0 && m->id.n <= SJ_TASK_ID_MAX && m->queue.n <= SJ_TASK_NAME_MAX &&
               m->priority >= 0 && m->priority <= BROKER_PRIORITY_MAX;
}

/* A row that is leased now: 1; 0 when the broker had to end it itself. */
static int sqlite_queue_lend(sqlite_db *db, const lease_job *j, sqlite3_stmt *s, sj_wall now,
                             lent *ret)
{
        broker_lease l;
        sqlite3_stmt *body;
        sqlite_queue_read_lease(s, j, now, &l);
        if (!sqlite_queue_is_sound(&l.message))
                return sqlite_queue_bury(db, (int64_t)l.token.low, SJ_STR("damaged"), now) < 0
                               ? -EIO
                               : 0;
        if (sqlite3_column_int64(s, 10) > BROKER_LAST_RITES && !l.message.awaited)
                return sqlite_queue_last_rites(db, &l, now);
        int r = sqlite_queue_envelope(db, s, 15, (int64_t)l.token.low, &l.message.envelope, &body);
        if (r < 0)
                return r;
        ret->lease = broker_lease_new(&l);
        ret->place = sqlite3_column_int64(s, 14);
        sqlite_end(body);
        return ret->lease ? 1 : -ENOMEM;
}

/* ── Many ────────────────────────────────────────────────────────────────────────────────── */

/* The priorities of what may be leased next in each queue. */
typedef struct candidates {
        int *of[CLAIM_QUEUES];
        int n[CLAIM_QUEUES];
        int next[CLAIM_QUEUES];
} candidates;

static int sqlite_queue_candidates(sqlite_db *db, sj_str queue, size_t most, int ret[])
{
        int n = 0, r;
        sqlite3_stmt *s = sqlite_begin(db, SQL_READY, "si", queue, (int64_t)most);
        while ((r = sqlite_row(db, s)) == 1)
                ret[n++] = sqlite3_column_int(s, 1);
        return r < 0 ? r : n;
}

/* Takes the next of all queues: by priority, and among equals by turns. */
static bool sqlite_queue_pick(sqlite_queue *q, candidates *c, size_t n)
{
        size_t best = n;
        for (size_t k = 0; k < n; k++) {
                size_t i = (q->turn + k) % n;
                if (c->next[i] == c->n[i])
                        continue;
                if (best == n || c->of[i][c->next[i]] > c->of[best][c->next[best]])
                        best = i;
        }
        if (best == n)
                return false;
        q->turn = (best + 1) % n;
        c->next[best]++;
        return true;
}

/* How many to take of each queue: ret[i]. */
static int sqlite_queue_share(sqlite_db *db, const lease_job *j, int ret[])
{
        size_t n_queues = j->claim->n_queues;
        ret[0] = (int)j->n;
        if (n_queues == 1)
                return 0;
        candidates c = {0};
        int *space = malloc(n_queues * j->n * sizeof(*space));
        int r = space ? 0 : -ENOMEM;
        for (size_t i = 0; i < n_queues && r == 0; i++) {
                c.of[i] = space + i * j->n;
                c.n[i] = sqlite_queue_candidates(db, j->claim->queues[i], j->n, c.of[i]);
                if (c.n[i] < 0)
                        r = c.n[i];
        }
        size_t picked = 0;
        while (r == 0 && picked < j->n && sqlite_queue_pick(sqlite_queue_in(db), &c, n_queues))
                picked++;
        memcpy(ret, c.next, n_queues * sizeof(*ret));
        free(space);
        return r;
}

static int sqlite_queue_lend_queue(sqlite_db *db, lease_job *j, size_t queue, int most, sj_wall now)
{
        int r;
        sqlite3_stmt *s =
                sqlite_begin(db, SQL_LEND, "iSisi", sqlite_queue_later(now, j->claim->duration).us,
                             j->claim->worker, now.us, j->claim->queues[queue], (int64_t)most);
        while ((r = sqlite_row(db, s)) == 1) {
                r = sqlite_queue_lend(db, j, s, now, &j->all[j->taken]);
                if (r < 0) {
                        sqlite_end(s);
                        return r;
                }
                j->all[j->taken].queue = queue;
                j->taken += (size_t)r;
        }
        return r;
}

static void sqlite_queue_give_up(lease_job *j)
{
        while (j->taken)
                broker_lease_free(j->all[--j->taken].lease);
}

static int sqlite_queue_run_lease(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        lease_job *j = container_of(job, lease_job, job);
        int share[CLAIM_QUEUES];
        sqlite_queue_give_up(j);
        int r = sqlite_queue_share(db, j, share);
        for (size_t i = 0; i < j->claim->n_queues && r == 0; i++)
                if (share[i] > 0)
                        r = sqlite_queue_lend_queue(db, j, i, share[i], now);
        return r;
}

static int sqlite_queue_lent_order(const void *a, const void *b)
{
        const lent *x = a, *y = b;
        int px = x->lease->message.priority, py = y->lease->message.priority;
        if (px != py)
                return px > py ? -1 : 1;
        if (x->queue != y->queue)
                return x->queue < y->queue ? -1 : 1;
        return (x->place > y->place) - (x->place < y->place);
}

int sqlite_queue_lease_next(broker *b, const broker_claim *claim, broker_lease *ret[], size_t n,
                            sj_time deadline)
{
        if (claim->n_queues > CLAIM_QUEUES)
                return -E2BIG;
        lent few[16];
        lease_job j = {.claim = claim, .n = n, .owner = b};
        j.all = n <= 16 ? few : malloc(n * sizeof(*j.all));
        if (!j.all)
                return -ENOMEM;
        int r = sqlite_queue_call(b, &j.job, sqlite_queue_run_lease, SQLITE_JOB_RELAXED, deadline);
        /* If they were taken all the same, they run out. */
        if (r < 0)
                sqlite_queue_give_up(&j);
        qsort(j.all, j.taken, sizeof(*j.all), sqlite_queue_lent_order);
        for (size_t i = 0; i < j.taken; i++)
                ret[i] = j.all[i].lease;
        if (j.all != few)
                free(j.all);
        return r < 0 ? r : (int)j.taken;
}

/* ── Waiting ─────────────────────────────────────────────────────────────────────────────── */

typedef struct wait_job {
        sqlite_job job;
        const sj_str *queues;
        size_t n;
} wait_job;

static int sqlite_queue_run_wait(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        wait_job *w = container_of(job, wait_job, job);
        for (size_t i = 0; i < w->n; i++) {
                int64_t one;
                int r = sqlite_number(db, &one, SQL_ANY_READY, "s", w->queues[i]);
                if (r == 0)
                        r = sqlite_number(db, &one, SQL_ANY_DUE, "si", w->queues[i], now.us);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return -EAGAIN;
}

int sqlite_queue_wait(broker *b, const sj_str queues[], size_t n_queues, sj_time deadline)
{
        wait_job w = {.queues = queues, .n = n_queues};
        return sqlite_queue_call(b, &w.job, sqlite_queue_run_wait, SQLITE_JOB_AWAIT, deadline);
}

/* ── Renewing ────────────────────────────────────────────────────────────────────────────── */

typedef struct renew_job {
        sqlite_job job;
        broker_lease *const *leases;
        size_t n;
        sj_time duration;
        broker_hold *ret;
        sj_wall until;
} renew_job;

static int sqlite_queue_renew_one(sqlite_db *db, const broker_token *token, sj_wall until,
                                  sj_wall now, broker_hold *ret)
{
        sqlite3_stmt *s = sqlite_begin(db, SQL_HELD, "iii", (int64_t)token->low,
                                       (int64_t)token->high, now.us);
        int r = sqlite_row(db, s);
        if (r < 0)
                return r;
        *ret = BROKER_LOST;
        if (r == 0)
                return 0;
        *ret = sqlite3_column_int(s, 7) ? BROKER_HELD_REVOKED : BROKER_HELD;
        sqlite_end(s);
        return sqlite_do(db, SQL_RENEW, "iii", (int64_t)token->low, (int64_t)token->high, until.us);
}

static int sqlite_queue_run_renew(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        renew_job *j = container_of(job, renew_job, job);
        j->until = sqlite_queue_later(now, j->duration);
        for (size_t i = 0; i < j->n; i++) {
                broker_hold hold;
                int r = sqlite_queue_renew_one(db, &j->leases[i]->token, j->until, now, &hold);
                if (r < 0)
                        return r;
                if (hold != BROKER_LOST)
                        j->leases[i]->until = j->until;
                if (j->ret)
                        j->ret[i] = hold;
        }
        return 0;
}

int sqlite_queue_renew(broker *b, broker_lease *const leases[], size_t n, sj_time duration,
                       broker_hold ret[], sj_time deadline)
{
        renew_job j = {.leases = leases, .n = n, .duration = duration, .ret = ret};
        return sqlite_queue_call(b, &j.job, sqlite_queue_run_renew, SQLITE_JOB_RELAXED, deadline);
}
