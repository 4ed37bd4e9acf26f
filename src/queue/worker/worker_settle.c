/* SPDX-License-Identifier: MIT */
/*
 * What the broker is told of deliveries: how they have ended, in groups; that those which are held
 * are still held; and what can be seen of those that run (STARTED, time limits).
 *
 * A settlement is tried until the broker has taken it or the delivery's lease must have run out:
 * after that the message is somebody else's, and the broker would refuse it anyway.
 */
#include "queue/worker/worker_events.h"
#include "queue/worker/worker_internal.h"

#include <sanjab/sync.h>

#include <stdatomic.h>

enum { SETTLE_BATCH = 256, TEND_BATCH = 256 };
#define TEND_INTERVAL (50 * SJ_MS)
#define STARTED_AFTER (50 * SJ_MS) /* a shorter task is not said to be STARTED */
#define TELL_INTERVAL (500 * SJ_MS)
#define STUCK_AFTER   (100 * SJ_MS)

/* ── Settling ────────────────────────────────────────────────────────────────────────────── */

/*
 * What was acknowledged before it ran: its results and follow-ups go by themselves. One that goes
 * back without having begun is published anew.
 */
static int settle_acked(worker *w, delivery *d)
{
        const broker_settlement *s = &d->settlement;
        broker *b = w->options.broker;
        int r = 0;
        const broker_message *again = s->verdict == BROKER_RETRY    ? s->next
                                      : s->verdict == BROKER_RETURN ? &d->lease->message
                                                                    : NULL;
        if (again) {
                r = broker_publish(b, again, 1, NULL, SJ_NEVER);
                r = r == -EEXIST ? 0 : r; /* by the try before this one */
        }
        if (r >= 0)
                r = broker_join_open(b, s->joins, s->n_joins, SJ_NEVER);
        for (size_t i = 0; r >= 0 && i < s->n_follow_ups; i += BROKER_BATCH_MAX) {
                size_t n = s->n_follow_ups - i;
                r = broker_publish(b, s->follow_ups + i,
                                   n < BROKER_BATCH_MAX ? n : BROKER_BATCH_MAX, NULL, SJ_NEVER);
                r = r == -EEXIST ? 0 : r;
        }
        for (size_t i = 0; r >= 0 && i < s->n_results; i += BROKER_BATCH_MAX) {
                size_t n = s->n_results - i;
                r = broker_result_put(b, s->results + i,
                                      n < BROKER_BATCH_MAX ? n : BROKER_BATCH_MAX, SJ_NEVER);
        }
        return r;
}

