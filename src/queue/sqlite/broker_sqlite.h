/* SPDX-License-Identifier: MIT */
/*
 * broker_sqlite: the inside of the broker in a SQLite file, for its own files.
 *
 * One row of sanjab_task is all that is known of a task: its message while it has one, and its
 * result.
 *
 *   phase     due is                       besides
 *   IDLE      when it is forgotten         only a result, or a key that is still kept
 *   READY     NULL                         in its queue by priority and place
 *   DELAYED   when it is ready
 *   LEASED    when the lease runs out      token
 *   DEAD      when it died                 reason
 *
 * A lease's token is 64 random bits and the row's number, so that it is found without its id.
 */
#ifndef SANJAB_QUEUE_BROKER_SQLITE_H
#define SANJAB_QUEUE_BROKER_SQLITE_H

#include "queue/broker/broker.h"
#include "queue/result.h"
#include "store/sqlite.h"

typedef enum sqlite_queue_phase {
        SQLITE_QUEUE_IDLE,
        SQLITE_QUEUE_READY,
        SQLITE_QUEUE_DELAYED,
        SQLITE_QUEUE_LEASED,
        SQLITE_QUEUE_DEAD,
} sqlite_queue_phase;

/* The statements: their texts are in broker_sqlite_schema.c. */
typedef enum sqlite_queue_sql {
        SQL_INSERT,
        SQL_INSERT_BODY,
        SQL_BODY,
        SQL_DELETE_BODY,
        SQL_FIND,
        SQL_FIND_KEY,
        SQL_FREE_KEY,
        SQL_DELETE,
        SQL_FIRST_PLACE,
        SQL_LAST_PLACE,
        SQL_READY,
        SQL_ANY_READY,
        SQL_ANY_DUE,
        SQL_LEND,
        SQL_RENEW,
        SQL_HELD,
        SQL_END,
        SQL_END_RESULT,
        SQL_END_PLAIN,
        SQL_DELETE_PLAIN,
        SQL_REPLACE,
        SQL_UNCOUNT,
        SQL_PLACE,
        SQL_BURY,
        SQL_GET_RESULT,
        SQL_NEW_RESULT,
        SQL_SET_RESULT,
        SQL_KEEP_RESULT,
        SQL_DROP_RESULT,
        SQL_DUE,
        SQL_DUE_LAST,
        SQL_NEXT_DUE,
        SQL_FORGET,
        SQL_REVOKE,
        SQL_REVOKE_AWAITED,
        SQL_WAITING,
        SQL_DELAYED,
        SQL_COUNT_WAITING,
        SQL_DEPTHS,
        SQL_DELAYED_FIRST,
        SQL_COUNT_DELAYED,
        SQL_DEAD_AFTER,
        SQL_DEAD_PLACE,
        SQL_FIND_DEAD,
        SQL_REVIVE,
        SQL_NODE_SWEEP,
        SQL_NODE_JOIN,
        SQL_NODE_BEAT,
        SQL_NODE_INFO,
        SQL_NODE_LEAVE,
        SQL_NODES,
        SQL_EMIT,
        SQL_EVENT_LAST,
        SQL_EVENT_TRIM,
        SQL_EVENTS,
        SQL_EVENT_FIRST,
        SQL_GROUP_FIND,
        SQL_GROUP_TOUCH,
        SQL_GROUP_OPEN,
        SQL_GROUP_CLOSE,
        SQL_GROUP_GROW,
        SQL_GROUP_COUNT,
        SQL_GROUP_OVER,
        SQL_GROUP_DELETE,
        SQL_GROUP_SET_TEXT,
        SQL_GROUP_TEXT,
        SQL_GROUP_DROP_TEXT,
        SQL_MEMBER_ADD,
        SQL_MEMBER_REPLACE,
        SQL_MEMBERS,
        SQL_MEMBERS_DELETE,
        SQL_REVOKED_SWEEP,
        SQL_REVOKED_ADD,
        SQL_REVOKED_AFTER,
        SQL_RATE,
        SQL_RATE_SET,
        SQL_RATE_SWEEP,
        SQL_MAX,
} sqlite_queue_sql;

