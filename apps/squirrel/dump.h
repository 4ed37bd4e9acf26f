/* SPDX-License-Identifier: MIT */
/* What the squirrel's fibers are doing, for whoever wonders why it takes so long. */
#ifndef SQUIRREL_DUMP_H
#define SQUIRREL_DUMP_H

/* Writes all fibers of the calling thread's loop to the error output. */
void dump_fibers(void);

/* A fiber's function: does so whenever SIGUSR1 comes, until it is cancelled. arg is not used. */
int dump_on_request(void *arg);

#endif
