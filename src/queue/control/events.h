/* SPDX-License-Identifier: MIT */
/*
 * events: what happens to workers and tasks, told to whoever watches (protocol §6). This is who
 * tells; cluster.h is who listens.
 *
 * Events of tasks are gathered and go out in batches of at most EVENTS_BATCH; those of workers go
 * at once, each by itself. Nobody waits for an event: when the broker is away, those that come
 * when EVENTS_HELD are waiting are lost.
 */
#ifndef SANJAB_QUEUE_EVENTS_H
#define SANJAB_QUEUE_EVENTS_H

#include "queue/broker/broker.h"
#include "queue/control/clock.h"

#define EVENTS_EXCHANGE "celeryev"
#define EVENTS_FREQ     (2 * SJ_SEC) /* between heartbeats */

enum { EVENTS_BATCH = 24, EVENTS_HELD = 4096 };

typedef struct events events;

/* clock, and broker, outlive it; hostname is copied. -ENOMEM. */
int events_new(broker *b, queue_clock *clock, sj_str hostname, events **ret);
void events_free(events *e);

/*
 * Begins an event: the caller writes its own members into the writer, and ends it by one of the
 * two below. Never NULL.
 */
sj_json_writer *events_begin(events *e);
/* Of a task: it goes with the next flush. when: 0 now. */
void events_gather(events *e, const char *type, sj_wall when);
/* Goes now, by itself. The broker's errors; -ENOMEM; -EINVAL a member is no text. */
int events_send(events *e, const char *type, sj_time deadline);

/* How many wait for a flush. */
size_t events_held(const events *e);
/* Sends them. The broker's errors: then those that were not sent wait on. */
int events_flush(events *e, sj_time deadline);
/* How many were lost since the last time this was asked. */
size_t events_lost(events *e);

#endif
