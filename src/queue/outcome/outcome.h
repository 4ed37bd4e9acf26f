/* SPDX-License-Identifier: MIT */
/*
 * outcome: what becomes of a delivery. Pure functions: from the message, what is known of its
 * task, and what came of the run, to the settlement that the broker is told. No I/O, no clock,
 * no randomness but what the caller gives (and fresh ids for the messages that follow); so every
 * rule is tested without a worker.
 *
 *   lease ─► message_decode ─► outcome_before ─── 0 ──► run ─► outcome_after ───┐
 *                                    │                   └► outcome_crashed ────┤
 *                                    └──────────── 1 ───────────────────────────┴─► settlement
 *
 * success      SUCCESS; then the callbacks, and the next link of the chain, with the result
 * failure      FAILURE; the same under the ids of the rest of the chain; then the errbacks
 * retry        RETRY with its cause, and the message again with retries + 1 and an eta; when none
 *              are left, failure
 * expired      REVOKED("expired")
 * revoked      REVOKED("revoked" or "terminated")
 * unknown name, unreadable, refused content, delivered too often: dead, with FAILURE
 * replaced     what takes its place, under its id; nothing of its own
 * ignored      nothing
 * rejected     dead, with FAILURE; or requeued, counted
 * crashed      requeued, counted; when delivered too often, dead
 */
#ifndef SANJAB_QUEUE_OUTCOME_H
#define SANJAB_QUEUE_OUTCOME_H

#include "queue/broker/broker.h"
#include "queue/canvas/canvas.h"
#include "queue/message/message.h"
#include "queue/task/task.h"

/* How long after its publish a name that we do not know is put back for others: microseconds. */
#define OUTCOME_SHARED_PATIENCE ((int64_t)600 * 1000000)

typedef struct outcome_context {
        sj_wall now;
        sj_str worker;   /* the node's name, "worker1@host" */
        int pid;         /* of who runs the task */
        sj_str origin;   /* "gen<pid>@<host>", for the messages that follow */
        uint64_t random; /* fresh random bits for this outcome: the jitter */
        /* The queue of a task that a signature names without one; NULL: the delivery's own. */
        sj_str (*route)(void *arg, sj_str task);
        void *route_arg;
        canvas_defaults defaults; /* of the messages that follow */
        bool shared;    /* other workers may know the names that we do not: put those back */
        bool extended;  /* results name the task, its arguments and its worker */
        bool knows_ids; /* the broker tells unknown ids apart: one that goes on is kept known */
        bool compact;   /* no worker of Celery's takes part: see canvas.h */
} outcome_context;

/*
 * What the end of a delivery says to those joins that wait for it, or for what was to come after
 * it. The broker is told before the delivery is settled; what follows from a join that is complete
 * then (outcome_joined) belongs into the same settlement, and may be further arrivals.
 */
typedef struct outcome_arrivals {
        broker_arrival *list;
        const sj_json **bodies; /* of each, as the message has it; or NULL */
        size_t n;
        size_t told; /* the first ones: the broker knows, and what follows is in the settlement */
        size_t room;
} outcome_arrivals;

/* One delivery. `error` is what message_decode said; info is NULL for an unknown name. */
typedef struct outcome_delivery {
        const broker_lease *lease;
        const message *m;
        const message_error *error; /* NULL or MESSAGE_SOUND: readable */
        const task_info *info;
        bool revoked; /* somebody has asked for its end */
        /* Written with each settlement: what it brings to joins. NULL: nobody asks. */
        outcome_arrivals *arrivals;
} outcome_delivery;

/*
 * Whether the delivery is to be run. 0: yes. 1: no, and *ret says how it ends. All that *ret
 * points to lies in the arena, or is the delivery's own. -ENOMEM.
 */
int outcome_before(const outcome_context *context, const outcome_delivery *delivery,
                   sj_arena *arena, broker_settlement *ret);

/* How the delivery ends after a run. -ENOMEM. */
int outcome_after(const outcome_context *context, const outcome_delivery *delivery,
                  const task_return *result, sj_arena *arena, broker_settlement *ret);

/*
 * After who ran it has died (how: "killed by SIGSEGV"): another delivery, after a pause that grows
 * with each, or dead. -ENOMEM.
 */
int outcome_crashed(const outcome_context *context, const outcome_delivery *delivery,
                    const char *how, sj_arena *arena, broker_settlement *ret);

/* How often it may be delivered. */
uint32_t outcome_most_deliveries(const outcome_delivery *delivery);

/* After it was ended on request while it ran ("terminated"). -ENOMEM. */
int outcome_revoked(const outcome_context *context, const outcome_delivery *delivery,
                    const char *reason, sj_arena *arena, broker_settlement *ret);

/*
 * When the broker refuses what was worked out, for a reason that will not pass: dead, with FAILURE
 * and nothing that follows. -ENOMEM.
 */
int outcome_refused(const outcome_context *context, const outcome_delivery *delivery, int error,
                    sj_arena *arena, broker_settlement *ret);

/* ── Joins (protocol §8.4) ───────────────────────────────────────────────────────────────── */

/*
 * Of a complete arrival the ids whose results must be known besides what has arrived: those of a
 * saved group. *ret in the arena. Returns how many; -ENOMEM.
 */
int outcome_join_lacks(const broker_arrival *arrival, sj_arena *arena, const sj_str **ret);

/*
 * Arrival i of the delivery is complete: adds to its settlement what follows. If all members have
 * succeeded the body is sent with their results, and the join closed; else the body has failed
 * with ChordError, its error links are sent, and the join is left to expire. found: the results of
 * those that outcome_join_lacks has named. -ENOMEM.
 */
int outcome_joined(const outcome_context *context, const outcome_delivery *delivery, size_t i,
                   const broker_result found[], size_t n_found, sj_arena *arena,
                   broker_settlement *settlement);

/* The state to store when it begins: STARTED with pid and hostname. -ENOMEM. */
int outcome_started(const outcome_context *context, const outcome_delivery *delivery,
                    sj_arena *arena, broker_result *ret);

/* A state of the task's own; meta is JSON. -ENOMEM. */
int outcome_progress(const outcome_context *context, const outcome_delivery *delivery, sj_str state,
                     sj_str meta, sj_arena *arena, broker_result *ret);

/* The limits of this run in seconds, 0 for none: the message's before the task's. */
double outcome_time_limit(const outcome_delivery *delivery);
double outcome_soft_time_limit(const outcome_delivery *delivery);

/*
 * The seconds until the next run: what was asked for, else the back-off
 * (retry_backoff × 2^retries, at most retry_backoff_max; with jitter a random part of it), else
 * default_retry_delay.
 */
double outcome_retry_delay(const task_info *info, int64_t retries, double asked, uint64_t random);

#endif
