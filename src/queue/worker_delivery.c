/* SPDX-License-Identifier: MIT */
/*
 * A delivery's life but for the telling of its end: leased in batches, decoded, judged before it
 * runs, handed to a child, and judged by what came of it.
 *
 * How many are leased at once: what the children can run, and a little more for short tasks, so
 * that a child finds its next task without asking. The read-ahead is what can be run in a few
 * milliseconds, by the mean of the last runs; a delivery that waits behind a long one all the
 * same is recalled (worker_settle.c).
 */
#include "queue/app.h"
#include "queue/worker_internal.h"

#include <stdatomic.h>
#include <stdlib.h>

#define READ_AHEAD_TIME (10 * SJ_MS)
enum { READ_AHEAD_MAX = 64, LEASE_BATCH = 256 };

/* ── How many ────────────────────────────────────────────────────────────────────────────── */

static size_t read_ahead(const worker *w)
{
        if (w->mean_run <= 0)
                return 1;
        sj_time n = READ_AHEAD_TIME / w->mean_run;
        return n > READ_AHEAD_MAX ? READ_AHEAD_MAX : (size_t)n;
}

/* What one child may have at once. */
static size_t child_share(const worker *w)
{
        return w->options.pool == WORKER_PREFORK ? 1 + read_ahead(w) : w->options.concurrency;
}

size_t worker_room(const worker *w)
{
        size_t most = 1;
        if (w->options.pool != WORKER_SOLO) {
                size_t ready = 0;
                for (size_t i = 0; i < w->n_children; i++)
                        ready += w->children[i] && w->children[i]->state == CHILD_READY;
                most = ready * child_share(w);
        } else {
                most += read_ahead(w);
        }
        /* Those that have ended hold no child up, but the broker may be slow to hear of them. */
        size_t limit = most ? most + 2 * LEASE_BATCH : 0;
        size_t busy = 0;
        for (size_t i = 0; i < w->n_children; i++)
                busy += w->children[i] ? w->children[i]->load : 0;
        if (w->options.pool == WORKER_SOLO)
                list_for_each (node, &w->waiting)
                        busy++;
        size_t room = busy < most ? most - busy : 0;
        size_t left = w->n_held < limit ? limit - w->n_held : 0;
        return room < left ? room : left;
}

worker_child *worker_pool_choose(worker *w)
{
        worker_child *best = NULL;
        size_t share = child_share(w);
        for (size_t i = 0; i < w->n_children; i++) {
                worker_child *c = w->children[i];
                if (!c || c->state != CHILD_READY || c->n_free == 0 || c->load >= share)
                        continue;
                if (!best || c->load < best->load)
                        best = c;
        }
        return best;
}

/* ── Making one ──────────────────────────────────────────────────────────────────────────── */

static delivery *delivery_new(worker *w)
{
        list *spare = list_pop(&w->spare);
        if (spare) {
                delivery *d = container_of(spare, delivery, place);
                sj_arena *arena = d->arena;
                *d = (delivery){.arena = arena};
                return d;
        }
        delivery *d = calloc(1, sizeof(*d));
        if (!d || sj_arena_new(&d->arena) < 0) {
                free(d);
                return NULL;
        }
        return d;
}

void worker_delivery_free(worker *w, delivery *d)
{
        list_append(&w->settled, &d->place);
        if (!w->renewing)
                worker_delivery_sweep(w);
}

void worker_delivery_sweep(worker *w)
{
        for (list *node; (node = list_pop(&w->settled));) {
                delivery *d = container_of(node, delivery, place);
                list_remove(&d->held);
                broker_lease_free(d->lease);
                sj_arena_reset(d->arena);
                list_append(&w->spare, &d->place);
                w->n_held--;
        }
        sj_event_set(&w->capacity);
        if (w->n_held == 0) {
                sj_event_set(&w->idle);
                sj_event_clear(&w->busy);
        }
}

outcome_context worker_context(worker *w)
{
        uint64_t random;
        os_random(&random, sizeof(random));
        return (outcome_context){
                .now = os_wall(),
                .worker = sj_str_of(w->options.name),
                .pid = os_pid(),
                .random = random,
                .route = w->app ? app_route : NULL,
                .route_arg = w->app,
                .shared = w->options.shared,
        };
}

