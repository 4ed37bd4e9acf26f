/* SPDX-License-Identifier: MIT */
/*
 * A worker's life.
 *
 *   run:   take the name ─► start children ─► the duties ─► a stop ─► drain ─► give all back
 *
 * Stopping. Warm: nothing new is leased; what has not begun is recalled and given back; what runs
 * is waited for until the limit. Cold, and after the limit: the children are killed, and what ran
 * is given back too, which is no delivery. In both, all that was leased is settled before
 * the worker's name is given up.
 */
#include "queue/app.h"
#include "queue/worker/worker_events.h"
#include "queue/worker/worker_internal.h"

#include <sanjab/sync.h>

#include <stdio.h>
#include <stdlib.h>

#define LAST_SETTLING (20 * SJ_SEC)
#define NAME_PAUSE    (250 * SJ_MS)
#define HEALTH_PAUSE  (250 * SJ_MS)

/* ── Making ──────────────────────────────────────────────────────────────────────────────── */

static unsigned default_concurrency(worker_pool_kind pool)
{
        if (pool == WORKER_SOLO)
                return 1;
        return pool == WORKER_FIBERS_POOL ? WORKER_FIBERS : os_processors();
}

static bool autoscale_ok(const worker_options *o)
{
        if (!o->autoscale_max)
                return o->autoscale_min == 0;
        return o->pool != WORKER_SOLO && o->autoscale_min <= o->autoscale_max &&
               o->autoscale_max <= WORKER_CONCURRENCY_MAX;
}

/* There is always one child: by it the worker knows its tasks. It begins with as few as it may. */
static void begin_small(worker_options *o)
{
        if (o->autoscale_min == 0)
                o->autoscale_min = 1;
        o->concurrency = o->autoscale_min;
}

int worker_new(const worker_options *options, worker **ret)
{
        double rate;
        if (!options->broker || !options->name || options->n_queues == 0 ||
            options->concurrency > WORKER_CONCURRENCY_MAX || !autoscale_ok(options) ||
            task_parse_rate(options->rate_limit, &rate) < 0)
                return -EINVAL;
        worker *w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->options = *options;
        if (!w->options.concurrency || w->options.pool == WORKER_SOLO)
                w->options.concurrency = default_concurrency(w->options.pool);
        if (w->options.autoscale_max)
                begin_small(&w->options);
        if (!w->options.lease)
                w->options.lease = BROKER_LEASE_DEFAULT;
        if (!w->options.warm_limit)
                w->options.warm_limit = WORKER_WARM_LIMIT;
        w->pid = os_pid();
        os_random(&w->random, sizeof(w->random));
        list_init(&w->held);
        list_init(&w->ended);
        list_init(&w->spare);
        list_init(&w->settled);
        list_init(&w->waiting);
        list_init(&w->notes);
        list_init(&w->suspects);
        list_init(&w->turns);
        list_init(&w->seekers);
        list_init(&w->booked);
        w->idle.is_set = true;
        int r = worker_sources_init(&w->sources, options->queues, options->n_queues);
        if (r >= 0)
                r = sj_arena_new(&w->manifest_arena);
        if (r >= 0)
                r = revoked_new(&w->revoked);
        if (r >= 0)
                r = message_origin(w->manifest_arena, &w->origin);
        if (r >= 0)
                r = app_new_over(w->options.broker, w->options.app, &w->app);
        if (r < 0) {
                worker_free(w);
                return r;
        }
        *ret = w;
        return 0;
}

/* Those that are spare, and those that the broker could not be told of. */
static void free_deliveries(worker *w)
{
        list_for_each_safe (node, &w->held) {
                delivery *d = container_of(node, delivery, held);
                worker_note_forget(d);
                broker_lease_free(d->lease);
                list_append(&w->spare, &d->place);
        }
        for (list *node; (node = list_pop(&w->spare));) {
                delivery *d = container_of(node, delivery, place);
                sj_arena_free(d->arena);
                free(d);
        }
}

void worker_free(worker *w)
{
        if (!w)
                return;
        free_deliveries(w);
        worker_sources_fini(&w->sources);
        free(w->rates);
        free(w->told_limits);
        free(w->totals);
        revoked_free(w->revoked);
        sj_app_free(w->app);
        sj_arena_free(w->manifest_arena);
        free(w);
}

const char *worker_error(const worker *w)
{
        return w->error;
}

