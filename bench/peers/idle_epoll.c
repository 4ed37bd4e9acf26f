/* SPDX-License-Identifier: MIT */
/*
 * The limit of the case idle_connection: what a server in C must know of a connection to close it
 * when its time has come, and nothing else. Prints the bytes that each takes, as idle_bench does.
 */
#define _GNU_SOURCE
#include "../measure.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS = 10000 };

typedef struct connection {
        struct connection *next, *previous; /* in the order in which they have come */
        int64_t deadline;
        int fd;
} connection;

static int connections(void)
{
        struct rlimit limit;
        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 0;
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        rlim_t most = (limit.rlim_cur - 100) / 2;
        return most < CONNECTIONS ? (int)most : CONNECTIONS;
}

static int welcome(int epoll, int listener, connection *all)
{
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        connection *c = malloc(sizeof(*c));
        if (fd < 0 || !c)
                return -1;
        *c = (connection){.next = all, .previous = all->previous, .fd = fd};
        c->deadline = measure_now() + 60000000000;
        c->previous->next = all->previous = c;
        return epoll_ctl(epoll, EPOLL_CTL_ADD, fd,
                         &(struct epoll_event){.events = EPOLLIN | EPOLLET, .data.ptr = c});
}

int main(void)
{
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof(at);
        int epoll = epoll_create1(EPOLL_CLOEXEC), n = connections();
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        connection all = {.next = &all, .previous = &all};
        if (bind(listener, (struct sockaddr *)&at, size) < 0 || listen(listener, 1024) < 0)
                return 1;
        getsockname(listener, (struct sockaddr *)&at, &size);
        int64_t before = measure_memory();
        for (int i = 0; i < n; i++) {
                int client = socket(AF_INET, SOCK_STREAM, 0);
                if (client < 0 || connect(client, (struct sockaddr *)&at, size) < 0 ||
                    welcome(epoll, listener, &all) < 0)
                        return 1;
        }
        printf("%.1f\n", (double)(measure_memory() - before) / n);
        return 0;
}
