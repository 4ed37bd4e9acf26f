/* SPDX-License-Identifier: MIT */
/*
 * Two workers that compile the same at once do so under names of their own, and the second rename
 * puts an equal file in the place of the first; who has loaded that keeps it.
 */
#include "cli/cache.h"

#include "cli/terminal.h"
#include "os/os.h"
#include "queue/trust.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define LEFTOVER_AGE ((int64_t)24 * 3600 * 1000000) /* microseconds */

static int complain(char error[CACHE_ERROR_SIZE], const char *path, int r)
{
        snprintf(error, CACHE_ERROR_SIZE,
                 "the cache for compiled tasks, %.300s, cannot be used: %s", path, sj_strerror(r));
        return r;
}

/* Makes the folder and those above it that are missing. */
static int make_folders(char *path)
{
        int r = os_mkdir(path, 0700);
        if (r != -ENOENT)
                return r == -EEXIST ? 0 : r;
        char *slash = strrchr(path, '/');
        if (!slash || slash == path)
                return r;
        *slash = '\0';
        r = make_folders(path);
        *slash = '/';
        if (r >= 0)
                r = os_mkdir(path, 0700);
        return r == -EEXIST ? 0 : r;
}

static int check_trust(const char *real, char error[CACHE_ERROR_SIZE])
{
        char why[TRUST_ERROR_SIZE];
        int r = trust_check(real, why);
        if (r == -EPERM)
                snprintf(error, CACHE_ERROR_SIZE, "the cache for compiled tasks is not safe: %s",
                         why);
        return r < 0 && r != -EPERM ? complain(error, real, r) : r;
}

/* What is there already of the way to the folder: nothing is made in a place of somebody else. */
static int check_way(const char *path, char error[CACHE_ERROR_SIZE])
{
        char at[PATH_MAX];
        char real[PATH_MAX];
        snprintf(at, sizeof(at), "%s", path);
        while (os_real_path(at, real, sizeof(real)) < 0) {
                char *slash = strrchr(at, '/');
                slash[slash == at] = '\0';
        }
        return check_trust(real, error);
}

/* The folder must be ours alone, and be reached through folders that others cannot change. */
static int check_folder(const char *path, char *ret, size_t size, char error[CACHE_ERROR_SIZE])
{
        os_stat stat;
        int r = os_stat_path(path, true, &stat);
        if (r < 0)
                return complain(error, path, r);
        if (!S_ISDIR(stat.mode) || stat.owner != os_user() || (stat.mode & 077) != 0) {
                snprintf(
                        error, CACHE_ERROR_SIZE,
                        "the cache for compiled tasks, %.300s, must be a folder, and no link, that "
                        "only you can open: remove it, or set XDG_CACHE_HOME to another place",
                        path);
                return -EPERM;
        }
        r = os_real_path(path, ret, size);
        if (r < 0)
                return complain(error, path, r);
        return check_trust(ret, error);
}

int cache_open(char *ret, size_t size, char error[CACHE_ERROR_SIZE])
{
        const char *base = terminal_variable("XDG_CACHE_HOME");
        const char *below = "/sanjab";
        /* A relative path is to be ignored (XDG Base Directory Specification). */
        if (!base || base[0] != '/') {
                base = terminal_variable("HOME");
                below = "/.cache/sanjab";
        }
        char path[PATH_MAX];
        if (!base || base[0] != '/') {
                snprintf(error, CACHE_ERROR_SIZE,
                         "there is no place for compiled tasks: set HOME or XDG_CACHE_HOME");
                return -ENOENT;
        }
        if ((size_t)snprintf(path, sizeof(path), "%s%s", base, below) >= sizeof(path))
                return complain(error, base, -ENAMETOOLONG);
        int r = check_folder(path, ret, size, error);
        if (r != -ENOENT)
                return r;
        r = check_way(path, error);
        if (r < 0)
                return r;
        r = make_folders(path);
        if (r < 0)
                return complain(error, path, r);
        return check_folder(path, ret, size, error);
}

bool cache_has(const char *path)
{
        os_stat stat;
        return os_stat_path(path, true, &stat) >= 0 && S_ISREG(stat.mode) &&
               stat.owner == os_user() && (stat.mode & 022) == 0 && stat.size > 0;
}

int cache_keep(const char *from, const char *to)
{
        int fd = os_open(from, O_RDONLY, 0);
        int r = fd < 0 ? fd : os_fsync(fd);
        os_close(fd);
        if (r >= 0)
                r = os_chmod(from, 0700);
        return r < 0 ? r : os_rename(from, to);
}

static int tidy_one(void *arg, const char *name)
{
        const char *folder = arg;
        size_t n = strlen(name);
        char path[PATH_MAX];
        os_stat stat;
        if (n > 4 && strcmp(name + n - 4, ".tmp") == 0 &&
            (size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) < sizeof(path) &&
            os_stat_path(path, true, &stat) >= 0 && os_wall().us - stat.modified.us > LEFTOVER_AGE)
                os_unlink(path);
        return 0;
}

void cache_tidy(const char *folder)
{
        os_read_dir(folder, tidy_one, (void *)(uintptr_t)folder);
}