worker_counts worker_count(const worker *w)
{
        worker_counts counts = w->counts;
        counts.held = w->n_held;
        counts.children = 0;
        for (size_t i = 0; i < w->n_children; i++)
                counts.children += w->children[i] && w->children[i]->state == CHILD_READY;
        return counts;
}

void worker_fail(worker *w, int error, const char *format, ...)
{
        if (w->failure)
                return;
        w->failure = error;
        va_list args;
        va_start(args, format);
        vsnprintf(w->error, sizeof(w->error), format, args);
        va_end(args);
        worker_stop(w, WORKER_STOP_COLD);
}

void worker_stop(worker *w, worker_stop_kind kind)
{
        w->stopping = true;
        w->cold = w->cold || kind == WORKER_STOP_COLD;
        sj_event_set(&w->stop);
        if (w->leasing)
                sj_scope_cancel(w->leasing);
        if (w->cold && w->draining)
                sj_scope_cancel(w->draining);
}

/* ── Its name ────────────────────────────────────────────────────────────────────────────── */

static int describe(const worker *w, sj_json_writer *writer, sj_str *ret)
{
        static const char *const pools[] = {"prefork", "threads", "fibers", "solo"};
        worker_counts n = worker_count(w);
        sj_json_writer_reset(writer);
        sj_json_write_object_begin(writer);
        sj_json_write_name(writer, "pid");
        sj_json_write_int(writer, os_pid());
        sj_json_write_name(writer, "pool");
        sj_json_write_string(writer, sj_str_of(pools[w->options.pool]));
        sj_json_write_name(writer, "concurrency");
        sj_json_write_int(writer, w->options.concurrency);
        sj_json_write_name(writer, "queues");
        sj_json_write_array_begin(writer);
        for (size_t i = 0; i < w->sources.n_queues; i++)
                sj_json_write_string(writer, w->sources.queues[i]);
        sj_json_write_array_end(writer);
        sj_json_write_name(writer, "held");
        sj_json_write_int(writer, (int64_t)n.held);
        sj_json_write_name(writer, "processed");
        sj_json_write_int(writer, (int64_t)(n.succeeded + n.failed + n.retried + n.revoked));
        sj_json_write_object_end(writer);
        return sj_json_writer_end(writer, ret);
}

/* What may be gone at the next try: a connection, or a peer that makes no sense at the moment. */
static bool may_pass(int error)
{
        static const int errors[] = {-EPIPE,      -EPROTO,       -ENOBUFS,   -EIO,      -EAGAIN,
                                     -ECONNRESET, -ECONNREFUSED, -EHOSTDOWN, -ETIMEDOUT};
        for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
                if (error == errors[i])
                        return true;
        return false;
}

/* A broker that is away, or out of its mind, has a while to come back. */
static int join(worker *w, sj_json_writer *writer)
{
        broker_node node = {.name = sj_str_of(w->options.name)};
        sj_time give_up = sj_after(WORKER_NODE_TTL);
        int r = describe(w, writer, &node.info);
        os_random(&w->node, sizeof(w->node));
        while (r >= 0) {
                r = broker_node_join(w->options.broker, &node, w->node, WORKER_NODE_TTL,
                                     sj_after(WORKER_BROKER_LIMIT));
                if (!may_pass(r) || w->stopping || sj_now() >= give_up)
                        break;
                sj_log(SJ_LOG_ERROR, "the broker does not take the worker's name yet: %s",
                       sj_strerror(r));
                r = sj_sleep(WORKER_RETRY_PAUSE);
        }
        return r;
}

/* Until when the name is taken, as things stand; 0: it is not. */
static int taken_until(worker *w, sj_wall *ret)
{
        sj_arena *arena;
        const broker_node *nodes;
        int n = sj_arena_new(&arena);
        if (n < 0)
                return n;
        n = broker_nodes(w->options.broker, arena, &nodes, sj_after(WORKER_BROKER_LIMIT));
        ret->us = 0;
        for (int i = 0; i < n; i++)
                if (sj_str_equal(nodes[i].name, sj_str_of(w->options.name)))
                        *ret = nodes[i].until;
        sj_arena_free(arena);
        return n < 0 ? n : 0;
}

/*
 * A worker that was killed leaves its name behind, until nobody has said for a while that it still
 * lives. So who finds its name taken waits whether somebody does: -EEXIST.
 */
