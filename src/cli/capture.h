/* SPDX-License-Identifier: MIT */
/* capture: runs a program and keeps what it prints. */
#ifndef SANJAB_CLI_CAPTURE_H
#define SANJAB_CLI_CAPTURE_H

#include "base/buf.h"

#include <sanjab/fiber.h>

/*
 * Runs argv[0] (found along PATH) until its end. What it writes to its output is appended to out,
 * to its error output to err; a limit of these buffers ends it with -ENOBUFS. In a fiber.
 * Returns 0 with its status, as waitpid's; -ENOENT there is no such program; -ETIMEDOUT it was
 * killed; -ECANCELED; other errors of a child.
 */
int capture_run(char *const argv[], buf *out, buf *err, int *ret_status, sj_time deadline);

#endif
