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
 * A message may be `awaited`: others wait for its end besides those who read its result (the join
 * of a chord, the links behind it, error links), and what they are told only a worker can work
 * out. Such a message is never ended by the broker itself: when it is revoked or purged while it
 * waits, REVOKED is stored at once, and it is leased once more with the fate REVOKED, ahead of
 * what else of its priority is ready; and its leases have no last rites.
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
#define BROKER_BATCH_MAX      1024  /* messages, leases or settlements of one call */
#define BROKER_FOLLOW_UPS_MAX 65536 /* messages that one settlement publishes */
#define BROKER_PRIORITY_MAX   9
#define BROKER_LAST_RITES     3
#define BROKER_BACKLOG_MAX    1024 /* texts that a subscription keeps for a slow reader */
#define BROKER_LEASE_DEFAULT  (30 * SJ_SEC)
#define BROKER_RESULT_EXPIRES (24 * SJ_HOUR)
#define BROKER_KEY_EXPIRES    (24 * SJ_HOUR)
#define BROKER_REVOKED_KEPT   (24 * SJ_HOUR)
#define BROKER_LIST_BYTES     ((size_t)1 << 20) /* of envelopes, in what a list of messages gives */

typedef struct broker broker;

/* What a broker can do; the worker falls back where it cannot. */
typedef enum broker_capability {
        BROKER_ATOMIC = 1 << 0,     /* settlements are one transaction */
        BROKER_DELAYED = 1 << 1,    /* eta is kept in the broker */
        BROKER_KNOWS_IDS = 1 << 2,  /* an unknown id is told apart from a pending one */
        BROKER_KEYS = 1 << 3,       /* idempotency keys */
        BROKER_CANCELS = 1 << 4,    /* removes a waiting message by its id */
        BROKER_RESULTS = 1 << 5,    /* keeps results */
        BROKER_PUBSUB = 1 << 6,     /* emit and subscribe */
        BROKER_PROCESSES = 1 << 7,  /* other processes can reach it */
        BROKER_UNIQUE_IDS = 1 << 8, /* one id is in it at most once */
        BROKER_OURS = 1 << 9,       /* all who use it are sanjab: no worker of Celery's */
        BROKER_LOW_FIRST = 1 << 10, /* of priorities, 0 goes first: as kombu has it on Redis */
        BROKER_EXCHANGES = 1 << 11, /* messages can be published by exchange and key */
} broker_capability;

typedef struct broker_options {
        sj_time result_expires;     /* 0: BROKER_RESULT_EXPIRES; SJ_NEVER */
        bool must_exist;            /* -ENOENT rather than a new, empty broker */
        const char *result_backend; /* the address of another store for results; NULL: the broker */
        const char *transport;      /* Celery's broker_transport_options, a JSON object, or NULL */
        const char *result_transport; /* result_backend_transport_options, or NULL */
} broker_options;

/*
 * Opens the broker at url ("memory:", "memory:NAME", "sqlite:PATH", "redis://HOST/DB" and what
 * else store/redis.h can open). options may be NULL. One in Redis that was opened by a fiber is
 * closed by a fiber of the same loop.
 * Errors as sj_app_new; error (size bytes, may be NULL) gets a sentence without secrets.
 */
int broker_open(const char *url, const broker_options *options, broker **ret, char *error,
                size_t size, sj_time deadline);

/*
 * What can be seen to be wrong of them without going there: 0; -EINVAL, -EPROTONOSUPPORT with the
 * reason in error (size > 0); -ENOMEM. Not every kind looks.
 */
int broker_check(const char *url, const broker_options *options, char *error, size_t size);
/* Nobody may be inside a verb. Leases stay leased until they run out. NULL is allowed. */
void broker_close(broker *b);
/*
 * What whoever runs a worker should be told of this broker, in a sentence, and how loudly; or NULL,
 * also if it does not say in time.
 */
const char *broker_notice(broker *b, sj_log_level *ret_level, sj_time deadline);

