/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "os/os_test.h"

#include <dirent.h>
#include <poll.h>
#include <sanjab/base.h>

static int opened_before;

static int open_descriptors(void)
{
        int n = 0;
        DIR *folder = opendir("/proc/self/fd");
        while (folder && readdir(folder))
                n++;
        if (folder)
                closedir(folder);
        return n;
}

void world_begin(void)
{
        opened_before = open_descriptors();
}

void world_end(void)
{
        /* Where a child has no pidfd, the thread that waited for it closes its end a little later.
         */
        for (int i = 0; i < 1000 && open_descriptors() != opened_before; i++)
                poll(NULL, 0, 1);
        assert_int_equal(open_descriptors(), opened_before);
}
