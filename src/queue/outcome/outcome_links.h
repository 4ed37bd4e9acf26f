/* SPDX-License-Identifier: MIT */
/*
 * outcome_links: what follows from the end of a task: its callbacks, the next link of its chain,
 * its errbacks, what it says to joins, and the word to those who wait for what will never run.
 *
 * What follows is begun by canvas_begin, whatever it is made of. What cannot be begun (malformed,
 * too large) is never dropped in silence: FAILURE is stored under its id, and under those of all
 * that is within and behind it.
 */
#ifndef SANJAB_QUEUE_OUTCOME_LINKS_H
#define SANJAB_QUEUE_OUTCOME_LINKS_H

#include "queue/outcome/outcome.h"
#include "queue/result.h"

/* What a settlement is built of. A failure stays in `error`, and ends all that follows. */
typedef struct outcome_plan {
        const outcome_context *context;
        const outcome_delivery *delivery;
        sj_arena *arena;
        broker_message *follow_ups;
        size_t n_follow_ups;
        size_t follow_ups_room;
        broker_result *results;
        size_t n_results;
        size_t results_room;
        broker_join *joins;
        size_t n_joins;
        size_t joins_room;
        const sj_json **children; /* Celery's tuples of what follows */
        size_t n_children;
        size_t children_room;
        int error;
} outcome_plan;

/* Goes on where the settlement ended. */
void plan_resume(outcome_plan *p, const broker_settlement *s);
/* And back: what was added is the settlement's. */
void plan_settle(const outcome_plan *p, broker_settlement *s);

/* Adds a result to be stored. */
void plan_result(outcome_plan *p, const result_meta *meta);
/* Adds a join to be opened or closed. */
void plan_join(outcome_plan *p, const broker_join *join);
/* The message as the broker takes it. */
int plan_envelope(outcome_plan *p, const message *m, broker_message *ret);

/*
 * Begins a signature, with the value (or NULL) in front of its arguments and `behind` after it, as
 * the child of parent. 0; -EBADMSG it is none; -EMSGSIZE it does not fit into a message. Others
 * are the plan's.
 */
int plan_begin(outcome_plan *p, const sj_json *signature, const sj_json *value,
               const sj_json *behind, sj_str parent);

/* The same for the body of a chord, with the results of its members. */
int plan_begin_body(outcome_plan *p, const sj_json *body, const sj_json *result);

/* The callbacks and the next link of the chain, each with the value in front of its arguments. */
void plan_success(outcome_plan *p, const sj_json *value);
/*
 * Stores the meta's state and error under the ids of the rest of the chain; and, if it is a
 * failure, sends the errbacks with the id of what failed.
 */
void plan_failure(outcome_plan *p, const result_meta *meta);

/* The end that meta tells, said to the join that the delivery's task is a member of, if any. */
void plan_arrival(outcome_plan *p, const result_meta *meta);

/*
 * A signature that will never run: stores the meta's state and error under the ids of all that is
 * in it and behind it, and tells the joins that wait for them. began: it was its turn, so that its
 * errbacks are sent.
 */
void plan_lost(outcome_plan *p, const sj_json *signature, const result_meta *meta, bool began);

/*
 * The signature in the place of the delivery's task (outcome_replace.c). *ret_next is what takes
 * the place of its message at once, or NULL: what has its id comes later. As plan_begin.
 */
int plan_replace(outcome_plan *p, const sj_json *signature, const broker_message **ret_next);
/* Why it cannot take the place of a task, in a sentence, or NULL. */
const char *outcome_replace_fault(const sj_json *signature);

/* What follows as the JSON array that a result names as its children. */
sj_str plan_children(outcome_plan *p);

#endif
