/* SPDX-License-Identifier: MIT */
/*
 * What the file holds, and every statement.
 *
 * Why one table: a task that is published, leased and settled costs a row three times and few
 * entries of indexes; with a table for each phase each step would be a row more. The indexes are
 * partial, so that a row is only in those that its phase needs. A large envelope lies in a table
 * of its own, because a change of a row writes all of it.
 */
#include "queue/sqlite/broker_sqlite.h"

#define TASK     "sanjab_task"
#define BY_DUE   "sanjab_task INDEXED BY sanjab_task_due"
#define BY_READY "sanjab_task INDEXED BY sanjab_task_ready"
#define PLAIN                                                                 \
        "seq = ?1 AND token = ?2 AND phase = 3 AND due > ?3 AND key IS NULL " \
        "AND envelope IS NOT NULL AND (state IS NULL OR "                     \
        "state NOT IN ('SUCCESS', 'FAILURE', 'REVOKED'))"

static const char sqlite_queue_definition[] =
        "CREATE TABLE sanjab_task ("
        " seq INTEGER PRIMARY KEY,"
        " id TEXT NOT NULL,"
        " phase INTEGER NOT NULL,"
        " due INTEGER,"
        " queue TEXT,"
        " priority INTEGER,"
        " place INTEGER,"
        " token INTEGER,"
        " deliveries INTEGER,"
        " rites INTEGER,"
        " revoked INTEGER,"
        " published INTEGER,"
        " eta INTEGER,"
        " expires INTEGER,"
        " max_deliveries INTEGER,"
        " awaited INTEGER,"
        " key TEXT,"
        " key_for INTEGER,"
        " key_until INTEGER,"
        " task TEXT,"
        " worker TEXT,"
        " reason TEXT,"
        " state TEXT,"
        " content BLOB,"
        " envelope BLOB);"
        "CREATE UNIQUE INDEX sanjab_task_id ON sanjab_task (id);"
        "CREATE INDEX sanjab_task_ready ON sanjab_task (queue, priority DESC, place)"
        " WHERE phase = 1;"
        "CREATE INDEX sanjab_task_due ON sanjab_task (phase, due) WHERE due IS NOT NULL;"
        "CREATE UNIQUE INDEX sanjab_task_key ON sanjab_task (key) WHERE key IS NOT NULL;"
        "CREATE TABLE sanjab_body (seq INTEGER PRIMARY KEY, envelope BLOB NOT NULL);"
        "CREATE TABLE sanjab_node ("
        " name TEXT PRIMARY KEY,"
        " high INTEGER NOT NULL,"
        " low INTEGER NOT NULL,"
        " info TEXT NOT NULL,"
        " since INTEGER NOT NULL,"
        " until INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE sanjab_event ("
        " n INTEGER PRIMARY KEY,"
        " total INTEGER NOT NULL,"
        " channel TEXT NOT NULL,"
        " text BLOB NOT NULL);"
        "CREATE TABLE sanjab_group ("
        " seq INTEGER PRIMARY KEY,"
        " name TEXT NOT NULL UNIQUE,"
        " until INTEGER NOT NULL,"
        " size INTEGER NOT NULL,"
        " more INTEGER NOT NULL,"
        " arrived INTEGER NOT NULL);"
        "CREATE INDEX sanjab_group_until ON sanjab_group (until);"
        "CREATE TABLE sanjab_group_text ("
        " seq INTEGER NOT NULL,"
        " kind INTEGER NOT NULL,"
        " text BLOB NOT NULL,"
        " PRIMARY KEY (seq, kind));"
        "CREATE TABLE sanjab_member ("
        " seq INTEGER NOT NULL,"
        " place INTEGER NOT NULL,"
        " id TEXT NOT NULL,"
        " text BLOB NOT NULL,"
        " PRIMARY KEY (seq, id));"
        "CREATE TABLE sanjab_revoked (id TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE sanjab_rate ("
        " name TEXT PRIMARY KEY,"
        " free INTEGER NOT NULL,"
        " last INTEGER NOT NULL,"
        " until INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE INDEX sanjab_rate_until ON sanjab_rate (until)";

