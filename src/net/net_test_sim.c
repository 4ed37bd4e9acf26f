/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "net/net_test.h"
#include "net/net_test_dns.h"
#include "os/os.h"
#include "os/sim.h"

#include <sanjab/debug.h>

#include <fcntl.h>

unsigned long long world_seed;
unsigned world_seeds_share = 1;

static unsigned long long seeds(void)
{
        const char *text = getenv("SANJAB_SEEDS");
        unsigned long long n = text ? strtoull(text, NULL, 10) : 0;
        return ((n ? n : 500) + world_seeds_share - 1) / world_seeds_share;
}

static void write_out(void *arg, const char *text, size_t n)
{
        (void)arg;
        fwrite(text, 1, n, stderr);
}

/* Nothing can ever happen again: say who waits for what. */
static void stuck(void *arg, const char *why)
{
        (void)arg;
        fprintf(stderr, "%s (seed %llu)\n", why, world_seed);
        sj_dump(write_out, NULL);
        abort();
}

static void run_in(const sim_options *options, sj_fn *behaviour)
{
        sim_options o = *options;
        o.stuck = stuck;
        sim_begin(world_seed, &o);
        int r = sj_run(behaviour, NULL);
        size_t left = sim_end();
        CHECK_INT(r, 0);
        CHECK_INT(left, 0);
}

void each_world(sj_fn *behaviour)
{
        unsigned long long n = seeds();
        for (world_seed = 1; world_seed <= n; world_seed++)
                run_in(world_seed % 5 ? &sim_slow : &sim_gentle, behaviour);
}

void once_in_each_world(sj_fn *behaviour)
{
        world_seed = 1;
        run_in(&sim_gentle, behaviour);
}

void each_quiet_world(sj_fn *behaviour)
{
        unsigned long long n = seeds();
        for (world_seed = 1; world_seed <= n; world_seed++)
                run_in(&sim_gentle, behaviour);
}

void each_rough_world(sj_fn *behaviour)
{
        unsigned long long n = seeds();
        for (world_seed = 1; world_seed <= n; world_seed++)
                run_in(&sim_rough, behaviour);
}

void world_limit_descriptors(size_t n)
{
        sim_fail_descriptors_after(n);
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
