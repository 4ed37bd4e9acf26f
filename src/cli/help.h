/* SPDX-License-Identifier: MIT */
/* help: the texts of --help, written from the commands' tables. */
#ifndef SANJAB_CLI_HELP_H
#define SANJAB_CLI_HELP_H

#include "base/buf.h"
#include "cli/command.h"

/* What a command says of itself. Errors of buf_append. */
int help_of_command(buf *b, const command *c);
/* What the program says; commands ends with NULL. */
int help_of_program(buf *b, const command *const commands[]);

#endif
