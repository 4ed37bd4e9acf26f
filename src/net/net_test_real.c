/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "net/net_test.h"
#include "os/os.h"

#include <sys/resource.h>

unsigned long long world_seed;

static int count_one(void *arg, const char *name)
{
        (void)name;
        ++*(size_t *)arg;
        return 0;
}

static size_t descriptors(void)
{
        size_t n = 0;
        CHECK_INT(os_read_dir("/proc/self/fd", count_one, &n), 0);
        return n;
}

void each_world(sj_fn *behaviour)
{
        size_t before = descriptors();
        CHECK_INT(sj_run(behaviour, NULL), 0);
        CHECK_INT(descriptors(), before);
}

void each_rough_world(sj_fn *behaviour)
{
        (void)behaviour;
        print_message("connections break under the simulator only\n");
}

void world_limit_descriptors(size_t n)
{
        static struct rlimit usual;
        if (!usual.rlim_max)
                CHECK_INT(getrlimit(RLIMIT_NOFILE, &usual), 0);
        struct rlimit limit = usual;
        if (n != SIZE_MAX) {
                /* The limit is on numbers, not on how many: the next free one counts. */
                int next = os_bell_new();
                os_close(next);
                limit.rlim_cur = (rlim_t)next + n;
        }
        CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

size_t world_draw(size_t n)
{
        uint64_t x;
        os_random(&x, sizeof(x));
        return (size_t)(x % n);
}
