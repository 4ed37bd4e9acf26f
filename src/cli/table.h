/* SPDX-License-Identifier: MIT */
/*
 * table: rows of text whose columns line up. It is as wide as its texts; the last column is not
 * padded. Texts may come from anywhere (terminal_append_safe).
 */
#ifndef SANJAB_CLI_TABLE_H
#define SANJAB_CLI_TABLE_H

#include "base/buf.h"

typedef struct table {
        const char *const *heads; /* ends with NULL; "+NAME": numbers, to the right */
        size_t columns;
        sj_arena *arena;
        buf cells; /* sj_str of each cell */
        int error;
} table;

void table_init(table *t, const char *const heads[], sj_arena *arena);
void table_fini(table *t);

/* The next cell. An error stays, and table_write tells it. */
void table_text(table *t, sj_str text);
void table_printf(table *t, const char *format, ...) SJ_PRINTF(2, 3);

/* Appends the heads and all rows; the heads are bold with colours. -ENOMEM. */
int table_write(table *t, buf *b, bool colours);

#endif
