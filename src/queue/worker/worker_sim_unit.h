/* SPDX-License-Identifier: MIT */
/*
 * For tests under the simulator: a worker of the solo pool that is started again whenever it has
 * ended, until all is over. One that is restless is stopped now and then, warm or cold.
 */
#ifndef SANJAB_QUEUE_WORKER_SIM_UNIT_H
#define SANJAB_QUEUE_WORKER_SIM_UNIT_H

#include "fiber/sim_unit.h"
#include "queue/worker/worker.h"

typedef struct sim_worker {
        broker *broker;
        const bool *over;
        bool restless;
        bool sound; /* its broker never fails, so it ends well each time */
        char name[16];
        worker *w;
} sim_worker;

static inline int sim_worker_stop_later(void *arg)
{
        const sim_worker *n = arg;
        int r = sj_sleep((sj_time)(200 + sim_draw(4000)) * SJ_MS);
        if (r >= 0)
                worker_stop(n->w, sim_draw(2) ? WORKER_STOP_WARM : WORKER_STOP_COLD);
        return r;
}

static inline int sim_worker_stop_at_end(void *arg)
{
        const sim_worker *n = arg;
        while (!*n->over) {
                int r = sj_sleep(100 * SJ_MS);
                if (r < 0)
                        return r;
        }
        worker_stop(n->w, WORKER_STOP_WARM);
        return 0;
}

static inline void sim_worker_once(sim_worker *n)
{
        static const sj_str queue = {"celery", 6};
        const worker_options options = {.broker = n->broker,
                                        .name = n->name,
                                        .queues = &queue,
                                        .n_queues = 1,
                                        .pool = WORKER_SOLO,
                                        .lease = 5 * SJ_SEC};
        int r;
        expect_equal(worker_new(&options, &n->w), 0);
        {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                expect_equal(sj_spawn(s, sim_worker_stop_at_end, n, NULL), 0);
                if (n->restless)
                        expect_equal(sj_spawn(s, sim_worker_stop_later, n, NULL), 0);
                r = worker_run(n->w);
                sj_scope_cancel(s);
        }
        expect(r == 0 || !n->sound);
        expect(worker_count(n->w).held == 0 || !n->sound);
        worker_free(n->w);
}

static inline int sim_worker_run(void *arg)
{
        sim_worker *n = arg;
        while (!*n->over) {
                sim_worker_once(n);
                sj_sleep((sj_time)sim_draw(500) * SJ_MS);
        }
        return 0;
}

/* Spawns n of them, as this one, named w0@sim and so on. */
static inline void sim_worker_spawn(sj_scope *s, sim_worker all[], unsigned n, sim_worker as)
{
        for (unsigned i = 0; i < n; i++) {
                all[i] = as;
                snprintf(all[i].name, sizeof(all[i].name), "w%u@sim", i);
                expect_equal(sj_spawn(s, sim_worker_run, &all[i], NULL), 0);
        }
}

#endif
