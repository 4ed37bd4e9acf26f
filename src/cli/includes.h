/* SPDX-License-Identifier: MIT */
/* includes: whether what a source includes is as safe as the source itself must be. */
#ifndef SANJAB_CLI_INCLUDES_H
#define SANJAB_CLI_INCLUDES_H

#include "queue/trust.h"

/*
 * Looks at each file that a preprocessed text names in its line markers (`# 12 "path" 1 3`), but
 * for the system's headers, as the compiler calls them, and for what is in the folder `own`, a
 * real path: the library's headers are as safe as this program. Errors as trust_check.
 */
int includes_check(sj_str text, const char *own, char error[TRUST_ERROR_SIZE]);

#endif
