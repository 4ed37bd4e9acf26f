/* SPDX-License-Identifier: MIT */
/*
 * Workers under the simulator: several of the solo pool share a broker in memory, are stopped at
 * any moment, warm or cold, and started again. What was confirmed to a producer has run at least
 * once when all is quiet, and nothing is left in the broker.
 */
#include "queue/app.h"
#include "queue/worker/worker_sim_unit.h"

#include <sanjab/queue.h>

enum { TASKS = 40, WORKERS = 3 };

/* What has run: the tasks are in this process, and there is one world at a time. */
static unsigned runs[TASKS];

SJ_TASK(note, void, (int64_t, number))
{
        if (self->deliveries == 1 && sim_draw(10) == 0)
                return sj_retry(self, &(sj_retry_options){.countdown = 0.5});
        int r = sj_sleep((sj_time)sim_draw(300) * SJ_MS);
        if (r < 0)
                return r;
        runs[number]++;
        return 0;
}
SJ_TASK_OPTIONS(note, .max_retries = SJ_RETRY_FOREVER, .max_deliveries = 100);

typedef struct world {
        broker *broker;
        sj_app *app;
        bool over;
        unsigned confirmed;
} world;

static int produce(void *arg)
{
        world *w = arg;
        for (int64_t i = 0; i < TASKS; i++) {
                expect_equal(note_delay(w->app, i, NULL), 0);
                w->confirmed++;
                sj_sleep((sj_time)sim_draw(100) * SJ_MS);
        }
        return 0;
}

static bool all_ran(const world *w)
{
        if (w->confirmed < TASKS)
                return false;
        for (unsigned i = 0; i < TASKS; i++)
                if (runs[i] == 0)
                        return false;
        return true;
}

static int nothing_is_lost_when_workers_come_and_go(void *arg)
{
        (void)arg;
        world w = {0};
        char error[100];
        memset(runs, 0, sizeof(runs));
        expect_equal(broker_open("memory:", NULL, &w.broker, error, sizeof(error), SJ_NEVER), 0);
        expect_equal(app_new_over(w.broker, NULL, &w.app), 0);
        sim_worker workers[WORKERS];
        {
                SJ_SCOPE(s, sj_after(SJ_HOUR), 0);
                sim_worker_spawn(s, workers, WORKERS,
                                 (sim_worker){.broker = w.broker,
                                              .over = &w.over,
                                              .restless = true,
                                              .sound = true});
                sj_spawn(s, produce, &w, NULL);
                while (!all_ran(&w))
                        expect_equal(sj_sleep(SJ_SEC), 0);
                w.over = true;
                expect_equal(sj_scope_join(s), 0);
        }
        sj_app_free(w.app);
        broker_close(w.broker);
        return 0;
}

static void test_nothing_is_lost(void **state)
{
        (void)state;
        sim_unit_run(nothing_is_lost_when_workers_come_and_go, NULL, 0);
}

int main(void)
{

        const struct CMUnitTest tests[] = {{"nothing_is_lost_when_workers_come_and_go",
                                            test_nothing_is_lost, NULL, NULL, NULL}};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
