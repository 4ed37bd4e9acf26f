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

/* Tries without waiting: 0, -EPIPE, or -EAGAIN. */
int chan_try_send(sj_chan *c, const void *item);
int chan_try_recv(sj_chan *c, void *ret_item);
/* Puts the clause among those who wait; it fires with 0 or -EPIPE, the item moved. */
void chan_await_send(sj_chan *c, clause *waiter, const void *item);
void chan_await_recv(sj_chan *c, clause *waiter, void *ret_item);

#endif
