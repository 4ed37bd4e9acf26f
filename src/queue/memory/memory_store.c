/* SPDX-License-Identifier: MIT */
/*
 * See memory_store.h. Invariants, whenever the lock is free:
 *   - a task is in exactly the places that its phase says;
 *   - `due` has room for every task, so that moving one from phase to phase cannot fail;
 *   - an IDLE task has a result or a key, or somebody waits for it; else it has been freed;
 *   - a key in `keys` belongs to a task that is not IDLE, or whose key_until has not passed (or
 *     nobody has looked since).
 */
#include "queue/memory/memory_store.h"

#include "os/os.h"
#include "queue/result.h"

#include <sanjab/future.h>

#include <stdatomic.h>
#include <stdlib.h>

/* ── The lock: held for the time of a few pointers, never while waiting ─────────────────────── */

enum { LOCK_FREE, LOCK_HELD, LOCK_CONTENDED };

void memory_lock(_Atomic uint32_t *lock)
{
        uint32_t was = LOCK_FREE;
        if (atomic_compare_exchange_strong_explicit(lock, &was, LOCK_HELD, memory_order_acquire,
                                                    memory_order_relaxed))
                return;
        while (atomic_exchange_explicit(lock, LOCK_CONTENDED, memory_order_acquire) != LOCK_FREE)
                os_futex_wait(lock, LOCK_CONTENDED, SJ_NEVER, false);
}

void memory_unlock(_Atomic uint32_t *lock)
{
        if (atomic_exchange_explicit(lock, LOCK_FREE, memory_order_release) == LOCK_CONTENDED)
                os_futex_wake(lock, 1, false);
}

/* ── The store ───────────────────────────────────────────────────────────────────────────── */

memory_store *memory_store_new(void)
{
        memory_store *s = calloc(1, sizeof(*s));
        if (!s)
                return NULL;
        uint64_t seeds[5];
        os_random(seeds, sizeof(seeds));
        s->tasks = MAP_INIT(seeds[0]);
        s->keys = MAP_INIT(seeds[1]);
        s->queues = MAP_INIT(seeds[2]);
        s->last.high = seeds[3];
        s->group_names = MAP_INIT(seeds[4]);
        list_init(&s->groups);
        list_init(&s->revoked);
        list_init(&s->rate_order);
        list_init(&s->dead);
        list_init(&s->waiters);
        list_init(&s->nodes);
        list_init(&s->subscriptions);
        list_init(&s->link);
        return s;
}

static void memory_task_free(memory_task *t)
{
        broker_lease_free(t->held);
        free(t->reason);
        free(t->result);
        free(t->key);
        free(t);
}

void memory_store_free(memory_store *s)
{
        if (!s)
                return;
        size_t place = 0;
        for (memory_task *t; (t = map_next(&s->tasks, &place));)
                memory_task_free(t);
        place = 0;
        for (memory_queue *q; (q = map_next(&s->queues, &place));)
                free(q);
        memory_nodes_fini(s);
        memory_groups_fini(s);
        memory_rates_fini(s);
        map_fini(&s->tasks);
        map_fini(&s->keys);
        map_fini(&s->queues);
        free(s->name);
        free(s);
}

broker_token memory_token(memory_store *s)
{
        s->last.low++;
        return s->last;
}

sj_wall memory_later(sj_wall now, sj_time duration)
{
        int64_t us = duration / SJ_US;
        return (sj_wall){us > INT64_MAX - now.us ? INT64_MAX : now.us + us};
}

/* ── Tasks and queues ────────────────────────────────────────────────────────────────────── */

memory_task *memory_find(memory_store *s, sj_str id)
{
        return map_get(&s->tasks, id);
}

memory_task *memory_find_or_add(memory_store *s, sj_str id)
{
        memory_task *t = memory_find(s, id);
        if (t)
                return t;
        t = calloc(1, sizeof(*t) + id.n);
        if (!t)
                return NULL;
        memcpy(t + 1, id.data, id.n);
        t->id = (sj_str){(char *)(t + 1), id.n};
        list_init(&t->place);
        list_init(&t->waiters);
        if (map_add(&s->tasks, t->id, t) < 0) {
                free(t);
                return NULL;
        }
        return t;
}

void memory_tidy(memory_store *s, memory_task *t)
{
        if (t->phase != MEMORY_IDLE || t->result || t->key || !list_empty(&t->waiters))
                return;
        heap_remove(&s->due, &t->due);
        map_remove(&s->tasks, t->id);
        memory_task_free(t);
}

memory_queue *memory_queue_of(memory_store *s, sj_str name)
{
        memory_queue *q = map_get(&s->queues, name);
        if (q)
                return q;
        q = calloc(1, sizeof(*q) + name.n);
        if (!q)
                return NULL;
        memcpy(q + 1, name.data, name.n);
        q->name = (sj_str){(char *)(q + 1), name.n};
        for (size_t i = 0; i <= BROKER_PRIORITY_MAX; i++)
                list_init(&q->ready[i]);
        list_init(&q->delayed);
        if (map_add(&s->queues, q->name, q) < 0) {
                free(q);
                return NULL;
        }
        return q;
}

