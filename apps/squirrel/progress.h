/* SPDX-License-Identifier: MIT */
/*
 * progress: a bar on the terminal while sites are checked. Nothing is written when standard error
 * is no terminal.
 */
#ifndef SQUIRREL_PROGRESS_H
#define SQUIRREL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include <pthread.h>

typedef struct progress {
        pthread_mutex_t lock;
        const char *label;
        size_t total;
        size_t done;
        bool shown;
} progress;

void progress_begin(progress *p, const char *label, size_t total);
/* One more is done. From any thread. */
void progress_step(progress *p);
/* Clears the bar. */
void progress_end(progress *p);

#endif