extern const sqlite_schema sqlite_queue_schema;

typedef struct sqlite_queue {
        broker base;
        sqlite_db *db;
        /* The thread's own. Where the last message was put in the transaction that runs. */
        struct {
                char queue[SJ_TASK_NAME_MAX + 1];
                size_t queue_n;
                int priority;
                int64_t place;
        } last;
        size_t turn; /* whose turn it is among queues */
} sqlite_queue;

static inline sqlite_queue *sqlite_queue_of(broker *b)
{
        return container_of(b, sqlite_queue, base);
}
static inline sqlite_queue *sqlite_queue_in(sqlite_db *db)
{
        return sqlite_arg(db);
}

/* Runs a job of that kind; the job is a member of the caller's own struct. */
static inline int sqlite_queue_call(broker *b, sqlite_job *job, sqlite_run *run, sqlite_kind kind,
                                    sj_time deadline)
{
        job->run = run;
        job->kind = kind;
        return sqlite_call(sqlite_queue_of(b)->db, job, deadline);
}

/* ── For jobs ────────────────────────────────────────────────────────────────────────────── */

sj_wall sqlite_queue_later(sj_wall now, sj_time duration);

/* A place at the back or the front of what is ready in a queue. */
int sqlite_queue_back(sqlite_db *db, sj_str queue, int priority, int64_t *ret);
int sqlite_queue_front(sqlite_db *db, sj_str queue, int priority, int64_t *ret);
/* Puts a row to where its eta says. */
int sqlite_queue_place(sqlite_db *db, int64_t seq, sj_str queue, int priority, sj_wall eta,
                       sj_wall expires, sj_wall now, bool front);

/*
 * Publishes one message: 0; 1 its key is taken, by the task with the id in ret; -EEXIST its id is
 * in use. ret may be NULL.
 */
int sqlite_queue_insert(sqlite_db *db, const broker_message *m, sj_wall now, broker_published *ret);

/* Puts a message in the place of the one in that row, with no deliveries. */
int sqlite_queue_replace(sqlite_db *db, int64_t seq, bool has_body, const broker_message *m,
                         sj_wall now);

/* Moves it to the dead letters. One that was not written by us, and cannot be: "damaged". */
static inline int sqlite_queue_bury(sqlite_db *db, int64_t seq, sj_str reason, sj_wall now)
{
        return sqlite_do(db, SQL_BURY, "iis", seq, now.us, reason);
}

/* Ends the task of that row, which keeps a result that is final, and a key. */
typedef struct sqlite_queue_ending {
        int64_t seq;
        sj_str state;   /* that it has or gets */
        sj_str content; /* if it gets one */
        bool stored;    /* state and content are new */
        bool has_key;
        bool has_body;
        int64_t key_for;
} sqlite_queue_ending;
int sqlite_queue_end(sqlite_db *db, const sqlite_queue_ending *e, sj_wall now);
/* The same for the task with that id, as it is. */
int sqlite_queue_end_now(sqlite_db *db, sj_str id, sj_wall now);

/* Whether a result in that state may take the place of one in the state `had`. */
bool sqlite_queue_follows(sj_str had, sj_str state);
/* Stores the result of any task. */
int sqlite_queue_store(sqlite_db *db, const broker_result *r, sj_wall now);

/* Opens a join (size > 0) or closes it. */
int sqlite_queue_set_join(sqlite_db *db, const broker_join *join, sj_wall now);

/* The strings of a row, in the arena; *bad is set when there is no memory. */
sj_str sqlite_queue_keep(sj_arena *arena, sj_str s, bool *bad);
/*
 * The envelope of the row seq: column `column` of s, or, when it is large, of *ret_held, which the
 * caller ends; it is NULL else.
 */
int sqlite_queue_envelope(sqlite_db *db, sqlite3_stmt *s, int column, int64_t seq, sj_str *ret,
                          sqlite3_stmt **ret_held);