/* ── Keys ────────────────────────────────────────────────────────────────────────────────── */

void memory_free_key(memory_store *s, memory_task *t)
{
        if (!t->key)
                return;
        map_remove(&s->keys, sj_str_of(t->key));
        free(t->key);
        t->key = NULL;
}

/* The task that has the key now, or NULL. */
static memory_task *memory_key_holder(memory_store *s, sj_str key, sj_wall now)
{
        memory_task *t = map_get(&s->keys, key);
        if (!t || t->phase != MEMORY_IDLE || t->key_until.us > now.us)
                return t;
        memory_free_key(s, t);
        memory_tidy(s, t);
        return NULL;
}

static int memory_take_key(memory_store *s, memory_task *t, sj_str key)
{
        memory_free_key(s, t);
        t->key = strndup(key.data, key.n);
        if (!t->key)
                return -ENOMEM;
        int r = map_add(&s->keys, sj_str_of(t->key), t);
        if (r < 0) {
                free(t->key);
                t->key = NULL;
        }
        return r;
}

/* ── Publishing ──────────────────────────────────────────────────────────────────────────── */

int memory_stage(memory_store *s, const broker_message *m, sj_wall now, memory_task **ret)
{
        if (m->key.n) {
                memory_task *holder = memory_key_holder(s, m->key, now);
                if (holder) {
                        *ret = holder;
                        return 1;
                }
        }
        memory_task *t = memory_find_or_add(s, m->id);
        if (!t)
                return -ENOMEM;
        if (t->phase != MEMORY_IDLE)
                return -EEXIST;
        t->phase = MEMORY_STAGED;
        t->queue = memory_queue_of(s, m->queue);
        t->held = broker_lease_new(&(broker_lease){.message = *m, .published = now});
        if (!t->queue || !t->held || (m->key.n && memory_take_key(s, t, m->key) < 0)) {
                memory_unstage(s, t);
                return -ENOMEM;
        }
        *ret = t;
        return 0;
}

void memory_unstage(memory_store *s, memory_task *t)
{
        broker_lease_free(t->held);
        t->held = NULL;
        t->phase = MEMORY_IDLE;
        memory_free_key(s, t);
        memory_tidy(s, t);
}

void memory_admit(memory_store *s, memory_task *t, sj_wall now)
{
        memory_drop_result(t);
        t->revoked = false;
        t->rites = 0;
        memory_place(s, t, t->held->message.eta, now, false);
}

/* ── Moving ──────────────────────────────────────────────────────────────────────────────── */

/* Where it counts in its queue; NULL for the phases that do not. */
static uint64_t *memory_counter(memory_task *t)
{
        switch (t->phase) {
        case MEMORY_READY:
                return &t->queue->n_ready;
        case MEMORY_DELAYED:
                return &t->queue->n_delayed;
        case MEMORY_LEASED:
                return &t->queue->n_leased;
        case MEMORY_DEAD:
                return &t->queue->n_dead;
        default:
                return NULL;
        }
}

static void memory_set_phase(memory_task *t, memory_phase phase)
{
        uint64_t *counter = memory_counter(t);
        if (counter)
                (*counter)--;
        t->phase = phase;
        counter = memory_counter(t);
        if (counter)
                (*counter)++;
}

/* Who waits reckons anew with when to wake. */
void memory_set_due(memory_store *s, memory_task *t, sj_wall when)
{
        heap_remove(&s->due, &t->due);
        heap_add(&s->due, &t->due, when.us);
        if (heap_top(&s->due) == &t->due)
                memory_wake(&s->waiters);
}

void memory_lend(memory_store *s, memory_task *t, broker_token token, sj_wall until)
{
        memory_withdraw(s, t);
        memory_set_phase(t, MEMORY_LEASED);
        t->token = token;
        memory_set_due(s, t, until);
}

void memory_withdraw(memory_store *s, memory_task *t)
{
        list_remove(&t->place);
        heap_remove(&s->due, &t->due);
        memory_set_phase(t, MEMORY_IDLE);
        t->token = (broker_token){0, 0};
        free(t->reason);
        t->reason = NULL;
}

void memory_place(memory_store *s, memory_task *t, sj_wall eta, sj_wall now, bool front)
{
        const broker_message *m = &t->held->message;
        memory_withdraw(s, t);
        /* Who has expired need not wait for its eta to be told so. */
        if (m->expires.us && m->expires.us < eta.us)
                eta = m->expires;
        if (eta.us > now.us) {
                memory_set_phase(t, MEMORY_DELAYED);
                list_append(&t->queue->delayed, &t->place);
                memory_set_due(s, t, eta);
                return;
        }
        memory_set_phase(t, MEMORY_READY);
        list *ready = &t->queue->ready[m->priority];
        if (front)
                list_prepend(ready, &t->place);
        else
                list_append(ready, &t->place);
        memory_wake_queue(s, t->queue->name);
}

