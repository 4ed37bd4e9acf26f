/* SPDX-License-Identifier: MIT */
/*
 * The way into every broker: one function a verb, which checks the arguments once for all brokers
 * and hands them on, so that a broker_*.c sees only what is well-formed. The kinds of brokers are
 * a table.
 */
#include "queue/broker/broker.h"

#include "codec/json_kept.h"

#include <sanjab/fiber.h>

#include <stdio.h>
#include <stdlib.h>

/* A broker need not have every verb: that of a worker's child has few. */
#define CALL(b, verb, ...) ((b)->class->verb ? (b)->class->verb((b), __VA_ARGS__) : -EOPNOTSUPP)

/* How long leasing what is ready may take, once it has begun. */
#define BROKER_TAKE_LIMIT (30 * SJ_SEC)

/* Which class an address goes to, by what stands before its colon. */
typedef struct broker_kind {
        const char *scheme;
        const broker_class *class;
        bool whole; /* the class reads the whole address */
} broker_kind;

static const broker_kind broker_kinds[] = {
        {"memory", &broker_memory_class, false},
#ifdef SANJAB_SQLITE
        {"sqlite", &broker_sqlite_class, false},
#endif
#ifdef SANJAB_REDIS
        {"redis", &broker_redis_class, true},        {"rediss", &broker_redis_class, true},
        {"redis+socket", &broker_redis_class, true}, {"unix", &broker_redis_class, true},
        {"sentinel", &broker_redis_class, true},
#endif
};

static int find_kind(const char *url, const broker_kind **ret, const char **ret_place, char *error,
                     size_t size)
{
        const char *colon = strchr(url, ':');
        if (!colon) {
                /* The text itself may hold a secret, so it is not repeated. */
                snprintf(error, size, "a broker's address has the form KIND:PLACE, as sqlite:PATH");
                return -EINVAL;
        }
        sj_str scheme = {url, (size_t)(colon - url)};
        for (size_t i = 0; i < sizeof(broker_kinds) / sizeof(broker_kinds[0]); i++) {
                const broker_kind *kind = &broker_kinds[i];
                if (!sj_str_equal(scheme, sj_str_of(kind->scheme)))
                        continue;
                *ret = kind;
                *ret_place = kind->whole ? url : colon + 1;
                return 0;
        }
        int n = snprintf(error, size, "this build has no broker of the kind '%.*s', but",
                         (int)(scheme.n < 32 ? scheme.n : 32), scheme.data);
        for (size_t i = 0; i < sizeof(broker_kinds) / sizeof(broker_kinds[0]); i++)
                if (n >= 0 && (size_t)n < size)
                        n += snprintf(error + n, size - (size_t)n, "%s %s", i ? "," : "",
                                      broker_kinds[i].scheme);
        return -EPROTONOSUPPORT;
}

int broker_open(const char *url, const broker_options *options, broker **ret, char *error,
                size_t size, sj_time deadline)
{
        static const broker_options none;
        const broker_kind *kind;
        const char *place;
        char unused[1];
        if (!error || size == 0) {
                error = unused;
                size = sizeof(unused);
        }
        error[0] = 0;
        int r = find_kind(url, &kind, &place, error, size);
        if (r == 0)
                r = kind->class->open(place, options ? options : &none, ret, error, size, deadline);
        if (r < 0 && !error[0])
                snprintf(error, size, "cannot open the broker: %s", sj_strerror(r));
        return r;
}

int broker_check(const char *url, const broker_options *options, char *error, size_t size)
{
        const broker_kind *kind;
        const char *place;
        error[0] = 0;
        int r = find_kind(url, &kind, &place, error, size);
        if (r == 0 && kind->class->check)
                r = kind->class->check(place, options, error, size);
        if (r < 0 && !error[0])
                snprintf(error, size, "%s", sj_strerror(r));
        return r;
}

void broker_close(broker *b)
{
        if (b)
                b->class->close(b);
}

const char *broker_notice(broker *b, sj_log_level *ret_level, sj_time deadline)
{
        return b->class->notice ? b->class->notice(b, ret_level, deadline) : NULL;
}

broker_health broker_health_of(broker *b)
{
        return b->class->health ? b->class->health(b) : (broker_health){0};
}

