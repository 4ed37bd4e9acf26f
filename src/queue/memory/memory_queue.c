/* SPDX-License-Identifier: MIT */
/* The broker in memory, seen from outside: its queues, revoking, and the dead letters. */
#include "queue/memory/memory_store.h"
#include "queue/result.h"

#include <stdlib.h>

/* A copy of s in the arena; *bad is set when there is no memory. */
static sj_str memory_keep(sj_arena *arena, sj_str s, bool *bad)
{
        char *copy = sj_arena_strndup(arena, s.n ? s.data : "", s.n);
        if (!copy)
                *bad = true;
        return (sj_str){copy, s.n};
}

static sj_wall memory_oldest(memory_queue *q)
{
        sj_wall oldest = {0};
        for (size_t p = 0; p <= BROKER_PRIORITY_MAX; p++) {
                list_for_each (node, &q->ready[p]) {
                        sj_wall at = container_of(node, memory_task, place)->held->published;
                        if (!oldest.us || at.us < oldest.us)
                                oldest = at;
                }
        }
        return oldest;
}

static int memory_depth_order(const void *a, const void *b)
{
        const broker_depth *x = a, *y = b;
        size_t n = x->queue.n < y->queue.n ? x->queue.n : y->queue.n;
        int order = memcmp(x->queue.data, y->queue.data, n);
        return order ? order : (x->queue.n > y->queue.n) - (x->queue.n < y->queue.n);
}

int memory_queues(broker *b, sj_arena *arena, const broker_depth **ret, sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        memory_enter(s);
        int n = 0;
        bool bad = false;
        broker_depth *depths = sj_arena_alloc(arena, s->queues.n * sizeof(*depths));
        size_t place = 0;
        for (memory_queue *q; depths && (q = map_next(&s->queues, &place));) {
                if (q->n_ready + q->n_delayed + q->n_leased + q->n_dead == 0)
                        continue;
                depths[n++] = (broker_depth){.queue = memory_keep(arena, q->name, &bad),
                                             .ready = q->n_ready,
                                             .delayed = q->n_delayed,
                                             .leased = q->n_leased,
                                             .dead = q->n_dead,
                                             .oldest = memory_oldest(q)};
        }
        memory_leave(s);
        if (!depths || bad)
                return -ENOMEM;
        qsort(depths, (size_t)n, sizeof(*depths), memory_depth_order);
        *ret = depths;
        return n;
}

/* ── Revoking ────────────────────────────────────────────────────────────────────────────── */

/*
 * Revokes a task that waits: it has ended, or, if it is awaited, waits to be settled. -ENOMEM:
 * nothing was done.
 */
static int memory_end_revoked(broker *b, memory_task *t, const char *reason, sj_wall now)
{
        memory_store *s = memory_of(b);
        sj_arena *arena;
        if (sj_arena_new(&arena) < 0)
                return -ENOMEM;
        broker_result result = {.id = t->id, .state = SJ_STR("REVOKED")};
        int r = result_revoked(arena, t->id, reason, now, &result.content);
        char *block = r < 0 ? NULL : memory_result_block(&result);
        sj_arena_free(arena);
        if (!block)
                return -ENOMEM;
        memory_set_result(t, &result, block);
        if (!t->held->message.awaited) {
                memory_end(s, t, false, b->result_expires, now);
                return 0;
        }
        t->revoked = true;
        memory_free_key(s, t);
        memory_place(s, t, (sj_wall){0}, now, true);
        return 0;
}

/* Of one that waits: it is to be settled only. */
static bool memory_is_revoked(const memory_task *t)
{
        return result_state(t->state) == SJ_REVOKED;
}

int memory_cancel(broker *b, sj_str id, sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        sj_wall now = memory_enter(s);
        memory_task *t = memory_find(s, id);
        bool waits = t && (t->phase == MEMORY_READY || t->phase == MEMORY_DELAYED);
        int r = -ENOENT;
        if (waits && !memory_is_revoked(t)) {
                r = memory_end_revoked(b, t, "revoked", now);
        } else if (t && t->phase == MEMORY_LEASED) {
                t->revoked = true;
                r = 1;
        } else if (waits || (t && (t->phase == MEMORY_DEAD || t->state.n))) {
                bool over = t->phase != MEMORY_IDLE || sj_state_is_final(result_state(t->state));
                r = over ? -EALREADY : 1;
        }
        memory_leave(s);
        return r;
}

static int memory_purge_list(broker *b, list *waiting, sj_wall now)
{
        int n = 0;
        list_for_each_safe (node, waiting) {
                memory_task *t = container_of(node, memory_task, place);
                if (memory_is_revoked(t))
                        continue;
                int r = memory_end_revoked(b, t, "purged", now);
                if (r < 0)
                        return r;
                n++;
        }
        return n;
}

int memory_purge(broker *b, sj_str queue, uint64_t *ret_awaited, sj_time deadline)
{
        (void)ret_awaited;
        (void)deadline;
        memory_store *s = memory_of(b);
        sj_wall now = memory_enter(s);
        memory_queue *q = map_get(&s->queues, queue);
        int n = 0, r = 0;
        for (size_t p = 0; q && r >= 0 && p <= BROKER_PRIORITY_MAX; p++) {
                r = memory_purge_list(b, &q->ready[p], now);
                n += r;
        }
        if (q && r >= 0) {
                r = memory_purge_list(b, &q->delayed, now);
                n += r;
        }
        memory_leave(s);
        return r < 0 ? r : n;
}

