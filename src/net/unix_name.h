/* SPDX-License-Identifier: MIT */
/*
 * The file that is the name of a Unix socket: one that was left over by a program that has ended is
 * replaced, and one's own is removed at the end, if it is still that.
 */
#ifndef SANJAB_NET_UNIX_NAME_H
#define SANJAB_NET_UNIX_NAME_H

#include <sanjab/net.h>

#include "os/os.h"

struct unix_name {
        char *path;       /* NULL: not kept */
        os_stat identity; /* of the file */
};

/*
 * Removes the file at the path if it is a socket of that type that nobody has any more, when
 * binding has failed with `error`: 0, it is worth another try; else that error, or why it stays.
 */
int unix_name_clear(const char *path, const sj_address *address, int type, int error);

/* Keeps the name of a socket that was bound there. -ENOMEM: the file is removed. */
int unix_name_keep(struct unix_name *name, const char *path);

/* Removes the file that was kept, while the socket is still open. */
void unix_name_drop(struct unix_name *name);

#endif