/* ── Ending one ──────────────────────────────────────────────────────────────────────────── */

static void end(worker *w, delivery *d)
{
        d->ended = true;
        d->child = NULL;
        list_append(&w->ended, &d->place);
        sj_event_set(&w->ended_event);
}

/* The settlement of a delivery for which nothing else could be worked out: it goes back. */
static void settle_as(delivery *d, broker_verdict verdict)
{
        d->settlement = (broker_settlement){.lease = d->lease, .verdict = verdict};
}

static void count(worker *w, const delivery *d)
{
        worker_counts *n = &w->counts;
        switch (d->settlement.verdict) {
        case BROKER_RETRY:
                n->retried++;
                return;
        case BROKER_REQUEUE:
        case BROKER_RETURN:
                n->returned++;
                return;
        case BROKER_DEAD:
                n->dead++;
                return;
        case BROKER_DONE:
                break;
        }
        for (size_t i = 0; i < d->settlement.n_results; i++) {
                sj_str state = d->settlement.results[i].state;
                if (sj_str_equal(state, SJ_STR("FAILURE")))
                        n->failed++;
                else if (sj_str_equal(state, SJ_STR("REVOKED")))
                        n->revoked++;
                else
                        n->succeeded++;
                return;
        }
        n->succeeded++;
}

static void log_end(const worker *w, const delivery *d)
{
        static const char *const verdicts[] = {"done", "retried", "requeued", "given back", "dead"};
        const broker_settlement *s = &d->settlement;
        sj_str state = s->n_results > 0 ? s->results[0].state : (sj_str){0};
        bool bad = s->verdict == BROKER_DEAD || sj_str_equal(state, SJ_STR("FAILURE"));
        (void)w;
        sj_log(bad ? SJ_LOG_WARNING : SJ_LOG_INFO, "task %.*s[%.*s] %s%s%.*s%s%.*s",
               SJ_STR_ARG(d->lease->message.task), SJ_STR_ARG(d->lease->message.id),
               verdicts[s->verdict], state.n ? ": " : "", SJ_STR_ARG(state),
               s->reason.n ? ": " : "", SJ_STR_ARG(s->reason));
}

static void judged(worker *w, delivery *d, int r)
{
        if (r < 0) {
                sj_log(SJ_LOG_ERROR, "task %.*s[%.*s] goes back: %s",
                       SJ_STR_ARG(d->lease->message.task), SJ_STR_ARG(d->lease->message.id),
                       sj_strerror(r));
                settle_as(d, BROKER_REQUEUE);
        }
        count(w, d);
        log_end(w, d);
        end(w, d);
}

void worker_returned(worker *w, delivery *d, const task_return *result)
{
        outcome_context context = worker_context(w);
        task_return return_;
        if (d->over_limit) {
                return_ = task_failed("billiard.exceptions", "TimeLimitExceeded", SJ_STR("[]"));
                result = &return_;
        }
        judged(w, d, outcome_after(&context, &d->view, result, d->arena, &d->settlement));
}

void worker_give_back(worker *w, delivery *d)
{
        settle_as(d, BROKER_RETURN);
        judged(w, d, 0);
}

void worker_interrupted(worker *w, delivery *d)
{
        settle_as(d, BROKER_REQUEUE);
        judged(w, d, 0);
}

void worker_crashed(worker *w, delivery *d, const char *how)
{
        if (d->over_limit) {
                worker_returned(w, d, NULL);
                return;
        }
        w->counts.crashed++;
        outcome_context context = worker_context(w);
        judged(w, d, outcome_crashed(&context, &d->view, how, d->arena, &d->settlement));
}

void worker_cancel_delivery(worker *w, delivery *d)
{
        if (d->child)
                atomic_store(&wire_slots(&d->child->duplex)[d->slot].cancelled, 1);
        else if (d == w->running)
                w->running_cancelled = true;
}

/* ── Leasing ─────────────────────────────────────────────────────────────────────────────── */

