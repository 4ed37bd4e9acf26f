/* SPDX-License-Identifier: MIT */
/*
 * The queue in one process:
 *
 *   queue_bench publish|drain|round_trip  memory|sqlite|URL
 *
 * publish     tasks a second that 256 fibers publish, each one task after another, as the requests
 *             of a server would; durable where the broker is
 * drain       tasks a second from a full queue to stored results: lease, decode, run, settle, in
 *             batches as a worker's, a few of them under way at once
 * round_trip  µs from a call to its result, one task at a time, the worker being another fiber
 *
 * The worker here is a loop without children: what is measured is broker, messages and results.
 */
#include <sanjab/fiber.h>
#include <sanjab/queue.h>

#include "measure.h"
#include "queue/app.h"
#include "queue/broker/broker.h"
#include "queue/message/message.h"
#include "queue/outcome/outcome.h"
#include "queue/task/task.h"

#include <stdlib.h>
#include <unistd.h>

enum {
        PUBLISHERS = 256,
        BATCH = 256, /* leased and settled at once */
        DRAINERS = 4,
};

SJ_TASK(add, int64_t, (int64_t, a), (int64_t, b))
{
        *ret = a + b;
        return 0;
}

typedef struct bench {
        sj_app *app;
        task_registry *registry;
        const sj_str queue;
        int64_t n; /* tasks of the present sample */
} bench;

/* ── Publishing ──────────────────────────────────────────────────────────────────────────── */