int sqlite_queue_tick(sqlite_db *db, sj_wall now);
int sqlite_queue_alarm(sqlite_db *db, sj_wall *ret);

/* ── Verbs ───────────────────────────────────────────────────────────────────────────────── */

int sqlite_queue_publish(broker *b, const broker_message messages[], size_t n,
                         broker_published ret[], sj_time deadline);
int sqlite_queue_lease_next(broker *b, const broker_claim *claim, broker_lease *ret[], size_t n,
                            sj_time deadline);
int sqlite_queue_wait(broker *b, const sj_str queues[], size_t n_queues, sj_time deadline);
int sqlite_queue_renew(broker *b, broker_lease *const leases[], size_t n, sj_time duration,
                       broker_hold ret[], sj_time deadline);
int sqlite_queue_settle(broker *b, broker_settlement settlements[], size_t n, sj_time deadline);
int sqlite_queue_cancel(broker *b, sj_str id, sj_time deadline);
int sqlite_queue_result_put(broker *b, const broker_result results[], size_t n, sj_time deadline);
int sqlite_queue_result_get(broker *b, const sj_str ids[], size_t n, sj_arena *arena,
                            broker_result ret[], sj_time deadline);
int sqlite_queue_result_wait(broker *b, sj_str id, sj_arena *arena, broker_result *ret,
                             sj_time deadline);
int sqlite_queue_result_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline);
int sqlite_queue_queues(broker *b, sj_arena *arena, const broker_depth **ret, sj_time deadline);
int sqlite_queue_purge(broker *b, sj_str queue, uint64_t *ret_awaited, sj_time deadline);
int sqlite_queue_delayed_list(broker *b, sj_str queue, size_t n, sj_arena *arena,
                              const broker_delayed **ret, uint64_t *ret_more, sj_time deadline);
int sqlite_queue_dead_list(broker *b, sj_str queue, sj_str after, size_t n, sj_arena *arena,
                           const broker_dead **ret, sj_time deadline);
int sqlite_queue_dead_retry(broker *b, const sj_str ids[], size_t n, sj_time deadline);
int sqlite_queue_dead_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline);
int sqlite_queue_node_join(broker *b, const broker_node *node, broker_token token, sj_time ttl,
                           sj_time deadline);
int sqlite_queue_node_beat(broker *b, sj_str name, broker_token token, sj_str info, sj_time ttl,
                           sj_time deadline);
int sqlite_queue_node_leave(broker *b, sj_str name, broker_token token, sj_time deadline);
int sqlite_queue_nodes(broker *b, sj_arena *arena, const broker_node **ret, sj_time deadline);
int sqlite_queue_emit(broker *b, sj_str channel, sj_str text, sj_time deadline);
int sqlite_queue_subscribe(broker *b, const sj_str channels[], size_t n, broker_subscription **ret,
                           sj_time deadline);
int sqlite_queue_next(broker_subscription *s, sj_arena *arena, sj_str *ret_channel,
                      sj_str *ret_text, sj_time deadline);
void sqlite_queue_unsubscribe(broker_subscription *s);
int sqlite_queue_join_open(broker *b, const broker_join joins[], size_t n, sj_time deadline);
int sqlite_queue_join_grow(broker *b, sj_str group, int64_t by, sj_time deadline);
int sqlite_queue_join_arrive(broker *b, broker_arrival arrivals[], size_t n, sj_arena *arena,
                             sj_time deadline);
int sqlite_queue_group_save(broker *b, sj_str group, sj_str text, sj_time deadline);
int sqlite_queue_group_get(broker *b, sj_str group, sj_arena *arena, sj_str *ret, sj_time deadline);
int sqlite_queue_group_drop(broker *b, sj_str group, sj_time deadline);
int sqlite_queue_revoke(broker *b, const sj_str ids[], size_t n, sj_time deadline);
int sqlite_queue_revoked_list(broker *b, sj_wall after, sj_arena *arena, const broker_revoked **ret,
                              sj_time deadline);
int sqlite_queue_rate_take(broker *b, broker_turn turns[], size_t n, sj_time horizon,
                           sj_time deadline);

#endif
