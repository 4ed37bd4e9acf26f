/* SPDX-License-Identifier: MIT */
/*
 * broker_redis: the inside of the broker in Redis, for its own files. The keys are kombu's
 * (protocol §4), so that workers and producers of Celery's share them; PREFIX is its
 * global_keyprefix, the names are its transport options.
 *
 *   PREFIX celery                 list: ready, of priority step 0; the oldest is at the right end
 *   PREFIX celery\x06\x16 3       list: of priority step 3, ...
 *   PREFIX unacked                hash: tag -> [envelope, exchange, routing key]
 *   PREFIX unacked_index          zset: tag -> when it was taken, in whole seconds
 *   PREFIX sanjab.leases          zset: HANDLE.FETCH.FROM.COUNT -> when these leases run out
 *   PREFIX sanjab.delayed         zset: tag in unacked -> when it is due, in microseconds
 *   PREFIX sanjab.delayed.count   hash: list -> how many of them belong there
 *   PREFIX sanjab.dead, .died     hash: id -> letter; zset: id -> when it died
 *   PREFIX sanjab.task.ID         hash: of a message that was delivered before: how often
 *   PREFIX sanjab.rate.NAME       the next free turn of a rate, and the last promised one, in us
 *   PREFIX sanjab.beats           zset: handle that leases -> when it last said that it lives
 *   PREFIX sanjab.lost.FETCH      a fetch that will not take anything any more
 *   PREFIX sanjab.key.KEY         the id of the task that has the idempotency key
 *
 * Tags are ours: HANDLE.FETCH.I for what is leased, HANDLE.NUMBER.e.LIST for what is delayed, all
 * numbers in hexadecimal. HANDLE is random, one for each open broker; so a tag is never used
 * twice, which the producer's own delivery_tag is: it comes back with a message that is restored.
 */
#ifndef SANJAB_QUEUE_BROKER_REDIS_H
#define SANJAB_QUEUE_BROKER_REDIS_H

#include "base/map.h"
#include "exec/await.h"
#include "queue/broker/broker.h"
#include "queue/message/message.h"
#include "store/redis.h"

#include <sanjab/sync.h>

/* Limits. */
#define REDIS_QUEUE_STEPS_MAX 10
#define REDIS_QUEUE_LISTS_MAX 512 /* queues of a claim, times steps */
#define REDIS_QUEUE_TAG_MAX   (64 + SJ_TASK_NAME_MAX)
#define REDIS_QUEUE_PATIENCE  (5 * SJ_SEC) /* what waits looks again after it at the latest */

/* ── Settings: Celery's broker_transport_options ─────────────────────────────────────────── */

/* Which of several queues is looked into first: by turns; the first by its name; as they stand. */
typedef enum redis_queue_order {
        ORDER_ROUND_ROBIN,
        ORDER_SORTED,
        ORDER_PRIORITY
} redis_queue_order;

typedef struct redis_queue_settings {
        sj_str prefix; /* global_keyprefix */
        sj_str sep;
        sj_str unacked;
        sj_str unacked_index;
        sj_str unacked_mutex;
        int64_t unacked_mutex_expire; /* seconds */
        int64_t visibility_timeout;   /* seconds */
        int steps[REDIS_QUEUE_STEPS_MAX];
        size_t n_steps;
        sj_str fanout_prefix; /* with the database's number in it */
        bool fanout_patterns;
        redis_queue_order order; /* queue_order_strategy */
        sj_str master;           /* of Sentinels, or empty */
        sj_str sentinel_username;
        sj_str sentinel_password;
        sj_str client_name;
        sj_time silence;    /* socket_timeout, or 0 */
        bool chord_ordered; /* of results: result_chord_ordered */
} redis_queue_settings;

/*
 * Reads the settings, in the arena; text may be NULL. -EINVAL with a sentence in error: it is no
 * JSON object, an option that kombu does not have, or one of a wrong type.
 */
