/* SPDX-License-Identifier: MIT */
/* sent_events: the event task-sent of messages that were published (protocol §6), for monitors. */
#ifndef SANJAB_QUEUE_SENT_EVENTS_H
#define SANJAB_QUEUE_SENT_EVENTS_H

#include "queue/broker/broker.h"
#include "queue/control/clock.h"

/*
 * Tells of n messages that the broker has; sender is who sent them ("gen<pid>@<host>"). Those that
 * are `duplicate` in published (may be NULL) were not sent. What cannot be told is not: the
 * messages are on their way whether somebody watches or not. A broker without BROKER_PUBSUB has
 * nobody who watches. Blocks, at most until the deadline.
 */
void sent_events_tell(broker *b, queue_clock *clock, sj_str sender, const broker_message messages[],
                      const broker_published published[], size_t n, sj_time deadline);

#endif
