/* SPDX-License-Identifier: MIT */
/* peers: workers that keep no name in the broker, because they are Celery's. */
#ifndef SANJAB_CLI_PEERS_H
#define SANJAB_CLI_PEERS_H

#include "cli/session.h"

/*
 * Asks who is there, for a second, where others than sanjab's workers can be, and adds those that
 * are not among the n nodes: *nodes becomes a new array in the session's arena. How many there are
 * then. The broker's errors; -ENOMEM.
 */
int peers_add(const session *s, const broker_node **nodes, size_t n);

#endif
