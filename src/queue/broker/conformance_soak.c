/* SPDX-License-Identifier: MIT */
/* All together, at random: nothing is lost, and nothing ends twice. */
#include "queue/broker/conformance_unit.h"

enum { SOAK_TASKS = 60, SOAK_WORKERS = 4 };

typedef struct soak {
        fixture *f;
        unsigned seed;
        int runs[SOAK_TASKS];
        int settled[SOAK_TASKS];
} soak;

static unsigned soak_draw(soak *k, unsigned n)
{
        k->seed = k->seed * 1103515245 + 12345;
        return k->seed / 65536 % n;
}

/* Settles, forgets, gives back, retries, at random. */
static void soak_one(soak *k, broker_lease *l)
{
        int i = atoi(l->message.id.data + 2);
        broker_result r = result_of(l->message.id.data, "SUCCESS");
        broker_message next = seal(k->f, message_of(l->message.id.data));
        next.max_deliveries = 1000;
        broker_settlement s = {.lease = l, .results = &r, .n_results = 1};
        k->runs[i]++;
        unsigned what = soak_draw(k, 8);
        if (what == 0)
                return;
        if (what == 1) {
                pass(k->f, 6);
        } else if (what == 2) {
                s.verdict = BROKER_REQUEUE;
                s.n_results = 0;
        } else if (what == 3) {
                s.verdict = BROKER_RETRY;
                s.next = &next;
                s.n_results = 0;
        }
        if (settle(k->f, s) == 0 && s.verdict == BROKER_DONE)
                k->settled[i]++;
}

static int soak_worker(void *arg)
{
        soak *k = arg;
        while (broker_wait(k->f->b, &the_queue, 1, sj_after(40 * k->f->c->tick)) == 0) {
                broker_lease *l[5];
                int n = lease_many(k->f, l, 1 + soak_draw(k, 5), 4);
                for (int i = 0; i < n; i++) {
                        soak_one(k, l[i]);
                        broker_lease_free(l[i]);
                }
        }
        return 0;
}

static int soak_producer(void *arg)
{
        soak *k = arg;
        for (int i = 0; i < SOAK_TASKS; i++) {
                char id[16];
                snprintf(id, sizeof(id), "id%d", i);
                broker_message m = message_of(id);
                m.max_deliveries = 1000;
                m.priority = (int)soak_draw(k, 10);
                if (soak_draw(k, 3) == 0)
                        m.eta = ticks_from_now(k->f, (int)soak_draw(k, 6));
                publish(k->f, m);
        }
        return 0;
}

static int nothing_is_lost_and_nothing_ends_twice(void *arg)
{
        FIXTURE(f, arg);
        soak k = {.f = f, .seed = 7};
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                expect_equal(sj_spawn(s, soak_producer, &k, NULL), 0);
                for (int i = 0; i < SOAK_WORKERS; i++)
                        expect_equal(sj_spawn(s, soak_worker, &k, NULL), 0);
                expect_equal(sj_scope_join(s), 0);
        }
        for (int i = 0; i < SOAK_TASKS; i++) {
                char id[16];
                snprintf(id, sizeof(id), "id%d", i);
                expect(k.runs[i] >= 1);
                expect_equal(k.settled[i], 1);
                expect_text(state_of(f, id), "SUCCESS");
        }
        broker_depth d = depth_of(f);
        expect_equal(d.ready + d.delayed + d.leased + d.dead, 0);
        return 0;
}

const conformance_case conformance_soak[] = {
        CASE(nothing_is_lost_and_nothing_ends_twice),
        {NULL, NULL},
};
