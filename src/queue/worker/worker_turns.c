/* SPDX-License-Identifier: MIT */
/*
 * Deliveries that the rate limit of their task holds up.
 *
 *   its turn comes soon   it waits here, its lease is renewed, and a fiber hands it out
 *   later                 it goes back to the broker, with its turn as its eta
 *
 * Soon is SOON, and there are TURNS_MAX places: so a queue full of limited tasks holds up neither
 * others nor this memory, each of them is leased twice, and a short wait costs the broker nothing.
 * The turns that are promised follow each other at the rate of this worker; where several workers
 * share a queue, they run such a backlog together at the rate of the one that has met it.
 */
#include "queue/worker/worker_internal.h"

#include <sanjab/sync.h>

enum { TURNS_MAX = 256 };
#define SOON (2 * SJ_SEC)

static worker_rate *rate_of(const worker *w, const delivery *d)
{
        return &w->rates[d->view.info - w->manifest.tasks];
}

static void forget(worker *w, delivery *d)
{
        list_remove(&d->place);
        d->waits_turn = false;
        rate_of(w, d)->waiting--;
        w->n_turns--;
}

static void go_back(worker *w, delivery *d, sj_time pause)
{
        broker_message *next = sj_arena_alloc(d->arena, sizeof(*next));
        if (next)
                *next = (broker_message){.eta = {os_wall().us + pause / 1000}};
        worker_give_back_until(w, d, next);
}

bool worker_turn_has_come(worker *w, delivery *d)
{
        double rate = d->view.info->rate;
        if (!(rate > 0))
                return true;
        worker_rate *r = rate_of(w, d);
        sj_time now = sj_now();
        sj_time ahead = worker_rate_ahead(r, rate, now);
        if (ahead == 0) {
                worker_rate_take(r, rate, now);
                return true;
        }
        if (ahead > SOON || w->n_turns == TURNS_MAX) {
                go_back(w, d, worker_rate_promise(r, rate, now));
                return false;
        }
        list_append(&w->turns, &d->place);
        d->waits_turn = true;
        r->waiting++;
        w->n_turns++;
        sj_event_set(&w->turns_event);
        return false;
}

void worker_turn_forget(worker *w, delivery *d)
{
        if (d->waits_turn)
                forget(w, d);
}

void worker_turns_recall(worker *w)
{
        while (!list_empty(&w->turns)) {
                delivery *d = container_of(w->turns.next, delivery, place);
                forget(w, d);
                worker_give_back(w, d);
        }
}

/* The first whose turn it is, or NULL, and then when to look again. */
static delivery *next_turn(const worker *w, sj_time *ret_again)
{
        sj_time now = sj_now();
        *ret_again = SJ_NEVER;
        list_for_each (node, &w->turns) {
                delivery *d = container_of(node, delivery, place);
                sj_time pause = worker_rate_wait(rate_of(w, d), now);
                if (pause == 0)
                        return d;
                if (now + pause < *ret_again)
                        *ret_again = now + pause;
        }
        return NULL;
}

int worker_turns_duty(void *arg)
{
        worker *w = arg;
        for (;;) {
                sj_time again = SJ_NEVER;
                sj_event_clear(&w->turns_event);
                delivery *d = worker_can_hand(w) ? next_turn(w, &again) : NULL;
                if (d) {
                        forget(w, d);
                        if (d->view.info->rate > 0)
                                worker_rate_take(rate_of(w, d), d->view.info->rate, sj_now());
                        worker_hand_out(w, d);
                        continue;
                }
                int r = sj_event_wait(&w->turns_event, again);
                if (r < 0 && r != -ETIMEDOUT)
                        return r;
        }
}
