/* SPDX-License-Identifier: MIT */
/*
 * notify: tells the owners of sites that are down. The target is a URL, to which each fact sheet
 * is posted as JSON, or a command for the shell, which finds the facts in its environment:
 *
 *   SQUIRREL_URL, SQUIRREL_OWNER, SQUIRREL_STATUS (0: no answer), SQUIRREL_REASON
 *   {"url": ..., "owner": ..., "status": ..., "reason": ...}
 */
#ifndef SQUIRREL_NOTIFY_H
#define SQUIRREL_NOTIFY_H

#include "check.h"
#include "site.h"

typedef struct notice {
        const site *site;
        const check *check;
} notice;

/*
 * Sends all n, several at once; the failures are told on standard error, a sentence each. Returns
 * how many were not delivered.
 */
int notify(const char *target, const notice notices[], size_t n);

#endif
