/* SPDX-License-Identifier: MIT */
/*
 * screen: a terminal that is drawn on again and again, and given back as it was: what stood there
 * before the program comes back when it is closed.
 */
#ifndef SANJAB_CLI_SCREEN_H
#define SANJAB_CLI_SCREEN_H

#include "base/buf.h"

typedef struct screen screen;

/* On the output, keys from the input. -ENOTTY one of them is no terminal; -ENOMEM; the write's. */
int screen_open(screen **ret);
/* NULL is allowed. */
void screen_close(screen *s);

/* Its size in characters; 24 × 80 when it does not say. */
void screen_size(const screen *s, size_t *ret_rows, size_t *ret_columns);

/*
 * Shows the lines of text from the top, cut to the size, and nothing else. A line that begins
 * with \1 is bold, if there may be colours. The write's errors.
 */
int screen_draw(screen *s, sj_str text);

/* A key that was pressed, or -EAGAIN; 0: the terminal is gone. */
int screen_key(screen *s);

#endif
