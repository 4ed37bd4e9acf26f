/* SPDX-License-Identifier: MIT */
/* An open file, for what sends it. */
#ifndef SANJAB_NET_FILE_H
#define SANJAB_NET_FILE_H

#include <sanjab/file.h>

struct sj_file {
        int fd;
};

#endif
