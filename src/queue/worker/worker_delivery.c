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
#include "queue/worker/worker_events.h"
#include "queue/worker/worker_internal.h"

#include <sanjab/sync.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define READ_AHEAD_TIME (10 * SJ_MS)
enum {
        LEASE_BATCH = 128,
        /* One call's for each of two at a time, or the broker has nothing to do meanwhile. */
        ENDED_MAX = LEASE_BATCH + LEASE_BATCH / 2,
        DELIVERY_ROOM = 4608, /* what an ordinary message comes to, decoded and settled */
};

/* ── How many ────────────────────────────────────────────────────────────────────────────── */

static size_t read_ahead(const worker *w)
{
        if (w->mean_run <= 0)
                return 1;
        sj_time n = READ_AHEAD_TIME / w->mean_run;
        return n > WIRE_AHEAD_MAX ? WIRE_AHEAD_MAX : (size_t)n;
}

size_t worker_places_left(const worker *w)
{
        size_t taken = w->options.pool == WORKER_PREFORK ? w->n_busy : w->load;
        return w->options.concurrency > taken ? w->options.concurrency - taken : 0;
}

/* Without those that wait for a place in the ward, which others would never leave to them. */
static size_t places_left(const worker *w)
{
        size_t left = worker_places_left(w), kept = w->n_suspects > 0;
        return left > kept ? left - kept : 0;
}

/*
 * Whether what a child of threads has not begun can only ever wait for its own threads: with
 * another child beside it, or more threads than there are to be, too many tasks would run at once.
 */
static bool threads_read_ahead(const worker *w, const worker_child *c)
{
        return w->options.pool == WORKER_THREADS && !c->stuck && w->load == c->load &&
               w->n_suspects == 0 && c->capacity <= w->options.concurrency;
}

/* How many more one child may have. */
static size_t share_left(const worker *w, const worker_child *c)
{
        size_t share = c->capacity;
        if (w->options.pool == WORKER_PREFORK)
                share = 1 + read_ahead(w);
        else if (threads_read_ahead(w, c))
                share += read_ahead(w);
        return c->load < share ? share - c->load : 0;
}

/* How many more it may have before it is replaced. */
static size_t life_left(const worker *w, const worker_child *c)
{
        size_t most = w->options.max_tasks_per_child;
        if (!most)
                return SIZE_MAX;
        return c->done + c->load < most ? most - (size_t)c->done - c->load : 0;
}

static size_t min_size(size_t a, size_t b)
{
        return a < b ? a : b;
}

size_t worker_child_strength(const worker *w, const worker_child *c)
{
        return min_size(c->n_free, life_left(w, c));
}

size_t worker_child_room(const worker *w, const worker_child *c)
{
        if (!c || c->state != CHILD_READY || c->ward ||
            (c->stuck && w->options.pool == WORKER_PREFORK))
                return 0;
        size_t room = min_size(share_left(w, c), worker_child_strength(w, c));
        if (threads_read_ahead(w, c))
                return room;
        if (w->options.pool != WORKER_PREFORK)
                return min_size(room, places_left(w));
        return c->load > 0 || places_left(w) > 0 ? room : 0;
}

