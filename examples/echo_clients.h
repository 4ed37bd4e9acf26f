/* SPDX-License-Identifier: MIT */
/*
 * Three clients for the echo servers, on a thread of their own: each connects at once, says
 * something twice, with a second in between, and tells when it had its answers.
 */
#ifndef EXAMPLES_ECHO_CLIENTS_H
#define EXAMPLES_ECHO_CLIENTS_H

#include "speed.h"

#include <pthread.h>
#include <sanjab/net.h>
#include <stdio.h>

enum { ECHO_CLIENTS = 3 };

typedef struct echo_clients {
        uint16_t port;
        int result;
        pthread_t thread;
} echo_clients;

static inline int echo_ask(sj_stream *s)
{
        char answer[5];
        int r = sj_write(s, "hello", 5, SJ_NEVER);
        if (r >= 0)
                r = sj_read_exactly(s, answer, 5, SJ_NEVER);
        return r < 0 ? r : memcmp(answer, "hello", 5) == 0 ? 0 : -EPROTO;
}

static inline int echo_client(void *arg)
{
        const echo_clients *c = arg;
        sj_time start = sj_now();
        sj_stream *s;
        int r = sj_tcp_connect("127.0.0.1", c->port, &s, SJ_NEVER);
        if (r < 0)
                return r;
        r = echo_ask(s);
        if (r >= 0)
                r = sj_sleep(seconds(1));
        if (r >= 0)
                r = echo_ask(s);
        sj_stream_close(s);
        printf("a client was served after %.1f s%s\n", since(start), r < 0 ? ", badly" : "");
        return r;
}

static inline int echo_clients_fiber(void *arg)
{
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        for (int i = 0; i < ECHO_CLIENTS; i++) {
                int r = sj_spawn(s, echo_client, arg, NULL);
                if (r < 0)
                        return r;
        }
        return sj_scope_join(s);
}

static inline void *echo_clients_run(void *arg)
{
        echo_clients *c = arg;
        c->result = sj_run(echo_clients_fiber, c);
        return NULL;
}

static inline int echo_clients_start(echo_clients *c, uint16_t port)
{
        c->port = port;
        return -pthread_create(&c->thread, NULL, echo_clients_run, c);
}

/* Their first failure, or 0. */
static inline int echo_clients_join(echo_clients *c)
{
        pthread_join(c->thread, NULL);
        return c->result;
}

#endif
