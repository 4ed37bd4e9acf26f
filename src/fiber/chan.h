/* SPDX-License-Identifier: MIT */
/* The inside of a chan, for select. */
#ifndef SANJAB_FIBER_CHAN_H
#define SANJAB_FIBER_CHAN_H

#include "fiber/wait.h"

/* Tries without waiting: 0, -EPIPE, or -EAGAIN. */
int chan_try_send(sj_chan *c, const void *item);
int chan_try_recv(sj_chan *c, void *ret_item);
/* Puts the clause among those who wait; it fires with 0 or -EPIPE, the item moved. */
void chan_await_send(sj_chan *c, clause *waiter, const void *item);
void chan_await_recv(sj_chan *c, clause *waiter, void *ret_item);

#endif
