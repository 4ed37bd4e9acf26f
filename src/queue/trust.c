/* SPDX-License-Identifier: MIT */
/* From the file upwards: the path has no links, so that its folders are those it is reached by. */
#include "queue/trust.h"

#include "os/os.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

static int complain(char error[TRUST_ERROR_SIZE], const char *path, const os_stat *stat)
{
        bool folder = S_ISDIR(stat->mode);
        if (stat->owner != 0 && stat->owner != os_user())
                snprintf(error, TRUST_ERROR_SIZE,
                         "the %s %.300s belongs to the user %u, who could change what is run: "
                         "copy the tasks to a folder of your own",
                         folder ? "folder" : "file", path, stat->owner);
        else
                snprintf(error, TRUST_ERROR_SIZE,
                         "others may write the %s %.150s, and could change what is run: "
                         "chmod go-w %.150s",
                         folder ? "folder" : "file", path, path);
        return -EPERM;
}

/* depth: 0 the file itself, 1 its folder, and so on. */
static bool is_ours(const os_stat *stat, unsigned depth)
{
        if (stat->owner != 0 && stat->owner != os_user())
                return false;
        if ((stat->mode & (S_IWGRP | S_IWOTH)) == 0)
                return true;
        return depth > 1 && S_ISDIR(stat->mode) && (stat->mode & S_ISVTX);
}

int trust_check(const char *path, char error[TRUST_ERROR_SIZE])
{
        char at[PATH_MAX];
        size_t n = strlen(path);
        if (n == 0 || n >= sizeof(at) || path[0] != '/')
                return -EINVAL;
        memcpy(at, path, n + 1);
        os_stat stat;
        unsigned depth = 0;
        for (;;) {
                int r = os_stat_path(at, true, &stat);
                if (r < 0)
                        return r;
                /* A folder that is given is what a file's folder is. */
                if (depth == 0 && S_ISDIR(stat.mode))
                        depth = 1;
                if (!is_ours(&stat, depth++))
                        return complain(error, at, &stat);
                if (at[1] == '\0')
                        return 0;
                char *slash = strrchr(at, '/');
                slash[slash == at] = '\0';
        }
}
