/* SPDX-License-Identifier: MIT */
/*
 * The broker in a SQLite file: nodes, and publish and subscribe.
 *
 * What is emitted is a row of sanjab_event, with a number that grows. The table is a ring: the
 * newest EVENTS_MOST rows and EVENTS_BYTES bytes stay, so that it is bounded whatever nobody
 * reads. A subscription keeps the number up to which it has looked; a gap behind it tells what it
 * has missed.
 */
#include "queue/sqlite/broker_sqlite.h"

#include <stdlib.h>

enum {
        EVENTS_MOST = 8192,
        EVENTS_BYTES = 16 << 20,
};

/* ── Nodes ───────────────────────────────────────────────────────────────────────────────── */

typedef struct node_job {
        sqlite_job job;
        sj_str name;
        sj_str info;
        broker_token token;
        sj_time ttl;
        sj_arena *arena;
        broker_node *nodes;
        int n;
} node_job;

static int sqlite_queue_run_join(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        node_job *j = container_of(job, node_job, job);
        int r = sqlite_do(db, SQL_NODE_SWEEP, "i", now.us);
        if (r >= 0)
                r = sqlite_do(db, SQL_NODE_JOIN, "siisii", j->name, (int64_t)j->token.high,
                              (int64_t)j->token.low, j->info, now.us,
                              sqlite_queue_later(now, j->ttl).us);
        return r == 0 ? -EEXIST : r < 0 ? r : 0;
}

int sqlite_queue_node_join(broker *b, const broker_node *node, broker_token token, sj_time ttl,
                           sj_time deadline)
{
        node_job j = {.name = node->name, .info = node->info, .token = token, .ttl = ttl};
        return sqlite_queue_call(b, &j.job, sqlite_queue_run_join, SQLITE_JOB_RELAXED, deadline);
}

static int sqlite_queue_run_beat(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        node_job *j = container_of(job, node_job, job);
        int r = sqlite_do(db, SQL_NODE_BEAT, "siiii", j->name, (int64_t)j->token.high,
                          (int64_t)j->token.low, now.us, sqlite_queue_later(now, j->ttl).us);
        if (r == 0)
                return -ESTALE;
        if (r > 0 && j->info.n)
                r = sqlite_do(db, SQL_NODE_INFO, "ss", j->name, j->info);
        return r < 0 ? r : 0;
}

int sqlite_queue_node_beat(broker *b, sj_str name, broker_token token, sj_str info, sj_time ttl,
                           sj_time deadline)
{
        node_job j = {.name = name, .token = token, .info = info, .ttl = ttl};
        return sqlite_queue_call(b, &j.job, sqlite_queue_run_beat, SQLITE_JOB_RELAXED, deadline);
}

static int sqlite_queue_run_leave(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        node_job *j = container_of(job, node_job, job);
        int r = sqlite_do(db, SQL_NODE_LEAVE, "siii", j->name, (int64_t)j->token.high,
                          (int64_t)j->token.low, now.us);
        return r < 0 ? r : r == 0 ? -ESTALE : 0;
}

int sqlite_queue_node_leave(broker *b, sj_str name, broker_token token, sj_time deadline)
{
        node_job j = {.name = name, .token = token};
        return sqlite_queue_call(b, &j.job, sqlite_queue_run_leave, SQLITE_JOB_RELAXED, deadline);
}

static int sqlite_queue_run_nodes(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        node_job *j = container_of(job, node_job, job);
        int capacity = 0, r;
        bool bad = false;
        sqlite3_stmt *s = sqlite_begin(db, SQL_NODES, "i", now.us);
        while ((r = sqlite_row(db, s)) == 1) {
                if (j->n == capacity) {
                        capacity = capacity ? capacity * 2 : 16;
                        broker_node *more =
                                sj_arena_alloc(j->arena, (size_t)capacity * sizeof(*more));
                        if (more && j->n)
                                memcpy(more, j->nodes, (size_t)j->n * sizeof(*more));
                        j->nodes = more;
                        bad |= !more;
                }
                if (!bad)
                        j->nodes[j->n++] = (broker_node){
                                .name = sqlite_queue_keep(j->arena, sqlite_text(s, 0), &bad),
                                .info = sqlite_queue_keep(j->arena, sqlite_text(s, 1), &bad),
                                .since = {sqlite3_column_int64(s, 2)},
                                .until = {sqlite3_column_int64(s, 3)}};
                if (bad) {
                        sqlite_end(s);
                        return -ENOMEM;
                }
        }
        return r;
}

