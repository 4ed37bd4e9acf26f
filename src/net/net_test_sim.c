/* SPDX-License-Identifier: MIT */
#include "fiber/sim_unit.h"
#include "net/net_test.h"
#include "net/net_test_dns.h"
#include "os/os.h"

#include <fcntl.h>

unsigned long long world_seed;
unsigned world_seeds_share = 1;

static const sim_options *gentle(uint64_t seed)
{
        (void)seed;
        return &sim_gentle;
}

static const sim_options *rough(uint64_t seed)
{
        (void)seed;
        return &sim_rough;
}

static const sim_options *slow_but_for_some(uint64_t seed)
{
        return seed % 5 ? &sim_slow : &sim_gentle;
}

static void each_seed(const sim_options *world_of(uint64_t seed), sj_fn *behaviour)
{
        uint64_t seeds = sim_unit_env("SANJAB_SEEDS", 500);
        seeds = (seeds + world_seeds_share - 1) / world_seeds_share;
        for (uint64_t seed = 0; sim_unit_next(&seed, seeds);) {
                world_seed = seed;
                sim_unit_in(seed, world_of(seed), behaviour, NULL, 0);
        }
}

void each_world(sj_fn *behaviour)
{
        each_seed(slow_but_for_some, behaviour);
}

void once_in_each_world(sj_fn *behaviour)
{
        world_seed = 1;
        sim_unit_in(1, &sim_gentle, behaviour, NULL, 0);
}

void each_quiet_world(sj_fn *behaviour)
{
        each_seed(gentle, behaviour);
}

void each_rough_world(sj_fn *behaviour)
{
        each_seed(rough, behaviour);
}

void world_limit_descriptors(size_t n)
{
        sim_fail_descriptors_after(n);
}

bool world_set_wall(sj_wall when)
{
        sim_set_wall(when);
        return true;
}

size_t world_draw(size_t n)
{
        return (size_t)sim_draw(n);
}

const char world_dns_options[] = "use-vc";

void world_serve_datagrams(struct dns *d, sj_scope *s)
{
        (void)d;
        (void)s;
}

void world_stop_datagrams(struct dns *d)
{
        (void)d;
}

const char *world_write_file(const char *name, const char *text)
{
        static char path[100];
        snprintf(path, sizeof(path), "/%s", name);
        int fd = os_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        CHECK(fd >= 0);
        for (size_t at = 0, n = strlen(text); at < n;) {
                ssize_t put = os_pwrite(fd, text + at, n - at, at);
                CHECK(put > 0);
                at += (size_t)put;
        }
        os_close(fd);
        return path;
}
