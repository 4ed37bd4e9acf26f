/* SPDX-License-Identifier: MIT */
/*
 * broker: where messages wait, and where results are kept.
 *
 *                 publish                lease                   settle
 *   producer ───────────────► ready ───────────────► leased ───────────────► done
 *                 │             ▲                      │  │
 *                 └─► delayed ──┤◄─────────────────────┘  └────► dead
 *                      (eta)    └ lease ran out, requeue, retry
 *
 * A broker moves opaque texts (envelopes, results: see message.h, result.h) and knows only what
 * stands beside them in the structs below. What a message means, and what becomes of it, is
 * decided by a worker (outcome.h) and told to the broker in one settlement.
 *
 * What every broker promises
 *   Durable     When publish or settle returns 0, what it said is as durable as the broker can.
 *   Atomic      A publish is done whole or not at all. Each settlement of a settle is done whole
 *               or not at all: the end of the delivery, its results and its follow-ups together
 *               (BROKER_ATOMIC; a broker without it does follow-ups, results, end, in this order,
 *               each idempotent).
 *   Fenced      A lease is taken in one atomic step under a fresh token, which no other lease has
 *               ever had. A renewal or settlement under a token that is no longer the message's
 *               current one does nothing and says so.
 *   At least    A lease that is neither renewed nor settled in time ends; the message is ready
 *   once        again, and its next lease counts one delivery more.
 *   In order    Of one queue, higher priority goes first; within one priority, who became ready
 *               first. A requeued message goes to the front of its priority.
 *   Bounded     No verb outlasts its deadline.
 *
 * Messages that must not run any more. One whose `expires` has passed, or that was delivered
 * more than max_deliveries times, is still leased, once, marked so (broker_fate): the worker
 * settles it without running it, with the result (REVOKED, FAILURE), the error links and whatever
 * else waits for it. If even such leases run out BROKER_LAST_RITES times, the broker itself ends
 * it: it moves it to the dead letters, or drops the expired one, and stores the result.
 *
 * Calls. All verbs may be called from any thread: by a fiber (cancellation point) or in a thread
 * without a loop (blocks it). Deadlines are on the monotonic clock; all moments that are stored
 * are on the wall clock. Common errors: -ETIMEDOUT, -ECANCELED (whether it was done is not known
 * then, but for reads); -ENOMEM; -ENOSPC; -EIO, -EPIPE the broker is lost; -ESHUTDOWN it is being
 * closed. Strings that go in are copied before a verb returns; those that come out lie in the
 * arena or the lease that is named. "n" of anything may be 0, and then nothing happens.
 */
#ifndef SANJAB_QUEUE_BROKER_H
#define SANJAB_QUEUE_BROKER_H

#include <sanjab/queue.h>

/* Limits. */
#define BROKER_BATCH_MAX      1024 /* messages, leases or settlements of one call */
#define BROKER_PRIORITY_MAX   9
#define BROKER_LAST_RITES     3
#define BROKER_BACKLOG_MAX    1024 /* texts that a subscription keeps for a slow reader */
#define BROKER_LEASE_DEFAULT  (30 * SJ_SEC)
#define BROKER_RESULT_EXPIRES (24 * SJ_HOUR)
#define BROKER_KEY_EXPIRES    (24 * SJ_HOUR)

typedef struct broker broker;

/* What a broker can do; the worker falls back where it cannot. */
typedef enum broker_capability {
        BROKER_ATOMIC = 1 << 0,    /* settlements are one transaction */
        BROKER_DELAYED = 1 << 1,   /* eta is kept in the broker */
        BROKER_KNOWS_IDS = 1 << 2, /* an unknown id is told apart from a pending one */
        BROKER_KEYS = 1 << 3,      /* idempotency keys */
        BROKER_CANCELS = 1 << 4,   /* removes a waiting message by its id */
        BROKER_RESULTS = 1 << 5,   /* keeps results */
        BROKER_PUBSUB = 1 << 6,    /* emit and subscribe */
        BROKER_PROCESSES = 1 << 7, /* other processes can reach it */
} broker_capability;

typedef struct broker_options {
        sj_time result_expires; /* 0: BROKER_RESULT_EXPIRES; SJ_NEVER */
        bool must_exist;        /* -ENOENT rather than a new, empty broker */
} broker_options;

/*
 * Opens the broker at url ("memory:", "memory:NAME", "sqlite:PATH"). options may be NULL.
 * Errors as sj_app_new; error (size bytes, may be NULL) gets a sentence without secrets.
 */
int broker_open(const char *url, const broker_options *options, broker **ret, char *error,
                size_t size, sj_time deadline);