/* Every verb is a cancellation point, also where the broker would not have to wait. */
static int broker_enter(void)
{
        return sj_fiber_self() && sj_cancelled() ? -ECANCELED : 0;
}

static bool broker_name_ok(sj_str name, size_t most)
{
        if (name.n == 0 || name.n > most)
                return false;
        for (size_t i = 0; i < name.n; i++)
                if ((unsigned char)name.data[i] < 0x20 || name.data[i] == 0x7f)
                        return false;
        return true;
}

int broker_wire_priority(const broker *b, int priority)
{
        return priority > 0 && broker_can(b, BROKER_LOW_FIRST) ? 1 + BROKER_PRIORITY_MAX - priority
                                                               : priority;
}

bool broker_message_ok(const broker_message *m)
{
        return broker_name_ok(m->id, SJ_TASK_ID_MAX) &&
               broker_name_ok(m->queue, SJ_TASK_NAME_MAX) && m->priority >= 0 &&
               m->priority <= BROKER_PRIORITY_MAX && m->eta.us >= 0 && m->expires.us >= 0 &&
               m->key_for >= 0;
}

static bool broker_messages_ok(const broker_message messages[], size_t n, size_t most)
{
        for (size_t i = 0; i < n; i++)
                if (!broker_message_ok(&messages[i]))
                        return false;
        return n <= most;
}

int broker_reach(broker *b, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 || !b->class->reach ? r : b->class->reach(b, deadline);
}

static int broker_publish_begin(const broker_message messages[], size_t n)
{
        return broker_messages_ok(messages, n, BROKER_BATCH_MAX) ? broker_enter() : -EINVAL;
}

int broker_publish(broker *b, const broker_message messages[], size_t n, broker_published ret[],
                   sj_time deadline)
{
        int r = broker_publish_begin(messages, n);
        return r < 0 || n == 0 ? r : CALL(b, publish, messages, n, ret, deadline);
}

int broker_publish_once(broker *b, const broker_message messages[], size_t n,
                        broker_published ret[], sj_time deadline)
{
        if (!b->class->publish_once)
                return broker_publish(b, messages, n, ret, deadline);
        int r = broker_publish_begin(messages, n);
        return r < 0 || n == 0 ? r : b->class->publish_once(b, messages, n, ret, deadline);
}

/* 1: ask the broker for the claim as it is now, for *n at most; else what the call returns. */
static int broker_claim_begin(broker_claim *claim, size_t *n)
{
        if (claim->duration < 0)
                return -EINVAL;
        int r = broker_enter();
        if (r < 0 || *n == 0 || claim->n_queues == 0)
                return r;
        if (!claim->duration)
                claim->duration = BROKER_LEASE_DEFAULT;
        if (*n > BROKER_BATCH_MAX)
                *n = BROKER_BATCH_MAX;
        return 1;
}

int broker_lease_next(broker *b, const broker_claim *claim, broker_lease *ret[], size_t n,
                      sj_time deadline)
{
        broker_claim filled = *claim;
        int r = broker_claim_begin(&filled, &n);
        return r < 1 ? r : CALL(b, lease_next, &filled, ret, n, deadline);
}

int broker_wait(broker *b, const sj_str queues[], size_t n_queues, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : CALL(b, wait, queues, n_queues, deadline);
}

/* Whoever goes meanwhile would leave it unknown what was leased. */
static int broker_lease_whole(broker *b, const broker_claim *claim, broker_lease *ret[], size_t n)
{
        sj_time limit = sj_after(BROKER_TAKE_LIMIT);
        if (!sj_fiber_self())
                return CALL(b, lease_next, claim, ret, n, limit);
        SJ_SCOPE(shield, limit, SJ_SHIELD);
        return CALL(b, lease_next, claim, ret, n, SJ_NEVER);
}

int broker_lease_wait(broker *b, const broker_claim *claim, broker_lease *ret[], size_t n,
                      sj_time deadline)
{
        broker_claim filled = *claim;
        int r = broker_claim_begin(&filled, &n);
        if (r < 1)
                return r;
        if (b->class->lease_wait)
                return b->class->lease_wait(b, &filled, ret, n, deadline);
        r = CALL(b, wait, filled.queues, filled.n_queues, deadline);
        if (r >= 0 && sj_cancelled())
                r = -ECANCELED; /* there is something, but whoever asked may want other queues now
                                 */
        return r < 0 ? r : broker_lease_whole(b, &filled, ret, n);
}