/* Of all children: while old ones still run, not all of the new may begin. */
static size_t children_room(const worker *w)
{
        size_t room = 0, left = places_left(w);
        for (size_t i = 0; i < w->n_children; i++) {
                const worker_child *c = w->children[i];
                size_t more = worker_child_room(w, c);
                if (w->options.pool == WORKER_PREFORK && more > 0 && c->load == 0) {
                        if (left == 0)
                                continue;
                        left--;
                }
                if (more > 0 && threads_read_ahead(w, c))
                        return more;
                room += more;
        }
        return w->options.pool == WORKER_PREFORK ? room : min_size(room, left);
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
        size_t room = w->options.pool == WORKER_SOLO ? solo_room(w) : children_room(w);
        size_t working = 1 + w->load;
        /* Those that have ended hold no child up, but the broker may be slow to hear of them. */
        size_t waiting = w->n_turns + w->n_suspects;
        size_t others = w->n_held > working + waiting ? w->n_held - working - waiting : 0;
        size_t left = others < ENDED_MAX ? ENDED_MAX - others : 0;
        room = min_size(room, left);
        return room > w->n_asked ? room - w->n_asked : 0;
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
        sj_event_set(&w->ward_event);
        if (!list_empty(&w->booked))
                sj_event_set(&w->fleet_event);
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
        /* At once, or it grows to that by steps, which leaves holes in the heap. */
        sj_arena_alloc(d->arena, DELIVERY_ROOM);
        sj_arena_reset(d->arena);
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
                list_prepend(&w->spare, &d->place);
                w->n_held--;
        }
        worker_has_room(w);
        if (w->n_held == 0) {
                sj_event_set(&w->idle);
                sj_event_clear(&w->busy);
        }
}

