/* SPDX-License-Identifier: MIT */
/*
 * Files: thin, for threads of the pool. A regular file is always ready to epoll, so that only a
 * thread can wait for it.
 */
#include "os/os.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static int error_of(int result)
{
        return result < 0 ? -errno : result;
}

int os_open(const char *path, int flags, unsigned mode)
{
        int fd;
        do
                fd = open(path, flags | O_CLOEXEC, (mode_t)mode);
        while (fd < 0 && errno == EINTR);
        return error_of(fd);
}

ssize_t os_pread(int fd, void *data, size_t n, uint64_t offset)
{
        ssize_t got;
        do
                got = pread(fd, data, n, (off_t)offset);
        while (got < 0 && errno == EINTR);
        return got < 0 ? -errno : got;
}

ssize_t os_pwrite(int fd, const void *data, size_t n, uint64_t offset)
{
        ssize_t put;
        do
                put = pwrite(fd, data, n, (off_t)offset);
        while (put < 0 && errno == EINTR);
        return put < 0 ? -errno : put;
}

int os_fsync(int fd)
{
        /* Only an interruption is tried again: after a failure the system has dropped the bytes,
         * and the next fsync would lie. */
        int result;
        do
                result = fsync(fd);
        while (result < 0 && errno == EINTR);
        return error_of(result);
}

int os_truncate(int fd, uint64_t size)
{
        int result;
        do
                result = ftruncate(fd, (off_t)size);
        while (result < 0 && errno == EINTR);
        return error_of(result);
}

static void describe(const struct stat *s, os_stat *ret)
{
        *ret = (os_stat){
                .size = (uint64_t)s->st_size,
                .inode = s->st_ino,
                .device = s->st_dev,
                .mode = s->st_mode,
                .owner = s->st_uid,
                .group = s->st_gid,
                .modified = {(int64_t)s->st_mtim.tv_sec * 1000000 + s->st_mtim.tv_nsec / 1000},
        };
}

int os_fstat(int fd, os_stat *ret)
{
        struct stat s;
        if (fstat(fd, &s) < 0)
                return -errno;
        describe(&s, ret);
        return 0;
}

int os_stat_path(const char *path, bool nofollow, os_stat *ret)
{
        struct stat s;
        if (fstatat(AT_FDCWD, path, &s, nofollow ? AT_SYMLINK_NOFOLLOW : 0) < 0)
                return -errno;
        describe(&s, ret);
        return 0;
}

int os_rename(const char *from, const char *to)
{
        return error_of(rename(from, to));
}

int os_unlink(const char *path)
{
        return error_of(unlink(path));
}

int os_mkdir(const char *path, unsigned mode)
{
        return error_of(mkdir(path, (mode_t)mode));
}

int os_rmdir(const char *path)
{
        return error_of(rmdir(path));
}

int os_chmod(const char *path, unsigned mode)
{
        return error_of(chmod(path, (mode_t)mode));
}

int os_real_path(const char *path, char *ret, size_t size)
{
        if (size < PATH_MAX)
                return -EINVAL;
        return realpath(path, ret) ? 0 : -errno;
}

static bool is_dot(const char *name)
{
        return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int os_read_dir(const char *path, int (*each)(void *arg, const char *name), void *arg)
{
        DIR *folder = opendir(path);
        if (!folder)
                return -errno;
        int result = 0;
        while (result == 0) {
                errno = 0;
                const struct dirent *entry = readdir(folder);
                if (!entry) {
                        result = -errno;
                        break;
                }
                if (!is_dot(entry->d_name))
                        result = each(arg, entry->d_name);
        }
        closedir(folder);
        return result;
}

int os_lock_file(int fd, bool exclusive, bool wait)
{
        int operation = (exclusive ? LOCK_EX : LOCK_SH) | (wait ? 0 : LOCK_NB);
        int result;
        do
                result = flock(fd, operation);
        while (result < 0 && errno == EINTR);
        return error_of(result);
}

void os_unlock_file(int fd)
{
        flock(fd, LOCK_UN);
}

int os_watch_new(void)
{
        return error_of(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
}

int os_watch_add(int fd, const char *path, uint32_t what)
{
        return error_of(inotify_add_watch(fd, path, what));
}

int os_watch_remove(int fd, int id)
{
        return error_of(inotify_rm_watch(fd, id));
}
