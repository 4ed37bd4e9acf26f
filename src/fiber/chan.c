/* SPDX-License-Identifier: MIT */
/*
 * A chan: a store of items, and two queues of which at most one is not empty.
 *
 *         senders ──► [ store of capacity items ] ──► receivers
 *
 * Who comes and finds one waiting on the other side serves him at once: a receiver gets the item
 * into his own memory, a sender's item is taken from his. So an item is copied once or twice, and
 * a woken fiber finds its work done.
 *
 * The store is a ring, unless the chan has another order (chan_order.c): what most chans do stays
 * without an indirect call.
 */
#include "fiber/chan.h"

#include "fiber/fiber.h"

#include <sanjab/chan.h>

#include <stdlib.h>

int chan_new(size_t item_size, size_t slot_size, size_t capacity, sj_chan **ret)
{
        size_t bytes;
        if (item_size == 0 || __builtin_mul_overflow(slot_size, capacity, &bytes) ||
            bytes > SIZE_MAX / 2)
                return -EINVAL;
        sj_chan *c = malloc(sizeof(*c) + bytes);
        if (!c)
                return -ENOMEM;
        *c = (sj_chan){.item_size = item_size, .capacity = capacity};
        list_init(&c->senders);
        list_init(&c->receivers);
        list_init(&c->joiners);
        *ret = c;
        return 0;
}

int sj_chan_new(size_t item_size, size_t capacity, sj_chan **ret)
{
        return chan_new(item_size, item_size, capacity, ret);
}

void sj_chan_free(sj_chan *c)
{
        free(c);
}

size_t sj_chan_count(const sj_chan *c)
{
        return c->count;
}

/* The first whose wait is for the caller to end: with clause_end. */
static inline clause *claim_first(list *queue)
{
        clause *c = clause_first(queue);
        while (__builtin_expect(c && !clause_claim(c), 0))
                c = clause_first(queue);
        return c;
}

int chan_try_send(sj_chan *c, const void *item)
{
        if (c->closed)
                return -EPIPE;
        clause *receiver = claim_first(&c->receivers);
        if (receiver) {
                c->unfinished++;
                chan_copy(receiver->data, item, c->item_size);
                clause_end(receiver, 0);
                return 0;
        }
        if (c->count == c->capacity)
                return -EAGAIN;
        c->unfinished++;
        chan_push(c, item);
        return 0;
}

int chan_try_recv(sj_chan *c, void *ret_item)
{
        clause *sender = claim_first(&c->senders);
        if (c->count > 0) {
                chan_pop(c, ret_item);
                if (sender) {
                        c->unfinished++;
                        chan_push(c, sender->data);
                        clause_end(sender, 0);
                }
                return 0;
        }
        if (sender) {
                c->unfinished++;
                chan_copy(ret_item, sender->data, c->item_size);
                clause_end(sender, 0);
                return 0;
        }
        return c->closed ? -EPIPE : -EAGAIN;
}

void chan_await_send(sj_chan *c, clause *waiter, const void *item)
{
        waiter->data = (void *)(uintptr_t)item;
        list_append(&c->senders, &waiter->link);
}

void chan_await_recv(sj_chan *c, clause *waiter, void *ret_item)
{
        waiter->data = ret_item;
        list_append(&c->receivers, &waiter->link);
}

FIBER_HOT int sj_chan_send(sj_chan *c, const void *item, sj_time deadline)
{
        int r = fiber_check_of(fiber_current());
        if (r < 0)
                return r;
        r = chan_try_send(c, item);
        if (r != -EAGAIN)
                return r;
        clause waiter;
        chan_await_send(c, &waiter, item);
        return fiber_wait(&waiter, 1, deadline, "send to a chan", NULL);
}

FIBER_HOT int sj_chan_recv(sj_chan *c, void *ret_item, sj_time deadline)
{
        int r = fiber_check_of(fiber_current());
        if (r < 0)
                return r;
        r = chan_try_recv(c, ret_item);
        if (r != -EAGAIN)
                return r;
        clause waiter;
        chan_await_recv(c, &waiter, ret_item);
        return fiber_wait(&waiter, 1, deadline, "receive from a chan", NULL);
}

void sj_chan_close(sj_chan *c)
{
        c->closed = true;
        clause_fire_all(&c->senders, -EPIPE);
        if (c->count == 0)
                clause_fire_all(&c->receivers, -EPIPE);
}

size_t sj_chan_drain(sj_chan *c, void (*drop)(void *item, void *arg), void *arg)
{
        size_t n = chan_empty(c);
        sj_chan_close(c);
        if (c->unfinished == 0)
                clause_fire_all(&c->joiners, 0);
        chan_drop(c, n, drop, arg);
        return n;
}

int sj_chan_done(sj_chan *c)
{
        if (c->unfinished == c->count)
                return -EOVERFLOW;
        if (--c->unfinished == 0)
                clause_fire_all(&c->joiners, 0);
        return 0;
}

int sj_chan_join(sj_chan *c, sj_time deadline)
{
        int r = fiber_check_of(fiber_current());
        if (r < 0 || c->unfinished == 0)
                return r;
        clause waiter;
        clause_add(&c->joiners, &waiter);
        return fiber_wait(&waiter, 1, deadline, "work on a chan's items", NULL);
}