int redis_queue_read_settings(sj_arena *arena, const char *text, redis_queue_settings *ret,
                              char *error, size_t size);
/* fanout_prefix, once the number of the database is known. */
int redis_queue_settle_fanout(sj_arena *arena, redis_queue_settings *s, int db);
/*
 * result_backend_transport_options: the members that are about results, with a prefix as keys of
 * results have it; the rest as if nothing were said. Errors as above.
 */
int redis_queue_read_result_settings(sj_arena *arena, const char *text, redis_queue_settings *ret,
                                     char *error, size_t size);

/* ── Envelopes: the little that the broker itself has to know ────────────────────────────── */

typedef struct redis_envelope {
        sj_str id;
        sj_str task;
        int priority; /* as on the wire: 0 is the first */
        sj_wall eta;
        sj_wall expires;
        bool redelivered;
        uint32_t max_deliveries; /* what we wrote beside it, as the rest */
        sj_str key;
        sj_time key_for;
} redis_envelope;

/*
 * Texts lie in the arena or are views of text. -EBADMSG it has no id that could be told to anybody:
 * reason is a sentence part; -ENOMEM.
 */
int redis_envelope_read(sj_arena *arena, sj_str text, redis_envelope *ret, char *reason,
                        size_t size);
/* The same envelope, marked as delivered before. What is no envelope is returned as it is. */
int redis_envelope_mark(sj_arena *arena, sj_str text, sj_str *ret);
/* The message's envelope with what else the message says written beside it, if there is any. */
int redis_envelope_sign(sj_arena *arena, const broker_message *m, sj_str *ret);
/*
 * Takes a value of `unacked` apart. One that is not JSON but was written by us gives its envelope
 * all the same. -EBADMSG, -ENOMEM.
 */
int redis_envelope_unpack(sj_arena *arena, sj_str value, sj_str *ret_envelope, sj_str *ret_exchange,
                          sj_str *ret_key);

/* ── The broker ──────────────────────────────────────────────────────────────────────────── */

/* In the order of their names in broker_redis_lane.c. */
typedef enum redis_queue_script {
        SCRIPT_AGAIN,
        SCRIPT_BEAT,
        SCRIPT_COUNT,
        SCRIPT_DEAD,
        SCRIPT_DELAY,
        SCRIPT_DELAYED,
        SCRIPT_DEPTHS,
        SCRIPT_EXPIRED,
        SCRIPT_FORGET,
        SCRIPT_GONE,
        SCRIPT_JOIN,
        SCRIPT_LEASE,
        SCRIPT_LOOK,
        SCRIPT_MAILBOX,
        SCRIPT_NODE,
        SCRIPT_PUBLISH,
        SCRIPT_PURGE,
        SCRIPT_RATE,
        SCRIPT_RECLAIM,
        SCRIPT_RENEW,
        SCRIPT_RESTORE,
        SCRIPT_RESULTS,
        SCRIPT_SETTLE,
        SCRIPT_STALE,
        SCRIPT_TALLY,
        SCRIPT_MAX,
} redis_queue_script;

/* The keys that all scripts get first, in the order of keys.lua. */
typedef enum redis_queue_key {
        KEY_UNACKED,
        KEY_INDEX,
        KEY_LEASES,
        KEY_DELAYED,
        KEY_COUNTS,
        KEY_DEAD,
        KEY_DIED,
        KEY_ALARM,
        KEY_MAX,
} redis_queue_key;

typedef struct redis_queue redis_queue;

/*
 * A client of the server, and what belongs to the loop that it is of. There are two: of the loop
 * in which the broker was opened, whose fibers use it directly; and of a thread of its own, made
 * when somebody else first calls, which does their calls.
 */
