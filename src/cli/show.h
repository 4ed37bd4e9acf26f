/* SPDX-License-Identifier: MIT */
/* show: what is known of a task, for people and as JSON. */
#ifndef SANJAB_CLI_SHOW_H
#define SANJAB_CLI_SHOW_H

#include "base/buf.h"
#include "cli/session.h"

/*
 * Shows what became of the task: a result on the output, an error on the error output; json: both
 * as an object on the output. The exit status that goes with it.
 */
int show_outcome(const session *s, const char *id, const sj_outcome *outcome, bool json);

/*
 * Waits `wait` seconds (negative: not at all) for the task's end and shows it.
 */
int show_result(const session *s, const char *id, double wait, bool json);

/* Writes a moment as a member: ISO 8601, or null for 0. */
void show_json_moment(sj_json_writer *w, const char *name, sj_wall when);

/* Shows what the writer holds, with a line end. Frees it; may be NULL. The exit status. */
int show_json(sj_json_writer *w);

#endif