int sqlite_queue_nodes(broker *b, sj_arena *arena, const broker_node **ret, sj_time deadline)
{
        node_job j = {.arena = arena};
        int r = sqlite_queue_call(b, &j.job, sqlite_queue_run_nodes, SQLITE_JOB_READ, deadline);
        if (r < 0)
                return r;
        *ret = j.nodes;
        return j.n;
}

/* ── Emitting ────────────────────────────────────────────────────────────────────────────── */

typedef struct emit_job {
        sqlite_job job;
        sj_str channel;
        sj_str text;
} emit_job;

/* The number and the running total of the first or last row; 0 when there is none. */
static int sqlite_queue_event(sqlite_db *db, sqlite_queue_sql which, int64_t *ret_n,
                              int64_t *ret_total)
{
        sqlite3_stmt *s = sqlite_begin(db, which, "");
        int r = sqlite_row(db, s);
        if (r != 1)
                return r;
        *ret_n = sqlite3_column_int64(s, 0);
        *ret_total = sqlite3_column_int64(s, 1);
        sqlite_end(s);
        return 1;
}

/* Drops the oldest ones that are too many or too much; never the newest. */
static int sqlite_queue_trim(sqlite_db *db, int64_t n, int64_t total)
{
        for (;;) {
                int64_t first, first_total;
                int r = sqlite_queue_event(db, SQL_EVENT_FIRST, &first, &first_total);
                if (r != 1)
                        return r;
                if (first == n || (first > n - EVENTS_MOST && first_total > total - EVENTS_BYTES))
                        return 0;
                r = sqlite_do(db, SQL_EVENT_TRIM, "i", first);
                if (r < 0)
                        return r;
        }
}

static int sqlite_queue_run_emit(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        (void)now;
        emit_job *j = container_of(job, emit_job, job);
        int64_t n = 0, total = 0;
        int r = sqlite_queue_event(db, SQL_EVENT_LAST, &n, &total);
        if (r < 0)
                return r;
        n++;
        total += (int64_t)(j->channel.n + j->text.n);
        r = sqlite_do(db, SQL_EMIT, "iisb", n, total, j->channel, j->text);
        return r < 0 ? r : sqlite_queue_trim(db, n, total);
}

int sqlite_queue_emit(broker *b, sj_str channel, sj_str text, sj_time deadline)
{
        emit_job j = {.channel = channel, .text = text};
        return sqlite_queue_call(b, &j.job, sqlite_queue_run_emit, SQLITE_JOB_RELAXED, deadline);
}

/* ── Subscribing ─────────────────────────────────────────────────────────────────────────── */

typedef struct event {
        list node;
        sj_str channel;
        sj_str text;
} event;

typedef struct sqlite_queue_subscription {
        broker_subscription base;
        int64_t seen; /* the number of the last row that was looked at */
        list texts;   /* taken from the file, and not yet asked for */
        size_t n_texts;
        bool dropped;
        size_t n_channels;
        sj_str channels[];
} sqlite_queue_subscription;

typedef struct subscribe_job {
        sqlite_job job;
        sqlite_queue_subscription *sub;
} subscribe_job;

static void sqlite_queue_drop_text(sqlite_queue_subscription *sub)
{
        list *node = list_pop(&sub->texts);
        if (!node)
                return;
        free(container_of(node, event, node));
        sub->n_texts--;
}

static int sqlite_queue_take_text(sqlite_queue_subscription *sub, sj_str channel, sj_str text)
{
        event *e = malloc(sizeof(*e) + channel.n + text.n);
        if (!e)
                return -ENOMEM;
        char *end = (char *)(e + 1);
        memcpy(end, channel.data, channel.n);
        memcpy(end + channel.n, text.data, text.n);
        e->channel = (sj_str){end, channel.n};
        e->text = (sj_str){end + channel.n, text.n};
        if (sub->n_texts == BROKER_BACKLOG_MAX) {
                sqlite_queue_drop_text(sub);
                sub->dropped = true;
        }
        list_append(&sub->texts, &e->node);
        sub->n_texts++;
        return 0;
}

