/* SPDX-License-Identifier: MIT */
/*
 * What the broker is told of deliveries: how they have ended, in groups; that those which are held
 * are still held; and what can be seen of those that run (STARTED, time limits).
 *
 * A settlement is tried until the broker has taken it or the delivery's lease must have run out:
 * after that the message is somebody else's, and the broker would refuse it anyway.
 */
#include "queue/worker_internal.h"

#include <stdatomic.h>

enum { SETTLE_BATCH = 256, TEND_BATCH = 256 };
#define TEND_INTERVAL (50 * SJ_MS)
#define STARTED_AFTER (50 * SJ_MS) /* a shorter task is not said to be STARTED */
#define STUCK_AFTER   (100 * SJ_MS)

/* ── Settling ────────────────────────────────────────────────────────────────────────────── */

/* What was acknowledged before it ran: its results and follow-ups go by themselves. */
static int settle_acked(worker *w, delivery *d)
{
        const broker_settlement *s = &d->settlement;
        broker *b = w->options.broker;
        int r = 0;
        if (s->verdict == BROKER_RETRY && s->next)
                r = broker_publish(b, s->next, 1, NULL, SJ_NEVER);
        if (r >= 0 && s->n_follow_ups > 0)
                r = broker_publish(b, s->follow_ups, s->n_follow_ups, NULL, SJ_NEVER);
        if (r >= 0 || r == -EEXIST)
                r = broker_result_put(b, s->results, s->n_results, SJ_NEVER);
        return r;
}

static int settle_group(worker *w, delivery *const deliveries[], size_t n)
{
        broker_settlement settlements[SETTLE_BATCH];
        delivery *of[SETTLE_BATCH];
        size_t k = 0;
        for (size_t i = 0; i < n; i++) {
                if (deliveries[i]->acked) {
                        int r = settle_acked(w, deliveries[i]);
                        if (r < 0)
                                return r;
                } else if (!deliveries[i]->lost) {
                        of[k] = deliveries[i];
                        settlements[k++] = deliveries[i]->settlement;
                }
        }
        int r = k > 0 ? broker_settle(w->options.broker, settlements, k, SJ_NEVER) : 0;
        for (size_t i = 0; r >= 0 && i < k; i++) {
                of[i]->settlement.status = settlements[i].status;
                if (settlements[i].status < 0)
                        sj_log(SJ_LOG_WARNING, "task %.*s[%.*s] was settled too late: its lease %s",
                               SJ_STR_ARG(of[i]->lease->message.task),
                               SJ_STR_ARG(of[i]->lease->message.id),
                               settlements[i].status == -ESTALE
                                       ? "had run out"
                                       : sj_strerror(settlements[i].status));
        }
        return r;
}

int worker_settle_now(worker *w, delivery *const deliveries[], size_t n)
{
        SJ_SCOPE(shield, sj_after(WORKER_BROKER_LIMIT), SJ_SHIELD);
        return settle_group(w, deliveries, n);
}

/* Tries until it is done, or until no lease of it can still be ours. */
static void settle_until_done(worker *w, delivery *const deliveries[], size_t n)
{
        sj_time give_up = sj_after(w->options.lease);
        for (;;) {
                int r = worker_settle_now(w, deliveries, n);
                if (r >= 0)
                        return;
                sj_log(SJ_LOG_ERROR, "the broker does not take what has ended: %s", sj_strerror(r));
                if (sj_now() >= give_up)
                        return;
                SJ_SCOPE(shield, sj_after(2 * WORKER_RETRY_PAUSE), SJ_SHIELD);
                sj_sleep(WORKER_RETRY_PAUSE);
        }
}

int worker_settle_duty(void *arg)
{
        worker *w = arg;
        for (;;) {
                if (list_empty(&w->ended)) {
                        sj_event_clear(&w->ended_event);
                        int r = sj_event_wait(&w->ended_event, SJ_NEVER);
                        if (r < 0)
                                return r;
                }
                delivery *group[SETTLE_BATCH];
                size_t n = 0;
                for (list *node; n < SETTLE_BATCH && (node = list_pop(&w->ended));)
                        group[n++] = container_of(node, delivery, place);
                settle_until_done(w, group, n);
                for (size_t i = 0; i < n; i++)
                        worker_delivery_free(w, group[i]);
        }
}

/* ── Renewing ────────────────────────────────────────────────────────────────────────────── */

static void heard(worker *w, delivery *d, broker_hold hold)
{
        if (hold == BROKER_HELD || d->ended)
                return;
        if (hold == BROKER_LOST) {
                d->lost = true;
                sj_log(SJ_LOG_WARNING, "the lease of task %.*s[%.*s] was lost",
                       SJ_STR_ARG(d->lease->message.task), SJ_STR_ARG(d->lease->message.id));
        }
        d->view.revoked = hold == BROKER_HELD_REVOKED;
        worker_cancel_delivery(w, d);
}