/* Decodes and judges; 1: it has ended already. */
static int judge_before(worker *w, delivery *d)
{
        broker_lease *lease = d->lease;
        int r = message_decode(d->arena, lease->message.envelope, &d->m, &d->error);
        if (r < 0 && r != -EBADMSG)
                return r;
        d->view = (outcome_delivery){.lease = lease, .m = &d->m};
        if (r == -EBADMSG)
                d->view.error = &d->error;
        else
                d->view.info = task_manifest_find(&w->manifest, d->m.task);
        outcome_context context = worker_context(w);
        return outcome_before(&context, &d->view, d->arena, &d->settlement);
}

/*
 * A task that is acknowledged early is settled before it runs: a crash loses it, as was asked.
 * That it was STARTED is stored with that, so that the broker does not forget it meanwhile.
 */
static bool ack_early(worker *w, delivery *d)
{
        broker_result started;
        outcome_context context = worker_context(w);
        int r = outcome_started(&context, &d->view, d->arena, &started);
        if (r >= 0) {
                settle_as(d, BROKER_DONE);
                d->settlement.results = &started;
                d->settlement.n_results = 1;
                d->said_started = true;
                r = worker_settle_now(w, &d, 1);
        }
        if (r < 0 || d->settlement.status < 0) {
                d->lost = true;
                return false;
        }
        d->acked = true;
        return true;
}

static void hand_out(worker *w, delivery *d)
{
        if (d->view.info && d->view.info->acks_early && !ack_early(w, d)) {
                worker_delivery_free(w, d);
                return;
        }
        if (w->options.pool == WORKER_SOLO) {
                worker_solo_hand(w, d);
                return;
        }
        worker_child *c = worker_pool_choose(w);
        if (c)
                worker_link_hand(c, d);
        else
                worker_give_back(w, d);
}

static void take_lease(worker *w, broker_lease *lease)
{
        delivery *d = delivery_new(w);
        if (!d) {
                /* It comes back when its lease runs out. */
                broker_lease_free(lease);
                return;
        }
        d->lease = lease;
        list_append(&w->held, &d->held);
        w->n_held++;
        sj_event_clear(&w->idle);
        sj_event_set(&w->busy);
        int r = judge_before(w, d);
        if (r == 0)
                hand_out(w, d);
        else
                judged(w, d, r);
}

static int lease_some(worker *w)
{
        broker_lease *leases[LEASE_BATCH];
        size_t n = worker_room(w);
        if (n > LEASE_BATCH)
                n = LEASE_BATCH;
        const broker_claim claim = {.queues = w->options.queues,
                                    .n_queues = w->options.n_queues,
                                    .worker = sj_str_of(w->options.name),
                                    .duration = w->options.lease};
        /* A stop must not leave it unknown what was leased. */
        SJ_SCOPE(shield, sj_after(WORKER_BROKER_LIMIT), SJ_SHIELD);
        int got = broker_lease_next(w->options.broker, &claim, leases, n, SJ_NEVER);
        for (int i = 0; i < got; i++)
                take_lease(w, leases[i]);
        return got == -ECANCELED ? -ETIMEDOUT : got;
}

int worker_lease_duty(void *arg)
{
        worker *w = arg;
        int r = sj_event_wait(&w->ready, SJ_NEVER);
        while (r >= 0 && !w->stopping) {
                if (worker_room(w) == 0) {
                        sj_event_clear(&w->capacity);
                        r = sj_event_wait(&w->capacity, SJ_NEVER);
                        continue;
                }
                r = lease_some(w);
                if (r == 0 && !w->stopping)
                        r = broker_wait(w->options.broker, w->options.queues, w->options.n_queues,
                                        sj_after(SJ_MIN));
                if (r == -ECANCELED)
                        return r;
                if (r < 0 && r != -ETIMEDOUT) {
                        sj_log(SJ_LOG_ERROR, "the broker gives nothing: %s", sj_strerror(r));
                        r = sj_sleep(WORKER_RETRY_PAUSE);
                }
                if (r == -ETIMEDOUT)
                        r = 0;
        }
        return r < 0 ? r : 0;
}