/* Nobody may be inside a verb. Leases stay leased until they run out. NULL is allowed. */
void broker_close(broker *b);
/* What whoever runs a worker should be told of this kind of broker, in a sentence; or NULL. */
const char *broker_notice(const broker *b);

/* ── Messages ────────────────────────────────────────────────────────────────────────────── */

typedef struct broker_message {
        sj_str id; /* the task's; one id is in the broker at most once */
        sj_str queue;
        sj_str task;     /* its name, for people */
        sj_str envelope; /* see message.h */
        int priority;    /* 0 to BROKER_PRIORITY_MAX, higher goes first */
        sj_wall eta;     /* not before; 0: at once */
        sj_wall expires; /* not run after; 0: never */
        /*
         * Deliveries before it is dead; 0: SJ_MAX_DELIVERIES. A worker may be stricter by its
         * task's options, but not more patient.
         */
        uint32_t max_deliveries;
        /*
         * Idempotency key, or empty: while a message with the same key waits, is leased, or has
         * had a SUCCESS stored within key_for, another is not published. A FAILURE or REVOKED
         * frees the key.
         */
        sj_str key;
        sj_time key_for; /* 0: BROKER_KEY_EXPIRES */
} broker_message;

typedef struct broker_published {
        bool duplicate; /* by its key: the id is that of the first one */
        char id[SJ_TASK_ID_MAX + 1];
} broker_published;

/* Whether what broker_publish checks before it asks the broker is so. */
bool broker_message_ok(const broker_message *m);

/*
 * Publishes all n, or none. Their ids are known from then on: their state is PENDING.
 * ret (may be NULL) has n elements.
 * -EEXIST an id is in the broker, waiting or leased (a stored result alone is no hindrance, and
 * is removed); -EMSGSIZE; -EINVAL an empty id or queue, a priority out of range; common errors.
 */
int broker_publish(broker *b, const broker_message messages[], size_t n, broker_published ret[],
                   sj_time deadline);

/* ── Leases ──────────────────────────────────────────────────────────────────────────────── */

/* Unique over all leases of a broker's life; what it means is the broker's matter. */
typedef struct broker_token {
        uint64_t high;
        uint64_t low;
} broker_token;

typedef enum broker_fate {
        BROKER_RUN,
        BROKER_EXPIRED,   /* expires has passed: settle as REVOKED */
        BROKER_EXHAUSTED, /* delivered too often: settle as dead */
} broker_fate;

/* One block of memory with all its strings, owned by who leased it. */
typedef struct broker_lease {
        broker_token token;
        broker_message message;
        broker_fate fate;
        uint32_t deliveries; /* this one included: 1 the first time */
        sj_wall published;
        sj_wall until;
        broker *owner; /* the broker that it came from */
} broker_lease;

void broker_lease_free(broker_lease *lease);
/* For brokers: a copy of *lease and all its strings in one block, or NULL. */
broker_lease *broker_lease_new(const broker_lease *lease);

typedef struct broker_claim {
        const sj_str *queues; /* the first has no precedence; with one priority they take turns */
        size_t n_queues;
        sj_str worker;    /* who: for people */
        sj_time duration; /* 0: BROKER_LEASE_DEFAULT */
} broker_claim;

/*
 * Leases up to n messages that are ready now; does not wait for one. Returns how many, 0 if there
 * is none. Delayed messages that are due, and those whose lease ran out, count as ready.
 */
int broker_lease_next(broker *b, const broker_claim *claim, broker_lease *ret[], size_t n,
                      sj_time deadline);

/*
 * Waits until broker_lease_next may find something in one of the queues: published or given back,
 * by whatever process; due by its eta; its lease run out. Returns at once if that is so already,
 * so that nothing slips in between. May be wrong when others are quicker. -ETIMEDOUT.
 */
int broker_wait(broker *b, const sj_str queues[], size_t n_queues, sj_time deadline);

typedef enum broker_hold {
        BROKER_HELD,
        BROKER_HELD_REVOKED, /* held, and somebody asks for its end */
        BROKER_LOST,         /* it ran out, or was settled: not ours any more */
} broker_hold;

/* Each lease that is still held lasts until duration from now. ret (may be NULL): n elements. */
int broker_renew(broker *b, broker_lease *const leases[], size_t n, sj_time duration,
                 broker_hold ret[], sj_time deadline);

/* ── Results ─────────────────────────────────────────────────────────────────────────────── */

typedef struct broker_result {
        sj_str id;
        sj_str state;   /* "SUCCESS", ...; "PENDING" in what is read of a task without a result */
        sj_str content; /* the JSON object of the protocol's §7.1; empty while PENDING */
} broker_result;

/*
 * Stores states that are no ends of deliveries (STARTED, a custom one). A state that is not final
 * never replaces a final one, nor does anything replace SUCCESS: such are left out in silence.
 */
