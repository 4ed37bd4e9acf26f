/* SPDX-License-Identifier: MIT */
/*
 * cache: a folder of this user's own for what was compiled.
 *
 *   $XDG_CACHE_HOME/sanjab or ~/.cache/sanjab     0700, ours, no link
 *       HASH.so           one compilation, whole: it was renamed into place
 *       HASH.RANDOM.tmp   one that is being made; what a crash left goes after a day
 */
#ifndef SANJAB_CLI_CACHE_H
#define SANJAB_CLI_CACHE_H

#include <sanjab/base.h>

enum { CACHE_ERROR_SIZE = 640 };

/*
 * Finds the folder, and makes it if it is not there; its path, size >= PATH_MAX. On an error, a
 * sentence: -ENOENT neither variable says where; -EPERM it is not ours alone; others of the system.
 */
int cache_open(char *ret, size_t size, char error[CACHE_ERROR_SIZE]);

/* Whether path is a whole compilation of this user that nobody else may write. */
bool cache_has(const char *path);

/* Puts what was made at `from` in its place, durably. Errors of the system. */
int cache_keep(const char *from, const char *to);

/* Removes what crashes have left. */
void cache_tidy(const char *folder);

#endif
