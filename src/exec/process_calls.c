/* SPDX-License-Identifier: MIT */
/*
 * The calls of a process pool on their way: handed to a worker, taken back, answered, settled.
 *
 * Read-ahead. A worker gets up to PROCESS_DEPTH calls in advance, so that short ones cost no wake
 * each. A worker that has not replied for PROCESS_PATIENCE is slow: it gets no more, and what it
 * has not begun is taken back, to its place at the head of the queue. So a long call delays
 * nothing behind it for longer than that, and a call that runs longer has no need of read-ahead.
 *
 * A worker's end. Replies that it had written are read first. Of the calls left, the one that it
 * had claimed fails; the others go back. A call that three workers have met their end with, before
 * they began it, fails too: its input may be what kills them.
 */
#include "exec/process_pool.h"

#include <sanjab/future.h>

#include <signal.h>

enum { ATTEMPTS = 3 };

/* ── Settling ────────────────────────────────────────────────────────────────────────────── */

static void give_back(sj_process_pool *p, process_item *item)
{
        item->used = false;
        list_append(&p->free, &item->node);
        turnstile_let_one(&p->room);
}

void process_calls_flush(sj_process_pool *p)
{
        if (p->n_outcomes == 0)
                return;
        mutex_lock(&p->lock);
        for (size_t i = 0; i < p->n_outcomes; i++)
                give_back(p, p->outcomes[i].item);
        mutex_unlock(&p->lock);
        for (size_t i = 0; i < p->n_outcomes; i++) {
                const process_outcome *o = &p->outcomes[i];
                if (o->group)
                        process_group_settle(o->group, o->index, o->result, o->status);
                else
                        sj_future_set(o->future, o->result, (void *)(intptr_t)o->status);
        }
        p->n_outcomes = 0;
}

/* The item is in no list. */
void process_calls_settle(sj_process_pool *p, process_item *item, int result, int status)
{
        if (result == -EOWNERDEAD && atomic_load(&item->cancel)) {
                result = -ECANCELED;
                status = 0;
        }
        if (p->n_outcomes == PROCESS_OUTCOMES)
                process_calls_flush(p);
        p->outcomes[p->n_outcomes++] = (process_outcome){
                .item = item,
                .future = item->future,
                .group = item->group,
                .index = item->index,
                .result = result,
                .status = status,
        };
}

void process_calls_settle_all(sj_process_pool *p, int result)
{
        for (list *node = list_pop(&p->pending); node; node = list_pop(&p->pending))
                process_calls_settle(p, container_of(node, process_item, node), result, 0);
}

/* ── Slots ───────────────────────────────────────────────────────────────────────────────── */

void process_calls_kill(process_worker *w)
{
        if (w->state == WORKER_LIVE && !w->killed)
                os_kill(w->pidfd, SIGKILL);
        w->killed = true;
}

static void free_slot(process_worker *w, uint32_t slot)
{
        w->slots[slot] = NULL;
        w->taken[slot] = false;
        atomic_store(&w->shared->claims[slot], CLAIM_FREE);
        w->busy--;
}

/* Takes a call back that the worker has not begun; NULL if it has. */
process_item *process_calls_take_back(process_worker *w, uint32_t slot)
{
        process_item *item = w->slots[slot];
        uint32_t expected = CLAIM_QUEUED;
        if (!item || item == w->sending ||
            !atomic_compare_exchange_strong(&w->shared->claims[slot], &expected, CLAIM_TAKEN))
                return NULL;
        w->slots[slot] = NULL;
        w->taken[slot] = true;
        return item;
}

/* The slot of the call that was handed over last, of those handed over before `before`. */
static int latest_slot(const process_worker *w, uint64_t before)
{
        int found = -1;
        for (int i = 0; i < PROCESS_DEPTH; i++)
                if (w->slots[i] && w->order[i] < before &&
                    (found < 0 || w->order[i] > w->order[found]))
                        found = i;
        return found;
}

/* Puts what the worker has not begun back to the head of the queue, in its old order; how many. */
size_t process_calls_take_back_all(sj_process_pool *p, process_worker *w)
{
        size_t n = 0;
        int slot = latest_slot(w, UINT64_MAX);
        while (slot >= 0) {
                uint64_t order = w->order[slot];
                process_item *item = process_calls_take_back(w, (uint32_t)slot);
                if (item) {
                        list_prepend(&p->pending, &item->node);
                        n++;
                }
                slot = latest_slot(w, order);
        }
        return n;
}

/* ── Replies ─────────────────────────────────────────────────────────────────────────────── */

/* False: it makes no sense. */
static bool take_reply(sj_process_pool *p, process_worker *w, sj_str message)
{
        process_reply r;
        if (message.n < sizeof(r))
                return false;
        memcpy(&r, message.data, sizeof(r));
        size_t n = message.n - sizeof(r);
        if (r.slot >= PROCESS_DEPTH)
                return false;
        w->progress = p->now;
        if (r.kind == PROCESS_SKIPPED) {
                if (!w->taken[r.slot])
                        return false;
                free_slot(w, r.slot);
                return true;
        }
        process_item *item = w->slots[r.slot];
        if (r.kind != PROCESS_RESULT || !item || item == w->sending || n > item->capacity ||
            n != (r.result > 0 ? (size_t)r.result : 0))
                return false;
        if (n > 0)
                memcpy(item->output, message.data + sizeof(r), n);
        free_slot(w, r.slot);
        w->useful = true;
        w->barren = 0;
        process_calls_settle(p, item, r.result, 0);
        return true;
}

