/* SPDX-License-Identifier: MIT */
/* worker_child: the process that loads the tasks and runs them. See worker_wire.h. */
#ifndef SANJAB_QUEUE_WORKER_CHILD_H
#define SANJAB_QUEUE_WORKER_CHILD_H

#include "queue/task/task.h"
#include "queue/worker/worker.h"

#include <signal.h>

#define WORKER_CHILD_ENTRY "task-worker"

/*
 * Sent to a child of the prefork pool when its task is to end early (past its soft limit, or
 * revoked): it ends whatever call the body is blocked in, with EINTR, so that it can ask
 * sj_task_cancelled. Celery's signal for that.
 */
#define WORKER_CHILD_INTERRUPT SIGUSR1

/* How a child is started: the argument of its zygote entry. */
typedef struct worker_child_start {
        uint32_t pool; /* worker_pool_kind */
        uint32_t slots;
        uint32_t concurrency;
        char tasks[]; /* path of the shared object, or "" */
} worker_child_start;

/*
 * Loads the tasks at path (NULL or "": those of this program) and makes their registry.
 * -EBADMSG with a sentence in error.
 */
int worker_child_load(const char *path, task_registry **ret, char *error, size_t size);

#endif
