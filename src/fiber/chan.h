/* SPDX-License-Identifier: MIT */
/* The inside of a chan, for select and for chans of other orders. */
#ifndef SANJAB_FIBER_CHAN_H
#define SANJAB_FIBER_CHAN_H

#include "fiber/wait.h"

#include <sanjab/chan.h>

#include <stdalign.h>
#include <stddef.h>

typedef struct chan_order {
        void (*push)(sj_chan *c, const void *item);
        void (*pop)(sj_chan *c, void *ret_item);
} chan_order;

struct sj_chan {
        size_t item_size;
        size_t capacity;
        size_t first; /* index of the oldest item, of a chan without another order */
        size_t count;
        const chan_order *order; /* NULL: first in, first out */
        size_t unfinished;       /* sent, and not said to be done */
        bool closed;
        list senders;   /* clauses; data: the item to be taken */
        list receivers; /* clauses; data: where to put the item */
        list joiners;   /* clauses that wait until nothing is unfinished */
        /* Of a chan by priority alone. */
        sj_chan_compare *compare;
        uint64_t next_number;
        alignas(max_align_t) char items[];
};

/* As sj_chan_new, with that many bytes for each item inside. */
int chan_new(size_t item_size, size_t slot_size, size_t capacity, sj_chan **ret);

/* Most items are a pointer or a number, which need no call. */
static inline void chan_copy(void *to, const void *from, size_t size)
{
        if (size == sizeof(uint64_t))
                memcpy(to, from, sizeof(uint64_t));
        else
                memcpy(to, from, size);
}

static inline void chan_push(sj_chan *c, const void *item)
{
        if (__builtin_expect(c->order != NULL, 0)) {
                c->order->push(c, item);
                return;
        }
        size_t i = c->first + c->count;
        if (i >= c->capacity)
                i -= c->capacity;
        chan_copy(c->items + i * c->item_size, item, c->item_size);
        c->count++;
}

static inline void chan_pop(sj_chan *c, void *ret_item)
{
        if (__builtin_expect(c->order != NULL, 0)) {
                c->order->pop(c, ret_item);
                return;
        }
        chan_copy(ret_item, c->items + c->first * c->item_size, c->item_size);
        if (++c->first == c->capacity)
                c->first = 0;
        c->count--;
}

/*
 * Takes out all that is inside, which counts as done; they stay where they are until chan_drop,
 * if the chan is closed. How many.
 */
size_t chan_empty(sj_chan *c);
/* Calls drop, unless it is NULL, for those n. */
void chan_drop(sj_chan *c, size_t n, void (*drop)(void *item, void *arg), void *arg);

/* Tries without waiting: 0, -EPIPE, or -EAGAIN. */
int chan_try_send(sj_chan *c, const void *item);
int chan_try_recv(sj_chan *c, void *ret_item);
/* Puts the clause among those who wait; it fires with 0 or -EPIPE, the item moved. */
void chan_await_send(sj_chan *c, clause *waiter, const void *item);
void chan_await_recv(sj_chan *c, clause *waiter, void *ret_item);

#endif
