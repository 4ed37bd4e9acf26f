/* SPDX-License-Identifier: MIT */
/*
 * The broker in a SQLite file: leasing, waiting for what can be leased, and renewing.
 *
 * A lease is not synced to the disk by itself: it outlives any process, and if the machine stops,
 * its holder has stopped too.
 */
#include "queue/broker_sqlite.h"

#include "os/os.h"

#include <stdlib.h>

enum { CLAIM_QUEUES = 64 };

/* What may be leased: the next rows of each queue, by priority and place. */
typedef struct candidate {
        int64_t seq;
        int priority;
} candidate;

typedef struct lease_job {
        sqlite_job job;
        const broker_claim *claim;
        broker_lease **ret;
        size_t n;
        broker *owner;
        size_t taken;
} lease_job;

/* ── One message ─────────────────────────────────────────────────────────────────────────── */

static broker_fate sqlite_queue_fate(const broker_lease *l, sj_wall now)
{
        const broker_message *m = &l->message;
        uint32_t most = m->max_deliveries ? m->max_deliveries : SJ_MAX_DELIVERIES;
        if (m->expires.us && m->expires.us <= now.us)
                return BROKER_EXPIRED;
        return l->deliveries >= most ? BROKER_EXHAUSTED : BROKER_RUN;
}

static void sqlite_queue_read_lease(sqlite3_stmt *s, broker_lease *ret)
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
                            .key_for = sqlite3_column_int64(s, 8)},
                .deliveries = (uint32_t)sqlite3_column_int64(s, 9),
                .published = {sqlite3_column_int64(s, 11)},
        };
}

/* The broker's own end of a message that no worker managed to settle. */
static int sqlite_queue_last_rites(sqlite_db *db, int64_t seq, const broker_lease *l, sj_wall now)
{
        sj_arena *arena;
        if (sj_arena_new(&arena) < 0)
                return -ENOMEM;
        bool expired = l->fate == BROKER_EXPIRED;
        sj_str reason = expired ? SJ_STR("expired") : SJ_STR("delivered too often");
        broker_result result = {.id = l->message.id,
                                .state = expired ? SJ_STR("REVOKED") : SJ_STR("FAILURE")};
        int r = expired ? result_revoked(arena, result.id, reason.data, now, &result.content)
                        : result_dead(arena, result.id, reason.data, now, &result.content);
        if (r >= 0)
                r = sqlite_queue_store(db, &result, now);
        if (r >= 0 && expired)
                r = sqlite_queue_end_now(db, result.id, now);
        else if (r >= 0)
                r = sqlite_do(db, SQL_BURY, "iis", seq, now.us, reason);
        sj_arena_free(arena);
        return r < 0 ? r : 0;
}

/* Leases one ready message: 1; 0 when the broker had to end it itself. */
static int sqlite_queue_lend(sqlite_db *db, lease_job *j, int64_t seq, uint64_t secret, sj_wall now,
                             broker_lease **ret)
{
        sqlite3_stmt *s = sqlite_begin(db, SQL_TAKE, "i", seq);
        int r = sqlite_row(db, s);
        if (r != 1)
                return r;
        broker_lease l;
        sqlite_queue_read_lease(s, &l);
        int64_t rites = sqlite3_column_int64(s, 10);
        l.fate = sqlite_queue_fate(&l, now);
        if (l.fate != BROKER_RUN && rites >= BROKER_LAST_RITES) {
                r = sqlite_queue_last_rites(db, seq, &l, now);
                sqlite_end(s);
                return r;
        }
        l.token = (broker_token){secret, (uint64_t)seq};
        l.deliveries++;
        l.until = sqlite_queue_later(now, j->claim->duration);
        l.owner = j->owner;
        sqlite3_stmt *body;
        r = sqlite_queue_envelope(db, s, 12, seq, &l.message.envelope, &body);
        broker_lease *lease = r < 0 ? NULL : broker_lease_new(&l);
        sqlite_end(body);
        sqlite_end(s);
        if (!lease)
                return r < 0 ? r : -ENOMEM;
        r = sqlite_do(db, SQL_LEND, "iiiSii", seq, l.until.us, (int64_t)secret, j->claim->worker,
                      (int64_t)l.deliveries, rites + (l.fate != BROKER_RUN));
        if (r < 0) {
                broker_lease_free(lease);
                return r;
        }
        *ret = lease;
        return 1;
}