int broker_result_put(broker *b, const broker_result results[], size_t n, sj_time deadline);

/*
 * What is known of n ids, in the arena. The state of an unknown id is the empty view (a broker
 * without BROKER_KNOWS_IDS says PENDING).
 */
int broker_result_get(broker *b, const sj_str ids[], size_t n, sj_arena *arena, broker_result ret[],
                      sj_time deadline);

/* Waits until the state of id is final, by whatever process. -ENOENT unknown. */
int broker_result_wait(broker *b, sj_str id, sj_arena *arena, broker_result *ret, sj_time deadline);

/* Forgets results of tasks that have ended; returns how many. Others are left. */
int broker_result_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline);

/* ── Settling ────────────────────────────────────────────────────────────────────────────── */

typedef enum broker_verdict {
        /* It is gone; a state that is not final is forgotten, unless this settlement stores it. */
        BROKER_DONE,
        BROKER_RETRY,   /* `next` takes its place, with the same id and no deliveries */
        BROKER_REQUEUE, /* it is ready again, not before next.eta */
        BROKER_RETURN,  /* as REQUEUE, of one that was not begun: this delivery does not count */
        BROKER_DEAD,    /* to the dead letters, with a reason */
} broker_verdict;

typedef struct broker_settlement {
        const broker_lease *lease;
        broker_verdict verdict;
        sj_str reason;                /* DEAD: a sentence part */
        const broker_message *next;   /* RETRY; REQUEUE, RETURN: its eta alone, or NULL */
        const broker_result *results; /* stored by the rule of broker_result_put */
        size_t n_results;
        const broker_message *follow_ups; /* published; one whose id is in the broker is left out */
        size_t n_follow_ups;
        int status; /* written: 0, or -ESTALE the lease is not current: nothing was done */
} broker_settlement;

/*
 * Settles all n. 0: each has its status. On an error it is not known which were settled; it may
 * be tried again, since what is settled already is -ESTALE then. The leases stay the caller's.
 */
int broker_settle(broker *b, broker_settlement settlements[], size_t n, sj_time deadline);

/*
 * Revokes by id: a message that waits is removed, and REVOKED stored; the holder of one that is
 * leased learns it at its next renewal (BROKER_HELD_REVOKED). Returns 0, 1 if it is leased;
 * -EALREADY it has ended; -ENOENT.
 */
int broker_cancel(broker *b, sj_str id, sj_time deadline);

/* ── Queues and dead letters ─────────────────────────────────────────────────────────────── */

typedef struct broker_depth {
        sj_str queue;
        uint64_t ready;
        uint64_t delayed;
        uint64_t leased;
        uint64_t dead;
        sj_wall oldest; /* when the oldest of the ready ones was published; 0: none */
} broker_depth;

/* All queues that hold something, in the order of names; *ret in the arena, returns how many. */
int broker_queues(broker *b, sj_arena *arena, const broker_depth **ret, sj_time deadline);

/*
 * Removes what waits in the queue, ready and delayed, and stores REVOKED for each. Returns how
 * many. What is leased stays.
 */
int broker_purge(broker *b, sj_str queue, sj_time deadline);

typedef struct broker_dead {
        broker_message message;
        sj_str reason;
        sj_wall died;
        uint32_t deliveries;
} broker_dead;

/*
 * The n dead letters of the queue (empty: of all) that died after the one with the id `after`
 * (empty: from the first), oldest first. *ret in the arena; returns how many.
 */
int broker_dead_list(broker *b, sj_str queue, sj_str after, size_t n, sj_arena *arena,
                     const broker_dead **ret, sj_time deadline);
/* Puts them back, ready, with no deliveries and PENDING again. Returns how many there were. */
int broker_dead_retry(broker *b, const sj_str ids[], size_t n, sj_time deadline);
/* Drops them; their results stay. Returns how many there were. */
int broker_dead_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline);

/* ── Nodes: which workers there are ──────────────────────────────────────────────────────── */

typedef struct broker_node {
        sj_str name; /* "worker1@host" */
        sj_str info; /* a JSON object: pid, queues, pool, ... */
        sj_wall since;
        sj_wall until; /* unless it says more */
} broker_node;

/*
 * Takes the name for ttl. -EEXIST a live node has it; *ret_token is its proof.
 */
int broker_node_join(broker *b, const broker_node *node, sj_time ttl, broker_token *ret_token,
                     sj_time deadline);
/* Keeps it for ttl from now; info empty: as before. -ESTALE it has lost its name. */
int broker_node_beat(broker *b, sj_str name, broker_token token, sj_str info, sj_time ttl,
                     sj_time deadline);
