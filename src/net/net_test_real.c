/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "net/net_test_dns.h"
#include "os/os.h"

#include <sanjab/select.h>

#include <sys/resource.h>

unsigned long long world_seed;
unsigned world_seeds_share = 1;

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

void once_in_each_world(sj_fn *behaviour)
{
        each_world(behaviour);
}

void each_quiet_world(sj_fn *behaviour)
{
        each_world(behaviour);
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

bool world_set_wall(sj_wall when)
{
        (void)when;
        return false;
}

size_t world_draw(size_t n)
{
        uint64_t x;
        os_random(&x, sizeof(x));
        return (size_t)(x % n);
}

const char world_dns_options[] = "timeout:1";

static int serve_datagrams(void *arg)
{
        struct dns *d = arg;
        for (;;) {
                unsigned char question[512], reply[512];
                struct sockaddr_storage from;
                socklen_t from_n = sizeof(from);
                ssize_t n = recvfrom(d->datagrams, question, sizeof(question), MSG_DONTWAIT,
                                     (struct sockaddr *)&from, &from_n);
                if (n < 0) {
                        int r = sj_fd_wait(d->datagrams, SJ_READABLE, SJ_NEVER);
                        if (r < 0)
                                return 0;
                        continue;
                }
                size_t k = dns_reply(d, question, (size_t)n, reply, true);
                /* Noise first: what is no answer to the question must not be taken for one. */
                sendto(d->datagrams, "", 0, 0, (struct sockaddr *)&from, from_n);
                sendto(d->datagrams, "noise", 5, 0, (struct sockaddr *)&from, from_n);
                if (k) {
                        reply[0] ^= 1;
                        sendto(d->datagrams, reply, k, 0, (struct sockaddr *)&from, from_n);
                        reply[0] ^= 1;
                        sendto(d->datagrams, reply, k, 0, (struct sockaddr *)&from, from_n);
                }
        }
}

void world_serve_datagrams(struct dns *d, sj_scope *s)
{
        sj_address address;
        CHECK_INT(sj_address_parse("127.0.0.1", d->port, &address), 0);
        d->datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        CHECK(d->datagrams >= 0);
        CHECK_INT(bind(d->datagrams, (struct sockaddr *)&address.storage, address.n), 0);
        CHECK_INT(sj_spawn(s, serve_datagrams, d, NULL), 0);
}

void world_stop_datagrams(struct dns *d)
{
        sj_fd_forget(d->datagrams);
        os_close(d->datagrams);
}

const char *world_write_file(const char *name, const char *text)
{
        static char path[100];
        snprintf(path, sizeof(path), "/tmp/sanjab-%d-%s", os_pid(), name);
        FILE *f = fopen(path, "we");
        CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
        return path;
}
