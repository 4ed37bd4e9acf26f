/* SPDX-License-Identifier: MIT */
/* session: a command's time with a broker, as the settings say. */
#ifndef SANJAB_CLI_SESSION_H
#define SANJAB_CLI_SESSION_H

#include "queue/app.h"
#include "queue/settings/settings.h"

#include <sanjab/process.h>

#define SESSION_LIMIT      (30 * SJ_SEC) /* for each call that does not say more */
#define SESSION_OPEN_LIMIT (5 * SJ_SEC)  /* for reaching the broker, if the settings say nothing */

/* What the command line of each command that needs a broker may say; NULL: nothing. */
typedef struct session_source {
        const char *broker; /* in the arguments: its secrets are wiped there */
        const char *config;
} session_source;

/* The options for it, of a command whose struct `type` has it as `source`. */
#define SESSION_OPTIONS(type)                                                        \
        {'b',         "broker",                                                      \
         "URL",       "the broker, as sqlite:jobs.db",                               \
         OPTION_TEXT, offsetof(type, source.broker),                                 \
         0,           NULL},                                                         \
        {                                                                            \
                0, "config", "FILE", "the settings file (sanjab.conf)", OPTION_TEXT, \
                        offsetof(type, source.config), 0, NULL                       \
        }

typedef struct session {
        char name[400]; /* of the broker, without secrets */
        broker *broker;
        sj_app *app;
        sj_arena *arena;
        const settings *settings;
        sj_app_options options; /* that the app was made with */
        sj_signals *signals;    /* SESSION_PATIENT: those that steer a worker; else NULL */
} session;

/* How the broker is opened. */
typedef enum session_opening {
        SESSION_MUST_EXIST, /* a broker that is not there is an error, and not made */
        SESSION_MAY_MAKE,
        /*
         * Likewise, and one that cannot be reached is tried again, as the settings say, until
         * TERM, INT or QUIT, which ends with STATUS_OK.
         */
        SESSION_PATIENT,
} session_opening;

/* What a command does, in a fiber. Returns the exit status. */
typedef int session_body(session *s, void *arg);

/*
 * Opens the broker that the source and the settings say, runs the body and closes it. The exit
 * status; errors have been said.
 */
int session_run(const session_source *source, session_opening opening, session_body *body,
                void *arg);

/*
 * The same in two steps: `more` (n of them) is what the command line says beside the source.
 * STATUS_OK with *ret to be freed by the caller, or the exit status.
 */
int session_settings(const session_source *source, const settings_given more[], size_t n,
                     settings **ret);
int session_run_with(const settings *as, session_opening opening, session_body *body, void *arg);

/*
 * Says that the broker could not do something: "cannot DOING at BROKER: why". Returns the exit
 * status for the error.
 */
int session_fault(const session *s, const char *doing, int error);

#endif