static bool sqlite_queue_listens(const sqlite_queue_subscription *sub, sj_str channel)
{
        for (size_t i = 0; i < sub->n_channels; i++)
                if (broker_channel_matches(sub->channels[i], channel))
                        return true;
        return false;
}

static int sqlite_queue_run_subscribe(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        (void)now;
        subscribe_job *j = container_of(job, subscribe_job, job);
        int64_t total;
        int r = sqlite_queue_event(db, SQL_EVENT_LAST, &j->sub->seen, &total);
        return r < 0 ? r : 0;
}

int sqlite_queue_subscribe(broker *b, const sj_str channels[], size_t n, broker_subscription **ret,
                           sj_time deadline)
{
        size_t size = 0;
        for (size_t i = 0; i < n; i++)
                size += channels[i].n;
        sqlite_queue_subscription *sub = calloc(1, sizeof(*sub) + n * sizeof(sj_str) + size);
        if (!sub)
                return -ENOMEM;
        sub->base.owner = b;
        list_init(&sub->texts);
        char *end = (char *)&sub->channels[n];
        for (size_t i = 0; i < n; i++) {
                memcpy(end, channels[i].data, channels[i].n);
                sub->channels[i] = (sj_str){end, channels[i].n};
                end += channels[i].n;
        }
        sub->n_channels = n;
        subscribe_job j = {.sub = sub};
        int r = sqlite_queue_call(b, &j.job, sqlite_queue_run_subscribe, SQLITE_JOB_READ, deadline);
        if (r < 0) {
                free(sub);
                return r;
        }
        *ret = &sub->base;
        return 0;
}

/* Takes over all that is new; -EAGAIN when there is nothing to tell. */
static int sqlite_queue_run_next(sqlite_db *db, sqlite_job *job, sj_wall now)
{
        (void)now;
        sqlite_queue_subscription *sub = container_of(job, subscribe_job, job)->sub;
        int64_t first, total;
        int r = sqlite_queue_event(db, SQL_EVENT_FIRST, &first, &total);
        if (r < 0)
                return r;
        if (r == 1 && first > sub->seen + 1) {
                sub->dropped |= sub->seen > 0 || first > 1;
                sub->seen = first - 1;
        }
        sqlite3_stmt *s = sqlite_begin(db, SQL_EVENTS, "i", sub->seen);
        while ((r = sqlite_row(db, s)) == 1) {
                sj_str channel = sqlite_text(s, 1);
                if (sqlite_queue_listens(sub, channel) &&
                    sqlite_queue_take_text(sub, channel, sqlite_text(s, 2)) < 0) {
                        sqlite_end(s);
                        return -ENOMEM;
                }
                sub->seen = sqlite3_column_int64(s, 0);
        }
        if (r < 0)
                return r;
        return sub->dropped || sub->n_texts ? 0 : -EAGAIN;
}

int sqlite_queue_next(broker_subscription *base, sj_arena *arena, sj_str *ret_channel,
                      sj_str *ret_text, sj_time deadline)
{
        sqlite_queue_subscription *sub = container_of(base, sqlite_queue_subscription, base);
        subscribe_job j = {.sub = sub};
        if (!sub->n_texts && !sub->dropped) {
                int r = sqlite_queue_call(base->owner, &j.job, sqlite_queue_run_next,
                                          SQLITE_JOB_AWAIT, deadline);
                if (r < 0)
                        return r;
        }
        if (sub->dropped) {
                sub->dropped = false;
                return -ENOBUFS;
        }
        const event *e = container_of(sub->texts.next, event, node);
        bool bad = false;
        sj_str channel = sqlite_queue_keep(arena, e->channel, &bad);
        sj_str text = sqlite_queue_keep(arena, e->text, &bad);
        if (bad)
                return -ENOMEM;
        *ret_channel = channel;
        *ret_text = text;
        sqlite_queue_drop_text(sub);
        return 0;
}

void sqlite_queue_unsubscribe(broker_subscription *base)
{
        sqlite_queue_subscription *sub = container_of(base, sqlite_queue_subscription, base);
        while (sub->n_texts)
                sqlite_queue_drop_text(sub);
        free(sub);
}