/* Gives the name back. -ESTALE as above. */
int broker_node_leave(broker *b, sj_str name, broker_token token, sj_time deadline);
/* The live ones, by name; *ret in the arena, returns how many. */
int broker_nodes(broker *b, sj_arena *arena, const broker_node **ret, sj_time deadline);

/* ── Publish and subscribe: control and events; nothing is kept for those who are not there ── */

typedef struct broker_subscription broker_subscription;

/* Hands text to all who subscribe to the channel now, in whatever process. */
int broker_emit(broker *b, sj_str channel, sj_str text, sj_time deadline);
/* Channels by their names, or by how they begin when the last character is '*'. */
int broker_subscribe(broker *b, const sj_str channels[], size_t n, broker_subscription **ret,
                     sj_time deadline);
/*
 * The next text, in the arena. -ETIMEDOUT; -ENOBUFS texts were dropped since the last call,
 * because more than BROKER_BACKLOG_MAX waited: the next call goes on with the oldest left.
 */
int broker_next(broker_subscription *s, sj_arena *arena, sj_str *ret_channel, sj_str *ret_text,
                sj_time deadline);
void broker_unsubscribe(broker_subscription *s);

/* ── The inside of a broker: for broker_*.c ──────────────────────────────────────────────── */

/* One function for each verb, with its contract above. The arguments were checked by broker.c. */
typedef struct broker_class {
        const char *scheme; /* "memory" */
        /* place: what follows the colon of the url */
        int (*open)(const char *place, const broker_options *options, broker **ret, char *error,
                    size_t size, sj_time deadline);
        void (*close)(broker *b);
        const char *(*notice)(void); /* may be NULL */
        int (*publish)(broker *b, const broker_message messages[], size_t n, broker_published ret[],
                       sj_time deadline);
        int (*lease_next)(broker *b, const broker_claim *claim, broker_lease *ret[], size_t n,
                          sj_time deadline);
        int (*wait)(broker *b, const sj_str queues[], size_t n_queues, sj_time deadline);
        int (*renew)(broker *b, broker_lease *const leases[], size_t n, sj_time duration,
                     broker_hold ret[], sj_time deadline);
        int (*settle)(broker *b, broker_settlement settlements[], size_t n, sj_time deadline);
        int (*cancel)(broker *b, sj_str id, sj_time deadline);
        int (*result_put)(broker *b, const broker_result results[], size_t n, sj_time deadline);
        int (*result_get)(broker *b, const sj_str ids[], size_t n, sj_arena *arena,
                          broker_result ret[], sj_time deadline);
        int (*result_wait)(broker *b, sj_str id, sj_arena *arena, broker_result *ret,
                           sj_time deadline);
        int (*result_drop)(broker *b, const sj_str ids[], size_t n, sj_time deadline);
        int (*queues)(broker *b, sj_arena *arena, const broker_depth **ret, sj_time deadline);
        int (*purge)(broker *b, sj_str queue, sj_time deadline);
        int (*dead_list)(broker *b, sj_str queue, sj_str after, size_t n, sj_arena *arena,
                         const broker_dead **ret, sj_time deadline);
        int (*dead_retry)(broker *b, const sj_str ids[], size_t n, sj_time deadline);
        int (*dead_drop)(broker *b, const sj_str ids[], size_t n, sj_time deadline);
        int (*node_join)(broker *b, const broker_node *node, sj_time ttl, broker_token *ret_token,
                         sj_time deadline);
        int (*node_beat)(broker *b, sj_str name, broker_token token, sj_str info, sj_time ttl,
                         sj_time deadline);
        int (*node_leave)(broker *b, sj_str name, broker_token token, sj_time deadline);
        int (*nodes)(broker *b, sj_arena *arena, const broker_node **ret, sj_time deadline);
        int (*emit)(broker *b, sj_str channel, sj_str text, sj_time deadline);
        int (*subscribe)(broker *b, const sj_str channels[], size_t n, broker_subscription **ret,
                         sj_time deadline);
        int (*next)(broker_subscription *s, sj_arena *arena, sj_str *ret_channel, sj_str *ret_text,
                    sj_time deadline);
        void (*unsubscribe)(broker_subscription *s);
} broker_class;

/* The head of every broker's own struct, and of its subscriptions. */
struct broker {
        const broker_class *class;
        unsigned capabilities; /* of broker_capability */
        sj_time result_expires;
};
struct broker_subscription {
        broker *owner;
};

extern const broker_class broker_memory_class;
extern const broker_class broker_sqlite_class;

static inline bool broker_can(const broker *b, broker_capability what)
{
        return (b->capabilities & (unsigned)what) != 0;
}

/* Whether a subscription to `pattern` gets what is emitted on `channel`. */
bool broker_channel_matches(sj_str pattern, sj_str channel);

#endif
