/* SPDX-License-Identifier: MIT */
/*
 * Whole files. A file is replaced so that a loss of power at any moment leaves the old bytes or
 * the new ones:
 *
 *         write a file beside it ── sync it ── rename it over the old one ── sync the folder
 *
 * Without the first sync the new name could lead to a file without bytes; without the last, the
 * system could come up with the old name after success was reported.
 */
#include "net/file_whole.h"

#include "base/buf.h"
#include "os/os.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum { PIECE = 64 * 1024, TRIES = 16 };

/*
 * Reads up to the end or just over the limit. A file's size is a hint only: it may grow while it
 * is read, and those of /proc say 0.
 */
static int read_all(int fd, buf *b, size_t limit)
{
        for (;;) {
                size_t left = limit - buf_size(b);
                size_t wanted = left < PIECE ? left + 1 : PIECE;
                /* One more for the NUL. */
                int r = buf_reserve(b, wanted + 1);
                if (r < 0)
                        return r;
                ssize_t n = os_read(fd, buf_tail(b), wanted);
                if (n <= 0)
                        return (int)n;
                if ((size_t)n > left)
                        return -EMSGSIZE;
                buf_advance(b, (size_t)n);
        }
}

int file_read_whole(const char *path, size_t limit, char **ret, size_t *ret_n)
{
        buf b = BUF_INIT(0);
        int fd = os_open(path, O_RDONLY, 0);
        if (fd < 0)
                return fd;
        int r = read_all(fd, &b, limit < SIZE_MAX / 4 ? limit : SIZE_MAX / 4);
        os_close(fd);
        if (r >= 0)
                r = buf_terminate(&b);
        if (r < 0) {
                buf_fini(&b);
                return r;
        }
        /* Nothing was consumed, so that the bytes begin where the memory does. */
        *ret = b.data;
        *ret_n = buf_size(&b);
        return 0;
}

/* The folder that the path's last name is in. */
static int folder_of(const char *path, char ret[PATH_MAX])
{
        const char *slash = strrchr(path, '/');
        size_t n = slash ? (size_t)(slash - path) : 1;
        if (n >= PATH_MAX)
                return -ENAMETOOLONG;
        memcpy(ret, slash ? path : ".", n);
        /* "/name": the root. */
        if (n == 0)
                ret[n++] = '/';
        ret[n] = '\0';
        return 0;
}

static int sync_folder(const char *path)
{
        char folder[PATH_MAX];
        int r = folder_of(path, folder);
        if (r < 0)
                return r;
        int fd = os_open(folder, O_RDONLY | O_DIRECTORY, 0);
        if (fd < 0)
                return fd;
        r = os_fsync(fd);
        os_close(fd);
        return r;
}

/* A new file beside the path, for nobody but us until it has its bytes. */
static int open_beside(const char *path, char ret_beside[PATH_MAX])
{
        for (unsigned try = 0; try < TRIES; try++) {
                uint64_t mark;
                os_random(&mark, sizeof(mark));
                int n = snprintf(ret_beside, PATH_MAX, "%s.%012llx", path,
                                 (unsigned long long)(mark >> 16));
                if (n >= PATH_MAX)
                        return -ENAMETOOLONG;
                int fd = os_open(ret_beside, O_WRONLY | O_CREAT | O_EXCL, 0600);
                if (fd != -EEXIST)
                        return fd;
        }
        return -EEXIST;
}

static int write_all(int fd, const char *data, size_t n)
{
        for (size_t at = 0; at < n;) {
                ssize_t put = os_pwrite(fd, data + at, n - at, at);
                if (put < 0)
                        return (int)put;
                at += (size_t)put;
        }
        return 0;
}

int file_write_whole(const char *path, const void *data, size_t n, unsigned mode)
{
        char beside[PATH_MAX];
        int fd = open_beside(path, beside);
        if (fd < 0)
                return fd;
        int r = write_all(fd, data, n);
        if (r >= 0)
                r = os_fsync(fd);
        os_close(fd);
        if (r >= 0)
                r = os_chmod(beside, mode);
        if (r >= 0)
                r = os_rename(beside, path);
        if (r < 0) {
                (void)os_unlink(beside);
                return r;
        }
        return sync_folder(path);
}
