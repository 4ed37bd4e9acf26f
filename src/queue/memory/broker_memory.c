/* SPDX-License-Identifier: MIT */
/*
 * The broker in memory: for tests, for the simulator, and for programs that are one process.
 * "memory:" opens a new one; "memory:NAME" the one of that name in this process, which ends when
 * its last user closes it. This file has the life of a message; memory_queue.c, memory_result.c
 * and memory_node.c the rest; memory_store.c what they stand on.
 *
 * A settlement is atomic because all that can fail (memory) is done first, on the side, and undone
 * if it fails; what follows cannot. Deadlines play no part but in waiting: nothing else blocks.
 */
#include "queue/memory/memory_store.h"
#include "queue/result.h"

#include <stdlib.h>

/* The named stores of this process: the one thing that programs' brokers share by name. */
static struct {
        _Atomic uint32_t lock;
        list stores;
} memory_named = {0, {&memory_named.stores, &memory_named.stores}};

static memory_store *memory_open_named(const char *name)
{
        memory_store *s = NULL;
        memory_lock(&memory_named.lock);
        list_for_each (node, &memory_named.stores) {
                memory_store *candidate = container_of(node, memory_store, link);
                if (strcmp(candidate->name, name) == 0)
                        s = candidate;
        }
        if (!s && (s = memory_store_new())) {
                s->name = strdup(name);
                if (s->name) {
                        list_append(&memory_named.stores, &s->link);
                } else {
                        memory_store_free(s);
                        s = NULL;
                }
        }
        if (s)
                s->users++;
        memory_unlock(&memory_named.lock);
        return s;
}

static int memory_open(const char *place, const broker_options *options, broker **ret, char *error,
                       size_t size, sj_time deadline)
{
        (void)error, (void)size, (void)deadline;
        memory_broker *b = calloc(1, sizeof(*b));
        if (!b)
                return -ENOMEM;
        b->base.class = &broker_memory_class;
        b->base.capabilities = BROKER_ATOMIC | BROKER_DELAYED | BROKER_KNOWS_IDS | BROKER_KEYS |
                               BROKER_CANCELS | BROKER_RESULTS | BROKER_PUBSUB | BROKER_UNIQUE_IDS |
                               BROKER_OURS;
        b->base.result_expires =
                options->result_expires ? options->result_expires : BROKER_RESULT_EXPIRES;
        b->store = *place ? memory_open_named(place) : memory_store_new();
        if (!b->store) {
                free(b);
                return -ENOMEM;
        }
        *ret = &b->base;
        return 0;
}

static void memory_close(broker *base)
{
        memory_broker *b = container_of(base, memory_broker, base);
        memory_store *s = b->store;
        memory_lock(&memory_named.lock);
        bool last = !s->name || --s->users == 0;
        if (last)
                list_remove(&s->link);
        memory_unlock(&memory_named.lock);
        if (last)
                memory_store_free(s);
        free(b);
}

/* ── Publish ─────────────────────────────────────────────────────────────────────────────── */

static void memory_say(broker_published *ret, sj_str id, bool duplicate)
{
        ret->duplicate = duplicate;
        memcpy(ret->id, id.data, id.n);
        ret->id[id.n] = 0;
}

/*
 * Stages n messages; staged[i] is NULL for one that is not published because its key is taken
 * or, if `lenient`, its id is in use. On an error none is staged.
 */
static int memory_stage_all(memory_store *s, const broker_message messages[], size_t n, sj_wall now,
                            bool lenient, memory_task *staged[], broker_published ret[])
{
        for (size_t i = 0; i < n; i++) {
                memory_task *t = NULL;
                int r = memory_stage(s, &messages[i], now, &t);
                staged[i] = r == 0 ? t : NULL;
                if (r == 1 && ret)
                        memory_say(&ret[i], t->id, true);
                if (r == 0 && ret)
                        memory_say(&ret[i], t->id, false);
                if (r >= 0 || (r == -EEXIST && lenient))
                        continue;
                while (i--)
                        if (staged[i])
                                memory_unstage(s, staged[i]);
                return r;
        }
        return 0;
}

static void memory_admit_all(memory_store *s, memory_task *const staged[], size_t n, sj_wall now)
{
        for (size_t i = 0; i < n; i++)
                if (staged[i])
                        memory_admit(s, staged[i], now);
}

static int memory_publish(broker *b, const broker_message messages[], size_t n,
                          broker_published ret[], sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        memory_task *staged[BROKER_BATCH_MAX];
        sj_wall now = memory_enter(s);
        int r = memory_stage_all(s, messages, n, now, false, staged, ret);
        if (r == 0)
                memory_admit_all(s, staged, n, now);
        memory_leave(s);
        return r;
}

/* ── Lease ───────────────────────────────────────────────────────────────────────────────── */