/* ── Many ────────────────────────────────────────────────────────────────────────────────── */

static int sqlite_queue_candidates(sqlite_db *db, sj_str queue, size_t most, candidate ret[])
{
        int n = 0, r;
        sqlite3_stmt *s = sqlite_begin(db, SQL_READY, "si", queue, (int64_t)most);
        while ((r = sqlite_row(db, s)) == 1)
                ret[n++] = (candidate){sqlite3_column_int64(s, 0), sqlite3_column_int(s, 1)};
        return r < 0 ? r : n;
}

/* The heads of the queues, and what is behind them. */
typedef struct candidates {
        candidate *of[CLAIM_QUEUES];
        int n[CLAIM_QUEUES];
        int next[CLAIM_QUEUES];
} candidates;

/* The next of all queues: by priority, and among equals by turns. */
static const candidate *sqlite_queue_pick(sqlite_queue *q, candidates *c, size_t n)
{
        size_t best = n;
        for (size_t k = 0; k < n; k++) {
                size_t i = (q->turn + k) % n;
                if (c->next[i] < c->n[i] &&
                    (best == n ||
                     c->of[i][c->next[i]].priority > c->of[best][c->next[best]].priority))
                        best = i;
        }
        if (best == n)
                return NULL;
        q->turn = (best + 1) % n;
        return &c->of[best][c->next[best]++];
}

static int sqlite_queue_lend_all(sqlite_db *db, lease_job *j, candidates *c, sj_wall now)
{
        uint64_t secrets[64];
        size_t used = 64;
        const candidate *next;
        while (j->taken < j->n &&
               (next = sqlite_queue_pick(sqlite_queue_in(db), c, j->claim->n_queues))) {
                if (used == 64) {
                        os_random(secrets, sizeof(secrets));
                        used = 0;
                }
                int r = sqlite_queue_lend(db, j, next->seq, secrets[used++], now,
                                          &j->ret[j->taken]);
                if (r < 0)
                        return r;
                j->taken += (size_t)r;
        }
        return 0;
}

static int sqlite_queue_run_lease(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        lease_job *j = container_of(job, lease_job, job);
        size_t n_queues = j->claim->n_queues;
        candidates c = {0};
        candidate *space = malloc(n_queues * j->n * sizeof(candidate));
        int r = space ? 0 : -ENOMEM;
        for (size_t i = 0; i < n_queues && r == 0; i++) {
                c.of[i] = space + i * j->n;
                c.n[i] = sqlite_queue_candidates(db, j->claim->queues[i], j->n, c.of[i]);
                if (c.n[i] < 0)
                        r = c.n[i];
        }
        if (r == 0)
                r = sqlite_queue_lend_all(db, j, &c, now);
        free(space);
        return r;
}

int sqlite_queue_lease_next(broker *b, const broker_claim *claim, broker_lease *ret[], size_t n,
                            sj_time deadline)
{
        if (claim->n_queues > CLAIM_QUEUES)
                return -E2BIG;
        lease_job j = {.claim = claim, .ret = ret, .n = n, .owner = b};
        int r = sqlite_queue_call(b, &j.job, sqlite_queue_run_lease, SQLITE_JOB_RELAXED, deadline);
        if (r >= 0)
                return (int)j.taken;
        /* Those that were taken are as good as lost: they run out. */
        while (j.taken)
                broker_lease_free(ret[--j.taken]);
        return r;
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
