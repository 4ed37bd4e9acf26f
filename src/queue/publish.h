/* SPDX-License-Identifier: MIT */
/* publish: publishing with patience, as a program's policy says. */
#ifndef SANJAB_QUEUE_PUBLISH_H
#define SANJAB_QUEUE_PUBLISH_H

#include "queue/broker/broker.h"

/* Whether the policy can be one: no negative or endless interval. */
bool publish_policy_ok(const sj_retry_policy *policy);

/* As app_publish, with a deadline. */
int publish_all(broker *b, const broker_message messages[], size_t n, broker_published ret[],
                const sj_retry_policy *policy, sj_time deadline);

/*
 * Waits for the broker so long as the policy says, if it says anything: ahead of calls that would
 * wait for it until their deadline.
 */
int publish_reach(broker *b, const sj_retry_policy *policy, sj_time deadline);

#endif