/* The broker's own end of a message that no worker managed to settle. Returns -ENOMEM or 0. */
static int memory_last_rites(memory_broker *b, memory_task *t, broker_fate fate, sj_wall now)
{
        sj_arena *arena;
        if (sj_arena_new(&arena) < 0)
                return -ENOMEM;
        static const char *const reasons[] = {[BROKER_EXPIRED] = "expired",
                                              [BROKER_EXHAUSTED] = "delivered too often",
                                              [BROKER_REVOKED] = "revoked"};
        const char *reason = reasons[fate];
        broker_result result = {.id = t->id};
        int r;
        if (fate != BROKER_EXHAUSTED) {
                result.state = SJ_STR("REVOKED");
                r = result_revoked(arena, t->id, reason, now, &result.content);
        } else {
                result.state = SJ_STR("FAILURE");
                r = result_dead(arena, t->id, reason, now, &result.content);
        }
        char *block = r < 0 ? NULL : memory_result_block(&result);
        char *why = strdup(reason);
        sj_arena_free(arena);
        if (!block || !why) {
                free(block);
                free(why);
                return -ENOMEM;
        }
        memory_set_result(t, &result, block);
        if (fate != BROKER_EXHAUSTED) {
                free(why);
                memory_end(b->store, t, false, b->base.result_expires, now);
        } else {
                memory_bury(b->store, t, why, now);
        }
        return 0;
}

static broker_fate memory_fate(const memory_task *t, sj_wall now)
{
        const broker_message *m = &t->held->message;
        if (t->revoked)
                return BROKER_REVOKED;
        uint32_t most = m->max_deliveries ? m->max_deliveries : SJ_MAX_DELIVERIES;
        if (m->expires.us && m->expires.us <= now.us)
                return BROKER_EXPIRED;
        return t->held->deliveries >= most ? BROKER_EXHAUSTED : BROKER_RUN;
}

/* Leases one ready task: 1; 0 when the broker had to end it itself; -ENOMEM. */
static int memory_lease(memory_broker *b, memory_task *t, const broker_claim *claim, sj_wall now,
                        broker_lease **ret)
{
        memory_store *s = b->store;
        broker_fate fate = memory_fate(t, now);
        if (fate != BROKER_RUN && t->rites >= BROKER_LAST_RITES && !t->held->message.awaited)
                return memory_last_rites(b, t, fate, now);
        broker_lease lease = *t->held;
        lease.token = memory_token(s);
        lease.fate = fate;
        lease.deliveries++;
        lease.until = memory_later(now, claim->duration);
        lease.owner = &b->base;
        broker_lease *copy = broker_lease_new(&lease);
        if (!copy)
                return -ENOMEM;
        t->held->deliveries++;
        t->rites += fate != BROKER_RUN;
        memory_lend(s, t, lease.token, lease.until);
        *ret = copy;
        return 1;
}

/* The next ready task of the claim's queues: by priority, and among equals by turns. */
static memory_task *memory_pick(memory_store *s, memory_queue *const queues[], size_t n)
{
        for (int p = BROKER_PRIORITY_MAX; p >= 0; p--) {
                for (size_t i = 0; i < n; i++) {
                        memory_queue *q = queues[(s->turn + i) % n];
                        if (!q || list_empty(&q->ready[p]))
                                continue;
                        s->turn = (s->turn + i + 1) % n;
                        return container_of(q->ready[p].next, memory_task, place);
                }
        }
        return NULL;
}

enum { MEMORY_CLAIM_QUEUES = 64 };

static int memory_lease_next(broker *base, const broker_claim *claim, broker_lease *ret[], size_t n,
                             sj_time deadline)
{
        (void)deadline;
        memory_broker *b = container_of(base, memory_broker, base);
        memory_store *s = b->store;
        memory_queue *queues[MEMORY_CLAIM_QUEUES];
        if (claim->n_queues > MEMORY_CLAIM_QUEUES)
                return -E2BIG;
        sj_wall now = memory_enter(s);
        for (size_t i = 0; i < claim->n_queues; i++)
                queues[i] = map_get(&s->queues, claim->queues[i]);
        int taken = 0, r = 0;
        for (memory_task *t; (size_t)taken < n && (t = memory_pick(s, queues, claim->n_queues));) {
                r = memory_lease(b, t, claim, now, &ret[taken]);
                if (r < 0)
                        break;
                taken += r;
        }
        memory_leave(s);
        return taken ? taken : r < 0 ? r : 0;
}

static bool memory_any_ready(const memory_store *s, const sj_str queues[], size_t n)
{
        for (size_t i = 0; i < n; i++) {
                const memory_queue *q = map_get(&s->queues, queues[i]);
                if (q && q->n_ready)
                        return true;
        }
        return false;
}

