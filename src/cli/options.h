/* SPDX-License-Identifier: MIT */
/*
 * options: reads a command line by the table of a command.
 *
 *   -x VALUE  -xVALUE  -ab  --name VALUE  --name=VALUE  --  operands anywhere
 *
 * Not by getopt: it prints sentences of its own, knows no option whose value may be left out and
 * may follow a blank, and has the state of a whole process.
 */
#ifndef SANJAB_CLI_OPTIONS_H
#define SANJAB_CLI_OPTIONS_H

#include "cli/command.h"

/* Longest time that an option may say: a hundred years. */
#define OPTIONS_SECONDS_MAX 3.2e9

/*
 * Writes what is given into *target, as the table says. Operands are moved to argv[0] and on; how
 * many there are is returned. Negative: the command is to end with *ret_status, after help was
 * shown (STATUS_OK) or a mistake was said (STATUS_USAGE).
 */
int options_parse(const command *c, int argc, char **argv, void *target, int *ret_status);

#endif