int broker_renew(broker *b, broker_lease *const leases[], size_t n, sj_time duration,
                 broker_hold ret[], sj_time deadline)
{
        if (n > BROKER_BATCH_MAX || duration < 0)
                return -EINVAL;
        int r = broker_enter();
        if (r < 0 || n == 0)
                return r;
        return CALL(b, renew, leases, n, duration ? duration : BROKER_LEASE_DEFAULT, ret, deadline);
}

static bool broker_joins_ok(const broker_join joins[], size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (!broker_name_ok(joins[i].group, SJ_TASK_ID_MAX) || joins[i].size < 0)
                        return false;
        return true;
}

int broker_settle(broker *b, broker_settlement settlements[], size_t n, sj_time deadline)
{
        if (n > BROKER_BATCH_MAX)
                return -EINVAL;
        for (size_t i = 0; i < n; i++) {
                const broker_settlement *s = &settlements[i];
                if (!broker_messages_ok(s->follow_ups, s->n_follow_ups, BROKER_FOLLOW_UPS_MAX) ||
                    !broker_joins_ok(s->joins, s->n_joins))
                        return -EINVAL;
                if (s->verdict != BROKER_RETRY)
                        continue;
                if (!s->next || !broker_message_ok(s->next) ||
                    !sj_str_equal(s->next->id, s->lease->message.id))
                        return -EINVAL;
        }
        int r = broker_enter();
        return r < 0 || n == 0 ? r : CALL(b, settle, settlements, n, deadline);
}

int broker_cancel(broker *b, sj_str id, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : CALL(b, cancel, id, deadline);
}

int broker_join_open(broker *b, const broker_join joins[], size_t n, sj_time deadline)
{
        if (!broker_joins_ok(joins, n))
                return -EINVAL;
        int r = broker_enter();
        if (r < 0 || n == 0)
                return r;
        return CALL(b, join_open, joins, n, deadline);
}

int broker_join_grow(broker *b, sj_str group, int64_t by, sj_time deadline)
{
        if (!broker_name_ok(group, SJ_TASK_ID_MAX))
                return -EINVAL;
        int r = broker_enter();
        if (r < 0)
                return r;
        return CALL(b, join_grow, group, by, deadline);
}

int broker_join_arrive(broker *b, broker_arrival arrivals[], size_t n, sj_arena *arena,
                       sj_time deadline)
{
        for (size_t i = 0; i < n; i++)
                if (!broker_name_ok(arrivals[i].group, SJ_TASK_ID_MAX) || !arrivals[i].id.n ||
                    arrivals[i].index < -1)
                        return -EINVAL;
        int r = broker_enter();
        if (r < 0 || n == 0)
                return r;
        return CALL(b, join_arrive, arrivals, n, arena, deadline);
}

int broker_group_save(broker *b, sj_str group, sj_str text, sj_time deadline)
{
        if (!broker_name_ok(group, SJ_TASK_ID_MAX))
                return -EINVAL;
        int r = broker_enter();
        if (r < 0)
                return r;
        return CALL(b, group_save, group, text, deadline);
}

int broker_group_get(broker *b, sj_str group, sj_arena *arena, sj_str *ret, sj_time deadline)
{
        int r = broker_enter();
        if (r < 0)
                return r;
        return CALL(b, group_get, group, arena, ret, deadline);
}

int broker_group_drop(broker *b, sj_str group, sj_time deadline)
{
        int r = broker_enter();
        if (r < 0)
                return r;
        return CALL(b, group_drop, group, deadline);
}

int broker_result_put(broker *b, const broker_result results[], size_t n, sj_time deadline)
{
        for (size_t i = 0; i < n; i++)
                if (!broker_name_ok(results[i].id, SJ_TASK_ID_MAX) || !results[i].state.n)
                        return -EINVAL;
        if (n > BROKER_BATCH_MAX)
                return -EINVAL;
        int r = broker_enter();
        return r < 0 || n == 0 ? r : CALL(b, result_put, results, n, deadline);
}