void memory_end(memory_store *s, memory_task *t, bool told, sj_time keep, sj_wall now)
{
        sj_time key_for =
                t->held && t->held->message.key_for ? t->held->message.key_for : BROKER_KEY_EXPIRES;
        memory_withdraw(s, t);
        broker_lease_free(t->held);
        t->held = NULL;
        sj_state state = result_state(t->state);
        if (!told && !sj_state_is_final(state)) {
                /* It has ended without a word of how: nothing more will be known of it. */
                memory_drop_result(t);
                memory_wake(&t->waiters);
        }
        if (state == SJ_FAILURE || state == SJ_REVOKED)
                memory_free_key(s, t);
        t->key_until = memory_later(now, key_for);
        sj_wall until = memory_later(now, keep);
        if (t->key && (!t->result || t->key_until.us > until.us))
                until = t->key_until;
        memory_set_due(s, t, until);
        memory_tidy(s, t);
}

void memory_bury(memory_store *s, memory_task *t, char *reason, sj_wall now)
{
        memory_withdraw(s, t);
        memory_set_phase(t, MEMORY_DEAD);
        list_append(&s->dead, &t->place);
        t->reason = reason;
        t->died = now;
        memory_free_key(s, t);
}

/* ── Results ─────────────────────────────────────────────────────────────────────────────── */

char *memory_result_block(const broker_result *r)
{
        char *block = malloc(r->state.n + r->content.n + 1);
        if (!block)
                return NULL;
        memcpy(block, r->state.data, r->state.n);
        if (r->content.n)
                memcpy(block + r->state.n, r->content.data, r->content.n);
        return block;
}

void memory_set_result(memory_task *t, const broker_result *r, char *block)
{
        sj_state now = result_state(t->state);
        sj_state next = result_state(r->state);
        if (now == SJ_SUCCESS || (sj_state_is_final(now) && !sj_state_is_final(next))) {
                free(block);
                return;
        }
        free(t->result);
        t->result = block;
        t->state = (sj_str){block, r->state.n};
        t->content = (sj_str){block + r->state.n, r->content.n};
        if (sj_state_is_final(next))
                memory_wake(&t->waiters);
}

void memory_drop_result(memory_task *t)
{
        free(t->result);
        t->result = NULL;
        t->state = t->content = (sj_str){NULL, 0};
}

/* ── Time ────────────────────────────────────────────────────────────────────────────────── */

static void memory_tick(memory_store *s, sj_wall now)
{
        memory_groups_tick(s, now);
        for (heap_node *top; (top = heap_top(&s->due)) && top->key <= now.us;) {
                memory_task *t = container_of(top, memory_task, due);
                switch (t->phase) {
                case MEMORY_DELAYED:
                        memory_place(s, t, (sj_wall){0}, now, false);
                        break;
                case MEMORY_LEASED:
                        memory_place(s, t, (sj_wall){0}, now, true);
                        break;
                default:
                        memory_drop_result(t);
                        memory_free_key(s, t);
                        heap_remove(&s->due, &t->due);
                        memory_wake(&t->waiters);
                        memory_tidy(s, t);
                        break;
                }
        }
}

sj_wall memory_enter(memory_store *s)
{
        memory_lock(&s->lock);
        sj_wall now = sj_wall_now();
        memory_tick(s, now);
        return now;
}

void memory_leave(memory_store *s)
{
        memory_unlock(&s->lock);
}

/* ── Waiting ─────────────────────────────────────────────────────────────────────────────── */

static void memory_wake_one(memory_waiter *w)
{
        list_remove(&w->node);
        sj_future_set(&w->future, 0, NULL);
}

void memory_wake(list *waiters)
{
        while (!list_empty(waiters))
                memory_wake_one(container_of(waiters->next, memory_waiter, node));
}

void memory_wake_queue(memory_store *s, sj_str queue)
{
        list_for_each_safe (node, &s->waiters) {
                memory_waiter *w = container_of(node, memory_waiter, node);
                for (size_t i = 0; i < w->n_queues; i++) {
                        if (!sj_str_equal(w->queues[i], queue))
                                continue;
                        memory_wake_one(w);
                        break;
                }
        }
}

int memory_sleep(memory_store *s, list *waiters, memory_waiter *w, sj_time deadline)
{
        w->future = (sj_future)SJ_FUTURE_INIT;
        list_append(waiters, &w->node);
        memory_unlock(&s->lock);
        int r = sj_future_get(&w->future, NULL, deadline);
        memory_lock(&s->lock);
        list_remove(&w->node);
        return r;
}
