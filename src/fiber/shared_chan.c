/* SPDX-License-Identifier: MIT */
/*
 * Chans between threads. As between fibers, who comes and finds one waiting on the other side
 * serves him at once: the item goes from one's memory to the other's under the mutex, and the one
 * who waited is told when it has been let go of.
 */
#include "fiber/shared_chan.h"

#include "fiber/chan.h"

#include <stdlib.h>

static int wrap(int r, sj_chan *store, sj_shared_chan **ret)
{
        if (r < 0)
                return r;
        sj_shared_chan *c = calloc(1, sizeof(*c));
        if (!c) {
                sj_chan_free(store);
                return -ENOMEM;
        }
        c->store = store;
        list_init(&c->senders);
        list_init(&c->receivers);
        list_init(&c->joiners);
        *ret = c;
        return 0;
}

int sj_shared_chan_new(size_t item_size, size_t capacity, sj_shared_chan **ret)
{
        sj_chan *store = NULL;
        int r = sj_chan_new(item_size, capacity, &store);
        return wrap(r, store, ret);
}

int sj_shared_chan_new_lifo(size_t item_size, size_t capacity, sj_shared_chan **ret)
{
        sj_chan *store = NULL;
        int r = sj_chan_new_lifo(item_size, capacity, &store);
        return wrap(r, store, ret);
}

int sj_shared_chan_new_priority(size_t item_size, size_t capacity, sj_chan_compare *compare,
                                sj_shared_chan **ret)
{
        sj_chan *store = NULL;
        int r = sj_chan_new_priority(item_size, capacity, compare, &store);
        return wrap(r, store, ret);
}

void sj_shared_chan_free(sj_shared_chan *c)
{
        if (!c)
                return;
        sj_chan_free(c->store);
        free(c);
}

int shared_chan_try_send(sj_shared_chan *c, const void *item, shared_waiter **give)
{
        sj_chan *store = c->store;
        *give = NULL;
        if (store->closed)
                return -EPIPE;
        shared_waiter *receiver = shared_first(&c->receivers);
        if (!receiver && store->count == store->capacity)
                return -EAGAIN;
        store->unfinished++;
        if (receiver)
                memcpy(receiver->data, item, store->item_size);
        else
                chan_push(store, item);
        *give = receiver;
        return 0;
}

int shared_chan_try_recv(sj_shared_chan *c, void *ret_item, shared_waiter **give)
{
        sj_chan *store = c->store;
        shared_waiter *sender = shared_first(&c->senders);
        *give = sender;
        if (store->count == 0 && !sender)
                return store->closed ? -EPIPE : -EAGAIN;
        store->unfinished += sender != NULL;
        if (store->count == 0) {
                memcpy(ret_item, sender->data, store->item_size);
                return 0;
        }
        chan_pop(store, ret_item);
        if (sender)
                chan_push(store, sender->data);
        return 0;
}

/* What was tried has been done, or is refused. */
static int leave(sj_shared_chan *c, shared_waiter *give, int r)
{
        mutex_unlock(&c->mutex);
        if (give)
                shared_give(give, 0);
        return r;
}

int sj_shared_chan_send(sj_shared_chan *c, const void *item, sj_time deadline)
{
        int r = shared_check();
        if (r < 0)
                return r;
        shared_waiter *give;
        mutex_lock(&c->mutex);
        r = shared_chan_try_send(c, item, &give);
        if (r != -EAGAIN)
                return leave(c, give, r);
        return shared_wait(&c->mutex, &c->senders, (void *)(uintptr_t)item, deadline,
                           "send to a shared chan");
}

int sj_shared_chan_recv(sj_shared_chan *c, void *ret_item, sj_time deadline)
{
        int r = shared_check();
        if (r < 0)
                return r;
        shared_waiter *give;
        mutex_lock(&c->mutex);
        r = shared_chan_try_recv(c, ret_item, &give);
        if (r != -EAGAIN)
                return leave(c, give, r);
        return shared_wait(&c->mutex, &c->receivers, ret_item, deadline,
                           "receive from a shared chan");
}

/* With the mutex held, which is given up. */
static void close_it(sj_shared_chan *c)
{
        list refused, joined;
        list_init(&refused);
        list_init(&joined);
        c->store->closed = true;
        shared_take_all(&c->senders, &refused);
        if (c->store->count == 0)
                shared_take_all(&c->receivers, &refused);
        if (c->store->unfinished == 0)
                shared_take_all(&c->joiners, &joined);
        mutex_unlock(&c->mutex);
        shared_give_all(&refused, -EPIPE);
        shared_give_all(&joined, 0);
}

void sj_shared_chan_close(sj_shared_chan *c)
{
        mutex_lock(&c->mutex);
        close_it(c);
}

size_t sj_shared_chan_drain(sj_shared_chan *c, void (*drop)(void *item, void *arg), void *arg)
{
        mutex_lock(&c->mutex);
        size_t n = chan_empty(c->store);
        close_it(c);
        /* They stay where they are: nobody sends to it any more. */
        chan_drop(c->store, n, drop, arg);
        return n;
}

size_t sj_shared_chan_count(sj_shared_chan *c)
{
        mutex_lock(&c->mutex);
        size_t n = c->store->count;
        mutex_unlock(&c->mutex);
        return n;
}

int sj_shared_chan_done(sj_shared_chan *c)
{
        list joined;
        list_init(&joined);
        mutex_lock(&c->mutex);
        bool too_often = c->store->unfinished == c->store->count;
        if (!too_often && --c->store->unfinished == 0)
                shared_take_all(&c->joiners, &joined);
        mutex_unlock(&c->mutex);
        shared_give_all(&joined, 0);
        return too_often ? -EOVERFLOW : 0;
}

int sj_shared_chan_join(sj_shared_chan *c, sj_time deadline)
{
        int r = shared_check();
        if (r < 0)
                return r;
        mutex_lock(&c->mutex);
        if (c->store->unfinished == 0)
                return leave(c, NULL, 0);
        return shared_wait(&c->mutex, &c->joiners, NULL, deadline, "work on a shared chan's items");
}