int broker_result_get(broker *b, const sj_str ids[], size_t n, sj_arena *arena, broker_result ret[],
                      sj_time deadline)
{
        int r = broker_enter();
        return r < 0 || n == 0 ? r : CALL(b, result_get, ids, n, arena, ret, deadline);
}

void broker_result_expect(broker *b, sj_str id)
{
        if (b->class->result_expect)
                b->class->result_expect(b, id);
}

int broker_result_wait(broker *b, sj_str id, sj_arena *arena, broker_result *ret, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : CALL(b, result_wait, id, arena, ret, deadline);
}

int broker_result_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 || n == 0 ? r : CALL(b, result_drop, ids, n, deadline);
}

int broker_queues(broker *b, sj_arena *arena, const broker_depth **ret, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : CALL(b, queues, arena, ret, deadline);
}

int broker_purge(broker *b, sj_str queue, uint64_t *ret_awaited, sj_time deadline)
{
        uint64_t awaited = 0;
        int r = broker_enter();
        if (r >= 0)
                r = CALL(b, purge, queue, &awaited, deadline);
        if (r >= 0 && ret_awaited)
                *ret_awaited = awaited;
        return r;
}

int broker_delayed_list(broker *b, sj_str queue, size_t n, sj_arena *arena,
                        const broker_delayed **ret, uint64_t *ret_more, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 || n == 0
                       ? r
                       : CALL(b, delayed_list, queue, n < BROKER_BATCH_MAX ? n : BROKER_BATCH_MAX,
                              arena, ret, ret_more, deadline);
}

int broker_dead_list(broker *b, sj_str queue, sj_str after, size_t n, sj_arena *arena,
                     const broker_dead **ret, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 || n == 0 ? r : CALL(b, dead_list, queue, after, n, arena, ret, deadline);
}

int broker_dead_retry(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 || n == 0 ? r : CALL(b, dead_retry, ids, n, deadline);
}

int broker_dead_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 || n == 0 ? r : CALL(b, dead_drop, ids, n, deadline);
}

int broker_node_join(broker *b, const broker_node *node, broker_token token, sj_time ttl,
                     sj_time deadline)
{
        if (!broker_name_ok(node->name, SJ_TASK_NAME_MAX) || ttl <= 0)
                return -EINVAL;
        int r = broker_enter();
        return r < 0 ? r : CALL(b, node_join, node, token, ttl, deadline);
}

int broker_node_beat(broker *b, sj_str name, broker_token token, sj_str info, sj_time ttl,
                     sj_time deadline)
{
        if (ttl <= 0)
                return -EINVAL;
        int r = broker_enter();
        return r < 0 ? r : CALL(b, node_beat, name, token, info, ttl, deadline);
}

int broker_node_leave(broker *b, sj_str name, broker_token token, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : CALL(b, node_leave, name, token, deadline);
}

int broker_nodes(broker *b, sj_arena *arena, const broker_node **ret, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : CALL(b, nodes, arena, ret, deadline);
}

int broker_emit(broker *b, sj_str channel, sj_str text, sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : CALL(b, emit, channel, text, deadline);
}

int broker_subscribe(broker *b, const sj_str channels[], size_t n, broker_subscription **ret,
                     sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : CALL(b, subscribe, channels, n, ret, deadline);
}

int broker_next(broker_subscription *s, sj_arena *arena, sj_str *ret_channel, sj_str *ret_text,
                sj_time deadline)
{
        int r = broker_enter();
        return r < 0 ? r : s->owner->class->next(s, arena, ret_channel, ret_text, deadline);
}

void broker_unsubscribe(broker_subscription *s)
{
        if (s)
                s->owner->class->unsubscribe(s);
}

/* "EXCHANGE/ADDRESS", where letters are emitted by brokers that have no mailboxes. */
static sj_str broker_letter_channel(char *text, size_t size, sj_str exchange, sj_str address)
{
        int n = snprintf(text, size, "%.*s/%.*s", SJ_STR_ARG(exchange), SJ_STR_ARG(address));
        return (sj_str){text, (size_t)n};
}

#define LETTER_CHANNEL_MAX (2 * SJ_TASK_NAME_MAX + 2)