typedef struct redis_lane {
        redis_queue *q;
        sj_loop *loop;
        redis *client;
        redis *results; /* the client itself, when results are kept in the same database */
        redis_script scripts[SCRIPT_MAX];
        redis_script result_scripts[SCRIPT_MAX];
        list arenas;     /* spare ones */
        list large;      /* of those that messages are taken with */
        list watchers;   /* broker_redis_wait.c */
        list unanswered; /* fetches of which it is not known what they took: broker_redis_lease.c */
        list expected;   /* results that will be waited for, oldest first: broker_redis_result.c */
        map expected_by_id;
        unsigned waiting;
        unsigned background; /* fibers of ours that live */
        bool closing;
        sj_event news;
        list armed;                /* blocked calls that take, and end when there is news */
        struct redis_watcher *hot; /* whose list had something last, */
        unsigned streak;           /* so many times one after the other */
        unsigned needed;           /* times before a call takes from there */
        uint64_t alarms;           /* whatever makes it necessary to look again */
        uint64_t alarms_seen;
        sj_time next_look; /* when something comes due, or it is time to look again */
        sj_fiber *alarm;   /* that hears of what is delayed */
        bool alarm_started;
        sj_fiber *beater; /* broker_redis_beat.c */
        sj_time stale_at;
        char refused[160]; /* what this user was last told that it may not do, and when */
        sj_time refused_at;
} redis_lane;

struct redis_queue {
        broker base;
        sj_arena *arena; /* of the settings and keys */
        redis_queue_settings settings;
        redis_options where;
        redis_options results_where;
        bool results_apart;
        bool unordered; /* members of chords come in the order in which they end */
        sj_str keys[KEY_MAX];
        sj_str mutex_key;
        sj_str result_prefix; /* up to the id */
        sj_str group_prefix;
        char handle[17];
        uint64_t handle_number;
        _Atomic uint64_t fetches;
        _Atomic size_t turn;
        _Atomic int64_t ahead; /* us that the server's clock is ahead of ours, as seen last */
        _Atomic bool beats;

        mutex lock;  /* of what follows */
        map fetched; /* redis_fetch by their numbers */
        list over; /* redis_fetch that have ended, and whose records the next settling takes out */
        map bound; /* queues that are known to be bound */
        bool starting;
        turnstile start; /* who waits for the thread */

        redis_lane home;
        redis_lane service;
        struct redis_service *thread;
};

static inline redis_queue *redis_queue_of(broker *b)
{
        return container_of(b, redis_queue, base);
}

/* ── Lanes ───────────────────────────────────────────────────────────────────────────────── */

typedef int redis_lane_fn(redis_lane *lane, void *arg);

/* Opens the lane of the loop that runs here, or starts the thread. error as in broker_open. */
int redis_lanes_open(redis_queue *q, char *error, size_t size, sj_time deadline);
void redis_lanes_close(redis_queue *q);
/* The one that the broker was opened with. */
redis_lane *redis_lanes_first(redis_queue *q);
/* Wakes the fibers of the background, so that they see that the lane is closing. */
void redis_queue_wake_all(redis_lane *lane);
/* Calls fn in the right lane, and returns what it returns. */
int redis_lane_call(broker *b, redis_lane_fn *fn, void *arg);
/* Calls it in that one. */
int redis_lane_call_in(redis_lane *lane, redis_lane_fn *fn, void *arg);
/* Calls it in the thread's lane, whoever calls. */
int redis_lane_call_apart(redis_queue *q, redis_lane_fn *fn, void *arg);
/* Starts a fiber that outlives the call: counted in lane->background, and ends at closing. */
int redis_lane_spawn(sj_fn *fn, void *arg);

/* An arena for the time of a call, from a lane's spare ones, and back. */
sj_arena *redis_lane_arena(list *spare);
void redis_lane_give_back(list *spare, sj_arena *arena);

