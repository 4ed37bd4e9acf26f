/* SPDX-License-Identifier: MIT */
/*
 * outcome_links: what follows from the end of a task: its callbacks, the next link of its chain,
 * its errbacks, and the word to those who wait for links that will never run.
 *
 * A link is a signature. One that is no composite becomes a message; a group becomes the messages
 * of its members; a chain its first link with the rest behind it. What cannot be made a message
 * (malformed, or a chord) is never dropped in silence: FAILURE is stored under its id, and under
 * those of the links behind it.
 */
#ifndef SANJAB_QUEUE_OUTCOME_LINKS_H
#define SANJAB_QUEUE_OUTCOME_LINKS_H

#include "queue/outcome.h"
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
        int error;
} outcome_plan;

/* Adds a result to be stored. */
void plan_result(outcome_plan *p, const result_meta *meta);
/* The message as the broker takes it. */
int plan_envelope(outcome_plan *p, const message *m, broker_message *ret);

/* The callbacks and the next link of the chain, each with the value in front of its arguments. */
void plan_success(outcome_plan *p, const sj_json *value);
/*
 * Stores the meta's state and error under the ids of the rest of the chain; and, if it is a
 * failure, sends the errbacks with the id of what failed.
 */
void plan_failure(outcome_plan *p, const result_meta *meta);

/* The ids of what is to be published, as the JSON array that a result names as its children. */
sj_str plan_children(outcome_plan *p);

#endif
