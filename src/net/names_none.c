/* SPDX-License-Identifier: MIT */
/*
 * Asking without c-ares: the system's own resolver, on a thread of the pool. It has its own idea of
 * servers, time and order, and cannot be interrupted: a question that is given up goes on without
 * a listener, and holds its thread until the system has had enough.
 */
#include "net/address.h"
#include "net/names.h"
#include "os/os.h"

#include <sanjab/exec.h>

#include <netinet/in.h>
#include <stdlib.h>

/* The system does not tell how long its answers may be believed. */
#define TTL (10 * SJ_SEC)

struct question {
        char name[SJ_HOST_MAX + 1];
        struct sockaddr_storage found[SJ_ADDRESSES_MAX];
};

static int run_question(void *arg)
{
        struct question *q = arg;
        return os_resolve(q->name, q->found, SJ_ADDRESSES_MAX);
}

static void read_answer(const struct question *q, int n, names_answer *ret)
{
        names_answer answer = {.ttl = TTL};
        for (int i = 0; i < n; i++) {
                const struct sockaddr_in *in = (const void *)&q->found[i];
                const struct sockaddr_in6 *in6 = (const void *)&q->found[i];
                if (q->found[i].ss_family == AF_INET)
                        names_answer_add(&answer, AF_INET, &in->sin_addr);
                else
                        names_answer_add(&answer, AF_INET6, &in6->sin6_addr);
        }
        names_answer_interleave(&answer);
        *ret = answer;
}

/* The system asks as often as it thinks right. */
sj_time names_patience(const names_config *config)
{
        (void)config;
        return SJ_NEVER;
}

int names_query(const names_config *config, const char *name, size_t first, names_answer *ret,
                sj_time deadline)
{
        (void)config;
        (void)first;
        struct question *q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;
        memcpy(q->name, name, strlen(name) + 1);
        int n = -EAGAIN;
        int r = sj_offload_detached(run_question, q, free, &n, deadline);
        if (r < 0)
                return r;
        if (n > 0)
                read_answer(q, n, ret);
        free(q);
        return n > 0 ? 0 : n < 0 ? n : -ENODATA;
}