/* ── The delayed ─────────────────────────────────────────────────────────────────────────── */

static int memory_due_order(const void *a, const void *b)
{
        const heap_node *x = &(*(memory_task *const *)a)->due,
                        *y = &(*(memory_task *const *)b)->due;
        return (x->key > y->key) - (x->key < y->key);
}

static int memory_delayed_copy(sj_arena *arena, const memory_task *t, broker_delayed *ret)
{
        bool bad = false;
        const broker_message *m = &t->held->message;
        *ret = (broker_delayed){.message = *m, .due = {t->due.key}};
        ret->message.id = memory_keep(arena, m->id, &bad);
        ret->message.queue = memory_keep(arena, m->queue, &bad);
        ret->message.task = memory_keep(arena, m->task, &bad);
        ret->message.envelope = memory_keep(arena, m->envelope, &bad);
        ret->message.key = memory_keep(arena, m->key, &bad);
        return bad ? -ENOMEM : 0;
}

int memory_delayed_list(broker *b, sj_str queue, size_t n, sj_arena *arena,
                        const broker_delayed **ret, uint64_t *ret_more, sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        memory_enter(s);
        const memory_queue *q = map_get(&s->queues, queue);
        size_t all = q ? q->n_delayed : 0, found = 0, bytes = 0;
        const memory_task **tasks = sj_arena_alloc(arena, (all + 1) * sizeof(memory_task *));
        broker_delayed *delayed =
                sj_arena_alloc(arena, ((all < n ? all : n) + 1) * sizeof(*delayed));
        int r = tasks && delayed ? 0 : -ENOMEM;
        if (r == 0 && all) {
                size_t i = 0;
                list_for_each (node, &q->delayed)
                        tasks[i++] = container_of(node, memory_task, place);
                qsort(tasks, all, sizeof(*tasks), memory_due_order);
        }
        while (r == 0 && found < all && found < n && bytes < BROKER_LIST_BYTES) {
                bytes += tasks[found]->held->message.envelope.n;
                r = memory_delayed_copy(arena, tasks[found], &delayed[found]);
                found++;
        }
        memory_leave(s);
        if (r < 0)
                return r;
        *ret = delayed;
        *ret_more = all - found;
        return (int)found;
}

/* ── The dead ────────────────────────────────────────────────────────────────────────────── */

static int memory_dead_copy(sj_arena *arena, const memory_task *t, broker_dead *ret)
{
        bool bad = false;
        const broker_message *m = &t->held->message;
        *ret = (broker_dead){.message = *m, .died = t->died, .deliveries = t->held->deliveries};
        ret->message.id = memory_keep(arena, m->id, &bad);
        ret->message.queue = memory_keep(arena, m->queue, &bad);
        ret->message.task = memory_keep(arena, m->task, &bad);
        ret->message.envelope = memory_keep(arena, m->envelope, &bad);
        ret->message.key = memory_keep(arena, m->key, &bad);
        ret->reason = memory_keep(arena, sj_str_of(t->reason), &bad);
        return bad ? -ENOMEM : 0;
}

int memory_dead_list(broker *b, sj_str queue, sj_str after, size_t n, sj_arena *arena,
                     const broker_dead **ret, sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        memory_enter(s);
        size_t most = 0, found = 0;
        list_for_each (node, &s->dead)
                most++;
        most = most < n ? most : n;
        broker_dead *dead = sj_arena_alloc(arena, most * sizeof(*dead));
        const memory_task *start = after.n ? memory_find(s, after) : NULL;
        bool started = !start || start->phase != MEMORY_DEAD;
        int r = dead ? 0 : -ENOMEM;
        list_for_each (node, &s->dead) {
                const memory_task *t = container_of(node, memory_task, place);
                if (r < 0 || found == most)
                        break;
                if (started && (!queue.n || sj_str_equal(queue, t->queue->name)))
                        r = memory_dead_copy(arena, t, &dead[found++]);
                started |= t == start;
        }
        memory_leave(s);
        if (r < 0)
                return r;
        *ret = dead;
        return (int)found;
}

static void memory_revive(memory_store *s, memory_task *t, sj_wall now)
{
        t->held->deliveries = 0;
        t->held->published = now;
        memory_drop_result(t);
        t->rites = 0;
        t->revoked = false;
        /* Its time has passed long since; who revives it wants it run. */
        t->held->message.expires = (sj_wall){0};
        memory_place(s, t, (sj_wall){0}, now, false);
}

int memory_dead_retry(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        sj_wall now = memory_enter(s);
        int found = 0;
        for (size_t i = 0; i < n; i++) {
                memory_task *t = memory_find(s, ids[i]);
                if (!t || t->phase != MEMORY_DEAD)
                        continue;
                memory_revive(s, t, now);
                found++;
        }
        memory_leave(s);
        return found;
}

int memory_dead_drop(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        sj_wall now = memory_enter(s);
        int found = 0;
        for (size_t i = 0; i < n; i++) {
                memory_task *t = memory_find(s, ids[i]);
                if (!t || t->phase != MEMORY_DEAD)
                        continue;
                memory_end(s, t, false, b->result_expires, now);
                found++;
        }
        memory_leave(s);
        return found;
}
