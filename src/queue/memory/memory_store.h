/* SPDX-License-Identifier: MIT */
/*
 * memory_store: what a broker in memory keeps, behind one lock.
 *
 *   tasks ──► task ─┬─ READY    in its queue's list of its priority
 *   (by id)         ├─ DELAYED  in its queue's list of delayed ones, and in `due` by its eta
 *                   ├─ LEASED   in `due` by the end of its lease
 *                   ├─ DEAD     in the list of the dead
 *                   └─ IDLE     only a result, or a key that is still kept; in `due` by the
 *                               moment at which it is forgotten
 *
 * There is no thread or fiber of the store's own: time passes when a verb calls memory_tick, and
 * who waits wakes by itself when the top of `due` comes. All functions but enter and leave are
 * called with the lock held.
 */
#ifndef SANJAB_QUEUE_MEMORY_STORE_H
#define SANJAB_QUEUE_MEMORY_STORE_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "queue/broker/broker.h"

#include <sanjab/fiber.h>
#include <sanjab/future.h>

typedef enum memory_phase {
        MEMORY_IDLE,
        MEMORY_STAGED, /* within a publish that may still fail */
        MEMORY_READY,
        MEMORY_DELAYED,
        MEMORY_LEASED,
        MEMORY_DEAD,
} memory_phase;

typedef struct memory_queue {
        sj_str name;
        list ready[BROKER_PRIORITY_MAX + 1];
        list delayed;
        uint64_t n_ready;
        uint64_t n_delayed;
        uint64_t n_leased;
        uint64_t n_dead;
} memory_queue;

typedef struct memory_task {
        sj_str id;
        memory_phase phase;
        broker_lease *held; /* the message, its deliveries, its age; NULL when IDLE */
        memory_queue *queue;
        list place;    /* in the queue's list or the dead */
        heap_node due; /* see above */
        broker_token token;
        bool revoked;
        unsigned rites; /* leases that were marked not to be run */
        char *reason;   /* DEAD */
        sj_wall died;
        char *result; /* one block: state, content */
        sj_str state; /* empty: PENDING, or, when IDLE, unknown */
        sj_str content;
        char *key; /* or NULL */
        sj_wall key_until;
        list waiters; /* of its result */
} memory_task;

/* A group: what joins it, and what somebody has saved of it (memory_join.c). */
typedef struct memory_group memory_group;

/* An id that was revoked for those who hear of it later. */
typedef struct memory_revoked {
        list place;
        sj_str id;
        sj_wall since;
} memory_revoked;

/* Who waits, on its own stack. Woken under the lock, and takes the lock before it leaves. */
typedef struct memory_waiter {
        list node;
        sj_future future;
        const sj_str *queues;
        size_t n_queues;
} memory_waiter;

typedef struct memory_store {
        _Atomic uint32_t lock;
        map tasks;  /* id → memory_task */
        map keys;   /* idempotency key → memory_task */
        map queues; /* name → memory_queue */
        heap due;
        list dead;
        list waiters; /* for messages */
        list nodes;
        list subscriptions;
        map group_names;   /* name → memory_group */
        list groups;       /* the same, those to be forgotten first in front */
        list revoked;      /* memory_revoked, the oldest first */
        map rates;         /* name → memory_rate */
        list rate_order;   /* the same, those to be forgotten first roughly in front */
        broker_token last; /* the token that was given last */
        size_t turn;       /* whose turn it is among queues */
        /* among the named ones of the process */
        list link;
        char *name;
        unsigned users;
} memory_store;

typedef struct memory_broker {
        broker base;
        memory_store *store;
} memory_broker;

static inline memory_store *memory_of(broker *b)
{
        return container_of(b, memory_broker, base)->store;
}

memory_store *memory_store_new(void);
void memory_store_free(memory_store *s);

/* A lock between threads; never held while waiting for anything. */
void memory_lock(_Atomic uint32_t *lock);
void memory_unlock(_Atomic uint32_t *lock);

/* Takes the lock, lets time pass, and tells the present moment. */
sj_wall memory_enter(memory_store *s);
void memory_leave(memory_store *s);

broker_token memory_token(memory_store *s);
static inline bool memory_token_equal(broker_token a, broker_token b)
{
        return a.high == b.high && a.low == b.low;
}

/* A moment duration after now; far in the future for SJ_NEVER. */
sj_wall memory_later(sj_wall now, sj_time duration);

memory_task *memory_find(memory_store *s, sj_str id);
/* As memory_find, with a new IDLE one if there is none; NULL: no memory. */
memory_task *memory_find_or_add(memory_store *s, sj_str id);
/* Frees it if it is IDLE and nothing about it is kept. */
void memory_tidy(memory_store *s, memory_task *t);

/* The queue of that name, made if need be; NULL: no memory. */
memory_queue *memory_queue_of(memory_store *s, sj_str name);

/*
 * Publishing in two steps: staging may fail, admitting and unstaging cannot. Returns 0, or 1 when
 * the key is taken, and *ret is the task that has it; -EEXIST, -ENOMEM.
 */
int memory_stage(memory_store *s, const broker_message *m, sj_wall now, memory_task **ret);
void memory_unstage(memory_store *s, memory_task *t);
void memory_admit(memory_store *s, memory_task *t, sj_wall now);