void process_calls_read(sj_process_pool *p, process_worker *w)
{
        sj_str message = {0};
        int error;
        while ((error = ring_get(&w->link.in, &message)) == 0)
                if (!take_reply(p, w, message)) {
                        error = -EPROTO;
                        break;
                }
        if (error == -EAGAIN || w->killed)
                return;
        sj_log(SJ_LOG_ERROR, "%s: process %d wrote over its messages (%s) and is killed", p->name,
               w->pid, sj_strerror(error));
        process_calls_kill(w);
}

/* ── Handing out ─────────────────────────────────────────────────────────────────────────── */

bool process_calls_is_slow(const sj_process_pool *p, const process_worker *w)
{
        return w->busy > 0 && p->now - w->progress > PROCESS_PATIENCE;
}

/* Whether it may get the item. One that does not fit into the ring goes to an idle worker only. */
static bool can_take(const sj_process_pool *p, const process_worker *w, const process_item *item)
{
        if (w->state != WORKER_LIVE || w->killed || w->quitting || w->sending)
                return false;
        if (item->n + sizeof(process_request) > p->ring / 4)
                return w->busy == 0;
        return w->busy < PROCESS_DEPTH && !process_calls_is_slow(p, w);
}

static process_worker *choose_worker(sj_process_pool *p, const process_item *item)
{
        process_worker *best = NULL;
        for (size_t i = 0; i < p->n; i++) {
                process_worker *w = &p->workers[i];
                if (can_take(p, w, item) && (!best || w->busy < best->busy))
                        best = w;
        }
        return best;
}

static int put_request(process_worker *w, const process_item *item, uint32_t slot)
{
        process_request r = {
                .kind = PROCESS_CALL,
                .slot = slot,
                .function = item->function,
                .capacity = item->capacity,
        };
        struct iovec parts[] = {{&r, sizeof(r)}, {(void *)(uintptr_t)item->input, item->n}};
        return ring_put(&w->link.out, parts, 2);
}

/* -EAGAIN: the worker's ring is full, and the item not handed over. */
static int hand_over(sj_process_pool *p, process_worker *w, process_item *item)
{
        uint32_t slot = 0;
        while (w->slots[slot] || w->taken[slot])
                slot++;
        atomic_store(&w->shared->claims[slot], CLAIM_QUEUED);
        int error = put_request(w, item, slot);
        if (error < 0 && !ring_in_part(&w->link.out)) {
                atomic_store(&w->shared->claims[slot], CLAIM_FREE);
                return error;
        }
        if (w->busy == 0)
                w->progress = p->now;
        w->busy++;
        w->slots[slot] = item;
        w->order[slot] = w->handed++;
        if (error == -EAGAIN) {
                w->sending = item;
                w->sending_slot = slot;
        }
        return 0;
}

void process_calls_continue(process_worker *w)
{
        if (w->sending && put_request(w, w->sending, w->sending_slot) == 0)
                w->sending = NULL;
}

void process_calls_hand_out(sj_process_pool *p)
{
        while (!list_empty(&p->pending)) {
                process_item *item = container_of(p->pending.next, process_item, node);
                process_worker *w = choose_worker(p, item);
                if (!w)
                        break;
                list_remove(&item->node);
                int error = hand_over(p, w, item);
                if (error < 0)
                        list_prepend(&p->pending, &item->node);
                if (error == -EPROTO)
                        process_calls_kill(w);
                if (error < 0)
                        break;
        }
        for (size_t i = 0; i < p->n; i++)
                if (p->workers[i].state == WORKER_LIVE)
                        ring_flush(&p->workers[i].link.out);
}

void process_calls_relieve(sj_process_pool *p)
{
        for (size_t i = 0; i < p->n; i++) {
                process_worker *w = &p->workers[i];
                if (w->state == WORKER_LIVE && w->busy > 1 && process_calls_is_slow(p, w))
                        process_calls_take_back_all(p, w);
        }
}

/* ── A worker's end ──────────────────────────────────────────────────────────────────────── */

/* What could not be sent whole is still ours. */
static size_t take_back_partial(sj_process_pool *p, process_worker *w)
{
        process_item *item = w->sending;
        if (!item)
                return 0;
        w->sending = NULL;
        w->slots[w->sending_slot] = NULL;
        list_prepend(&p->pending, &item->node);
        return 1;
}

/* Of what the worker had: replies first, then the claimed one fails and the others go back. */
void process_calls_worker_ended(sj_process_pool *p, process_worker *w, int status)
{
        process_calls_read(p, w);
        size_t back = take_back_partial(p, w) + process_calls_take_back_all(p, w);
        bool claimed = false;
        for (int i = 0; i < PROCESS_DEPTH; i++) {
                if (!w->slots[i])
                        continue;
                claimed = true;
                process_calls_settle(p, w->slots[i], -EOWNERDEAD, status);
                w->slots[i] = NULL;
        }
        if (claimed || back == 0)
                return;
        process_item *suspect = container_of(p->pending.next, process_item, node);
        if (++suspect->attempts < ATTEMPTS)
                return;
        list_remove(&suspect->node);
        process_calls_settle(p, suspect, -EOWNERDEAD, status);
}
