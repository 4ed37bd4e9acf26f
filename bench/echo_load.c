/* SPDX-License-Identifier: MIT */
/*
 * The load of the echo cases: one thread, epoll, and no more work for a message than to send it
 * and to read it back. The same program against every server, so that what differs is theirs.
 *
 *   echo_load PORT BYTES CONNECTIONS SECONDS
 *
 * Each connection has one message in flight. Prints the messages that came back whole, and the
 * seconds that they took.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"

enum { EVENTS = 256 };

typedef struct load {
        int epoll;
        size_t bytes;
        char *out, *in;
        size_t *got; /* of each connection's message, by descriptor */
        int64_t done;
} load;

static int fail(const char *what)
{
        fprintf(stderr, "echo_load: %s: %s\n", what, strerror(errno));
        return -1;
}

static int dial(uint16_t port)
{
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return fail("socket");
        if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
                return fail("connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        return fd;
}

/* Blocking: one message is less than what a socket holds. */
static int send_one(load *l, int fd)
{
        for (size_t sent = 0; sent < l->bytes;) {
                ssize_t n = send(fd, l->out + sent, l->bytes - sent, MSG_NOSIGNAL);
                if (n < 0)
                        return fail("send");
                sent += (size_t)n;
        }
        return 0;
}

static int take(load *l, int fd)
{
        ssize_t n = recv(fd, l->in, l->bytes - l->got[fd], 0);
        if (n <= 0)
                return fail(n ? "recv" : "the server has closed");
        l->got[fd] += (size_t)n;
        if (l->got[fd] < l->bytes)
                return 0;
        l->got[fd] = 0;
        l->done++;
        return send_one(l, fd);
}

static int turn(load *l)
{
        struct epoll_event events[EVENTS];
        int n = epoll_wait(l->epoll, events, EVENTS, 1000);
        for (int i = 0; i < n; i++)
                if (take(l, events[i].data.fd) < 0)
                        return -1;
        return n < 0 && errno != EINTR ? fail("epoll_wait") : 0;
}

static int connect_all(load *l, uint16_t port, int connections)
{
        for (int i = 0; i < connections; i++) {
                int fd = dial(port);
                struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
                if (fd < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
                        return -1;
                if (send_one(l, fd) < 0)
                        return -1;
        }
        return 0;
}

/* Until each connection has been served some times, then for the time that was asked for. */
static int run(load *l, int connections, double seconds)
{
        while (l->done < 4 * (int64_t)connections)
                if (turn(l) < 0)
                        return -1;
        int64_t before = l->done, start = measure_now(), now;
        printf("begin\n");
        fflush(stdout);
        do {
                if (turn(l) < 0)
                        return -1;
                now = measure_now();
        } while ((double)(now - start) < seconds * 1e9);
        printf("%lld %.6f\n", (long long)(l->done - before), (double)(now - start) / 1e9);
        return 0;
}

int main(int argc, char **argv)
{
        if (argc != 5) {
                fprintf(stderr, "usage: echo_load PORT BYTES CONNECTIONS SECONDS\n");
                return 2;
        }
        int connections = atoi(argv[3]);
        load l = {.epoll = epoll_create1(EPOLL_CLOEXEC), .bytes = strtoul(argv[2], NULL, 10)};
        l.out = calloc(1, l.bytes);
        l.in = malloc(l.bytes);
        l.got = calloc((size_t)connections + 64, sizeof(*l.got));
        if (l.epoll < 0 || !l.out || !l.in || !l.got)
                return fail("start") < 0;
        return connect_all(&l, (uint16_t)atoi(argv[1]), connections) < 0 ||
               run(&l, connections, atof(argv[4])) < 0;
}