/* The next few of those that this round has not renewed yet. */
static size_t next_group(worker *w, uint64_t round, delivery *of[], broker_lease *leases[])
{
        size_t n = 0;
        list_for_each (node, &w->held) {
                delivery *d = container_of(node, delivery, held);
                if (n == TEND_BATCH)
                        break;
                if (d->renewed == round || d->ended || d->acked || d->lost)
                        continue;
                d->renewed = round;
                leases[n] = d->lease;
                of[n++] = d;
        }
        return n;
}

static int renew_group(worker *w, delivery *const of[], broker_lease *const leases[], size_t n)
{
        broker_hold holds[TEND_BATCH];
        int r = broker_renew(w->options.broker, leases, n, w->options.lease, holds,
                             sj_after(w->options.lease / 3));
        if (r == -ECANCELED)
                return r;
        if (r < 0)
                sj_log(SJ_LOG_ERROR, "the leases cannot be renewed: %s", sj_strerror(r));
        for (size_t i = 0; r >= 0 && i < n; i++)
                heard(w, of[i], holds[i]);
        return 0;
}

/* The broker may take its time: deliveries that end meanwhile are freed after it. */
static int renew_all(worker *w)
{
        delivery *of[TEND_BATCH];
        broker_lease *leases[TEND_BATCH];
        uint64_t round = ++w->renewals;
        int r = 0;
        w->renewing = true;
        for (size_t n; r >= 0 && (n = next_group(w, round, of, leases)) > 0;)
                r = renew_group(w, of, leases, n);
        w->renewing = false;
        worker_delivery_sweep(w);
        return r;
}

int worker_renew_duty(void *arg)
{
        worker *w = arg;
        for (;;) {
                int r = sj_sleep(w->options.lease / 3);
                if (r >= 0)
                        r = renew_all(w);
                if (r < 0)
                        return r;
        }
}

/* ── Tending what runs ───────────────────────────────────────────────────────────────────── */

static bool is_running(const worker *w, const delivery *d)
{
        if (d == w->running)
                return true;
        return d->child &&
               atomic_load(&wire_slots(&d->child->duplex)[d->slot].state) == WIRE_RUNNING;
}

static sj_time seconds(double s)
{
        return s > 0 && s < 1e9 ? (sj_time)(s * (double)SJ_SEC) : 0;
}

/* In the other pools the child itself ends the task (fibers), or nobody can (threads). */
static void enforce_limit(worker *w, delivery *d, sj_time now)
{
        sj_time hard = seconds(outcome_time_limit(&d->view));
        if (!hard || now - d->begun < hard || w->options.pool != WORKER_PREFORK || d->over_limit)
                return;
        d->over_limit = true;
        sj_log(SJ_LOG_WARNING, "task %.*s[%.*s] is over its time limit of %g s: it is killed",
               SJ_STR_ARG(d->m.task), SJ_STR_ARG(d->m.id), outcome_time_limit(&d->view));
        worker_child_kill(d->child);
}

/* Notes that those which have run for a while are STARTED. */
static void say_started(worker *w, delivery *const started[], size_t n)
{
        broker_result results[TEND_BATCH];
        sj_arena *arena;
        if (n == 0 || sj_arena_new(&arena) < 0)
                return;
        size_t k = 0;
        outcome_context context = worker_context(w);
        for (size_t i = 0; i < n; i++) {
                if (started[i]->child)
                        context.pid = started[i]->child->pid;
                k += outcome_started(&context, &started[i]->view, arena, &results[k]) >= 0;
        }
        broker_result_put(w->options.broker, results, k, sj_after(WORKER_BROKER_LIMIT));
        sj_arena_free(arena);
}

static void tend(worker *w)
{
        delivery *started[TEND_BATCH];
        size_t n = 0;
        sj_time now = sj_now();
        list_for_each_safe (node, &w->held) {
                delivery *d = container_of(node, delivery, held);
                if (d->ended || !is_running(w, d))
                        continue;
                if (!d->begun)
                        d->begun = now;
                enforce_limit(w, d, now);
                if (!d->said_started && now - d->begun >= STARTED_AFTER && n < TEND_BATCH &&
                    !d->m.ignore_result) {
                        d->said_started = true;
                        started[n++] = d;
                }
        }
        for (size_t i = 0; i < w->n_children; i++) {
                worker_child *c = w->children[i];
                if (!c || c->state != CHILD_READY || list_empty(&c->sent))
                        continue;
                const delivery *oldest = container_of(c->sent.next, delivery, place);
                if (oldest->begun && now - oldest->begun > STUCK_AFTER)
                        worker_link_recall(c);
        }
        say_started(w, started, n);
}

int worker_tend_duty(void *arg)
{
        worker *w = arg;
        for (;;) {
                int r = w->n_held > 0 ? sj_sleep(TEND_INTERVAL) : sj_event_wait(&w->busy, SJ_NEVER);
                if (r < 0)
                        return r;
                tend(w);
        }
}