static int publisher(void *arg)
{
        bench *b = arg;
        for (int64_t i = 0; i < b->n / PUBLISHERS; i++) {
                int r = add_delay(b->app, i, 3, NULL);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int publish_all(bench *b)
{
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < PUBLISHERS; i++) {
                int r = sj_spawn(s, publisher, b, NULL);
                if (r < 0)
                        return r;
        }
        return sj_scope_join(s);
}

/* ── Working off ─────────────────────────────────────────────────────────────────────────── */

static int run_one(bench *b, broker_lease *lease, sj_arena *arena, broker_settlement *s)
{
        message *m = sj_arena_alloc(arena, sizeof(*m));
        message_error *error = sj_arena_alloc(arena, sizeof(*error));
        if (!m || !error)
                return -ENOMEM;
        message_decode(arena, lease->message.envelope, m, error);
        outcome_delivery d = {.lease = lease, .m = m, .error = error};
        const sj_task *task = task_registry_find(b->registry, m->task, &d.info);
        outcome_context context = {.now = sj_wall_now(), .worker = SJ_STR("bench")};
        int r = outcome_before(&context, &d, arena, s);
        if (r != 0)
                return r < 0 ? r : -EPROTO;
        sj_task_request request = {.id = m->id.data, .deadline = SJ_NEVER};
        task_return result;
        r = task_run(task, &request, NULL, m->args, m->kwargs, arena, &result);
        return r < 0 ? r : outcome_after(&context, &d, &result, arena, s);
}

/* Leases a batch, runs and settles it; how many there were. */
static int work_batch(bench *b, sj_arena *arena)
{
        broker *br = app_broker(b->app);
        broker_claim claim = {.queues = &b->queue, .n_queues = 1, .worker = SJ_STR("bench")};
        broker_lease *leases[BATCH];
        broker_settlement settlements[BATCH];
        int n = broker_lease_next(br, &claim, leases, BATCH, SJ_NEVER);
        for (int i = 0; i < n; i++) {
                int r = run_one(b, leases[i], arena, &settlements[i]);
                if (r < 0)
                        return r;
        }
        if (n <= 0)
                return n;
        int r = broker_settle(br, settlements, (size_t)n, SJ_NEVER);
        for (int i = 0; i < n; i++)
                broker_lease_free(leases[i]);
        sj_arena_reset(arena);
        return r < 0 ? r : n;
}

static int drain(void *arg)
{
        sj_arena *arena;
        int r = sj_arena_new(&arena);
        while (r >= 0 && (r = work_batch(arg, arena)) > 0)
                ;
        sj_arena_free(arena);
        return r;
}

static int drain_all(bench *b)
{
        SJ_SCOPE(s, SJ_NEVER, 0);
        for (int i = 0; i < DRAINERS; i++) {
                int r = sj_spawn(s, drain, b, NULL);
                if (r < 0)
                        return r;
        }
        return sj_scope_join(s);
}

/* Works until it is cancelled. */
static int worker(void *arg)
{
        bench *b = arg;
        sj_arena *arena;
        int r = sj_arena_new(&arena);
        while (r >= 0 && (r = broker_wait(app_broker(b->app), &b->queue, 1, SJ_NEVER)) == 0)
                r = work_batch(b, arena);
        sj_arena_free(arena);
        return r;
}

static int call_all(bench *b)
{
        sj_arena *arena;
        int r = sj_arena_new(&arena);
        for (int64_t i = 0; r >= 0 && i < b->n; i++) {
                sj_result result;
                sj_outcome outcome;
                r = add_delay(b->app, i, 3, &result);
                if (r >= 0)
                        r = sj_result_get(&result, arena, &outcome, SJ_NEVER);
                sj_arena_reset(arena);
        }
        sj_arena_free(arena);
        return r;
}

/* ── Samples ─────────────────────────────────────────────────────────────────────────────── */

/* Takes samples of `timed` after `before` and ahead of `after`; either may be NULL. */
static int sample(bench *b, int (*before)(bench *), int (*timed)(bench *), int (*after)(bench *),
                  int per_second)
{
        b->n = 1024;
        for (int printed = -1; printed < MEASURE_ROUNDS;) {
                int r = before ? before(b) : 0;
                int64_t start = measure_now();
                r = r < 0 ? r : timed(b);
                int64_t took = measure_now() - start;
                r = r < 0 || !after ? r : after(b);
                if (r < 0)
                        return r;
                if (took < MEASURE_MIN) {
                        b->n *= 2;
                        continue;
                }
                double ns = (double)took / (double)b->n;
                if (printed >= 0)
                        printf("%.3f\n", per_second ? 1e9 / ns : ns / 1e3);
                printed++;
        }
        return 0;
}

static int round_trips(bench *b)
{
        SJ_SCOPE(s, SJ_NEVER, 0);
        sj_fiber *f;
        int r = sj_spawn(s, worker, b, &f);
        if (r < 0)
                return r;
        r = sample(b, NULL, call_all, NULL, 0);
        sj_cancel(f);
        sj_scope_join(s);
        return r;
}

static const char *verb, *url;

static int run(void *arg)
{
        (void)arg;
        bench b = {.queue = SJ_STR("celery")};
        char error[256];
        int r = sj_app_new(&(sj_app_options){.broker = url}, &b.app);
        if (r >= 0)
                r = task_registry_new(&b.registry, error, sizeof(error));
        if (r < 0)
                return r;
        if (strcmp(verb, "publish") == 0)
                r = sample(&b, NULL, publish_all, drain_all, 1);
        else if (strcmp(verb, "drain") == 0)
                r = sample(&b, publish_all, drain_all, NULL, 1);
        else if (strcmp(verb, "round_trip") == 0)
                r = round_trips(&b);
        else
                r = -EINVAL;
        task_registry_free(b.registry);
        sj_app_free(b.app);
        return r;
}

static void log_line(void *arg, sj_log_level level, const char *text)
{
        (void)arg, (void)level;
        fprintf(stderr, "queue_bench: %s\n", text);
}

/* A database in a folder of its own, on the disk that temporary files are on. */
static int run_sqlite(void)
{
        static const char *const files[] = {"", "-wal", "-shm", "-lock", "-bell"};
        char folder[] = "/tmp/sanjab-bench-XXXXXX", place[80], file[128];
        if (!mkdtemp(folder))
                return -errno;
        snprintf(place, sizeof(place), "sqlite:%s/queue.db", folder);
        url = place;
        int r = sj_run(run, NULL);
        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
                snprintf(file, sizeof(file), "%s/queue.db%s", folder, files[i]);
                unlink(file);
        }
        rmdir(folder);
        return r;
}

int main(int argc, char **argv)
{
        if (argc != 3) {
                fprintf(stderr, "usage: queue_bench publish|drain|round_trip BROKER\n");
                return 2;
        }
        verb = argv[1];
        url = strcmp(argv[2], "memory") == 0 ? "memory:" : argv[2];
        sj_log_set(log_line, NULL, SJ_LOG_WARNING);
        int r = strcmp(argv[2], "sqlite") == 0 ? run_sqlite() : sj_run(run, NULL);
        if (r < 0)
                fprintf(stderr, "queue_bench: %s\n", sj_strerror(r));
        return r < 0;
}
