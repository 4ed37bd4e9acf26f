/* SPDX-License-Identifier: MIT */
/*
 * The broker in memory: rates. Each use moves a rate to the end of the list, and looks at the first
 * few, whether they can be forgotten.
 */
#include "queue/broker/broker_bucket.h"
#include "queue/memory/memory_store.h"

#include <stdlib.h>

enum { SWEEP_MOST = 4 };

typedef struct memory_rate {
        list place;
        broker_bucket bucket;
        sj_str name;
} memory_rate;

static void rate_free(memory_store *s, memory_rate *r)
{
        map_remove(&s->rates, r->name);
        list_remove(&r->place);
        free(r);
}

static void sweep(memory_store *s, sj_wall now)
{
        for (int i = 0; i < SWEEP_MOST && !list_empty(&s->rate_order); i++) {
                memory_rate *first = container_of(s->rate_order.next, memory_rate, place);
                if (broker_bucket_until(&first->bucket) > now.us)
                        break;
                rate_free(s, first);
        }
}

static memory_rate *find(memory_store *s, sj_str name)
{
        memory_rate *r = map_get(&s->rates, name);
        if (r) {
                list_remove(&r->place);
                list_append(&s->rate_order, &r->place);
                return r;
        }
        r = calloc(1, sizeof(*r) + name.n);
        if (!r)
                return NULL;
        memcpy(r + 1, name.data, name.n);
        r->name = (sj_str){(char *)(r + 1), name.n};
        if (map_add(&s->rates, r->name, r) < 0) {
                free(r);
                return NULL;
        }
        list_append(&s->rate_order, &r->place);
        return r;
}

static int take(memory_store *s, broker_turn *turn, sj_wall now, sj_time horizon)
{
        memory_rate *rates[BROKER_RATES_MAX];
        broker_bucket buckets[BROKER_RATES_MAX];
        for (size_t i = 0; i < turn->n; i++) {
                rates[i] = find(s, turn->rates[i].name);
                if (!rates[i])
                        return -ENOMEM;
                buckets[i] = rates[i]->bucket;
        }
        broker_bucket_take(buckets, turn, now, horizon);
        for (size_t i = 0; i < turn->n; i++)
                rates[i]->bucket = buckets[i];
        return 0;
}

int memory_rate_take(broker *b, broker_turn turns[], size_t n, sj_time horizon, sj_time deadline)
{
        (void)deadline;
        memory_store *s = memory_of(b);
        sj_wall now = memory_enter(s);
        int r = 0;
        sweep(s, now);
        for (size_t i = 0; i < n && r == 0; i++)
                r = take(s, &turns[i], now, horizon);
        memory_leave(s);
        return r;
}

void memory_rates_fini(memory_store *s)
{
        while (!list_empty(&s->rate_order))
                rate_free(s, container_of(s->rate_order.next, memory_rate, place));
        map_fini(&s->rates);
}
