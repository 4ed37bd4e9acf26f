/* SPDX-License-Identifier: MIT */
/*
 * compile: turns task sources into a shared object, once.
 *
 * The key of a compilation is a hash of all that decides it: the text that the preprocessor makes
 * of the sources (so that a changed header counts), the compiler's command and version, and the
 * library's version. What is in the cache under that key is used as it is.
 */
#ifndef SANJAB_CLI_COMPILE_H
#define SANJAB_CLI_COMPILE_H

#include "base/buf.h"

typedef struct compile_plan {
        const char *const *sources; /* real paths */
        size_t n_sources;
        sj_arena *arena;
} compile_plan;

/*
 * Compiles in a fiber. *ret is the path of the shared object, in the arena. On an error, which
 * says whose fault it is, *error (a buf of the caller's) has what the compiler printed and a
 * sentence:
 *   -EBADMSG  the compiler refuses the sources
 *   -EPERM    somebody else may write a source, something it includes, or the cache
 *   -ENOENT   no compiler, no headers of the library, or no place for the cache
 *   others of the system.
 */
int compile_run(const compile_plan *plan, const char **ret, buf *error);

/*
 * The folder of the public headers: $SANJAB_INCLUDE, ../include beside the program's own folder
 * (both in a build folder and where it is installed), or where it was configured to be installed.
 * size >= PATH_MAX. -ENOENT.
 */
int compile_include_folder(char *ret, size_t size);

#endif
