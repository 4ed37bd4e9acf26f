/* SPDX-License-Identifier: MIT */
/*
 * task_annotation: options of tasks that a worker's settings say, over those of the code (Celery's
 * task_annotations). They are texts, as they stand in the settings; of several for one task and
 * option the last counts.
 */
#ifndef SANJAB_QUEUE_TASK_ANNOTATION_H
#define SANJAB_QUEUE_TASK_ANNOTATION_H

#include "queue/task/task.h"

typedef struct task_annotation {
        const char *pattern; /* of tasks' names, as a route's */
        const char *option;  /* "rate_limit", ... */
        const char *value;
} task_annotation;

/*
 * Whether there is such an option and the value is one of it. -EINVAL: why has a sentence part,
 * as "has no option 'x': did you mean 'y'?" or "is a number of seconds, not 'x'".
 */
int task_annotation_check(const task_annotation *a, char *why, size_t size);

/* Applies them, in their order; what is wrong in them is left out. Texts are not copied. */
void task_annotate(task_info tasks[], size_t n, const task_annotation annotations[],
                   size_t n_annotations);

#endif