/* From STAGED, LEASED or DEAD to where its eta says; at the front or back of its queue. */
void memory_place(memory_store *s, memory_task *t, sj_wall eta, sj_wall now, bool front);
/* To who holds the token, until then. */
void memory_lend(memory_store *s, memory_task *t, broker_token token, sj_wall until);
/* When it comes due, in the sense of its phase. */
void memory_set_due(memory_store *s, memory_task *t, sj_wall when);
/* Takes it out of its queue, whatever its phase; IDLE afterwards, the message still held. */
void memory_withdraw(memory_store *s, memory_task *t);
/* Ends it: withdraws it, drops the message, and keeps what must be kept. May free it. */
void memory_end(memory_store *s, memory_task *t, bool told, sj_time keep, sj_wall now);
/* Among the dead; reason (of malloc) becomes its own. */
void memory_bury(memory_store *s, memory_task *t, char *reason, sj_wall now);

/* Its idempotency key, if it has one, is anybody's. */
void memory_free_key(memory_store *s, memory_task *t);

/* What memory_set_result stores: made beforehand, since it may fail. NULL: no memory. */
char *memory_result_block(const broker_result *r);
/* Stores it by the rule of broker_result_put; block becomes the store's. Wakes who waits. */
void memory_set_result(memory_task *t, const broker_result *r, char *block);
void memory_drop_result(memory_task *t);

/* Wakes those who wait on the list; or, for messages, those who wait for the queue. */
void memory_wake(list *waiters);
void memory_wake_queue(memory_store *s, sj_str queue);
/* Leaves the lock, waits as a node of `waiters` until woken or the deadline, takes it again. */
int memory_sleep(memory_store *s, list *waiters, memory_waiter *w, sj_time deadline);

/* In other files of the memory broker. */
void memory_nodes_fini(memory_store *s);
void memory_groups_fini(memory_store *s);
/* Forgets those whose time has come. */
void memory_groups_tick(memory_store *s, sj_wall now);
/*
 * Opening or closing a join in two steps: preparing may fail, applying cannot. *ret_body is of
 * malloc, and applying takes it (NULL afterwards).
 */
int memory_join_prepare(broker *b, const broker_join *join, sj_wall now, sj_str *ret_body);
void memory_join_apply(broker *b, const broker_join *join, sj_wall now, sj_str *body);
int memory_join_open(broker *b, const broker_join joins[], size_t n, sj_time deadline);
int memory_join_grow(broker *b, sj_str group, int64_t by, sj_time deadline);
int memory_join_arrive(broker *b, broker_arrival arrivals[], size_t n, sj_arena *arena,
                       sj_time deadline);
int memory_group_save(broker *b, sj_str group, sj_str text, sj_time deadline);
int memory_group_get(broker *b, sj_str group, sj_arena *arena, sj_str *ret, sj_time deadline);
int memory_group_drop(broker *b, sj_str group, sj_time deadline);
int memory_revoke(broker *b, const sj_str ids[], size_t n, sj_time deadline);
int memory_revoked_list(broker *b, sj_wall after, sj_arena *arena, const broker_revoked **ret,
                        sj_time deadline);
int memory_result_put(broker *b, const broker_result results[], size_t n, sj_time deadline);
int memory_result_get(broker *b, const sj_str ids[], size_t n, sj_arena *arena, broker_result ret[],
                      sj_time deadline);
int memory_result_wait(broker *b, sj_str id, sj_arena *arena, broker_result *ret, sj_time deadline);
int memory_result_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline);
int memory_node_join(broker *b, const broker_node *node, broker_token token, sj_time ttl,
                     sj_time deadline);
int memory_node_beat(broker *b, sj_str name, broker_token token, sj_str info, sj_time ttl,
                     sj_time deadline);
int memory_node_leave(broker *b, sj_str name, broker_token token, sj_time deadline);
int memory_nodes(broker *b, sj_arena *arena, const broker_node **ret, sj_time deadline);
int memory_emit(broker *b, sj_str channel, sj_str text, sj_time deadline);
int memory_subscribe(broker *b, const sj_str channels[], size_t n, broker_subscription **ret,
                     sj_time deadline);
int memory_next(broker_subscription *s, sj_arena *arena, sj_str *ret_channel, sj_str *ret_text,
                sj_time deadline);
void memory_unsubscribe(broker_subscription *s);
int memory_queues(broker *b, sj_arena *arena, const broker_depth **ret, sj_time deadline);
int memory_purge(broker *b, sj_str queue, uint64_t *ret_awaited, sj_time deadline);
int memory_cancel(broker *b, sj_str id, sj_time deadline);
int memory_delayed_list(broker *b, sj_str queue, size_t n, sj_arena *arena,
                        const broker_delayed **ret, uint64_t *ret_more, sj_time deadline);
int memory_dead_list(broker *b, sj_str queue, sj_str after, size_t n, sj_arena *arena,
                     const broker_dead **ret, sj_time deadline);
int memory_dead_retry(broker *b, const sj_str ids[], size_t n, sj_time deadline);
int memory_dead_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline);
void memory_rates_fini(memory_store *s);
int memory_rate_take(broker *b, broker_turn turns[], size_t n, sj_time horizon, sj_time deadline);

#endif