/* A call's arena until the end of the block; `name` is NULL when there is no memory. */
typedef struct redis_scratch {
        list *spare;
        sj_arena *arena;
} redis_scratch;
static inline void redis_scratch_end(redis_scratch *s)
{
        redis_lane_give_back(s->spare, s->arena);
}
#define REDIS_SCRATCH_FROM(name, spare)                                    \
        __attribute__((cleanup(redis_scratch_end)))                        \
        redis_scratch name##_scratch = {(spare), redis_lane_arena(spare)}; \
        sj_arena *const name = name##_scratch.arena;                       \
        if (!name)                                                         \
        return -ENOMEM
#define REDIS_SCRATCH(name, lane) REDIS_SCRATCH_FROM(name, &(lane)->arenas)
/* For taking messages: what waits for long should not hold what has grown by that. */
#define REDIS_SCRATCH_LARGE(name, lane) REDIS_SCRATCH_FROM(name, &(lane)->large)

/* Words of a command, gathered one by one. What fails is told when it is sent. */
typedef struct redis_words {
        sj_arena *arena;
        sj_str *at;
        size_t n;
        size_t room;
        size_t n_keys;
        bool bad;
        bool once; /* as redis_call_once */
} redis_words;

redis_words redis_words_new(sj_arena *arena, size_t room);
void redis_words_add(redis_words *w, sj_str word);
void redis_words_add_int(redis_words *w, int64_t number);
void redis_words_format(redis_words *w, const char *format, ...) SJ_PRINTF(2, 3);
/* The keys that all scripts begin with; lists may follow, then redis_words_arguments. */
void redis_words_keys(redis_words *w, const redis_queue *q);
static inline void redis_words_arguments(redis_words *w)
{
        w->n_keys = w->n;
}
/* PREFIX and then parts. */
sj_str redis_queue_name(const redis_queue *q, sj_arena *arena, const char *format, ...)
        SJ_PRINTF(3, 4);

int redis_lane_script(redis_lane *lane, redis_queue_script script, redis_words *w,
                      const redis_reply **ret, sj_time deadline);
/* The same where the results are. */
int redis_lane_result_script(redis_lane *lane, redis_queue_script script, redis_words *w,
                             const redis_reply **ret, sj_time deadline);
int redis_lane_command(redis_lane *lane, redis_words *w, const redis_reply **ret, sj_time deadline);

/* ── Answers ─────────────────────────────────────────────────────────────────────────────── */

typedef enum redis_answer {
        ANSWER_NIL = 1 << REDIS_NIL,
        ANSWER_INTEGER = 1 << REDIS_INTEGER,
        ANSWER_TEXT = 1 << REDIS_STRING,
        ANSWER_ARRAY = 1 << REDIS_ARRAY,
} redis_answer;

/* -EPROTO, and what the client has under way is in doubt with it: its connection is made again. */
int redis_answer_wrong(redis *client);
/* Whether it is of a kind that this can answer with: 0, or as above. */
int redis_answer_script(redis *client, redis_queue_script script, const redis_reply *reply);
int redis_answer_command(redis *client, sj_str word, const redis_reply *reply);
/* Whether it is an array of n, each of one of those kinds. */
int redis_answer_each(redis *client, const redis_reply *reply, size_t n, unsigned answers);

/* An element of a reply that may not be what it should: NULL outside. */
static inline const redis_reply *redis_reply_at(const redis_reply *r, size_t i)
{
        return r && r->type == REDIS_ARRAY && i < r->n ? &r->elements[i] : NULL;
}
static inline int64_t redis_reply_int(const redis_reply *r, int64_t otherwise)
{
        return r && r->type == REDIS_INTEGER ? r->integer : otherwise;
}
static inline sj_str redis_reply_text(const redis_reply *r)
{
        return r && r->type == REDIS_STRING ? r->text : (sj_str){"", 0};
}

/* A deadline for what is asked of the server even when the caller would not wait. */
static inline sj_time redis_queue_deadline(sj_time deadline)
{
        sj_time least = sj_after(2 * SJ_SEC);
        return deadline == SJ_POLL ? least : deadline;
}

