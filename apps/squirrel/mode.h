/* SPDX-License-Identifier: MIT */
/*
 * mode: the six ways in which sanjab does the same work.
 *
 *   serial     one site after the other, in one fiber
 *   threads    plain threads, each with a loop of its own
 *   futures    calls submitted to a thread pool, awaited by their futures
 *   processes  calls in a pool of processes
 *   fibers     a fiber for each site, on one thread
 *   queue      a task for each site, run by a worker in another process
 */
#ifndef SQUIRREL_MODE_H
#define SQUIRREL_MODE_H

#include "check.h"
#include "progress.h"
#include "site.h"

enum { MODE_ERROR_MAX = 400 };

typedef struct mode_run {
        const site_list *list;
        sj_time timeout;    /* for each site */
        unsigned workers;   /* threads, processes, or sites at once; 0: as many as are useful */
        const char *broker; /* of the queue */
        progress *progress;
        check *checks;              /* written: one for each site, in the order of the list */
        char error[MODE_ERROR_MAX]; /* written: a sentence, when the mode itself fails */
} mode_run;

typedef struct mode {
        const char *name;
        int (*run)(mode_run *run);
} mode;

extern const mode modes[];
extern const size_t modes_count;

/* The mode of that name, or NULL. */
const mode *mode_find(const char *name);

int mode_serial(mode_run *run);
int mode_threads(mode_run *run);
int mode_futures(mode_run *run);
int mode_processes(mode_run *run);
int mode_fibers(mode_run *run);
int mode_queue(mode_run *run);

#endif