static int settle_group(worker *w, delivery *const deliveries[], size_t n)
{
        broker_settlement settlements[SETTLE_BATCH];
        delivery *of[SETTLE_BATCH];
        size_t k = 0;
        int r = worker_tell_joins(w, deliveries, n);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                if (deliveries[i]->acked) {
                        /* Once: not again because others of the group are told again. */
                        r = deliveries[i]->told_end ? 0 : settle_acked(w, deliveries[i]);
                        if (r < 0)
                                return r;
                        deliveries[i]->told_end = true;
                } else if (!deliveries[i]->lost) {
                        of[k] = deliveries[i];
                        settlements[k++] = deliveries[i]->settlement;
                }
        }
        r = k > 0 ? broker_settle(w->options.broker, settlements, k, SJ_NEVER) : 0;
        for (size_t i = 0; r < 0 && i < k; i++)
                of[i]->tried = true;
        for (size_t i = 0; r >= 0 && i < k; i++) {
                of[i]->settlement.status = settlements[i].status;
                /* After a try that seemed to fail, that one has done it. */
                bool by_an_earlier_try = settlements[i].status == -ESTALE && of[i]->tried;
                if (settlements[i].status < 0 && !by_an_earlier_try)
                        log_about(SJ_LOG_WARNING, of[i]->lease->message.task,
                                  of[i]->lease->message.id, "was settled too late: its lease %s",
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

/* Whether the broker will say so again, however often it is asked. */
static bool is_refusal(int r)
{
        return r == -EINVAL || r == -EMSGSIZE || r == -ENAMETOOLONG || r == -EBADMSG;
}

/* A pause before the next try; false: it is of no use any more. */
static bool try_again(int error, sj_time give_up)
{
        sj_log(SJ_LOG_ERROR, "the broker does not take what has ended: %s", sj_strerror(error));
        if (sj_now() >= give_up || sj_cancelled())
                return false;
        SJ_SCOPE(shield, sj_after(2 * WORKER_RETRY_PAUSE), SJ_SHIELD);
        sj_sleep(WORKER_RETRY_PAUSE);
        return true;
}

/* It is dead, since what should have become of it cannot be. */
static int replace_settlement(worker *w, delivery *d, int error)
{
        outcome_context context = worker_context(w);
        log_about(SJ_LOG_ERROR, d->lease->message.task, d->lease->message.id,
                  "has ended as the broker refuses: %s", sj_strerror(error));
        d->refused = true;
        return outcome_refused(&context, &d->view, error, d->arena, &d->settlement);
}

/*
 * Tries until it is done, or until no lease of it can still be ours. When the broker refuses what
 * it is told, each is told alone, so that one cannot keep all others from their ends.
 */
static void settle_until_done(worker *w, delivery *const deliveries[], size_t n)
{
        sj_time give_up = sj_after(w->options.lease);
        for (;;) {
                int r = worker_settle_now(w, deliveries, n);
                if (r >= 0)
                        return;
                if (is_refusal(r) && n > 1) {
                        for (size_t i = 0; i < n; i++)
                                settle_until_done(w, &deliveries[i], 1);
                        return;
                }
                if (is_refusal(r) && !deliveries[0]->refused &&
                    replace_settlement(w, deliveries[0], r) >= 0)
                        continue;
                if (!try_again(r, give_up))
                        return;
        }
}

int worker_settle_surely(worker *w, delivery *d)
{
        sj_time give_up = sj_after(w->options.lease);
        for (;;) {
                int r = worker_settle_now(w, &d, 1);
                if (r >= 0 && d->settlement.status == -ESTALE && d->tried && sj_now() < give_up)
                        return 0; /* by a try before, which only seemed to fail */
                if (r >= 0)
                        return d->settlement.status;
                if (is_refusal(r) || !try_again(r, give_up))
                        return r;
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
                log_about(SJ_LOG_WARNING, d->lease->message.task, d->lease->message.id,
                          "is not ours any more: its lease was lost");
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

bool worker_is_running(const worker *w, const delivery *d)
{
        if (d == w->running)
                return true;
        return d->child &&
               atomic_load(&wire_slots(&d->child->duplex)[d->slot].state) == WIRE_RUNNING;
}

/*
 * The body sees its soft limit by itself (sj_task_cancelled, cancellation points), unless it is
 * blocked. Again and again, since the signal may come between its look and its call.
 */
static void enforce_soft_limit(const worker *w, delivery *d, sj_time now)
{
        if (!d->soft || now - d->begun < d->soft || !d->child || w->options.pool != WORKER_PREFORK)
                return;
        if (!d->told)
                log_about(SJ_LOG_WARNING, d->m.task, d->m.id, "is over its soft time limit of %g s",
                          (double)d->soft / (double)SJ_SEC);
        else if (now - d->told < TELL_INTERVAL)
                return;
        d->told = now;
        worker_child_interrupt(d->child);
}

/* In the other pools the child itself ends the task (fibers), or nobody can (threads). */
static void enforce_limit(worker *w, delivery *d, sj_time now)
{
        if (!d->hard || now - d->begun < d->hard || w->options.pool != WORKER_PREFORK ||
            d->over_limit)
                return;
        d->over_limit = true;
        log_about(SJ_LOG_ERROR, d->m.task, d->m.id, "is over its time limit of %g s: it is killed",
                  (double)d->hard / (double)SJ_SEC);
        worker_child_kill(d->child);
}

/* Nobody asks how it is with a task whose result is ignored. */
static bool is_silent(const delivery *d)
{
        return d->m.ignore_result || d->view.info->ignore_result;
}

static size_t running_at_most(const worker_child *c)
{
        return c->w->options.pool == WORKER_PREFORK ? 1 : c->capacity;
}

/* What waits behind a task that takes long goes to somebody else. */
static void tend_child(worker_child *c, sj_time now)
{
        if (!c || c->state != CHILD_READY || list_empty(&c->sent))
                return;
        const delivery *oldest = container_of(c->sent.next, delivery, place);
        c->stuck = oldest->begun && now - oldest->begun > STUCK_AFTER;
        if (c->stuck && c->load > running_at_most(c))
                worker_link_recall(c);
}

static void tend(worker *w)
{
        sj_time now = sj_now();
        list_for_each_safe (node, &w->held) {
                delivery *d = container_of(node, delivery, held);
                if (d->ended || !worker_is_running(w, d))
                        continue;
                if (!d->begun)
                        d->begun = now;
                worker_event_started(w, d, 0);
                enforce_soft_limit(w, d, now);
                enforce_limit(w, d, now);
                if (!d->said_started && now - d->begun >= STARTED_AFTER && !is_silent(d)) {
                        d->said_started = true;
                        worker_note_started(w, d);
                }
        }
        /* In the pool of fibers nothing waits behind anything. */
        for (size_t i = 0; w->options.pool != WORKER_FIBERS_POOL && i < w->n_children; i++)
                tend_child(w->children[i], now);
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
