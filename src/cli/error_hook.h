/* SPDX-License-Identifier: MIT */
/*
 * error_hook: tells somebody of tasks that have failed: a webhook (POST of a JSON object to an
 * http or https address) or a command (the object on its standard input, the main facts in its
 * environment).
 *
 *   {"id", "task", "queue", "node", "args", "kwargs", "type", "error", "traceback", "reason",
 *    "retries", "deliveries", "time", "dead"}
 *
 * It never holds up the worker: facts wait in a bounded queue, each attempt has a limit, some are
 * made, and what is left is dropped. Of that the log says something, but not for each.
 */
#ifndef SANJAB_CLI_ERROR_HOOK_H
#define SANJAB_CLI_ERROR_HOOK_H

#include "queue/worker/worker.h"

/* What a command is told in its environment. */
#define ERROR_HOOK_VARIABLES "SANJAB_TASK SANJAB_TASK_ID SANJAB_QUEUE SANJAB_NODE SANJAB_ERROR"

typedef struct error_hook error_hook;

/*
 * For "http://...", "https://...", or the words of a command, with quotes as in a shell but
 * nothing else of one. -EINVAL: error (size) has a sentence part; -ENOMEM.
 */
int error_hook_new(const char *target, error_hook **ret, char *error, size_t size);
/* NULL is allowed. No fiber may be in it. */
void error_hook_free(error_hook *h);

/* A worker_options.failed. */
void error_hook_failed(void *hook, const worker_failure *failure);
/* A fiber that tells, until it is cancelled. */
int error_hook_duty(void *hook);
/* Waits until all has been told, at most for a while. */
void error_hook_drain(error_hook *h);

#endif
