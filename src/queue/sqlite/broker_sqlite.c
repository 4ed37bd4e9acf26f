/* SPDX-License-Identifier: MIT */
/*
 * The broker in a SQLite file: "sqlite:PATH". No server to set up: every process that uses the
 * queue opens the file. store/sqlite.h has the thread, the transactions and the bell between
 * processes; here is what a queue is in SQL.
 */
#include "queue/sqlite/broker_sqlite.h"

#include <stdio.h>
#include <stdlib.h>

sj_str sqlite_queue_keep(sj_arena *arena, sj_str s, bool *bad)
{
        char *copy = sj_arena_strndup(arena, s.n ? s.data : "", s.n);
        if (!copy)
                *bad = true;
        return (sj_str){copy, s.n};
}

int sqlite_queue_envelope(sqlite_db *db, sqlite3_stmt *s, int column, int64_t seq, sj_str *ret,
                          sqlite3_stmt **ret_held)
{
        *ret_held = NULL;
        if (sqlite3_column_type(s, column) != SQLITE_NULL) {
                *ret = sqlite_text(s, column);
                return 0;
        }
        sqlite3_stmt *body = sqlite_begin(db, SQL_BODY, "i", seq);
        int r = sqlite_row(db, body);
        if (r < 0)
                return r;
        if (r == 1)
                *ret_held = body;
        *ret = r == 1 ? sqlite_text(body, 0) : (sj_str){"", 0};
        return 0;
}

static int sqlite_queue_open(const char *place, const broker_options *options, broker **ret,
                             char *error, size_t size, sj_time deadline)
{
        if (!*place) {
                snprintf(error, size, "the broker's address lacks a path, as in sqlite:jobs.db");
                return -EINVAL;
        }
        sqlite_queue *q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;
        q->base.class = &broker_sqlite_class;
        q->base.capabilities = BROKER_ATOMIC | BROKER_DELAYED | BROKER_KNOWS_IDS | BROKER_KEYS |
                               BROKER_CANCELS | BROKER_RESULTS | BROKER_PUBSUB | BROKER_PROCESSES |
                               BROKER_UNIQUE_IDS | BROKER_OURS;
        q->base.result_expires =
                options->result_expires ? options->result_expires : BROKER_RESULT_EXPIRES;
        sqlite_options how = {
                .must_exist = options->must_exist, .schema = &sqlite_queue_schema, .arg = q};
        int r = sqlite_open(place, &how, &q->db, error, size, deadline);
        if (r < 0) {
                free(q);
                return r;
        }
        *ret = &q->base;
        return 0;
}

static void sqlite_queue_close(broker *b)
{
        sqlite_queue *q = sqlite_queue_of(b);
        sqlite_close(q->db);
        free(q);
}

static const char *sqlite_queue_notice(broker *b, sj_log_level *ret_level, sj_time deadline)
{
        (void)b;
        (void)deadline;
        *ret_level = SJ_LOG_INFO;
        return sqlite_user_at_risk() ? "other programs that write to the queue's file must open it "
                                       "by sj_sqlite_open"
                                     : NULL;
}

const broker_class broker_sqlite_class = {
        .scheme = "sqlite",
        .open = sqlite_queue_open,
        .close = sqlite_queue_close,
        .notice = sqlite_queue_notice,
        .publish = sqlite_queue_publish,
        .lease_next = sqlite_queue_lease_next,
        .wait = sqlite_queue_wait,
        .renew = sqlite_queue_renew,
        .settle = sqlite_queue_settle,
        .cancel = sqlite_queue_cancel,
        .join_open = sqlite_queue_join_open,
        .join_grow = sqlite_queue_join_grow,
        .join_arrive = sqlite_queue_join_arrive,
        .group_save = sqlite_queue_group_save,
        .group_get = sqlite_queue_group_get,
        .group_drop = sqlite_queue_group_drop,
        .revoke = sqlite_queue_revoke,
        .revoked_list = sqlite_queue_revoked_list,
        .rate_take = sqlite_queue_rate_take,
        .result_put = sqlite_queue_result_put,
        .result_get = sqlite_queue_result_get,
        .result_wait = sqlite_queue_result_wait,
        .result_drop = sqlite_queue_result_drop,
        .queues = sqlite_queue_queues,
        .purge = sqlite_queue_purge,
        .delayed_list = sqlite_queue_delayed_list,
        .dead_list = sqlite_queue_dead_list,
        .dead_retry = sqlite_queue_dead_retry,
        .dead_drop = sqlite_queue_dead_drop,
        .node_join = sqlite_queue_node_join,
        .node_beat = sqlite_queue_node_beat,
        .node_leave = sqlite_queue_node_leave,
        .nodes = sqlite_queue_nodes,
        .emit = sqlite_queue_emit,
        .subscribe = sqlite_queue_subscribe,
        .next = sqlite_queue_next,
        .unsubscribe = sqlite_queue_unsubscribe,
};
