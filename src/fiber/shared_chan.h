/* SPDX-License-Identifier: MIT */
/* The inside of a shared chan, for select. */
#ifndef SANJAB_FIBER_SHARED_CHAN_H
#define SANJAB_FIBER_SHARED_CHAN_H

#include "fiber/grant.h"

#include <sanjab/shared.h>

struct sj_shared_chan {
        mutex mutex;    /* over all that follows */
        sj_chan *store; /* what is inside: a chan at which nobody waits */
        list senders;   /* shared waiters; data: the item to be taken */
        list receivers; /* shared waiters; data: where to put the item */
        list joiners;   /* shared waiters until nothing is unfinished */
};

/*
 * Under the mutex: 0, -EPIPE, or -EAGAIN. *give, if it is not NULL after that, is to be given 0,
 * better without the mutex.
 */
int shared_chan_try_send(sj_shared_chan *c, const void *item, shared_waiter **give);
int shared_chan_try_recv(sj_shared_chan *c, void *ret_item, shared_waiter **give);

#endif
