/* SPDX-License-Identifier: MIT */
/*
 * Between opening a file and locking it, its owner may have removed it: then the lock is one on a
 * file that nobody finds any more, and the whole begins anew. It is removed while it is locked.
 */
#include "cli/pid_file.h"

#include "os/os.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum { TRIES = 100, TEXT_MAX = 32 };

/* Whether the path still leads to the file that is open. */
static bool is_still_there(int fd, const char *path)
{
        os_stat opened, found;
        return os_fstat(fd, &opened) >= 0 && os_stat_path(path, true, &found) >= 0 &&
               opened.inode == found.inode && opened.device == found.device;
}

static int read_pid(int fd)
{
        char text[TEXT_MAX];
        ssize_t n = os_pread(fd, text, sizeof(text) - 1, 0);
        if (n <= 0)
                return 0;
        text[n] = '\0';
        long pid = strtol(text, NULL, 10);
        return pid > 0 && pid < INT32_MAX ? (int)pid : 0;
}

static int write_pid(int fd)
{
        char text[TEXT_MAX];
        int n = snprintf(text, sizeof(text), "%d\n", os_pid());
        int r = os_truncate(fd, 0);
        if (r < 0)
                return r;
        ssize_t written = os_pwrite(fd, text, (size_t)n, 0);
        return written < 0 ? (int)written : written == n ? 0 : -EIO;
}

/* The file, open and locked; -EAGAIN it was removed meanwhile. */
static int open_locked(const char *path, int *ret_pid)
{
        int fd = os_open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
                return fd;
        int r = os_lock_file(fd, true, false);
        if (r == -EAGAIN) {
                *ret_pid = read_pid(fd);
                r = -EBUSY;
        } else if (r >= 0 && !is_still_there(fd, path)) {
                r = -EAGAIN;
        }
        if (r < 0)
                os_close(fd);
        return r < 0 ? r : fd;
}

int pid_file_take(pid_file *f, const char *path, int *ret_pid)
{
        int fd = -EAGAIN;
        for (int i = 0; i < TRIES && fd == -EAGAIN; i++)
                fd = open_locked(path, ret_pid);
        if (fd < 0)
                return fd;
        *f = (pid_file){path, fd};
        int r = write_pid(fd);
        if (r < 0)
                pid_file_drop(f);
        return r;
}

void pid_file_drop(pid_file *f)
{
        if (f->fd < 0)
                return;
        if (is_still_there(f->fd, f->path))
                os_unlink(f->path);
        os_close(f->fd);
        *f = PID_FILE_INIT;
}