static int broker_enter_mail(sj_str exchange, sj_str address)
{
        if (!broker_name_ok(exchange, SJ_TASK_NAME_MAX) ||
            !broker_name_ok(address, SJ_TASK_NAME_MAX))
                return -EINVAL;
        return broker_enter();
}

int broker_mailbox(broker *b, sj_str exchange, sj_str address, broker_subscription **ret,
                   sj_time deadline)
{
        char text[LETTER_CHANNEL_MAX];
        int r = broker_enter_mail(exchange, address);
        if (r < 0)
                return r;
        if (b->class->mailbox)
                return b->class->mailbox(b, exchange, address, ret, deadline);
        sj_str channel = broker_letter_channel(text, sizeof(text), exchange, address);
        return CALL(b, subscribe, &channel, 1, ret, deadline);
}

int broker_post(broker *b, sj_str exchange, sj_str address, sj_str letter, sj_time deadline)
{
        char text[LETTER_CHANNEL_MAX];
        int r = broker_enter_mail(exchange, address);
        if (r < 0)
                return r;
        if (b->class->post)
                return b->class->post(b, exchange, address, letter, deadline);
        sj_str channel = broker_letter_channel(text, sizeof(text), exchange, address);
        return CALL(b, emit, channel, letter, deadline);
}

int broker_revoke(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        for (size_t i = 0; i < n; i++)
                if (!broker_name_ok(ids[i], SJ_TASK_ID_MAX))
                        return -EINVAL;
        int r = broker_enter();
        if (r < 0 || n == 0)
                return r;
        return CALL(b, revoke, ids, n, deadline);
}

int broker_revoked_list(broker *b, sj_wall after, sj_arena *arena, const broker_revoked **ret,
                        sj_time deadline)
{
        int r = broker_enter();
        if (r < 0)
                return r;
        return CALL(b, revoked_list, after, arena, ret, deadline);
}

static bool turn_ok(const broker_turn *t)
{
        if (t->n == 0 || t->n > BROKER_RATES_MAX)
                return false;
        for (size_t i = 0; i < t->n; i++)
                if (!broker_name_ok(t->rates[i].name, BROKER_RATE_NAME_MAX) ||
                    !(t->rates[i].a_second > 0))
                        return false;
        return true;
}

int broker_rate_take(broker *b, broker_turn turns[], size_t n, sj_time horizon, sj_time deadline)
{
        if (n > BROKER_BATCH_MAX || horizon < 0)
                return -EINVAL;
        for (size_t i = 0; i < n; i++)
                if (!turn_ok(&turns[i]))
                        return -EINVAL;
        int r = broker_enter();
        if (r < 0 || n == 0)
                return r;
        return CALL(b, rate_take, turns, n, horizon, deadline);
}

bool broker_channel_matches(sj_str pattern, sj_str channel)
{
        if (pattern.n == 0 || pattern.data[pattern.n - 1] != '*')
                return sj_str_equal(pattern, channel);
        return channel.n >= pattern.n - 1 && memcmp(pattern.data, channel.data, pattern.n - 1) == 0;
}

/* ── Leases ──────────────────────────────────────────────────────────────────────────────── */

void broker_lease_free(broker_lease *lease)
{
        free(lease);
}

static sj_str broker_place(char **end, sj_str s)
{
        sj_str placed = {*end, s.n};
        if (s.n)
                memcpy(*end, s.data, s.n);
        (*end)[s.n] = 0;
        *end += s.n + 1;
        return placed;
}

broker_lease *broker_lease_new(const broker_lease *lease)
{
        const broker_message *m = &lease->message;
        size_t size =
                m->id.n + m->queue.n + m->task.n + m->envelope.n + m->key.n + 5 + JSON_KEPT_ROOM;
        broker_lease *copy = malloc(sizeof(*copy) + size);
        if (!copy)
                return NULL;
        char *end = (char *)(copy + 1);
        *copy = *lease;
        copy->message.id = broker_place(&end, m->id);
        copy->message.queue = broker_place(&end, m->queue);
        copy->message.task = broker_place(&end, m->task);
        copy->message.envelope = broker_place(&end, m->envelope);
        copy->message.key = broker_place(&end, m->key);
        return copy;
}