static int take_over(worker *w, sj_json_writer *writer)
{
        sj_wall first, until;
        int r = taken_until(w, &first);
        if (r >= 0)
                sj_log(SJ_LOG_WARNING,
                       "the name %s is taken: waiting at most %d s to see whether its worker lives",
                       w->options.name, (int)(WORKER_NODE_TTL / SJ_SEC));
        while (r >= 0 && !w->stopping) {
                r = join(w, writer);
                if (r != -EEXIST)
                        return r;
                r = taken_until(w, &until);
                if (r >= 0 && until.us != first.us && until.us && first.us)
                        return -EEXIST;
                first = until;
                if (r >= 0)
                        r = sj_sleep(NAME_PAUSE);
        }
        return r < 0 ? r : -ECANCELED;
}

static int take_name(worker *w, sj_json_writer *writer)
{
        int r = join(w, writer);
        if (r == -EEXIST)
                r = take_over(w, writer);
        if (r == -EEXIST)
                worker_fail(w, r,
                            "a worker named %s is running already: give this one another "
                            "name",
                            w->options.name);
        else if (r < 0 && !w->stopping)
                worker_fail(w, r, "the broker does not take the worker's name: %s", sj_strerror(r));
        return r;
}

/* The name was lost, because the broker was away for too long. */
static void take_name_again(worker *w, sj_json_writer *writer)
{
        sj_log(SJ_LOG_WARNING, "the name %s was lost: it is taken again", w->options.name);
        if (join(w, writer) == -EEXIST)
                worker_fail(w, -EEXIST, "another worker has taken the name %s meanwhile",
                            w->options.name);
}

static int beat_duty(void *arg)
{
        worker *w = arg;
        sj_json_writer *writer;
        int r = sj_json_writer_new(0, &writer);
        if (r < 0)
                return r;
        for (sj_str info; (r = sj_sleep(WORKER_NODE_TTL / 3)) >= 0;) {
                r = describe(w, writer, &info);
                if (r >= 0)
                        r = broker_node_beat(w->options.broker, sj_str_of(w->options.name), w->node,
                                             info, WORKER_NODE_TTL, sj_after(WORKER_NODE_TTL));
                if (r == -ECANCELED)
                        break;
                if (r == -ESTALE)
                        take_name_again(w, writer);
        }
        sj_json_writer_free(writer);
        return r;
}

/* ── A broker that is gone ───────────────────────────────────────────────────────────────── */

static bool has_given_up(const worker *w, broker_health h)
{
        if (w->options.reconnects == WORKER_NO_RECONNECT)
                return h.failures + h.breaks > 0;
        return h.failures > w->options.reconnects;
}

/* Only for who does not want to wait for ever: the brokers connect anew by themselves. */
static int give_up_duty(void *arg)
{
        worker *w = arg;
        int r = 0;
        while (r >= 0 && !has_given_up(w, broker_health_of(w->options.broker)))
                r = sj_sleep(HEALTH_PAUSE);
        if (r >= 0 && w->options.reconnects == WORKER_NO_RECONNECT)
                worker_fail(w, -ECONNRESET, "the broker was lost, and is not to be reconnected to");
        else if (r >= 0)
                worker_fail(w, -ECONNRESET,
                            "the broker was lost, and not reached again in %u attempts",
                            w->options.reconnects);
        return r;
}

static void leave_name(worker *w)
{
        SJ_SCOPE(shield, sj_after(WORKER_FAREWELL), SJ_SHIELD);
        broker_node_leave(w->options.broker, sj_str_of(w->options.name), w->node, SJ_NEVER);
}

/* ── Working and stopping ────────────────────────────────────────────────────────────────── */

static int lease_until_stopped(void *arg)
{
        worker *w = arg;
        SJ_SCOPE(leasing, SJ_NEVER, 0);
        w->leasing = leasing;
        if (w->stopping)
                sj_scope_cancel(leasing);
        if (sj_spawn(leasing, worker_lease_more_duty, w, NULL) >= 0)
                worker_lease_duty(w);
        w->leasing = NULL;
        return 0;
}

static void recall_all(worker *w)
{
        for (size_t i = 0; i < w->n_children; i++)
                if (w->children[i])
                        worker_link_recall(w->children[i]);
        for (list *node; (node = list_pop(&w->waiting));)
                worker_give_back(w, container_of(node, delivery, place));
        worker_ward_recall(w);
        worker_turns_recall(w);
        worker_fleet_recall(w);
}