static const char *const sqlite_queue_statements[SQL_MAX] = {
        /* Publishing. */
        [SQL_INSERT] = "INSERT INTO " TASK " (id, phase, due, queue, priority, place, deliveries,"
                       " rites, revoked, published, eta, expires, max_deliveries, key, key_for,"
                       " task, envelope, awaited) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, 0, ?7, ?8,"
                       " ?9, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT (id) DO NOTHING",
        [SQL_INSERT_BODY] = "INSERT INTO sanjab_body (seq, envelope) VALUES (?, ?)",
        [SQL_BODY] = "SELECT envelope FROM sanjab_body WHERE seq = ?",
        [SQL_DELETE_BODY] = "DELETE FROM sanjab_body WHERE seq = ?",
        [SQL_FIND] = "SELECT seq, phase, state, due, key IS NOT NULL, key_for, envelope IS NULL,"
                     " awaited, queue FROM " TASK " WHERE id = ?",
        [SQL_FIND_KEY] = "SELECT seq, phase, key_until, id FROM " TASK " WHERE key = ?",
        [SQL_FREE_KEY] = "UPDATE " TASK " SET key = NULL WHERE seq = ?",
        [SQL_DELETE] = "DELETE FROM " TASK " WHERE seq = ?",
        /* Places. */
        [SQL_FIRST_PLACE] = "SELECT place FROM " BY_READY " WHERE phase = 1 AND queue = ?"
                            " AND priority = ? ORDER BY place LIMIT 1",
        [SQL_LAST_PLACE] = "SELECT place FROM " BY_READY " WHERE phase = 1 AND queue = ?"
                           " AND priority = ? ORDER BY place DESC LIMIT 1",
        [SQL_PLACE] = "UPDATE " TASK " SET phase = ?2, due = ?3, place = ?4, token = NULL"
                      " WHERE seq = ?1",
        /* Leasing. */
        [SQL_READY] = "SELECT seq, priority FROM " BY_READY " WHERE phase = 1 AND queue = ?"
                      " ORDER BY priority DESC, place LIMIT ?",
        [SQL_ANY_READY] = "SELECT 1 FROM " BY_READY " WHERE phase = 1 AND queue = ? LIMIT 1",
        [SQL_ANY_DUE] = "SELECT 1 FROM " BY_DUE " WHERE phase IN (2, 3) AND queue = ? AND due <= ?"
                        " LIMIT 1",
        /* At once: which ones, what they are, and that they are leased. */
        [SQL_LEND] = "UPDATE " TASK " SET phase = 3, due = ?1, token = random(), worker = ?2,"
                     " deliveries = deliveries + 1, rites = rites + (deliveries >= "
                     "CASE max_deliveries WHEN 0 THEN " SJ_STRINGIFY(
                             SJ_MAX_DELIVERIES) " ELSE max_deliveries END OR (expires > 0 AND "
                                                "expires <= ?3) OR revoked)"
                                                " WHERE seq IN (SELECT seq FROM " BY_READY
                                                " WHERE phase = 1 AND queue = ?4"
                                                " ORDER BY priority DESC, place LIMIT ?5)"
                                                " RETURNING id, queue, task, priority, eta, "
                                                "expires, max_deliveries, key,"
                                                " key_for, deliveries, rites, published, token, "
                                                "seq, place, envelope, revoked, awaited",
        [SQL_RENEW] = "UPDATE " TASK " SET due = ?3 WHERE seq = ?1 AND token = ?2 AND phase = 3",
        [SQL_HELD] = "SELECT state, key IS NOT NULL, key_for, envelope IS NULL, queue, priority,"
                     " expires, revoked FROM " TASK
                     " WHERE seq = ?1 AND token = ?2 AND phase = 3 AND due > ?3",
        /* Ends. */
        [SQL_END] = "UPDATE " TASK " SET phase = 0, due = ?2, key = CASE WHEN ?3 THEN key END,"
                    " key_until = ?4, token = NULL, queue = NULL, task = NULL, worker = NULL,"
                    " reason = NULL, envelope = NULL WHERE seq = ?1",
        [SQL_END_RESULT] = "UPDATE " TASK " SET phase = 0, due = ?2,"
                           " key = CASE WHEN ?3 THEN key END, key_until = ?4, token = NULL,"
                           " queue = NULL, task = NULL, worker = NULL, reason = NULL,"
                           " envelope = NULL, state = ?5, content = ?6 WHERE seq = ?1",
        /* The usual ends, without a look beforehand: no key, no large envelope, no earlier end. */
        [SQL_END_PLAIN] = "UPDATE " TASK " SET phase = 0, due = ?4, token = NULL, queue = NULL,"
                          " task = NULL, worker = NULL, envelope = NULL, state = ?5, content = ?6"
                          " WHERE " PLAIN,
        [SQL_DELETE_PLAIN] = "DELETE FROM " TASK " WHERE " PLAIN,
        [SQL_REPLACE] = "UPDATE " TASK " SET phase = ?2, due = ?3, queue = ?4, priority = ?5,"
                        " place = ?6, token = NULL, deliveries = 0, rites = 0, published = ?7,"
                        " eta = ?8, expires = ?9, max_deliveries = ?10, key_for = ?11, task = ?12,"
                        " envelope = ?13, awaited = ?14 WHERE seq = ?1",
        [SQL_UNCOUNT] = "UPDATE " TASK " SET deliveries = deliveries - 1 WHERE seq = ?",
        [SQL_BURY] = "UPDATE " TASK " SET phase = 4, due = ?2, reason = ?3, token = NULL,"
                     " key = NULL WHERE seq = ?1",
        /* Results. */
        [SQL_GET_RESULT] = "SELECT phase, due, state, content FROM " TASK " WHERE id = ?",
        [SQL_NEW_RESULT] = "INSERT INTO " TASK " (id, phase, due, state, content)"
                           " VALUES (?, 0, ?, ?, ?)",
        [SQL_SET_RESULT] = "UPDATE " TASK " SET state = ?2, content = ?3 WHERE seq = ?1",
        [SQL_KEEP_RESULT] = "UPDATE " TASK " SET due = ?2 WHERE seq = ?1",
        [SQL_DROP_RESULT] = "UPDATE " TASK " SET state = NULL, content = NULL WHERE seq = ?1",
        /* Time. */
        [SQL_DUE] = "SELECT seq, queue, priority FROM " BY_DUE
                    " WHERE phase = ? AND due <= ? ORDER BY due, seq LIMIT 1",
        [SQL_DUE_LAST] = "SELECT seq, queue, priority FROM " BY_DUE
                         " WHERE phase = ? AND due <= ? ORDER BY due DESC, seq DESC LIMIT 1",
        [SQL_NEXT_DUE] = "SELECT due FROM " BY_DUE " WHERE phase = ? AND due IS NOT NULL"
                         " ORDER BY due LIMIT 1",
        [SQL_FORGET] = "DELETE FROM " TASK " WHERE seq IN (SELECT seq FROM " BY_DUE
                       " WHERE phase = 0 AND due <= ?1 LIMIT ?2)",
        /* Revoking, and the dead. */
        [SQL_REVOKE] = "UPDATE " TASK " SET revoked = 1 WHERE seq = ?",
        [SQL_REVOKE_AWAITED] = "UPDATE " TASK " SET phase = 1, due = NULL, priority = ?2,"
                               " place = ?3, revoked = 1, key = NULL, state = ?4, content = ?5"
                               " WHERE seq = ?1",
        /* From the back: those that are revoked already are in front. */
        [SQL_WAITING] = "SELECT seq, id, state, key IS NOT NULL, key_for, envelope IS NULL, awaited"
                        " FROM " BY_READY " WHERE phase = 1 AND queue = ?1"
                        " AND state IS NOT 'REVOKED' ORDER BY priority, place DESC LIMIT ?2",
        [SQL_DELAYED] = "SELECT seq, id, state, key IS NOT NULL, key_for, envelope IS NULL, awaited"
                        " FROM " BY_DUE " WHERE phase = 2 AND due IS NOT NULL AND queue = ?1"
                        " LIMIT ?2",
        [SQL_COUNT_WAITING] = "SELECT (SELECT count(*) FROM " BY_READY
                              " WHERE phase = 1 AND queue = ?1 AND state IS NOT 'REVOKED')"
                              " + (SELECT count(*) FROM " BY_DUE
                              " WHERE phase = 2 AND due IS NOT NULL AND queue = ?1)",
        [SQL_DEPTHS] = "SELECT queue, 1, count(*), min(published) FROM " BY_READY
                       " WHERE phase = 1 GROUP BY queue UNION ALL"
                       " SELECT queue, CASE WHEN phase < 4 AND due <= ?1 THEN 1 ELSE phase END,"
                       " count(*), min(published) FROM " BY_DUE
                       " WHERE phase IN (2, 3, 4) AND due IS NOT NULL GROUP BY 1, 2 ORDER BY 1",
        [SQL_DELAYED_FIRST] = "SELECT seq, id, queue, task, priority, eta, expires, max_deliveries,"
                              " key, key_for, reason, due, deliveries, envelope FROM " BY_DUE
                              " WHERE phase = 2 AND due > ?1 AND queue = ?2"
                              " ORDER BY due, seq LIMIT ?3",
        [SQL_COUNT_DELAYED] =
                "SELECT count(*) FROM " BY_DUE " WHERE phase = 2 AND due > ?1 AND queue = ?2",
        [SQL_DEAD_AFTER] = "SELECT seq, id, queue, task, priority, eta, expires, max_deliveries,"
                           " key, key_for, reason, due, deliveries, envelope FROM " BY_DUE
                           " WHERE phase = 4 AND due >= ?1 AND (due, seq) > (?1, ?2)"
                           " AND (?3 = '' OR queue = ?3) ORDER BY due, seq LIMIT ?4",
        [SQL_DEAD_PLACE] = "SELECT due, seq FROM " TASK " WHERE id = ? AND phase = 4",
        [SQL_FIND_DEAD] = "SELECT seq, state, queue, priority, envelope IS NULL FROM " TASK
                          " WHERE id = ? AND phase = 4",
        [SQL_REVIVE] = "UPDATE " TASK " SET phase = 1, due = NULL, place = ?2, published = ?3,"
                       " deliveries = 0, rites = 0, revoked = 0, expires = 0, reason = NULL,"
                       " state = NULL, content = NULL WHERE seq = ?1",
        /* Nodes. */
        [SQL_NODE_SWEEP] = "DELETE FROM sanjab_node WHERE until <= ?",
        [SQL_NODE_JOIN] = "INSERT INTO sanjab_node (name, high, low, info, since, until)"
                          " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE"
                          " SET info = excluded.info, until = excluded.until"
                          " WHERE high = excluded.high AND low = excluded.low",
        [SQL_NODE_BEAT] = "UPDATE sanjab_node SET until = ?5"
                          " WHERE name = ?1 AND high = ?2 AND low = ?3 AND until > ?4",
        [SQL_NODE_INFO] = "UPDATE sanjab_node SET info = ?2 WHERE name = ?1",
        [SQL_NODE_LEAVE] = "DELETE FROM sanjab_node"
                           " WHERE name = ?1 AND high = ?2 AND low = ?3 AND until > ?4",
        [SQL_NODES] = "SELECT name, info, since, until FROM sanjab_node WHERE until > ?"
                      " ORDER BY name",
        /* Publish and subscribe. */
        [SQL_EMIT] = "INSERT INTO sanjab_event (n, total, channel, text) VALUES (?, ?, ?, ?)",
        [SQL_EVENT_LAST] = "SELECT n, total FROM sanjab_event ORDER BY n DESC LIMIT 1",
        [SQL_EVENT_FIRST] = "SELECT n, total FROM sanjab_event ORDER BY n LIMIT 1",
        [SQL_EVENT_TRIM] = "DELETE FROM sanjab_event WHERE n = ?",
        [SQL_EVENTS] = "SELECT n, channel, text FROM sanjab_event WHERE n > ? ORDER BY n",
        /* Joins and saved groups. */
        [SQL_GROUP_FIND] = "SELECT seq, size + more, arrived, size FROM sanjab_group"
                           " WHERE name = ?1 AND until > ?2",
        [SQL_GROUP_TOUCH] = "INSERT INTO sanjab_group (name, until, size, more, arrived)"
                            " VALUES (?1, ?2, 0, 0, 0)"
                            " ON CONFLICT (name) DO UPDATE SET until = ?2 RETURNING seq",
        [SQL_GROUP_OPEN] = "UPDATE sanjab_group SET size = ?2 WHERE seq = ?1",
        [SQL_GROUP_CLOSE] = "UPDATE sanjab_group SET size = 0, more = 0, arrived = 0"
                            " WHERE seq = ?1",
        [SQL_GROUP_GROW] = "UPDATE sanjab_group SET more = more + ?2 WHERE seq = ?1",
        [SQL_GROUP_COUNT] = "UPDATE sanjab_group SET arrived = arrived + 1 WHERE seq = ?1",
        [SQL_GROUP_OVER] = "SELECT seq FROM sanjab_group WHERE until <= ? ORDER BY until LIMIT 1",
        [SQL_GROUP_DELETE] = "DELETE FROM sanjab_group WHERE seq = ?",
        [SQL_GROUP_SET_TEXT] = "INSERT INTO sanjab_group_text (seq, kind, text)"
                               " VALUES (?1, ?2, ?3)"
                               " ON CONFLICT (seq, kind) DO UPDATE SET text = ?3",
        [SQL_GROUP_TEXT] = "SELECT text FROM sanjab_group_text WHERE seq = ? AND kind = ?",
        [SQL_GROUP_DROP_TEXT] = "DELETE FROM sanjab_group_text WHERE seq = ? AND kind = ?",
        [SQL_MEMBER_ADD] = "INSERT INTO sanjab_member (seq, place, id, text)"
                           " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (seq, id) DO NOTHING",
        [SQL_MEMBER_REPLACE] = "UPDATE sanjab_member SET place = ?2, text = ?4"
                               " WHERE seq = ?1 AND id = ?3",
        [SQL_MEMBERS] = "SELECT text FROM sanjab_member WHERE seq = ? ORDER BY place, id",
        [SQL_MEMBERS_DELETE] = "DELETE FROM sanjab_member WHERE seq = ?",
        /* Revoked ids. */
        [SQL_REVOKED_SWEEP] = "DELETE FROM sanjab_revoked WHERE since <= ?",
        [SQL_REVOKED_ADD] = "INSERT INTO sanjab_revoked (id, since) VALUES (?, ?)"
                            " ON CONFLICT (id) DO NOTHING",
        [SQL_REVOKED_AFTER] = "SELECT id, since FROM sanjab_revoked WHERE since > ?1"
                              " AND since > ?2 ORDER BY since, id",
        /* Rates. */
        [SQL_RATE] = "SELECT free, last FROM sanjab_rate WHERE name = ?",
        [SQL_RATE_SET] = "INSERT INTO sanjab_rate (name, free, last, until)"
                         " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) DO UPDATE SET free = ?2,"
                         " last = ?3, until = ?4",
        [SQL_RATE_SWEEP] = "DELETE FROM sanjab_rate WHERE name IN (SELECT name FROM sanjab_rate"
                           " INDEXED BY sanjab_rate_until WHERE until <= ? LIMIT 64)",
};

