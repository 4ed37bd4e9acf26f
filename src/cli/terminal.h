/* SPDX-License-Identifier: MIT */
/* terminal: what a command says, to whom, and what the user's shell has told it. */
#ifndef SANJAB_CLI_TERMINAL_H
#define SANJAB_CLI_TERMINAL_H

#include "base/buf.h"

enum { TERMINAL_IN = 0, TERMINAL_OUT = 1, TERMINAL_ERR = 2 };

/*
 * The first thing of a program: makes the three descriptors open, so that no file that is opened
 * later takes the number of one that was closed, and gets what is said written into it.
 */
void terminal_begin(void);

/* A variable of the environment; NULL when it is not set or empty. */
const char *terminal_variable(const char *name);

/* Whether a person looks at the descriptor. */
bool terminal_is(int fd);
/* Whether what is written there may be coloured: to a person who has not set NO_COLOR. */
bool terminal_has_colours(int fd);

/* Writes all of text, waiting while there is no room. Errors of the file. */
int terminal_write(int fd, sj_str text);
/*
 * Writes what a command has to show to its output. The exit status: STATUS_OK, or STATUS_BROKER
 * after saying why it could not; a reader that has left (head) is no reason to say anything.
 */
int terminal_show(const buf *text);

/* Says "sanjab: ..." on the error output. Returns `status`. */
int terminal_fault(int status, const char *format, ...) SJ_PRINTF(2, 3);

/* Writes a line for each fiber to the error output. */
void terminal_dump(void);

/* Asks for y or n. Whether it was y; false at once when nobody can be asked. */
bool terminal_confirm(const char *question);

/*
 * Appends text that came from elsewhere, so that it cannot steer the terminal: its control
 * characters are shown as \xNN. Line ends and tabs are kept when `lines`. Errors of buf_append.
 */
int terminal_append_safe(buf *b, sj_str text, bool lines);

#endif
