/* SPDX-License-Identifier: MIT */
/*
 * Deliveries that may fell their child, in the pools where a child runs many at once.
 *
 * When such a child crashes nobody knows which of its tasks it was: all of them count a delivery
 * and are suspects from then on. A suspect runs in the ward, a second child, beside suspects only:
 * with each delivery of a message an eighth of them, and the last time alone. So a message is dead
 * by crashes only after one that nobody else can have caused; others are not held up; and of a
 * thousand tasks that one has felled, all but a few go on at once instead of one by one. What a
 * delivery is follows from its number: it holds in every worker of the fleet, also after one that
 * was killed as a whole, and nothing has to be kept anywhere.
 *
 * Places in the ward count as those of the others do, and one is kept free while a suspect waits.
 * It is closed when it is empty: that it was needed is rare.
 */
#include "queue/worker/worker_internal.h"

#include <sanjab/sync.h>

enum { SUSPECTS_MAX = 256, FEWER_BITS = 3 };
#define COME_AGAIN SJ_SEC

/* ── Who may run with whom ───────────────────────────────────────────────────────────────── */

bool worker_is_suspect(const worker *w, const delivery *d)
{
        worker_pool_kind pool = w->options.pool;
        return (pool == WORKER_THREADS || pool == WORKER_FIBERS_POOL) && d->lease->deliveries > 1;
}

/* How many may run in a child that runs it. */
static size_t at_most(const worker *w, const delivery *d)
{
        uint32_t before = d->lease->deliveries - 1;
        if (d->lease->deliveries >= outcome_most_deliveries(&d->view) || before >= 32 / FEWER_BITS)
                return 1;
        size_t n = (size_t)w->options.concurrency >> (FEWER_BITS * before);
        return n > 1 ? n : 1;
}

/* The strictest of those that it has: the lists are short, and this is rare. */
static size_t child_at_most(const worker_child *c)
{
        const list *const lists[] = {&c->outbox, &c->sent};
        size_t n = SIZE_MAX;
        for (size_t i = 0; i < 2; i++)
                list_for_each (node, lists[i]) {
                        size_t its = at_most(c->w, container_of(node, delivery, place));
                        n = its < n ? its : n;
                }
        return n;
}

static worker_child *ward_of(const worker *w)
{
        for (size_t i = 0; i < w->n_children; i++) {
                worker_child *c = w->children[i];
                if (c && c->ward && (c->state == CHILD_STARTING || c->state == CHILD_READY))
                        return c;
        }
        return NULL;
}

bool worker_ward_lacks_child(const worker *w)
{
        return w->n_suspects > 0 && !ward_of(w);
}

worker_child *worker_ward_choose(const worker *w, const delivery *d)
{
        worker_child *c = ward_of(w);
        if (!c || c->state != CHILD_READY || worker_places_left(w) == 0 ||
            worker_child_strength(w, c) == 0)
                return NULL;
        return c->load < at_most(w, d) && c->load < child_at_most(c) ? c : NULL;
}

/* ── Waiting for it ──────────────────────────────────────────────────────────────────────── */

void worker_ward_forget(worker *w, delivery *d)
{
        list_remove(&d->place);
        d->waits_ward = false;
        w->n_suspects--;
}

void worker_ward_recall(worker *w)
{
        while (!list_empty(&w->suspects)) {
                delivery *d = container_of(w->suspects.next, delivery, place);
                worker_ward_forget(w, d);
                worker_give_back(w, d);
        }
}

bool worker_is_trusted(worker *w, delivery *d)
{
        if (!worker_is_suspect(w, d) || w->stopping)
                return true;
        if (w->n_suspects == SUSPECTS_MAX) {
                broker_message *next = sj_arena_alloc(d->arena, sizeof(*next));
                if (next)
                        *next = (broker_message){.eta = {os_wall().us + COME_AGAIN / SJ_US}};
                worker_give_back_until(w, d, next);
                return false;
        }
        list_append(&w->suspects, &d->place);
        d->waits_ward = true;
        w->n_suspects++;
        sj_event_set(&w->ward_event);
        return false;
}

/* Lets one in, or sees to it that it can be; false: there is nothing to be done now. */
static bool attend(worker *w)
{
        worker_child *c = ward_of(w);
        if (list_empty(&w->suspects)) {
                if (c && c->state == CHILD_READY && c->load == 0)
                        worker_child_retire(c);
                return false;
        }
        delivery *d = container_of(w->suspects.next, delivery, place);
        if (!c)
                worker_pool_poke(w);
        if (!worker_ward_choose(w, d))
                return false;
        worker_ward_forget(w, d);
        worker_hand_now(w, d);
        return true;
}

int worker_ward_duty(void *arg)
{
        worker *w = arg;
        for (;;) {
                sj_event_clear(&w->ward_event);
                if (attend(w))
                        continue;
                int r = sj_event_wait(&w->ward_event, SJ_NEVER);
                if (r < 0)
                        return r;
        }
}
