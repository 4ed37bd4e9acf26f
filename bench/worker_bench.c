/* SPDX-License-Identifier: MIT */
/*
 * The worker itself, with a broker that costs nothing:
 *
 *   worker_bench rate|cpu  prefork|threads|fibers|solo  [CHILDREN [LATENCY]]
 *
 * rate   tasks a second that do nothing, from the lease through a child to the settlement
 * cpu    µs of processor time that one takes, in the controller and in its children together;
 *        how it is shared between the two is printed on the standard error
 *
 * The broker hands out copies of one message as long as the sample lasts, and counts what is
 * settled. So what is measured is what every broker's messages have to go through. With a LATENCY
 * each of its answers takes so many µs, as if it were elsewhere.
 */
#include <sanjab/exec.h>
#include <sanjab/fiber.h>
#include <sanjab/queue.h>
#include <sanjab/sync.h>

#include "base/list.h"
#include "measure.h"
#include "queue/app.h"
#include "queue/broker/broker.h"
#include "queue/worker/worker_internal.h"

#include <stdlib.h>

enum { SAMPLE = 200000 };

SJ_TASK(noop, void)
{
        return 0;
}

/* ── A broker that is always quick ───────────────────────────────────────────────────────── */

typedef struct feed {
        broker base;
        broker_lease *first; /* what is handed out */
        int64_t left;        /* of the sample */
        int64_t settled;
        sj_event more, done;
} feed;

static feed *feed_of(broker *b)
{
        return container_of(b, feed, base);
}

static sj_time latency;

/* It gives way once, as a broker whose answer has to be waited for would. */
static int feed_answer(sj_time deadline)
{
        (void)deadline;
        return latency ? sj_sleep(latency) : sj_yield();
}

static int feed_publish(broker *b, const broker_message messages[], size_t n,
                        broker_published ret[], sj_time deadline)
{
        (void)n, (void)ret, (void)deadline;
        const broker_lease lease = {
                .message = messages[0], .deliveries = 1, .published = sj_wall_now(), .owner = b};
        feed_of(b)->first = broker_lease_new(&lease);
        return feed_of(b)->first ? 0 : -ENOMEM;
}

static int feed_lease(broker *b, const broker_claim *claim, broker_lease *ret[], size_t n,
                      sj_time deadline)
{
        (void)claim;
        feed *f = feed_of(b);
        size_t i = 0;
        int r = feed_answer(deadline);
        if (r < 0)
                return r;
        for (; i < n && f->left > 0; i++, f->left--)
                if (!(ret[i] = broker_lease_new(f->first)))
                        return i ? (int)i : -ENOMEM;
        return (int)i;
}

static int feed_wait(broker *b, const sj_str queues[], size_t n_queues, sj_time deadline)
{
        (void)queues, (void)n_queues;
        sj_event_clear(&feed_of(b)->more);
        return sj_event_wait(&feed_of(b)->more, deadline);
}

static int feed_renew(broker *b, broker_lease *const leases[], size_t n, sj_time duration,
                      broker_hold ret[], sj_time deadline)
{
        (void)b, (void)leases, (void)duration, (void)deadline;
        for (size_t i = 0; i < n; i++)
                ret[i] = BROKER_HELD;
        return 0;
}

static int feed_settle(broker *b, broker_settlement settlements[], size_t n, sj_time deadline)
{
        feed *f = feed_of(b);
        int r = feed_answer(deadline);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                settlements[i].status = 0;
                f->settled += settlements[i].verdict == BROKER_DONE;
        }
        if (f->settled >= SAMPLE)
                sj_event_set(&f->done);
        return 0;
}

static int feed_node(broker *b, const broker_node *node, broker_token token, sj_time ttl,
                     sj_time deadline)
{
        (void)b, (void)node, (void)token, (void)ttl, (void)deadline;
        return 0;
}

static int feed_beat(broker *b, sj_str name, broker_token token, sj_str info, sj_time ttl,
                     sj_time deadline)
{
        (void)b, (void)name, (void)token, (void)info, (void)ttl, (void)deadline;
        return 0;
}

static int feed_leave(broker *b, sj_str name, broker_token token, sj_time deadline)
{
        (void)b, (void)name, (void)token, (void)deadline;
        return 0;
}

static int feed_results(broker *b, const broker_result results[], size_t n, sj_time deadline)
{
        (void)b, (void)results, (void)n, (void)deadline;
        return 0;
}