/* splitmix64: two calls of the system for each outcome would cost more than the outcome. */
static uint64_t next_random(worker *w)
{
        uint64_t z = w->random += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

outcome_context worker_context(worker *w)
{
        canvas_defaults defaults = {0};
        if (w->app)
                app_defaults(w->app, &defaults);
        return (outcome_context){
                .now = os_wall(),
                .defaults = defaults,
                .worker = sj_str_of(w->options.name),
                .pid = w->pid,
                .random = next_random(w),
                .route = w->app ? app_route : NULL,
                .route_arg = w->app,
                .shared = w->options.shared,
                .origin = w->origin,
                .extended = w->options.app && w->options.app->result_extended,
                .knows_ids = broker_can(w->options.broker, BROKER_KNOWS_IDS),
                .compact = broker_can(w->options.broker, BROKER_OURS),
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
        d->arrivals.n = d->arrivals.told = 0;
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

static void judged(worker *w, delivery *d, int r)
{
        if (r < 0) {
                log_about(SJ_LOG_ERROR, d->lease->message.task, d->lease->message.id,
                          "goes back: %s", sj_strerror(r));
                settle_as(d, BROKER_REQUEUE);
        }
        count(w, d);
        worker_log_end(d);
        worker_event_ended(w, d);
        worker_tell_failure(w, d);
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
        char args[40]; /* what it may point to */
        if (d->over_limit) {
                snprintf(args, sizeof(args), "[%.15g]", outcome_time_limit(&d->view));
                return_ = task_failed("billiard.exceptions", "TimeLimitExceeded", sj_str_of(args));
                result = &return_;
        }
        d->came = result;
        if (was_terminated(d, result))
                judged(w, d,
                       outcome_revoked(&context, &d->view, "terminated", d->arena, &d->settlement));
        else
                judged(w, d, outcome_after(&context, &d->view, result, d->arena, &d->settlement));
        d->came = NULL; /* it may be the caller's */
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
        log_about(SJ_LOG_DEBUG, d->lease->message.task, d->lease->message.id,
                  "waits for its turn by the rate limit");
        end(w, d);
}

/*
 * Ended by a stop that was ordered, which is no fault of the task: it does not count, or a task
 * that runs longer than a worker waits would be dead after a few deployments. One that was
 * acknowledged early cannot go back: it has failed.
 */
void worker_interrupted(worker *w, delivery *d)
{
        if (d->acked) {
                worker_crashed(w, d, "the worker was stopped while it ran");
                return;
        }
        d->interrupted = true;
        settle_as(d, BROKER_RETURN);
        judged(w, d, 0);
}

void worker_crashed(worker *w, delivery *d, const char *how)
{
        if (d->over_limit) {
                worker_returned(w, d, NULL);
                return;
        }
        outcome_context context = worker_context(w);
        if (d->terminated) {
                judged(w, d,
                       outcome_revoked(&context, &d->view, "terminated", d->arena, &d->settlement));
                return;
        }
        w->counts.crashed++;
        if (!d->begun)
                d->begun = sj_now(); /* nobody had looked yet */
        judged(w, d, outcome_crashed(&context, &d->view, how, d->arena, &d->settlement));
}

/* ── Leasing ─────────────────────────────────────────────────────────────────────────────── */

/* What is known of a task: what a child has, or has by nature. */
static const task_info *task_of(const worker *w, sj_str name)
{
        const task_info *info = task_manifest_find(&w->manifest, name);
        return info ? info : task_builtin_find(name);
}

/* Once: one that was started on the wrong queue would say it of each message. */
static void tell_unknown(worker *w, const delivery *d)
{
        const broker_message *m = &d->lease->message;
        if (w->told_unknown || d->settlement.verdict != BROKER_DEAD)
                return;
        w->told_unknown = true;
        sj_log(SJ_LOG_ERROR,
               "queue %.*s has tasks that this worker does not know, as %.*s: they fail with "
               "NotRegistered and are kept (sanjab dead). If other workers know them, give the "
               "tasks of this one a queue of their own (task_routes, and worker -Q), or start it "
               "with --shared. This is said once",
               SJ_STR_ARG(m->queue), SJ_STR_ARG(d->m.task));
}

/* Decodes and judges; 1: it has ended already. */
static int judge_before(worker *w, delivery *d)
{
        broker_lease *lease = d->lease;
        message_error error;
        int r = message_decode_kept(d->arena, lease->message.envelope,
                                    w->options.accept ? w->options.accept : MESSAGE_ACCEPT_JSON,
                                    &d->m, &error);
        if (r < 0 && r != -EBADMSG)
                return r;
        d->view = (outcome_delivery){.lease = lease, .m = &d->m, .arrivals = &d->arrivals};
        if (r == -EBADMSG) {
                message_error *kept = sj_arena_alloc(d->arena, sizeof(*kept));
                if (!kept)
                        return -ENOMEM;
                *kept = error;
                d->view.error = kept;
        } else {
                d->view.info = task_of(w, d->m.task);
        }
        d->view.revoked = worker_must_not_run(w, d);
        outcome_context context = worker_context(w);
        r = outcome_before(&context, &d->view, d->arena, &d->settlement);
        if (r == 1 && !d->view.error && !d->view.info)
                tell_unknown(w, d);
        return r;
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
        if (worker_is_trusted(w, d))
                worker_hand_now(w, d);
}

void worker_hand_now(worker *w, delivery *d)
{
        if (d->view.info->acks_early && !ack_early(w, d)) {
                worker_delivery_free(w, d);
                return;
        }
        if (w->stopping) {
                worker_give_back(w, d);
                return;
        }
        d->hard = worker_limit(outcome_time_limit(&d->view));
        d->soft = worker_limit(outcome_soft_time_limit(&d->view));
        worker_tune_warn(w, d);
        if (w->options.pool == WORKER_SOLO) {
                worker_solo_hand(w, d);
                return;
        }
        worker_child *c =
                worker_is_suspect(w, d) ? worker_ward_choose(w, d) : worker_pool_choose(w);
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
        if (d->waits_ward)
                worker_ward_forget(w, d);
        else if (d->waits_turn)
                worker_turn_forget(w, d);
        else if (d->waits_fleet)
                worker_fleet_forget(w, d);
        else
                list_remove(&d->place); /* the solo pool's */
        return true;
}

static void tell_child(const worker *w, delivery *d)
{
        worker_child *c = d->child;
        atomic_store(&wire_slots(&c->duplex)[d->slot].cancelled,
                     d->terminated ? WIRE_TERMINATED : WIRE_ASKED);
        if (worker_is_running(w, d))
                worker_child_interrupt(c);
        if (d->terminated && w->options.pool == WORKER_FIBERS_POOL) {
                c->terminates = true;
                sj_event_set(&c->work);
        }
}

void worker_cancel_delivery(worker *w, delivery *d)
{
        if (d->in_hand)
                return;
        if (take_back(w, d))
                worker_judge_again(w, d);
        else if (d->child)
                tell_child(w, d);
        else
                worker_solo_cancel(w, d);
}

static void receive(worker *w, delivery *d)
{
        worker_log_received(d);
        worker_event_received(w, d);
        if (worker_fleet_lets(w, d) && worker_turn_has_come(w, d))
                worker_hand_out(w, d);
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
        else
                receive(w, d);
}

static broker_claim claim_of(const worker *w)
{
        return (broker_claim){.queues = w->sources.claimed,
                              .n_queues = w->sources.n_claimed,
                              .worker = sj_str_of(w->options.name),
                              .duration = w->options.lease};
}

/* What came of a call that asked for n: whether there were no more than that. */
static bool take_leases(worker *w, broker_lease *const leases[], int got, size_t n)
{
        if (got == (int)n)
                sj_event_set(&w->plenty);
        else
                sj_event_clear(&w->plenty);
        for (int i = 0; i < got; i++)
                take_lease(w, leases[i]);
        return got < (int)n;
}

/* How many; *ret_dry if there were no more than that. */
static int lease_some(worker *w, bool *ret_dry)
{
        broker_lease *leases[LEASE_BATCH];
        size_t n = min_size(worker_room(w), LEASE_BATCH);
        const broker_claim claim = claim_of(w);
        /* A stop must not leave it unknown what was leased. */
        SJ_SCOPE(shield, sj_after(WORKER_BROKER_LIMIT), SJ_SHIELD);
        w->n_asked += n;
        w->asking++;
        int got = broker_lease_next(w->options.broker, &claim, leases, n, SJ_NEVER);
        w->n_asked -= n;
        w->asking--;
        *ret_dry = take_leases(w, leases, got, n);
        return got == -ECANCELED ? -ETIMEDOUT : got;
}

/*
 * The same, once there is something, or until the queues are others. A child may go meanwhile, or
 * turn out to be slow; what comes then and finds no place goes back.
 */
static int wait_for_more(worker *w, bool *ret_dry)
{
        broker_lease *leases[LEASE_BATCH];
        size_t n = min_size(worker_room(w), LEASE_BATCH);
        const broker_claim claim = claim_of(w);
        int got;
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                w->waiting_for_more = s;
                w->n_asked += n;
                got = broker_lease_wait(w->options.broker, &claim, leases, n, sj_after(SJ_MIN));
                w->n_asked -= n;
                w->waiting_for_more = NULL;
        }
        bool dry = take_leases(w, leases, got, n);
        *ret_dry = got > 0 && dry;
        return got == -ECANCELED && !sj_cancelled() ? 0 : got;
}

int worker_lease_duty(void *arg)
{
        worker *w = arg;
        int r = sj_event_wait(&w->ready, SJ_NEVER);
        bool dry = false;
        while (r >= 0 && !w->stopping) {
                /* Without memory it goes on with those of before, and while they are being read. */
                if (w->asking == 0)
                        worker_sources_claim(&w->sources);
                if (worker_room(w) == 0 || w->sources.n_claimed == 0) {
                        sj_event_clear(&w->capacity);
                        r = sj_event_wait(&w->capacity, SJ_NEVER);
                        dry = false;
                        continue;
                }
                r = dry ? wait_for_more(w, &dry) : lease_some(w, &dry);
                dry = dry && r >= 0;
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

/*
 * The broker's answer takes its time, in which the children would run dry: while a queue is long,
 * the next call is on its way before the last has come back. Everything that is not so simple
 * (waiting, errors, other queues) is left to the first lease fiber.
 */
int worker_lease_more_duty(void *arg)
{
        worker *w = arg;
        bool dry;
        int r = 0;
        while (r >= 0 && !w->stopping) {
                if (w->asking == 0 || w->sources.changed)
                        sj_event_clear(&w->plenty);
                r = sj_event_wait(&w->plenty, SJ_NEVER);
                if (r >= 0 && worker_room(w) == 0) {
                        sj_event_clear(&w->capacity);
                        r = sj_event_wait(&w->capacity, SJ_NEVER);
                } else if (r >= 0) {
                        lease_some(w, &dry);
                }
        }
        return r;
}