/* What runs is waited for, at most until the limit. */
static void drain(worker *w)
{
        recall_all(w);
        if (w->cold)
                return;
        sj_log(SJ_LOG_INFO, "stopping: %zu tasks are still running", w->n_held);
        SJ_SCOPE(draining, sj_after(w->options.warm_limit), 0);
        w->draining = draining;
        if (sj_event_wait(&w->idle, SJ_NEVER) < 0)
                w->cold = true;
        w->draining = NULL;
}

static void kill_all(worker *w)
{
        for (size_t i = 0; i < w->n_children; i++)
                if (w->children[i])
                        worker_child_kill(w->children[i]);
        if (w->solo)
                sj_cancel(w->solo);
}

static int spawn_duties(worker *w, sj_scope *duties)
{
        static sj_fn *const always[] = {worker_settle_duty, worker_renew_duty, worker_tend_duty,
                                        worker_states_duty, worker_turns_duty, worker_fleet_duty,
                                        beat_duty,          worker_events_duty};
        int r = sj_spawn(duties, lease_until_stopped, w, &w->lessor);
        for (size_t i = 0; r >= 0 && i < sizeof(always) / sizeof(always[0]); i++)
                r = sj_spawn(duties, always[i], w, NULL);
        if (r >= 0 && !w->options.deaf)
                r = sj_spawn(duties, worker_control_duty, w, NULL);
        if (r >= 0 && w->options.pool == WORKER_SOLO)
                r = sj_spawn(duties, worker_solo_duty, w, &w->solo);
        else if (r >= 0)
                r = sj_spawn(duties, worker_pool_duty, w, NULL);
        if (r >= 0 && (w->options.pool == WORKER_THREADS || w->options.pool == WORKER_FIBERS_POOL))
                r = sj_spawn(duties, worker_ward_duty, w, NULL);
        if (r >= 0 && w->options.autoscale_max)
                r = sj_spawn(duties, worker_scale_duty, w, NULL);
        if (r >= 0 && w->options.reconnects)
                r = sj_spawn(duties, give_up_duty, w, NULL);
        return r;
}

static int work(worker *w)
{
        SJ_SCOPE(duties, SJ_NEVER, SJ_COLLECT);
        w->duties = duties;
        int r = spawn_duties(w, duties);
        if (r >= 0)
                r = sj_event_wait(&w->stop, SJ_NEVER);
        /* Stopped, or cancelled from above: all is given back in either case. */
        w->stopping = true;
        w->cold = w->cold || r < 0;
        if (w->leasing)
                sj_scope_cancel(w->leasing);
        SJ_SCOPE(shield, sj_after(w->options.warm_limit + WORKER_BROKER_LIMIT + 3 * LAST_SETTLING),
                 SJ_SHIELD);
        /* What is being leased right now is to be given back, too. */
        if (w->lessor)
                sj_join(w->lessor, SJ_NEVER);
        drain(w);
        if (!w->cold)
                worker_pool_quit(w);
        kill_all(w);
        int idle = sj_event_wait(&w->idle, sj_after(LAST_SETTLING));
        if (idle < 0)
                sj_log(SJ_LOG_ERROR,
                       "%zu messages could not be given back: they are ready again when their "
                       "leases run out",
                       w->n_held);
        sj_scope_cancel(duties);
        return r;
}

int worker_run(worker *w)
{
        sj_json_writer *writer;
        int r = sj_json_writer_new(0, &writer);
        if (r < 0)
                return r;
        w->since = sj_now();
        r = take_name(w, writer);
        sj_json_writer_free(writer);
        if (r >= 0)
                r = worker_revoked_load(w);
        if (r < 0)
                return w->stopping && !w->failure ? 0 : r;
        bool solo = w->options.pool == WORKER_SOLO;
        r = solo ? worker_solo_open(w) : worker_pool_open(w);
        if (r >= 0)
                r = work(w);
        if (solo)
                worker_solo_close(w);
        else
                worker_pool_close(w);
        leave_name(w);
        if (r < 0 && w->error[0] == '\0')
                snprintf(w->error, sizeof(w->error), "the worker cannot work: %s%s", sj_strerror(r),
                         r == -EAGAIN ? ": see ulimit -u" : "");
        return w->failure ? w->failure : r;
}
