/* SPDX-License-Identifier: MIT */
/* Whole files, on the thread that calls: it blocks. As their namesakes in <sanjab/file.h>. */
#ifndef SANJAB_NET_FILE_WHOLE_H
#define SANJAB_NET_FILE_WHOLE_H

#include <sanjab/base.h>

int file_read_whole(const char *path, size_t limit, char **ret, size_t *ret_n);
int file_write_whole(const char *path, const void *data, size_t n, unsigned mode);

#endif
