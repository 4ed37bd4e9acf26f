/* SPDX-License-Identifier: MIT */
/*
 * A server on four loops, each on a thread of its own, by one call. Each listens on the same port,
 * so that the kernel shares the connections out, and none is handed from thread to thread. The
 * first loop is told when all of them listen, visits the server, and stops it: who is served then
 * may end.
 */
#include <sanjab/net.h>
#include <sanjab/shared.h>

#include <stdio.h>

enum { LOOPS = 4, VISITS = 200 };

typedef struct server {
        sj_shared_lock lock;
        uint16_t port;                 /* under the lock, as the next two */
        int loops;                     /* that listen */
        int served[LOOPS];             /* by each, when it has ended */
        sj_shared_semaphore listening; /* one for each loop */
} server;

static int greet(sj_stream *s, void *arg)
{
        (*(int *)arg)++;
        (void)sj_write(s, "hello", 5, SJ_NEVER);
        sj_stream_close_politely(s, SJ_NEVER);
        return 0;
}

static int visit(uint16_t port)
{
        char text[5];
        sj_stream *s;
        int r = sj_tcp_connect("127.0.0.1", port, &s, SJ_NEVER);
        if (r < 0)
                return r;
        r = sj_read_exactly(s, text, sizeof(text), SJ_NEVER);
        sj_stream_close(s);
        return r;
}

static int visit_often(void *arg)
{
        server *all = arg;
        int r = 0, greeted = 0;
        for (int i = 0; r >= 0 && i < LOOPS; i++)
                r = sj_shared_semaphore_acquire(&all->listening, SJ_NEVER);
        printf("%d loops listen on one port\n", LOOPS);
        for (; r >= 0 && greeted < VISITS; greeted++)
                r = visit(all->port);
        printf("%d visitors were greeted\n", greeted);
        sj_loop_stop(sj_loop_current());
        return r;
}

/* The number of this loop. */
static int start_listening(server *all, sj_listener **ret)
{
        int r = sj_shared_lock_acquire(&all->lock, SJ_NEVER);
        if (r < 0)
                return r;
        r = sj_tcp_listen_shared("127.0.0.1", all->port, 0, ret);
        if (r >= 0) {
                all->port = sj_listener_port(*ret);
                r = all->loops++;
                sj_shared_semaphore_release(&all->listening);
        }
        sj_shared_lock_release(&all->lock);
        return r;
}

static int serve_here(void *arg)
{
        server *all = arg;
        sj_listener *listener;
        int number = start_listening(all, &listener), r = 0;
        if (number < 0)
                return number;
        SJ_SCOPE(s, SJ_NEVER, 0);
        if (number == 0)
                r = sj_spawn(s, visit_often, all, NULL);
        if (r >= 0)
                r = sj_serve(listener, greet, &all->served[number], NULL, SJ_NEVER);
        sj_listener_close(listener);
        return r;
}

int main(void)
{
        server all = {.listening = SJ_SHARED_SEMAPHORE_INIT(0)};
        int r = sj_run_threads(LOOPS, serve_here, &all);
        int sum = 0, idle = 0;
        for (int i = 0; i < LOOPS; i++) {
                sum += all.served[i];
                idle += all.served[i] == 0;
        }
        printf("all loops together have served %d, and %d loops none\n", sum, idle);
        return r < 0;
}