/* ── Messages and their places ───────────────────────────────────────────────────────────── */

/* The list of that queue for that priority. */
sj_str redis_queue_list(const redis_queue *q, sj_arena *arena, sj_str queue, int priority);
sj_str redis_queue_step_list(const redis_queue *q, sj_arena *arena, sj_str queue, size_t step);
/* The one for the priority that the envelope says. */
sj_str redis_queue_envelope_list(const redis_queue *q, sj_arena *arena, sj_str queue,
                                 sj_str envelope);
/* What follows the envelope in `unacked`: `, "", "QUEUE"]`. */
sj_str redis_queue_suffix(sj_arena *arena, sj_str queue);
/* Adds the nine words with which publish.lua and settle.lua put a message. */
int redis_queue_add_message(redis_queue *q, redis_words *w, const broker_message *m, sj_wall now);
/* Of those, the six that say where it lies: ready, or not before it is due. */
void redis_queue_add_due(redis_queue *q, redis_words *w, sj_str queue, int priority,
                         sj_str envelope, sj_wall due);
/*
 * One message for each queue that these go to, those by an exchange too, in the arena; what a
 * fanout has heard is not among them, and what nobody has bound stays in the queue of its key.
 */
int redis_queue_route(redis_lane *lane, sj_arena *arena, const broker_message messages[], size_t n,
                      broker_message **ret, size_t *ret_n, sj_time deadline);
/* Binds the message's queue, if that was not done by this handle. */
int redis_queue_bind(redis_lane *lane, sj_arena *arena, sj_str queue, bool once, sj_time deadline);
sj_str redis_queue_task_key(const redis_queue *q, sj_arena *arena, sj_str id);
sj_str redis_queue_result_key(const redis_queue *q, sj_arena *arena, sj_str id);
/* Adds the four words with which a result is stored. */
void redis_queue_add_result(const redis_queue *q, redis_words *w, const broker_result *r);
int64_t redis_queue_expires(const redis_queue *q);
/* Adds the words with which a join is opened (five) or closed (four). */
void redis_queue_add_join(const redis_queue *q, redis_words *w, const broker_join *join);
int redis_queue_put_joins(redis_lane *lane, const broker_join joins[], size_t n, sj_time deadline);
/* Publishes on a channel of kombu's fanout: 1 somebody hears it, 0 nobody. */
int redis_queue_emit_in(redis_lane *lane, sj_str channel, sj_str text, bool once, sj_time deadline);
/* The queues that an exchange gives a message with that key to; texts in the arena. */
int redis_queue_lookup(redis_lane *lane, sj_arena *arena, sj_str exchange, sj_str key, sj_str **ret,
                       bool once, sj_time deadline);

/* ── Fetches: the leases of one call of lease.lua ────────────────────────────────────────── */

typedef struct redis_fetch {
        uint64_t number;
        int64_t end; /* on the wall clock, in us: when the record's time is over */
        uint32_t count;
        uint32_t left;     /* leases that are not settled */
        uint32_t settling; /* of those, in calls that are under way */
        uint32_t mine;     /* of those, in the call that is just being made */
        bool told;         /* the call that is under way takes the record out */
        list node;         /* among those that have ended with their record left */
        uint32_t renewing; /* the same of a renewal, while it is made */
        bool split;        /* each lease has a record of its own */
        unsigned char out[BROKER_BATCH_MAX / 8];
} redis_fetch;

static inline uint64_t redis_token_fetch(broker_token token)
{
        return token.low >> 16;
}
static inline unsigned redis_token_index(broker_token token)
{
        return (unsigned)(token.low & 0xffff);
}
/* The text of a lease's tag. */
sj_str redis_queue_tag(sj_arena *arena, broker_token token);

/* All with q->lock held. */
redis_fetch *redis_fetch_find(redis_queue *q, broker_token token);
void redis_fetch_end(redis_queue *q, broker_token token);

