/* SPDX-License-Identifier: MIT */
/*
 * A worker without memory: it is started, runs tasks and is stopped, over and over, and each time
 * another allocation fails, while it starts or later. It goes on, or says that it cannot; and then
 * the next worker finds all that was sent.
 */
#include "queue/app.h"
#include "queue/no_memory_unit.h"
#include "queue/worker/worker.h"

#include <sanjab/canvas.h>
#include <sanjab/fiber.h>

#include <stdio.h>

enum { TASKS = 3 };

SJ_TASK(increase, int64_t, (int64_t, n))
{
        *ret = n + 1;
        return 0;
}

SJ_TASK(once_more, int64_t, (int64_t, n))
{
        if (self->retries == 0) {
                sj_raise(self, "ValueError", "not yet");
                return sj_retry(self, &(sj_retry_options){.countdown = 0.001});
        }
        *ret = n;
        return 0;
}

static void end_of_test(const char *what, int error)
{
        fprintf(stderr, "%s: %s, with %ld\n", what, sj_strerror(error), number);
        abort();
}

static void surely(const char *what, int r)
{
        if (r < 0)
                end_of_test(what, r);
}

static int run_worker(void *arg)
{
        return worker_run(arg);
}

/* One worker, until it ends by itself or all has ended; what worker_new or worker_run said. */
static int work(broker *b, const sj_result results[], bool refuse)
{
        static const sj_str queue = {"celery", 6};
        const worker_options options = {.broker = b,
                                        .name = refuse ? "first@test" : "next@test",
                                        .queues = &queue,
                                        .n_queues = 1,
                                        .pool = WORKER_SOLO,
                                        .concurrency = 1,
                                        .events = true,
                                        .lease = 300 * SJ_MS};
        worker *w = NULL;
        sj_fiber *f;
        sj_arena *arena;
        surely("arena", sj_arena_new(&arena));
        atomic_store(&counting, refuse);
        int r = worker_new(&options, &w);
        if (r >= 0) {
                SJ_SCOPE(s, sj_after(20 * SJ_SEC), SJ_COLLECT);
                surely("spawn", sj_spawn(s, run_worker, w, &f));
                for (int i = 0; i < TASKS && sj_join(f, SJ_POLL) == -ETIMEDOUT;) {
                        sj_outcome outcome;
                        int k = sj_result_get(&results[i], arena, &outcome, sj_after(20 * SJ_MS));
                        i += k >= 0;
                        if (k < 0 && k != -ETIMEDOUT && k != -ENOMEM)
                                end_of_test("result", k);
                }
                atomic_store(&counting, false);
                worker_stop(w, WORKER_STOP_WARM);
                r = sj_join(f, SJ_NEVER);
                sj_scope_join(s);
                /* By whom the tasks are loaded, which may be another process. */
                if (r < 0 && strstr(worker_error(w), sj_strerror(-ENOMEM)))
                        r = -ENOMEM;
        }
        atomic_store(&counting, false);
        worker_free(w);
        sj_arena_free(arena);
        return r;
}

static int day(void *arg)
{
        char url[40], error[200];
        broker *b;
        sj_app *app;
        sj_result results[TASKS];
        sj_arena *arena;
        (void)arg;
        snprintf(url, sizeof(url), "memory:without-memory-%ld", number);
        surely("open", broker_open(url, NULL, &b, error, sizeof(error), SJ_NEVER));
        surely("app", app_new_over(b, NULL, &app));
        surely("send", increase_delay(app, 1, &results[0]));
        surely("send", once_more_delay(app, 7, &results[1]));
        sj_signature *s = SJ_CHAIN(increase_s(1), sj_signature_new("increase", NULL, NULL, NULL));
        surely("send", sj_signature_send(app, s, &results[2]));
        sj_signature_free(s);
        int r = work(b, results, true);
        if (r < 0 && r != -ENOMEM)
                end_of_test("worker", r);
        surely("the next worker", work(b, results, false));
        surely("arena", sj_arena_new(&arena));
        static const int64_t values[TASKS] = {2, 7, 3};
        for (int i = 0; i < TASKS; i++) {
                sj_outcome outcome;
                int64_t value = 0;
                surely("result", sj_result_get(&results[i], arena, &outcome, SJ_POLL));
                /* A task that has no memory itself has failed, as Python's do. */
                if (outcome.error.type && strcmp(outcome.error.type, "MemoryError") == 0)
                        continue;
                surely(outcome.state_name, sj_json_int(outcome.value, &value));
                if (value != values[i])
                        end_of_test("value", 0);
        }
        sj_arena_free(arena);
        sj_app_free(app);
        broker_close(b);
        return 0;
}

static void a_day(void)
{
        assert_int_equal(sj_run(day, NULL), 0);
}

static void whichever_allocation_fails_no_task_is_lost(void **state)
{
        (void)state;
        fail_each(a_day, 100);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(whichever_allocation_fails_no_task_is_lost),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
