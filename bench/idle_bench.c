/* SPDX-License-Identifier: MIT */
/*
 * Bytes of this process's memory that each connection takes which a server has accepted and which
 * has said nothing yet. The clients' ends are bare descriptors, so that they take none; as in the
 * peers, bench/peers/idle*.
 */
#include <sanjab/net.h>

#include "measure.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CONNECTIONS = 10000, BATCH = 100 };

static int end_it(sj_stream *s, void *arg)
{
        (void)arg;
        sj_stream_close(s);
        return 0;
}

static int serve(void *arg)
{
        return sj_serve(arg, end_it, NULL,
                        &(sj_serve_options){.connections = UINT32_MAX, .at_first_byte = true},
                        SJ_NEVER);
}

/* As many as the process may have, with two descriptors each. */
static int connections(void)
{
        struct rlimit limit;
        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 0;
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        rlim_t most = (limit.rlim_cur - 100) / 2;
        return most < CONNECTIONS ? (int)most : CONNECTIONS;
}

/* Connects n clients, the server accepting meanwhile. */
static int fill(const sj_listener *listener, int fds[], int n)
{
        sj_address address;
        int r = sj_listener_address(listener, &address);
        for (int i = 0; r >= 0 && i < n; i++) {
                fds[i] = socket(AF_INET, SOCK_STREAM, 0);
                if (fds[i] < 0 ||
                    connect(fds[i], (struct sockaddr *)&address.storage, address.n) < 0)
                        return -EIO;
                if (i % BATCH == BATCH - 1)
                        r = sj_sleep(SJ_MS);
        }
        return r < 0 ? r : sj_sleep(100 * SJ_MS);
}

static int main_fiber(void *arg)
{
        (void)arg;
        sj_listener *listener;
        int n = connections();
        int *fds = calloc((size_t)n, sizeof(fds[0]));
        if (!fds)
                return -ENOMEM;
        int r = sj_tcp_listen("127.0.0.1", 0, 0, &listener);
        if (r < 0)
                return r;
        SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
        r = sj_spawn(scope, serve, listener, NULL);
        if (r >= 0)
                r = sj_sleep(SJ_MS);
        int64_t before = measure_memory();
        if (r >= 0)
                r = fill(listener, fds, n);
        int64_t after = measure_memory();
        if (r >= 0)
                printf("%.1f\n", (double)(after - before) / n);
        for (int i = 0; i < n; i++)
                close(fds[i]);
        sj_scope_cancel(scope);
        (void)sj_scope_join(scope);
        sj_listener_close(listener);
        free(fds);
        return r;
}

int main(void)
{
        int r = sj_run(main_fiber, NULL);
        if (r < 0)
                fprintf(stderr, "idle_bench: %s\n", sj_strerror(r));
        return r < 0;
}