static const broker_class feed_class = {
        .scheme = "feed",
        .publish = feed_publish,
        .lease_next = feed_lease,
        .wait = feed_wait,
        .renew = feed_renew,
        .settle = feed_settle,
        .result_put = feed_results,
        .node_join = feed_node,
        .node_beat = feed_beat,
        .node_leave = feed_leave,
};

/* ── Processor time ──────────────────────────────────────────────────────────────────────── */

/* In ns, of all threads that the process has now. */
static int64_t time_of(int pid)
{
        char path[64];
        long long ns = 0;
        snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
        FILE *file = fopen(path, "r");
        if (!file)
                return 0;
        if (fscanf(file, "%lld", &ns) != 1)
                ns = 0;
        fclose(file);
        return ns;
}

typedef struct times {
        int64_t wall, controller, children;
} times;

static times times_now(const worker *w)
{
        times t = {.wall = measure_now(), .controller = time_of(os_pid())};
        for (size_t i = 0; i < w->n_children; i++)
                t.children += w->children[i] ? time_of(w->children[i]->pid) : 0;
        return t;
}

/* ── Samples ─────────────────────────────────────────────────────────────────────────────── */

static bool wants_cpu;
static worker_pool_kind pool;
static unsigned children;

static int work(void *w)
{
        return worker_run(w);
}

static int sample(feed *f, const worker *w, bool print)
{
        times before = times_now(w);
        f->settled = 0;
        f->left = SAMPLE;
        sj_event_clear(&f->done);
        sj_event_set(&f->more);
        int r = sj_event_wait(&f->done, sj_after(SJ_MIN));
        times after = times_now(w);
        if (r < 0 || !print)
                return r;
        double controller = (double)(after.controller - before.controller) / SAMPLE / 1e3;
        double others = (double)(after.children - before.children) / SAMPLE / 1e3;
        if (wants_cpu) {
                printf("%.3f\n", controller + others);
                fprintf(stderr, "controller %.3f us, children %.3f us\n", controller, others);
        } else {
                printf("%.0f\n", SAMPLE * 1e9 / (double)(after.wall - before.wall));
        }
        return 0;
}

static int run(void *arg)
{
        (void)arg;
        static const sj_str queue = {"celery", 6};
        feed f = {.base = {.class = &feed_class,
                           .capabilities = BROKER_ATOMIC | BROKER_DELAYED | BROKER_RESULTS}};
        sj_app *app;
        worker *w;
        int r = app_new_over(&f.base, NULL, &app);
        r = r < 0 ? r : noop_delay(app, NULL);
        sj_app_free(app);
        const worker_options options = {.broker = &f.base,
                                        .name = "bench@here",
                                        .queues = &queue,
                                        .n_queues = 1,
                                        .pool = pool,
                                        .concurrency = children};
        r = r < 0 ? r : worker_new(&options, &w);
        if (r < 0)
                return r;
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                r = sj_spawn(s, work, w, NULL);
                for (int i = -1; r >= 0 && i < MEASURE_ROUNDS; i++)
                        r = sample(&f, w, i >= 0);
                worker_stop(w, WORKER_STOP_WARM);
        }
        if (r < 0)
                fprintf(stderr, "worker_bench: %s\n", worker_error(w));
        worker_free(w);
        broker_lease_free(f.first);
        return r;
}

int main(int argc, char **argv)
{
        static const char *const pools[] = {"prefork", "threads", "fibers", "solo"};
        sj_boot(argc, argv);
        for (unsigned i = 0; argc > 2 && i < 4; i++)
                if (strcmp(argv[2], pools[i]) == 0)
                        pool = (worker_pool_kind)i;
        wants_cpu = argc > 1 && strcmp(argv[1], "cpu") == 0;
        children = argc > 3 ? (unsigned)atoi(argv[3]) : 0;
        latency = argc > 4 ? atoi(argv[4]) * SJ_US : 0;
        if (argc < 3 || argc > 5) {
                fprintf(stderr, "usage: worker_bench rate|cpu POOL [CHILDREN [LATENCY]]\n");
                return 2;
        }
        int r = sj_run(run, NULL);
        if (r < 0)
                fprintf(stderr, "worker_bench: %s\n", sj_strerror(r));
        return r < 0;
}