/* How it goes with the connection to it. */
typedef struct broker_health {
        unsigned failures; /* attempts to connect that have failed since the last that has not */
        unsigned breaks;   /* connections that have broken */
} broker_health;

/* Does not block. All 0 where there is no connection to be lost. */
broker_health broker_health_of(broker *b);

/* ── Messages ────────────────────────────────────────────────────────────────────────────── */

typedef struct broker_message {
        sj_str id; /* the task's; one id is in the broker at most once */
        sj_str queue;
        sj_str task;     /* its name, for people */
        sj_str envelope; /* see message.h */
        int priority;    /* 0 to BROKER_PRIORITY_MAX, higher goes first; but BROKER_LOW_FIRST */
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
        bool awaited;    /* only a worker can end it: see above */
        /* BROKER_EXCHANGES: if there is one, it goes to whatever is bound to it for the key. */
        sj_str exchange;
        sj_str routing_key;
} broker_message;

typedef struct broker_published {
        bool duplicate; /* by its key: the id is that of the first one */
        char id[SJ_TASK_ID_MAX + 1];
} broker_published;

/*
 * Whether the broker can be reached: of one whose calls wait for their deadline when its connection
 * is lost (Redis), what comes of the next attempt to connect, if there is none now. 0 for others.
 */
int broker_reach(broker *b, sj_time deadline);

/* Whether what broker_publish checks before it asks the broker is so. */
bool broker_message_ok(const broker_message *m);

/*
 * Publishes all n, or none. Their ids are known from then on: their state is PENDING.
 * ret (may be NULL) has n elements.
 * -ENOENT nothing is bound to the exchange for the key, and nobody listens to it (the log says
 * which); -EEXIST an id is in the broker, waiting or leased (a stored result alone is no hindrance,
 * and is removed); -EMSGSIZE; -EINVAL an empty id or queue, a priority out of range; common errors.
 */
int broker_publish(broker *b, const broker_message messages[], size_t n, broker_published ret[],
                   sj_time deadline);
/*
 * The same, of who has a policy of his own: a broker that makes its connection again by itself is
 * not waited for until the deadline, but for one attempt, whose error this returns.
 */
int broker_publish_once(broker *b, const broker_message messages[], size_t n,
                        broker_published ret[], sj_time deadline);

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
        BROKER_REVOKED,   /* somebody has asked for its end: settle as REVOKED */
} broker_fate;

/* One block of memory with all its strings, owned by who leased it; fit for message_decode_kept. */
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

/*
 * The two in one, where that is quicker: waits as broker_wait does, and leases what there is then.
 * Returns how many, at most n, or 0 when others were quicker. -ETIMEDOUT, -ECANCELED and other
 * errors: nothing is held, as far as the broker answers in a moment; what was taken all the same is
 * given by the next call that leases, or is ready again when its lease has run out.
 */
int broker_lease_wait(broker *b, const broker_claim *claim, broker_lease *ret[], size_t n,
                      sj_time deadline);

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

/*
 * Before a message is published: its result will probably be waited for. A hint, for a broker that
 * can begin to listen for it then; one that is not waited for soon is forgotten.
 */
void broker_result_expect(broker *b, sj_str id);

/* Waits until the state of id is final, by whatever process. -ENOENT unknown. */
int broker_result_wait(broker *b, sj_str id, sj_arena *arena, broker_result *ret, sj_time deadline);

/* Forgets results of tasks that have ended; returns how many. Others are left. */
int broker_result_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline);

/* ── Joins: what waits for a number of tasks (a chord, protocol §8.4) ─────────────────────────

   A join is open from when its size is known. Each of its members arrives once, with a text that
   says how it ended: Celery's [1, id, state, result]. An arrival with the id of an earlier one
   takes its place, so that a task that ran twice counts once (its index does not tell: what
   add_to_chord adds has that of the task that added it). Who brings the last member sees all
   of them, and closes the join in the settlement with which it sends what waited. If it dies
   before, its delivery comes again, arrives again, and sees them again. */