/* What an unanswered fetch has taken is left to its lease's end. */
void redis_queue_forget_unanswered(redis_lane *lane);

/* When a task was sent, as an id of version 7 tells; else `otherwise`. */
sj_wall redis_queue_published_at(sj_str id, sj_wall otherwise);
/*
 * By how much the server's clock, which said `server` somewhere between these two moments of ours,
 * is ahead of it at least, in us; 0 if it may be right.
 */
int64_t redis_queue_ahead(sj_wall before, int64_t server, sj_wall after);
/* The score of a moment of ours among the delayed: the server's clock is what makes them ready. */
int64_t redis_queue_due_score(const redis_queue *q, sj_wall due);
/* Something of ours comes due then, which who waits has to look for. */
void redis_queue_foresee(redis_lane *lane, sj_time moment);
/* What to add to a score, so that kombu leaves the entry alone while it is leased. */
int64_t redis_queue_offset(const redis_queue *q, sj_time duration);
/*
 * A claim that is being made: broker_redis_lease.c makes and reads the calls, broker_redis_wait.c
 * has one of them wait in the server.
 */
typedef struct redis_claim redis_claim;

/* Takes what is ready: how many, or an error; what unanswered fetches have taken goes first. */
int redis_claim_take(redis_claim *c, redis_lane *lane);
/* The same of unanswered fetches alone, whoever has cancelled this. */
int redis_claim_recover(redis_claim *c, redis_lane *lane);
/* Whether there are any. */
static inline bool redis_claim_in_doubt(const redis_lane *lane)
{
        return !list_empty(&lane->unanswered);
}
/* The command that takes, to be sent behind one that blocks; the claim has the arena from then on.
 */
int redis_claim_command(redis_claim *c, redis_lane *lane, sj_arena *arena, redis_command *ret);
/*
 * What came of it: how many were taken; 0 nothing was there; -EAGAIN ask, for it did not take what
 * there may be; another error. reply is NULL when there is no answer: then the fetch is one of
 * those that are unanswered.
 */
int redis_claim_answer(redis_claim *c, const redis_reply *reply);
/* Waits as redis_queue_wait does: 0 ask; or how many were taken on the way. */
int redis_claim_wait(redis_lane *lane, redis_claim *c, const broker_claim *claim, sj_time deadline);

/* Gives back what was leased by fetches whose time is over; returns how many. */
int redis_queue_sweep(redis_lane *lane, sj_time deadline);

/* Says from now on that this handle lives, and ends the leases of those that do not. */
int redis_queue_beat(redis_queue *q);

/* Now and then: what workers of Celery's have left for longer than the visibility timeout. */
int redis_queue_reclaim(redis_lane *lane, sj_time deadline);

/* ── Verbs ───────────────────────────────────────────────────────────────────────────────── */

int redis_queue_publish(broker *b, const broker_message messages[], size_t n,
                        broker_published ret[], sj_time deadline);
int redis_queue_publish_once(broker *b, const broker_message messages[], size_t n,
                             broker_published ret[], sj_time deadline);
int redis_queue_lease_next(broker *b, const broker_claim *claim, broker_lease *ret[], size_t n,
                           sj_time deadline);
int redis_queue_lease_wait(broker *b, const broker_claim *claim, broker_lease *ret[], size_t n,
                           sj_time deadline);
int redis_queue_wait(broker *b, const sj_str queues[], size_t n_queues, sj_time deadline);
int redis_queue_renew(broker *b, broker_lease *const leases[], size_t n, sj_time duration,
                      broker_hold ret[], sj_time deadline);
int redis_queue_renew_in(redis_lane *lane, broker_lease *const leases[], size_t n, sj_time duration,
                         broker_hold ret[], sj_time deadline);
int redis_queue_settle(broker *b, broker_settlement settlements[], size_t n, sj_time deadline);
/* The same, in a lane. */
int redis_queue_settle_in(redis_lane *lane, broker_settlement settlements[], size_t n,
                          sj_time deadline);
