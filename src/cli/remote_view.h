/* SPDX-License-Identifier: MIT */
/* remote_view: the replies of workers as tables. */
#ifndef SANJAB_CLI_REMOTE_VIEW_H
#define SANJAB_CLI_REMOTE_VIEW_H

#include "cli/remote.h"

extern const remote_view remote_view_tasks;     /* active, reserved */
extern const remote_view remote_view_scheduled; /* with an eta */
extern const remote_view remote_view_states;    /* query_task */
extern const remote_view remote_view_queues;    /* active_queues */
extern const remote_view remote_view_list;      /* a text in each row */
extern const remote_view remote_view_members;   /* any object: a row for each member in it */

/* Whether it is {"error": "..."}: *ret is its text. */
bool remote_is_error(const sj_json *value, sj_str *ret);

/* Shows the replies as a table, and those that are errors on the error output. Exit status. */
int remote_show(const session *s, const remote_word *word, const control_reply replies[], size_t n);
/* As an object with a member for each node. Exit status. */
int remote_show_json(const control_reply replies[], size_t n);

#endif