typedef struct broker_join {
        sj_str group; /* the group's id */
        int64_t size; /* members; 0: it is closed, and forgotten */
        /* What is sent when all are there, as JSON, or empty: kept for who brings the last. */
        sj_str body;
} broker_join;

typedef struct broker_arrival {
        sj_str group;
        sj_str id; /* the member's */
        /* Its place in the group, among equals by id; -1: behind all that have one. */
        int64_t index;
        sj_str text;
        /* Written: */
        bool complete;         /* it was the last; then: */
        sj_str body;           /* as it was opened with */
        const sj_str *members; /* all texts, in the order of their places */
        size_t n_members;
        /*
         * The group as somebody saved it (§8.4, 1.: the value of celery-taskset-meta-<gid>), or
         * empty: then it is this that is joined.
         */
        sj_str saved;
} broker_arrival;

/* Opens joins before their members are published. Again: as the first time. */
int broker_join_open(broker *b, const broker_join joins[], size_t n, sj_time deadline);
/* One more member, or several: add_to_chord. */
int broker_join_grow(broker *b, sj_str group, int64_t by, sj_time deadline);
/* Members arrive; what is written to each lies in the arena. */
int broker_join_arrive(broker *b, broker_arrival arrivals[], size_t n, sj_arena *arena,
                       sj_time deadline);

/* Groups that a program saves (GroupResult.save, §7.4): the text is Celery's. */
int broker_group_save(broker *b, sj_str group, sj_str text, sj_time deadline);
/* *ret in the arena. -ENOENT. */
int broker_group_get(broker *b, sj_str group, sj_arena *arena, sj_str *ret, sj_time deadline);
int broker_group_drop(broker *b, sj_str group, sj_time deadline);

/* ── Settling ────────────────────────────────────────────────────────────────────────────── */

typedef enum broker_verdict {
        /* It is gone; a state that is not final is forgotten, unless this settlement stores it. */
        BROKER_DONE,
        BROKER_RETRY,   /* `next` takes its place, with the same id and no deliveries */
        BROKER_REQUEUE, /* it is ready again, not before next.eta */
        BROKER_RETURN, /* as REQUEUE, of one that was not begun or asks for it: it does not count */
        BROKER_DEAD,   /* to the dead letters, with a reason */
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
        const broker_join *joins; /* opened (size > 0) or closed (size 0), with the follow-ups */
        size_t n_joins;
        /*
         * Written: 0; -ESTALE the lease is not current: nothing was done; -EIO the broker could not
         * do all of it: the message becomes ready again soon.
         */
        int status;
} broker_settlement;

/*
 * Settles all n. 0: each has its status. On an error it is not known which were settled; it may
 * be tried again, since what is settled already is -ESTALE then. The leases stay the caller's.
 */
int broker_settle(broker *b, broker_settlement settlements[], size_t n, sj_time deadline);

/*
 * Revokes by id: of a message that waits REVOKED is stored, and it is removed, or, if it is
 * awaited, left for a worker to settle; the holder of one that is leased learns it at its next
 * renewal (BROKER_HELD_REVOKED), and whoever leases it after that by its fate. Returns 0; 1
 * somebody is left to be told: it is leased, or it is known and has not ended, but is no message
 * here (a link that is still to be published, or a task that was acknowledged before it began);
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
        bool more_leased; /* they are at least so many: not all of the broker's were counted */
        bool more_dead;
        sj_wall oldest; /* when the oldest of the ready ones was published; 0: none, or not known */
} broker_depth;

/* All queues that hold something, in the order of names; *ret in the arena, returns how many. */
int broker_queues(broker *b, sj_arena *arena, const broker_depth **ret, sj_time deadline);

/*
 * Revokes what waits in the queue, ready and delayed, as broker_cancel does; without
 * BROKER_CANCELS it is all removed, also what is awaited: *ret_awaited (may be NULL) of them, and
 * nobody is told. Returns how many in all. What is leased stays.
 */
int broker_purge(broker *b, sj_str queue, uint64_t *ret_awaited, sj_time deadline);

