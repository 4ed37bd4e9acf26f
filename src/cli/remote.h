/* SPDX-License-Identifier: MIT */
/*
 * remote: the words of `sanjab inspect` and `sanjab control`, from a table: what may follow each,
 * how that becomes the arguments of a control request, and how the replies are shown.
 */
#ifndef SANJAB_CLI_REMOTE_H
#define SANJAB_CLI_REMOTE_H

#include "cli/command.h"
#include "cli/session.h"
#include "cli/table.h"
#include "queue/control/control.h"

typedef enum remote_kind { REMOTE_TEXT, REMOTE_INTEGER, REMOTE_NUMBER, REMOTE_BOOL } remote_kind;

typedef struct remote_argument {
        const char *name; /* in the request */
        remote_kind kind;
        bool needed;
} remote_argument;

enum { REMOTE_ARGUMENTS = 4 };

/* Rows for the reply of one node; NULL heads: {"ok": ...} and what is like it. */
typedef struct remote_view {
        const char *const *heads;
        void (*rows)(table *t, sj_arena *arena, sj_str node, const sj_json *value);
} remote_view;

typedef struct remote_word {
        const char *name; /* also the method */
        const char *usage;
        remote_argument arguments[REMOTE_ARGUMENTS];
        const char *many;        /* of the request: a list of all words that are left; or NULL */
        bool many_needed;        /* at least one */
        bool no_reply;           /* workers do not answer it */
        const remote_view *view; /* NULL: what was done */
} remote_word;

/* Each ends with a name of NULL. */
extern const remote_word remote_inspect_words[];
extern const remote_word remote_control_words[];

/* The one of that name, also by Celery's older name; NULL. */
const remote_word *remote_find(const remote_word words[], const char *name);

/*
 * The arguments of the request, NULL if there are none; extra (may be NULL) members are put
 * beside. -EINVAL with a sentence in error; -ENOMEM.
 */
int remote_arguments(sj_arena *arena, const remote_word *word, char **operands, size_t n,
                     const sj_json *extra, const sj_json **ret, char *error, size_t size);

/* Runs `sanjab inspect` or `sanjab control`. */
int remote_run(const command *self, const remote_word words[], int argc, char **argv);

#endif
