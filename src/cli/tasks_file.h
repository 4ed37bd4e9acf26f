/* SPDX-License-Identifier: MIT */
/* tasks_file: from what -A says to a shared object that may be loaded. */
#ifndef SANJAB_CLI_TASKS_FILE_H
#define SANJAB_CLI_TASKS_FILE_H

#include "base/buf.h"

/*
 * What is at path: NAME.c is compiled (compile.h), of a folder all its *.c together; NAME.so is
 * taken as it is. *ret is the real path of the shared object, in the arena. In a fiber.
 * -EINVAL it is none of these; -ENOENT there is nothing; -EPERM somebody else may write it; and
 * those of compile_run. *error then has the sentence, after what a compiler said.
 */
int tasks_file_prepare(const char *path, sj_arena *arena, const char **ret, buf *error);

#endif
