/* SPDX-License-Identifier: MIT */
/*
 * The watch of one path whose reports are not looked at, in both worlds: whoever is woken looks for
 * himself, since reports may be merged and, when there are too many, lost.
 */
#include "os/os.h"

#include <sys/inotify.h>

int os_watch_path(const char *path)
{
        static const uint32_t changes = IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_CREATE |
                                        IN_DELETE | IN_DELETE_SELF | IN_MOVE | IN_MOVE_SELF;
        int fd = os_watch_new();
        int r = fd < 0 ? fd : os_watch_add(fd, path, changes);
        if (r < 0) {
                os_close(fd);
                return r;
        }
        return fd;
}

void os_watch_clear(int fd)
{
        _Alignas(struct inotify_event) char reports[4096];
        while (os_read(fd, reports, sizeof(reports)) > 0)
                continue;
}
