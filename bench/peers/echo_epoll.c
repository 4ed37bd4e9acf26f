/* SPDX-License-Identifier: MIT */
/*
 * The limit of the echo cases: epoll with nothing on top, level-triggered, one read and one write
 * for each message. What a write does not take at once is waited for in place; with one message
 * in flight that does not happen. Prints its port.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256 };

static void answer(int fd)
{
        static char bytes[32768];
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        if (n <= 0) {
                if (n == 0 || errno != EAGAIN)
                        close(fd);
                return;
        }
        for (ssize_t sent = 0; sent < n;) {
                ssize_t m = send(fd, bytes + sent, (size_t)(n - sent), MSG_NOSIGNAL);
                if (m < 0 && errno != EAGAIN) {
                        close(fd);
                        return;
                }
                if (m < 0)
                        poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
                else
                        sent += m;
        }
}

static void welcome(int epoll, int listener)
{
        int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
                return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd,
                  &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
}

int main(void)
{
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof(at);
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        if (bind(listener, (struct sockaddr *)&at, size) < 0 || listen(listener, 1024) < 0)
                return 1;
        getsockname(listener, (struct sockaddr *)&at, &size);
        printf("%d\n", ntohs(at.sin_port));
        fflush(stdout);
        epoll_ctl(epoll, EPOLL_CTL_ADD, listener,
                  &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
        for (;;) {
                struct epoll_event events[EVENTS];
                int n = epoll_wait(epoll, events, EVENTS, -1);
                for (int i = 0; i < n; i++)
                        if (events[i].data.fd == listener)
                                welcome(epoll, listener);
                        else
                                answer(events[i].data.fd);
        }
}