const sqlite_schema sqlite_queue_schema = {
        .what = "sanjab queue",
        .application_id = 0x736a6271, /* "sjbq" */
        .version = 3,
        .definition = sqlite_queue_definition,
        .statements = sqlite_queue_statements,
        .n_statements = SQL_MAX,
        .tick = sqlite_queue_tick,
        .alarm = sqlite_queue_alarm,
};

/* ── Time ────────────────────────────────────────────────────────────────────────────────── */

enum {
        TICK_MOST = 2048, /* rows of a kind in one transaction; the rest in the next */
        TICK_FORGET = 256,
};

sj_wall sqlite_queue_later(sj_wall now, sj_time duration)
{
        int64_t us = duration / SJ_US;
        return (sj_wall){us > INT64_MAX - now.us ? INT64_MAX : now.us + us};
}

/*
 * Those whose time has come are ready: the delayed ones at the back, in the order of their times;
 * those whose lease ran out at the front, the last of them first, so that the first is in front.
 */
static int sqlite_queue_wake(sqlite_db *db, sqlite_queue_phase phase, sj_wall now)
{
        static const sj_wall at_once = {0};
        bool front = phase == SQLITE_QUEUE_LEASED;
        for (int i = 0; i < TICK_MOST; i++) {
                sqlite3_stmt *s = sqlite_begin(db, front ? SQL_DUE_LAST : SQL_DUE, "ii",
                                               (int64_t)phase, now.us);
                int r = sqlite_row(db, s);
                if (r != 1)
                        return r;
                char name[SJ_TASK_NAME_MAX];
                sj_str queue = sqlite_text(s, 1);
                int64_t seq = sqlite3_column_int64(s, 0);
                int priority = sqlite3_column_int(s, 2);
                bool damaged = queue.n > sizeof(name);
                if (!damaged)
                        memcpy(name, queue.data, queue.n);
                queue.data = name;
                sqlite_end(s);
                if (damaged)
                        r = sqlite_queue_bury(db, seq, SJ_STR("damaged"), now);
                else
                        r = sqlite_queue_place(db, seq, queue, priority, at_once, at_once, now,
                                               front);
                if (r < 0)
                        return r;
        }
        return 0;
}

int sqlite_queue_tick(sqlite_db *db, sj_wall now)
{
        sqlite_queue_in(db)->last.queue_n = 0;
        int r = sqlite_queue_wake(db, SQLITE_QUEUE_LEASED, now);
        if (r >= 0)
                r = sqlite_queue_wake(db, SQLITE_QUEUE_DELAYED, now);
        if (r >= 0)
                r = sqlite_do(db, SQL_FORGET, "ii", now.us, (int64_t)TICK_FORGET);
        return r < 0 ? r : 0;
}

int sqlite_queue_alarm(sqlite_db *db, sj_wall *ret)
{
        ret->us = INT64_MAX;
        for (int phase = SQLITE_QUEUE_DELAYED; phase <= SQLITE_QUEUE_LEASED; phase++) {
                int64_t due;
                int r = sqlite_number(db, &due, SQL_NEXT_DUE, "i", (int64_t)phase);
                if (r < 0)
                        return r;
                if (r == 1 && due < ret->us)
                        ret->us = due;
        }
        return 0;
}