int redis_queue_cancel(broker *b, sj_str id, sj_time deadline);
int redis_queue_result_put(broker *b, const broker_result results[], size_t n, sj_time deadline);
int redis_queue_result_get(broker *b, const sj_str ids[], size_t n, sj_arena *arena,
                           broker_result ret[], sj_time deadline);
void redis_queue_result_expect(broker *b, sj_str id);
/* Nobody is to hear of what was expected any more. */
void redis_queue_forget_expected(redis_lane *lane);
int redis_queue_result_wait(broker *b, sj_str id, sj_arena *arena, broker_result *ret,
                            sj_time deadline);
int redis_queue_result_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline);
/* Stores results that are not part of a settlement's script. */
int redis_queue_store_results(redis_lane *lane, const broker_result results[], size_t n,
                              sj_time deadline);
int redis_queue_queues(broker *b, sj_arena *arena, const broker_depth **ret, sj_time deadline);
int redis_queue_purge(broker *b, sj_str queue, uint64_t *ret_awaited, sj_time deadline);
int redis_queue_delayed_list(broker *b, sj_str queue, size_t n, sj_arena *arena,
                             const broker_delayed **ret, uint64_t *ret_more, sj_time deadline);
int redis_queue_dead_list(broker *b, sj_str queue, sj_str after, size_t n, sj_arena *arena,
                          const broker_dead **ret, sj_time deadline);
int redis_queue_dead_retry(broker *b, const sj_str ids[], size_t n, sj_time deadline);
int redis_queue_dead_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline);
/* The text that a dead letter is kept as. */
int redis_queue_letter(sj_arena *arena, const broker_dead *dead, sj_str *ret);
int redis_queue_node_join(broker *b, const broker_node *node, broker_token token, sj_time ttl,
                          sj_time deadline);
int redis_queue_node_beat(broker *b, sj_str name, broker_token token, sj_str info, sj_time ttl,
                          sj_time deadline);
int redis_queue_node_leave(broker *b, sj_str name, broker_token token, sj_time deadline);
int redis_queue_nodes(broker *b, sj_arena *arena, const broker_node **ret, sj_time deadline);
int redis_queue_emit(broker *b, sj_str channel, sj_str text, sj_time deadline);
int redis_queue_subscribe(broker *b, const sj_str channels[], size_t n, broker_subscription **ret,
                          sj_time deadline);
int redis_queue_next(broker_subscription *s, sj_arena *arena, sj_str *ret_channel, sj_str *ret_text,
                     sj_time deadline);
void redis_queue_unsubscribe(broker_subscription *s);
int redis_queue_mailbox(broker *b, sj_str exchange, sj_str address, broker_subscription **ret,
                        sj_time deadline);
int redis_queue_post(broker *b, sj_str exchange, sj_str address, sj_str text, sj_time deadline);
int redis_queue_revoke(broker *b, const sj_str ids[], size_t n, sj_time deadline);
int redis_queue_revoked_list(broker *b, sj_wall after, sj_arena *arena, const broker_revoked **ret,
                             sj_time deadline);
int redis_queue_join_open(broker *b, const broker_join joins[], size_t n, sj_time deadline);
int redis_queue_join_grow(broker *b, sj_str group, int64_t by, sj_time deadline);
int redis_queue_join_arrive(broker *b, broker_arrival arrivals[], size_t n, sj_arena *arena,
                            sj_time deadline);
int redis_queue_group_save(broker *b, sj_str group, sj_str text, sj_time deadline);
int redis_queue_group_get(broker *b, sj_str group, sj_arena *arena, sj_str *ret, sj_time deadline);
int redis_queue_group_drop(broker *b, sj_str group, sj_time deadline);
int redis_queue_rate_take(broker *b, broker_turn turns[], size_t n, sj_time horizon,
                          sj_time deadline);

#endif
