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

size_t worker_child_room(const worker *w, const worker_child *c)
{
        size_t share = child_share(w);
        if (!c || c->state != CHILD_READY || c->stuck || c->load >= share)
                return 0;
        size_t room = share - c->load;
        return room < c->n_free ? room : c->n_free;
}

static size_t solo_room(const worker *w)
{
        size_t busy = 0;
        list_for_each (node, &w->waiting)
                busy++;
        return busy <= read_ahead(w) ? 1 + read_ahead(w) - busy : 0;
}

size_t worker_room(const worker *w)
{
        size_t room = w->options.pool == WORKER_SOLO ? solo_room(w) : 0;
        size_t working = 1;
        for (size_t i = 0; i < w->n_children; i++) {
                room += worker_child_room(w, w->children[i]);
                working += w->children[i] ? w->children[i]->load : 0;
        }
        /* Those that have ended hold no child up, but the broker may be slow to hear of them. */
        size_t others = w->n_held > working + w->n_turns ? w->n_held - working - w->n_turns : 0;
        size_t left = others < 2 * LEASE_BATCH ? 2 * LEASE_BATCH - others : 0;
        return room < left ? room : left;
}

bool worker_can_hand(const worker *w)
{
        if (w->options.pool == WORKER_SOLO)
                return true;
        for (size_t i = 0; i < w->n_children; i++)
                if (worker_child_room(w, w->children[i]) > 0)
                        return true;
        return false;
}

void worker_has_room(worker *w)
{
        sj_event_set(&w->capacity);
        sj_event_set(&w->turns_event);
}

worker_child *worker_pool_choose(worker *w)
{
        worker_child *best = NULL;
        for (size_t i = 0; i < w->n_children; i++) {
                worker_child *c = w->children[i];
                if (worker_child_room(w, c) > 0 && (!best || c->load < best->load))
                        best = c;
        }
        return best;
}

void worker_note_time(worker *w, sj_time took)
{
        w->mean_run = (w->mean_run ? (w->mean_run * 7 + took) / 8 : took) + 1;
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
        worker_has_room(w);
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
        worker_note_forget(d);
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

/* What a body that was asked to end says of it: that it succeeded all the same, or no matter. */
static bool was_terminated(const delivery *d, const task_return *result)
{
        return d->view.revoked && result->end != TASK_SUCCEEDED;
}

void worker_returned(worker *w, delivery *d, const task_return *result)
{
        outcome_context context = worker_context(w);
        task_return return_;
        if (d->over_limit) {
                return_ = task_failed("billiard.exceptions", "TimeLimitExceeded", SJ_STR("[]"));
                result = &return_;
        }
        if (was_terminated(d, result))
                judged(w, d,
                       outcome_revoked(&context, &d->view, "terminated", d->arena, &d->settlement));
        else
                judged(w, d, outcome_after(&context, &d->view, result, d->arena, &d->settlement));
}

void worker_give_back(worker *w, delivery *d)
{
        worker_give_back_until(w, d, NULL);
}

void worker_give_back_until(worker *w, delivery *d, const broker_message *next)
{
        settle_as(d, BROKER_RETURN);
        d->settlement.next = next;
        if (!next) {
                judged(w, d, 0);
                return;
        }
        sj_log(SJ_LOG_DEBUG, "task %.*s[%.*s] waits for its turn by the rate limit",
               SJ_STR_ARG(d->lease->message.task), SJ_STR_ARG(d->lease->message.id));
        end(w, d);
}

/* One that was acknowledged early cannot go back: it has failed. */
void worker_interrupted(worker *w, delivery *d)
{
        if (d->acked) {
                worker_crashed(w, d, "the worker was stopped while it ran");
                return;
        }
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
                d->in_hand = true;
                r = worker_settle_surely(w, d);
                d->in_hand = false;
        }
        d->acked = r >= 0;
        d->lost = !d->acked;
        return d->acked;
}

void worker_hand_out(worker *w, delivery *d)
{
        if (d->view.info->acks_early && !ack_early(w, d)) {
                worker_delivery_free(w, d);
                return;
        }
        if (w->stopping) {
                worker_give_back(w, d);
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

void worker_judge_again(worker *w, delivery *d)
{
        outcome_context context = worker_context(w);
        int r = outcome_before(&context, &d->view, d->arena, &d->settlement);
        if (r == 0)
                worker_give_back(w, d);
        else
                judged(w, d, r);
}

/* Out of the hands of whoever would run it; false: it is being run. */
static bool take_back(worker *w, delivery *d)
{
        if (d->child)
                return worker_link_take_back(d->child, d);
        if (d == w->running)
                return false;
        if (d->waits_turn)
                worker_turn_forget(w, d);
        else
                list_remove(&d->place); /* the solo pool's */
        return true;
}

void worker_cancel_delivery(worker *w, delivery *d)
{
        if (d->in_hand)
                return;
        if (take_back(w, d))
                worker_judge_again(w, d);
        else if (d->child)
                atomic_store(&wire_slots(&d->child->duplex)[d->slot].cancelled, 1);
        else
                w->running_cancelled = true;
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
        if (r != 0)
                judged(w, d, r);
        else if (w->stopping)
                worker_give_back(w, d);
        else if (worker_turn_has_come(w, d))
                worker_hand_out(w, d);
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