/* The deadline, or the moment at which something in the store comes due if that is sooner. */
static sj_time memory_alarm(const memory_store *s, sj_wall now, sj_time deadline)
{
        const heap_node *top = heap_top(&s->due);
        if (!top)
                return deadline;
        int64_t us = top->key - now.us;
        sj_time alarm = us >= SJ_NEVER / SJ_US ? SJ_NEVER : sj_after(us * SJ_US);
        return alarm < deadline ? alarm : deadline;
}

static int memory_wait(broker *b, const sj_str queues[], size_t n_queues, sj_time deadline)
{
        memory_store *s = memory_of(b);
        memory_waiter w = {.queues = queues, .n_queues = n_queues};
        int r = 0;
        for (;;) {
                sj_wall now = memory_enter(s);
                if (memory_any_ready(s, queues, n_queues)) {
                        r = 0;
                        break;
                }
                if (r == -ECANCELED || (r == -ETIMEDOUT && sj_now() >= deadline))
                        break;
                r = memory_sleep(s, &s->waiters, &w, memory_alarm(s, now, deadline));
                memory_leave(s);
        }
        memory_leave(s);
        return r;
}

/* The task, if the lease is its current one. */
static memory_task *memory_holder(memory_store *s, const broker_lease *lease)
{
        memory_task *t = memory_find(s, lease->message.id);
        return t && t->phase == MEMORY_LEASED && memory_token_equal(t->token, lease->token) ? t
                                                                                            : NULL;
}

static int memory_renew(broker *b, broker_lease *const leases[], size_t n, sj_time duration,
                        broker_hold ret[], sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        sj_wall now = memory_enter(s);
        for (size_t i = 0; i < n; i++) {
                memory_task *t = memory_holder(s, leases[i]);
                if (t) {
                        leases[i]->until = memory_later(now, duration);
                        memory_set_due(s, t, leases[i]->until);
                }
                if (ret)
                        ret[i] = !t ? BROKER_LOST : t->revoked ? BROKER_HELD_REVOKED : BROKER_HELD;
        }
        memory_leave(s);
        return 0;
}

/* ── Settle ──────────────────────────────────────────────────────────────────────────────── */

/* What a settlement needs in memory, made before anything is changed. */
typedef struct memory_plan {
        memory_task **staged; /* the follow-ups */
        memory_task **owners; /* whose results they are */
        char **blocks;        /* the results */
        sj_str *bodies;       /* of the joins */
        broker_lease *next;
        memory_queue *next_queue;
        char *reason;
} memory_plan;

static void memory_plan_fini(memory_store *s, memory_plan *p, const broker_settlement *x)
{
        for (size_t i = 0; p->blocks && i < x->n_results; i++) {
                free(p->blocks[i]);
                /* By its id: two results may have had the same owner, which is gone by now. */
                memory_task *t = memory_find(s, x->results[i].id);
                if (t)
                        memory_tidy(s, t);
        }
        for (size_t i = 0; p->bodies && i < x->n_joins; i++)
                free((void *)(uintptr_t)p->bodies[i].data);
        free(p->staged);
        free(p->owners);
        free(p->blocks);
        free(p->bodies);
        broker_lease_free(p->next);
        free(p->reason);
}

static int memory_plan_results(memory_store *s, memory_plan *p, const broker_settlement *x)
{
        for (size_t i = 0; i < x->n_results; i++) {
                p->blocks[i] = memory_result_block(&x->results[i]);
                p->owners[i] = memory_find_or_add(s, x->results[i].id);
                if (!p->blocks[i] || !p->owners[i])
                        return -ENOMEM;
        }
        return 0;
}

static int memory_plan_joins(broker *b, memory_plan *p, const broker_settlement *x, sj_wall now)
{
        int r = 0;
        p->bodies = calloc(x->n_joins + 1, sizeof(*p->bodies));
        if (!p->bodies)
                return -ENOMEM;
        for (size_t i = 0; i < x->n_joins && r == 0; i++)
                r = memory_join_prepare(b, &x->joins[i], now, &p->bodies[i]);
        return r;
}

static int memory_plan_make(memory_broker *b, memory_plan *p, const broker_settlement *x,
                            sj_wall now)
{
        memory_store *s = b->store;
        p->staged = calloc(x->n_follow_ups + 1, sizeof(memory_task *));
        p->owners = calloc(x->n_results + 1, sizeof(memory_task *));
        p->blocks = calloc(x->n_results + 1, sizeof(char *));
        if (!p->staged || !p->owners || !p->blocks)
                return -ENOMEM;
        if (x->verdict == BROKER_RETRY) {
                p->next = broker_lease_new(&(broker_lease){.message = *x->next, .published = now});
                p->next_queue = memory_queue_of(s, x->next->queue);
                if (!p->next || !p->next_queue)
                        return -ENOMEM;
        }
        if (x->verdict == BROKER_DEAD) {
                p->reason = strndup(x->reason.n ? x->reason.data : "", x->reason.n);
                if (!p->reason)
                        return -ENOMEM;
        }
        int r = memory_plan_results(s, p, x);
        if (r == 0)
                r = memory_plan_joins(&b->base, p, x, now);
        if (r < 0)
                return r;
        return memory_stage_all(s, x->follow_ups, x->n_follow_ups, now, true, p->staged, NULL);
}

