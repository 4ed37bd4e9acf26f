/* SPDX-License-Identifier: MIT */
/* Descriptors of others, as clauses, for select. */
#ifndef SANJAB_FIBER_FD_H
#define SANJAB_FIBER_FD_H

#include "fiber/wait.h"

/*
 * Makes the clause fire when fd is ready: 0, or what it is ready for already (a regular file), or
 * an error. fd_leave must follow the wait after 0.
 */
int fd_enter(int fd, unsigned ready, clause *c);
void fd_leave(int fd, clause *c);

#endif