typedef struct broker_delayed {
        broker_message message;
        sj_wall due; /* by its eta; or later, when it was given back until then */
} broker_delayed;

/*
 * The delayed messages of the queue that are due first, n at most, and no further one when their
 * envelopes have reached BROKER_LIST_BYTES. *ret in the arena; returns how many; *ret_more: how
 * many others it has.
 */
int broker_delayed_list(broker *b, sj_str queue, size_t n, sj_arena *arena,
                        const broker_delayed **ret, uint64_t *ret_more, sj_time deadline);

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
 * Takes the name for ttl; the token, a random one, is the proof. Who does not know what came of a
 * call tries again with the same token. -EEXIST a live node has it, with another token.
 */
int broker_node_join(broker *b, const broker_node *node, broker_token token, sj_time ttl,
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

/*
 * Letters to one receiver, who is there before they are sent: replies to control commands. On
 * Redis a list that is bound to the exchange under the address (protocol §5.2).
 */
int broker_mailbox(broker *b, sj_str exchange, sj_str address, broker_subscription **ret,
                   sj_time deadline);
/* -ENOENT nobody has a mailbox there: the letter is dropped. */
int broker_post(broker *b, sj_str exchange, sj_str address, sj_str text, sj_time deadline);

/* ── Revoked ids, kept for those who are not there to hear of it ─────────────────────────── */

typedef struct broker_revoked {
        sj_str id;
        sj_wall since;
} broker_revoked;

/* Keeps the ids for BROKER_REVOKED_KEPT from now; of ones that are kept already, the first moment.
 */
int broker_revoke(broker *b, const sj_str ids[], size_t n, sj_time deadline);
/* Those that were kept after the moment, oldest first; *ret in the arena, returns how many. */
int broker_revoked_list(broker *b, sj_wall after, sj_arena *arena, const broker_revoked **ret,
                        sj_time deadline);

/* ── Rates over a whole fleet ────────────────────────────────────────────────────────────── */

#define BROKER_RATE_NAME_MAX 255
#define BROKER_RATES_MAX     4

/* A limit that all who use the broker share by its name. */
typedef struct broker_rate {
        sj_str name;
        double a_second; /* more than 0 */
} broker_rate;

typedef struct broker_turn {
        const broker_rate *rates; /* all of them hold for it: 1 to BROKER_RATES_MAX */
        size_t n;
        /* Written: */
        bool taken;   /* its turn is reserved, and comes after the wait */
        sj_time wait; /* else: ask again after that */
} broker_turn;

/*
 * Asks for a turn for each of n, in their order. Turns of one name follow each other at its rate
 * at least, by the broker's clock, whoever asks. One that comes within `horizon` is reserved; for
 * a later one nothing is taken, but a moment to come back is promised, behind all that was
 * promised before. A limit that nobody has asked for is forgotten when its last turn is over.
 */
int broker_rate_take(broker *b, broker_turn turns[], size_t n, sj_time horizon, sj_time deadline);

/* ── The inside of a broker: for broker_*.c ──────────────────────────────────────────────── */

/*
 * One function for each verb, with its contract above. The arguments were checked by broker.c. One
 * that is NULL answers -EOPNOTSUPP.
 */
typedef struct broker_class {
        const char *scheme; /* "memory" */
        /* place: what follows the colon of the url; in Redis the whole of it */
        int (*open)(const char *place, const broker_options *options, broker **ret, char *error,
                    size_t size, sj_time deadline);
        int (*check)(const char *place, const broker_options *options, char *error,
                     size_t size); /* may be NULL */
        void (*close)(broker *b);
        const char *(*notice)(broker *b, sj_log_level *ret_level,
                              sj_time deadline);   /* may be NULL */
        broker_health (*health)(broker *b);        /* may be NULL */
        int (*reach)(broker *b, sj_time deadline); /* may be NULL */
        int (*publish)(broker *b, const broker_message messages[], size_t n, broker_published ret[],
                       sj_time deadline);
        int (*publish_once)(broker *b, const broker_message messages[], size_t n,
                            broker_published ret[], sj_time deadline); /* NULL: publish */
        int (*lease_next)(broker *b, const broker_claim *claim, broker_lease *ret[], size_t n,
                          sj_time deadline);
        int (*lease_wait)(broker *b, const broker_claim *claim, broker_lease *ret[], size_t n,
                          sj_time deadline); /* NULL: wait, and then lease_next */
        int (*wait)(broker *b, const sj_str queues[], size_t n_queues, sj_time deadline);
        int (*renew)(broker *b, broker_lease *const leases[], size_t n, sj_time duration,
                     broker_hold ret[], sj_time deadline);
        int (*settle)(broker *b, broker_settlement settlements[], size_t n, sj_time deadline);
        int (*cancel)(broker *b, sj_str id, sj_time deadline);
        int (*join_open)(broker *b, const broker_join joins[], size_t n, sj_time deadline);
        int (*join_grow)(broker *b, sj_str group, int64_t by, sj_time deadline);
        int (*join_arrive)(broker *b, broker_arrival arrivals[], size_t n, sj_arena *arena,
                           sj_time deadline);
        int (*group_save)(broker *b, sj_str group, sj_str text, sj_time deadline);
        int (*group_get)(broker *b, sj_str group, sj_arena *arena, sj_str *ret, sj_time deadline);
        int (*group_drop)(broker *b, sj_str group, sj_time deadline);
        int (*result_put)(broker *b, const broker_result results[], size_t n, sj_time deadline);
        int (*result_get)(broker *b, const sj_str ids[], size_t n, sj_arena *arena,
                          broker_result ret[], sj_time deadline);
        void (*result_expect)(broker *b, sj_str id); /* may be NULL */
        int (*result_wait)(broker *b, sj_str id, sj_arena *arena, broker_result *ret,
                           sj_time deadline);
        int (*result_drop)(broker *b, const sj_str ids[], size_t n, sj_time deadline);
        int (*queues)(broker *b, sj_arena *arena, const broker_depth **ret, sj_time deadline);
        int (*purge)(broker *b, sj_str queue, uint64_t *ret_awaited, sj_time deadline);
        int (*delayed_list)(broker *b, sj_str queue, size_t n, sj_arena *arena,
                            const broker_delayed **ret, uint64_t *ret_more, sj_time deadline);
        int (*dead_list)(broker *b, sj_str queue, sj_str after, size_t n, sj_arena *arena,
                         const broker_dead **ret, sj_time deadline);
        int (*dead_retry)(broker *b, const sj_str ids[], size_t n, sj_time deadline);
        int (*dead_drop)(broker *b, const sj_str ids[], size_t n, sj_time deadline);
        int (*node_join)(broker *b, const broker_node *node, broker_token token, sj_time ttl,
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
        /* NULL: letters are what is emitted on the channel "EXCHANGE/ADDRESS". */
        int (*mailbox)(broker *b, sj_str exchange, sj_str address, broker_subscription **ret,
                       sj_time deadline);
        int (*post)(broker *b, sj_str exchange, sj_str address, sj_str text, sj_time deadline);
        int (*revoke)(broker *b, const sj_str ids[], size_t n, sj_time deadline);
        int (*revoked_list)(broker *b, sj_wall after, sj_arena *arena, const broker_revoked **ret,
                            sj_time deadline);
        int (*rate_take)(broker *b, broker_turn turns[], size_t n, sj_time horizon,
                         sj_time deadline);
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
extern const broker_class broker_redis_class;

/* A priority as programs give it (1 to 9, more is sooner; 0 none) as the broker's messages have it.
 */
int broker_wire_priority(const broker *b, int priority);

static inline bool broker_can(const broker *b, broker_capability what)
{
        return (b->capabilities & (unsigned)what) != 0;
}

/* Whether a subscription to `pattern` gets what is emitted on `channel`. */
bool broker_channel_matches(sj_str pattern, sj_str channel);

#endif
