/* SPDX-License-Identifier: MIT */
/* events_text: events as lines, and what is known of a cluster as a picture. */
#ifndef SANJAB_CLI_EVENTS_TEXT_H
#define SANJAB_CLI_EVENTS_TEXT_H

#include "base/buf.h"
#include "queue/control/cluster.h"

/* One event as one line: when, who, what, and its members. -ENOMEM. */
int events_text_line(buf *b, sj_arena *arena, const sj_json *event);

/*
 * The whole picture: a line about all, the workers, the tasks last heard of, in `rows` lines; a
 * line that begins with \1 is a heading. -ENOMEM.
 */
int events_text_picture(buf *b, sj_arena *arena, const cluster *c, const char *broker, size_t rows,
                        sj_time now);

#endif
