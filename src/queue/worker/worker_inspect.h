/* SPDX-License-Identifier: MIT */
/* worker_inspect: its answers, for the table in worker_inspect.c. */
#ifndef SANJAB_QUEUE_WORKER_INSPECT_H
#define SANJAB_QUEUE_WORKER_INSPECT_H

#include "queue/worker/worker_control.h"

/* By worker_options.pool. */
extern const char *const worker_inspect_pools[];

/* worker_inspect_tasks.c */
control_handler worker_inspect_active;
control_handler worker_inspect_reserved;
control_handler worker_inspect_scheduled;
control_handler worker_inspect_query_task;
control_handler worker_inspect_revoked;
control_handler worker_inspect_registered;

/* worker_inspect_stats.c */
control_handler worker_inspect_queues;
control_handler worker_inspect_stats;

/* worker_inspect_conf.c */
control_handler worker_inspect_conf;

#endif
