/* SPDX-License-Identifier: MIT */
/*
 * The broker in a SQLite file: joins, the groups that programs save, and revoked ids.
 *
 * A group is one row of sanjab_group, which is small because each arrival changes it; its texts
 * (the body of its join, and what was saved of it) and its members are rows of other tables, by
 * its seq. It is forgotten when nobody has touched it for as long as results are kept: whoever
 * opens a join or saves a group removes a few of those whose time has passed.
 *
 * An arrival need not reach the disk by itself: the settlement of its delivery, which does, comes
 * after it in the same log; and without that the delivery comes again, and arrives again.
 */
#include "queue/sqlite/broker_sqlite.h"

enum {
        TEXT_BODY,
        TEXT_SAVED,
        SWEEP_MOST = 16, /* groups that are removed at once */
};

typedef struct join_job {
        sqlite_job job;
        const broker_join *joins;
        broker_arrival *arrivals;
        const sj_str *ids;
        size_t n;
        sj_str group;
        sj_str text;
        int64_t by;
        sj_wall after;
        sj_arena *arena;
        broker_revoked *revoked;
        size_t n_revoked;
} join_job;

/* ── Groups ──────────────────────────────────────────────────────────────────────────────── */

static int group_delete(sqlite_db *db, int64_t seq)
{
        static const sqlite_queue_sql deletes[] = {SQL_MEMBERS_DELETE, SQL_GROUP_DELETE};
        for (int kind = TEXT_BODY; kind <= TEXT_SAVED; kind++) {
                int r = sqlite_do(db, SQL_GROUP_DROP_TEXT, "ii", seq, (int64_t)kind);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < 2; i++) {
                int r = sqlite_do(db, deletes[i], "i", seq);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int groups_sweep(sqlite_db *db, sj_wall now)
{
        for (int i = 0; i < SWEEP_MOST; i++) {
                int64_t seq;
                int r = sqlite_number(db, &seq, SQL_GROUP_OVER, "i", now.us);
                if (r == 1)
                        r = group_delete(db, seq);
                else
                        return r;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* What is known of a live group: 1, or 0 there is none. */
typedef struct group_row {
        int64_t seq;
        int64_t wanted; /* members, with those that it has grown by */
        int64_t arrived;
        bool open;
} group_row;

static int group_find(sqlite_db *db, sj_str name, sj_wall now, group_row *ret)
{
        sqlite3_stmt *s = sqlite_begin(db, SQL_GROUP_FIND, "si", name, now.us);
        int r = sqlite_row(db, s);
        if (r != 1)
                return r;
        *ret = (group_row){.seq = sqlite3_column_int64(s, 0),
                           .wanted = sqlite3_column_int64(s, 1),
                           .arrived = sqlite3_column_int64(s, 2),
                           .open = sqlite3_column_int64(s, 3) > 0};
        sqlite_end(s);
        return 1;
}

/* The seq of the group, made if need be, with its time before it. */
static int group_touch(sqlite_db *db, sj_str name, sj_wall now, int64_t *ret)
{
        group_row g;
        int r = groups_sweep(db, now);
        /* One that is over but not swept yet is not to be found again with what it had. */
        if (r >= 0)
                r = group_find(db, name, now, &g);
        if (r == 0) {
                int64_t old;
                r = sqlite_number(db, &old, SQL_GROUP_FIND, "si", name, INT64_MIN);
                if (r == 1)
                        r = group_delete(db, old);
        }
        if (r < 0)
                return r;
        sj_wall until = sqlite_queue_later(now, sqlite_queue_in(db)->base.result_expires);
        r = sqlite_number(db, ret, SQL_GROUP_TOUCH, "si", name, until.us);
        return r == 0 ? -EIO : r;
}

/* A text of the group, in the arena; the empty view if there is none. */
static int group_text(sqlite_db *db, int64_t seq, int kind, sj_arena *arena, sj_str *ret)
{
        bool bad = false;
        sqlite3_stmt *s = sqlite_begin(db, SQL_GROUP_TEXT, "ii", seq, (int64_t)kind);
        int r = sqlite_row(db, s);
        *ret = (sj_str){NULL, 0};
        if (r != 1)
                return r;
        *ret = sqlite_queue_keep(arena, sqlite_text(s, 0), &bad);
        sqlite_end(s);
        return bad ? -ENOMEM : 1;
}

/* ── Joins ───────────────────────────────────────────────────────────────────────────────── */

static int join_close(sqlite_db *db, sj_str name, sj_wall now)
{
        group_row g;
        int r = group_find(db, name, now, &g);
        if (r != 1)
                return r;
        r = sqlite_do(db, SQL_MEMBERS_DELETE, "i", g.seq);
        if (r >= 0)
                r = sqlite_do(db, SQL_GROUP_DROP_TEXT, "ii", g.seq, (int64_t)TEXT_BODY);
        return r < 0 ? r : sqlite_do(db, SQL_GROUP_CLOSE, "i", g.seq);
}

int sqlite_queue_set_join(sqlite_db *db, const broker_join *join, sj_wall now)
{
        int64_t seq;
        if (join->size == 0)
                return join_close(db, join->group, now);
        int r = group_touch(db, join->group, now, &seq);
        if (r >= 0)
                r = sqlite_do(db, SQL_GROUP_OPEN, "ii", seq, join->size);
        return r < 0 ? r
                     : sqlite_do(db, SQL_GROUP_SET_TEXT, "iib", seq, (int64_t)TEXT_BODY,
                                 join->body);
}

static int run_open(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        join_job *j = container_of(job, join_job, job);
        for (size_t i = 0; i < j->n; i++) {
                int r = sqlite_queue_set_join(db, &j->joins[i], now);
                if (r < 0)
                        return r;
        }
        return 0;
}

int sqlite_queue_join_open(broker *b, const broker_join joins[], size_t n, sj_time deadline)
{
        join_job j = {.joins = joins, .n = n};
        return sqlite_queue_call(b, &j.job, run_open, SQLITE_JOB_WRITE, deadline);
}

static int run_grow(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        join_job *j = container_of(job, join_job, job);
        int64_t seq;
        int r = group_touch(db, j->group, now, &seq);
        if (r >= 0)
                r = sqlite_do(db, SQL_GROUP_GROW, "ii", seq, j->by);
        return r < 0 ? r : 0;
}

int sqlite_queue_join_grow(broker *b, sj_str group, int64_t by, sj_time deadline)
{
        join_job j = {.group = group, .by = by};
        return sqlite_queue_call(b, &j.job, run_grow, SQLITE_JOB_WRITE, deadline);
}

/* What the last one sees. */
static int arrival_complete(sqlite_db *db, const group_row *g, sj_arena *arena, broker_arrival *a)
{
        sj_str *texts = sj_arena_alloc(arena, (size_t)g->arrived * sizeof(*texts));
        bool bad = !texts;
        size_t n = 0;
        sqlite3_stmt *s = sqlite_begin(db, SQL_MEMBERS, "i", g->seq);
        int r;
        while ((r = sqlite_row(db, s)) == 1 && !bad && n < (size_t)g->arrived)
                texts[n++] = sqlite_queue_keep(arena, sqlite_text(s, 0), &bad);
        if (r == 1)
                sqlite_end(s);
        if (r >= 0)
                r = bad ? -ENOMEM : group_text(db, g->seq, TEXT_BODY, arena, &a->body);
        if (r >= 0)
                r = group_text(db, g->seq, TEXT_SAVED, arena, &a->saved);
        if (r < 0)
                return r;
        a->complete = true;
        a->members = texts;
        a->n_members = n;
        return 0;
}

static int arrive(sqlite_db *db, broker_arrival *a, sj_arena *arena, sj_wall now)
{
        int64_t seq, place = a->index < 0 ? INT64_MAX : a->index;
        group_row g;
        a->complete = false;
        a->members = NULL;
        a->n_members = 0;
        a->body = a->saved = (sj_str){NULL, 0};
        int r = group_touch(db, a->group, now, &seq);
        if (r >= 0)
                r = sqlite_do(db, SQL_MEMBER_ADD, "iisb", seq, place, a->id, a->text);
        if (r == 1)
                r = sqlite_do(db, SQL_GROUP_COUNT, "i", seq);
        else if (r == 0)
                r = sqlite_do(db, SQL_MEMBER_REPLACE, "iisb", seq, place, a->id, a->text);
        if (r >= 0)
                r = group_find(db, a->group, now, &g);
        if (r != 1 || !g.open || g.arrived != g.wanted)
                return r;
        return arrival_complete(db, &g, arena, a);
}

static int run_arrive(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        join_job *j = container_of(job, join_job, job);
        for (size_t i = 0; i < j->n; i++) {
                int r = arrive(db, &j->arrivals[i], j->arena, now);
                if (r < 0)
                        return r;
        }
        return 0;
}

int sqlite_queue_join_arrive(broker *b, broker_arrival arrivals[], size_t n, sj_arena *arena,
                             sj_time deadline)
{
        join_job j = {.arrivals = arrivals, .n = n, .arena = arena};
        return sqlite_queue_call(b, &j.job, run_arrive, SQLITE_JOB_RELAXED, deadline);
}

/* ── Saved groups ────────────────────────────────────────────────────────────────────────── */

static int run_save(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        join_job *j = container_of(job, join_job, job);
        int64_t seq;
        int r = group_touch(db, j->group, now, &seq);
        if (r >= 0)
                r = sqlite_do(db, SQL_GROUP_SET_TEXT, "iib", seq, (int64_t)TEXT_SAVED, j->text);
        return r < 0 ? r : 0;
}

int sqlite_queue_group_save(broker *b, sj_str group, sj_str text, sj_time deadline)
{
        join_job j = {.group = group, .text = text};
        return sqlite_queue_call(b, &j.job, run_save, SQLITE_JOB_WRITE, deadline);
}

static int run_get(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        join_job *j = container_of(job, join_job, job);
        group_row g;
        int r = group_find(db, j->group, now, &g);
        if (r == 1)
                r = group_text(db, g.seq, TEXT_SAVED, j->arena, &j->text);
        return r == 1 ? 0 : r == 0 ? -ENOENT : r;
}

int sqlite_queue_group_get(broker *b, sj_str group, sj_arena *arena, sj_str *ret, sj_time deadline)
{
        join_job j = {.group = group, .arena = arena};
        int r = sqlite_queue_call(b, &j.job, run_get, SQLITE_JOB_READ, deadline);
        if (r >= 0)
                *ret = j.text;
        return r;
}

static int run_drop(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        join_job *j = container_of(job, join_job, job);
        group_row g;
        int r = group_find(db, j->group, now, &g);
        if (r == 1)
                r = sqlite_do(db, SQL_GROUP_DROP_TEXT, "ii", g.seq, (int64_t)TEXT_SAVED);
        return r < 0 ? r : 0;
}

int sqlite_queue_group_drop(broker *b, sj_str group, sj_time deadline)
{
        join_job j = {.group = group};
        return sqlite_queue_call(b, &j.job, run_drop, SQLITE_JOB_WRITE, deadline);
}

/* ── Revoked ids ─────────────────────────────────────────────────────────────────────────── */

static int run_revoke(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        join_job *j = container_of(job, join_job, job);
        int r = sqlite_do(db, SQL_REVOKED_SWEEP, "i", now.us - BROKER_REVOKED_KEPT / SJ_US);
        for (size_t i = 0; i < j->n && r >= 0; i++)
                r = sqlite_do(db, SQL_REVOKED_ADD, "si", j->ids[i], now.us);
        return r < 0 ? r : 0;
}

int sqlite_queue_revoke(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        join_job j = {.ids = ids, .n = n};
        return sqlite_queue_call(b, &j.job, run_revoke, SQLITE_JOB_WRITE, deadline);
}

static int revoked_grow(join_job *j, size_t *room)
{
        size_t more = *room ? 2 * *room : 64;
        broker_revoked *grown = sj_arena_alloc(j->arena, more * sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        if (j->n_revoked)
                memcpy(grown, j->revoked, j->n_revoked * sizeof(*grown));
        j->revoked = grown;
        *room = more;
        return 0;
}

static int run_revoked(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        join_job *j = container_of(job, join_job, job);
        size_t room = 0;
        bool bad = false;
        int r, failed = 0;
        sqlite3_stmt *s = sqlite_begin(db, SQL_REVOKED_AFTER, "ii", j->after.us,
                                       now.us - BROKER_REVOKED_KEPT / SJ_US);
        j->n_revoked = 0;
        while ((r = sqlite_row(db, s)) == 1) {
                if (j->n_revoked == room)
                        failed = revoked_grow(j, &room);
                if (failed < 0 || bad)
                        break;
                broker_revoked *one = &j->revoked[j->n_revoked++];
                one->id = sqlite_queue_keep(j->arena, sqlite_text(s, 0), &bad);
                one->since.us = sqlite3_column_int64(s, 1);
        }
        if (r == 1)
                sqlite_end(s);
        return r < 0 ? r : failed < 0 || bad ? -ENOMEM : 0;
}

int sqlite_queue_revoked_list(broker *b, sj_wall after, sj_arena *arena, const broker_revoked **ret,
                              sj_time deadline)
{
        join_job j = {.after = after, .arena = arena};
        int r = sqlite_queue_call(b, &j.job, run_revoked, SQLITE_JOB_READ, deadline);
        if (r < 0)
                return r;
        *ret = j.revoked;
        return (int)j.n_revoked;
}
