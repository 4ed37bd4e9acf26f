/* SPDX-License-Identifier: MIT */
/* session: a command's time with a broker. */
#ifndef SANJAB_CLI_SESSION_H
#define SANJAB_CLI_SESSION_H

#include "queue/app.h"

#define SESSION_LIMIT (30 * SJ_SEC) /* for opening, and for each call that does not say more */

typedef struct session {
        char name[400]; /* of the broker, without secrets */
        broker *broker;
        sj_app *app;
        sj_arena *arena;
} session;

/* What a command does, in a fiber. Returns the exit status. */
typedef int session_body(session *s, void *arg);

/*
 * Opens the broker at url, runs the body and closes it. must_exist: a broker that is not there is
 * an error, and not made. The exit status; errors have been said.
 */
int session_run(const char *url, bool must_exist, session_body *body, void *arg);

/*
 * Says that the broker could not do something: "cannot DOING at BROKER: why". Returns the exit
 * status for the error.
 */
int session_fault(const session *s, const char *doing, int error);

#endif