/* Whether the settlement says what state the task itself is in. */
static bool memory_tells(const broker_settlement *x)
{
        for (size_t i = 0; i < x->n_results; i++)
                if (sj_str_equal(x->results[i].id, x->lease->message.id))
                        return true;
        return false;
}

static void memory_end_delivery(memory_broker *b, memory_task *t, memory_plan *p,
                                const broker_settlement *x, sj_wall now)
{
        memory_store *s = b->store;
        sj_wall eta = x->next ? x->next->eta : (sj_wall){0};
        switch (x->verdict) {
        case BROKER_DONE:
                memory_end(s, t, memory_tells(x), b->base.result_expires, now);
                break;
        case BROKER_RETRY:
                memory_withdraw(s, t);
                broker_lease_free(t->held);
                t->held = p->next;
                p->next = NULL;
                t->queue = p->next_queue;
                t->rites = 0;
                memory_place(s, t, eta, now, false);
                break;
        case BROKER_RETURN:
                t->held->deliveries--;
                memory_place(s, t, eta, now, true);
                break;
        case BROKER_REQUEUE:
                memory_place(s, t, eta, now, true);
                break;
        case BROKER_DEAD:
                memory_bury(s, t, p->reason, now);
                p->reason = NULL;
                break;
        }
}

static int memory_settle_one(memory_broker *b, broker_settlement *x, sj_wall now)
{
        memory_store *s = b->store;
        memory_task *t = memory_holder(s, x->lease);
        if (!t) {
                x->status = -ESTALE;
                return 0;
        }
        memory_plan p = {0};
        int r = memory_plan_make(b, &p, x, now);
        if (r < 0) {
                memory_plan_fini(s, &p, x);
                return r;
        }
        for (size_t i = 0; i < x->n_joins; i++)
                memory_join_apply(&b->base, &x->joins[i], now, &p.bodies[i]);
        memory_admit_all(s, p.staged, x->n_follow_ups, now);
        for (size_t i = 0; i < x->n_results; i++) {
                memory_set_result(p.owners[i], &x->results[i], p.blocks[i]);
                p.blocks[i] = NULL;
                if (p.owners[i]->phase == MEMORY_IDLE)
                        memory_set_due(s, p.owners[i], memory_later(now, b->base.result_expires));
        }
        memory_end_delivery(b, t, &p, x, now);
        memory_plan_fini(s, &p, x);
        x->status = 0;
        return 0;
}

static int memory_settle(broker *base, broker_settlement settlements[], size_t n, sj_time deadline)
{
        (void)deadline;
        memory_broker *b = container_of(base, memory_broker, base);
        sj_wall now = memory_enter(b->store);
        int r = 0;
        for (size_t i = 0; i < n && r == 0; i++)
                r = memory_settle_one(b, &settlements[i], now);
        memory_leave(b->store);
        return r;
}

const broker_class broker_memory_class = {
        .scheme = "memory",
        .open = memory_open,
        .close = memory_close,
        .publish = memory_publish,
        .lease_next = memory_lease_next,
        .wait = memory_wait,
        .renew = memory_renew,
        .settle = memory_settle,
        .cancel = memory_cancel,
        .join_open = memory_join_open,
        .join_grow = memory_join_grow,
        .join_arrive = memory_join_arrive,
        .group_save = memory_group_save,
        .group_get = memory_group_get,
        .group_drop = memory_group_drop,
        .revoke = memory_revoke,
        .revoked_list = memory_revoked_list,
        .rate_take = memory_rate_take,
        .result_put = memory_result_put,
        .result_get = memory_result_get,
        .result_wait = memory_result_wait,
        .result_drop = memory_result_drop,
        .queues = memory_queues,
        .purge = memory_purge,
        .delayed_list = memory_delayed_list,
        .dead_list = memory_dead_list,
        .dead_retry = memory_dead_retry,
        .dead_drop = memory_dead_drop,
        .node_join = memory_node_join,
        .node_beat = memory_node_beat,
        .node_leave = memory_node_leave,
        .nodes = memory_nodes,
        .emit = memory_emit,
        .subscribe = memory_subscribe,
        .next = memory_next,
        .unsubscribe = memory_unsubscribe,
};
