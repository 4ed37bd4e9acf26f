/* SPDX-License-Identifier: MIT */
/* worker_events: what a worker tells of itself and its tasks, for worker_*.c. */
#ifndef SANJAB_QUEUE_WORKER_EVENTS_H
#define SANJAB_QUEUE_WORKER_EVENTS_H

#include "queue/worker/worker_internal.h"

int worker_events_duty(void *worker);

/* "worker-heartbeat" and the like, now. The broker's errors. */
int worker_event_send(worker *w, const char *type);
/* Whether events of tasks are told; whether they were before. */
bool worker_events_of_tasks(worker *w, bool on);

/* It has come to us, and is to be run. */
void worker_event_received_(worker *w, delivery *d);
/* It has begun, so long ago. */
void worker_event_started_(worker *w, delivery *d, sj_time ago);
/* It says so itself; the type and the fields are what sj_task_event allows. */
void worker_event_own(worker *w, delivery *d, sj_str type, sj_str fields);
/* It has ended as its settlement says; counts it, too. */
void worker_event_ended(worker *w, delivery *d);

/* The two, where nobody may want to know. */
static inline void worker_event_received(worker *w, delivery *d)
{
        if (w->tells_tasks)
                worker_event_received_(w, d);
}

static inline void worker_event_started(worker *w, delivery *d, sj_time ago)
{
        if (w->tells_tasks && !d->told_started)
                worker_event_started_(w, d, ago);
}

#endif
