/* SPDX-License-Identifier: MIT */
/*
 * Binding fails when the file is there, whether somebody still has the socket or not; a connection
 * tells. Two programs that start at the very same moment could both find the file left over, and
 * the second would take the path from the first, which a lock beside the file would prevent, at the
 * price of a second file that stays for ever: not worth it.
 */
#include "net/unix_name.h"

#include "net/address.h"

#include <stdlib.h>
#include <sys/stat.h>

/* Whether the file at the path is a socket that nobody has. */
static bool left_over(const char *path, const sj_address *address, int type)
{
        os_stat st;
        if (os_stat_path(path, true, &st) < 0 || !S_ISSOCK(st.mode))
                return false;
        int fd = os_socket(AF_UNIX, type);
        if (fd < 0)
                return false;
        int r = os_connect(fd, address_any(address), address->n);
        os_close(fd);
        return r == -ECONNREFUSED;
}

int unix_name_clear(const char *path, const sj_address *address, int type, int error)
{
        bool clear = error == -EADDRINUSE && path[0] != '@' && left_over(path, address, type);
        return clear ? os_unlink(path) : error;
}

int unix_name_keep(struct unix_name *name, const char *path)
{
        /* Without the path in hand the file would stay behind: better no socket at all. */
        name->path = strdup(path);
        if (!name->path) {
                (void)(path[0] != '@' && os_unlink(path));
                return -ENOMEM;
        }
        (void)os_stat_path(path, true, &name->identity);
        return 0;
}

void unix_name_drop(struct unix_name *name)
{
        os_stat now;
        if (name->path && os_stat_path(name->path, true, &now) >= 0 && S_ISSOCK(now.mode) &&
            now.inode == name->identity.inode && now.device == name->identity.device)
                (void)os_unlink(name->path);
        free(name->path);
        name->path = NULL;
}
