/* SPDX-License-Identifier: MIT */
/*
 * overflow: a fiber that runs over the end of its stack ends the program with a message that
 * names it. The only signal that the library takes unasked, while a loop runs: what is not an
 * overflow goes on to the handler of before.
 */
#ifndef SANJAB_FIBER_OVERFLOW_H
#define SANJAB_FIBER_OVERFLOW_H

#include <stdbool.h>

/*
 * Whether the address lies in the guard of one of the running loop's stacks; then *ret_name and
 * *ret_where are those of its fiber (either may be NULL). Called in a signal handler: see
 * stack_owns, which is made for it.
 */
typedef bool overflow_describe(void *address, const char **ret_name, const char **ret_where);

/* For this thread. -EBUSY it is installed; -ENOMEM. */
int overflow_install(overflow_describe *describe);
/* No effect when it is not. */
void overflow_remove(void);

#endif
