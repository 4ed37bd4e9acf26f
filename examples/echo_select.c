/* SPDX-License-Identifier: MIT */
/*
 * An echo server by hand for many clients at once: one place waits until any of them is ready, and
 * what each was about, here the bytes not yet sent back, must be kept in a table.
 */
#include "echo_clients.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

typedef struct client {
        char bytes[4096];
        size_t sent;
        size_t n;
} client;

static int listen_on_loopback(uint16_t *ret_port)
{
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t n = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (bind(fd, (struct sockaddr *)&address, n) < 0 || listen(fd, 16) < 0 ||
            getsockname(fd, (struct sockaddr *)&address, &n) < 0) {
                int error = -errno;
                close(fd);
                return error;
        }
        *ret_port = ntohs(address.sin_port);
        return fd;
}

/* One step of one client: false when it has gone. */
static bool step(struct pollfd *p, client *c)
{
        ssize_t m;
        if (c->sent < c->n) {
                m = send(p->fd, c->bytes + c->sent, c->n - c->sent, MSG_NOSIGNAL);
                c->sent += m > 0 ? (size_t)m : 0;
        } else {
                m = read(p->fd, c->bytes, sizeof(c->bytes));
                c->sent = 0;
                c->n = m > 0 ? (size_t)m : 0;
                if (m == 0)
                        return false;
        }
        p->events = c->sent < c->n ? POLLOUT : POLLIN;
        return m >= 0 || errno == EAGAIN;
}

int main(void)
{
        static client clients[ECHO_CLIENTS + 1]; /* the first is the listener's, and not used */
        struct pollfd fds[ECHO_CLIENTS + 1] = {{.events = POLLIN}};
        nfds_t n = 1;
        uint16_t port = 0;
        echo_clients callers;
        fds[0].fd = listen_on_loopback(&port);
        if (fds[0].fd < 0 || echo_clients_start(&callers, port) < 0)
                return 1;
        for (int left = ECHO_CLIENTS; left > 0;) {
                if (poll(fds, n, -1) < 0)
                        return 1;
                if (fds[0].revents && n <= ECHO_CLIENTS) {
                        int fd = accept4(fds[0].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                        if (fd >= 0)
                                fds[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
                }
                for (nfds_t i = 1; i < n; i++)
                        if (fds[i].revents && !step(&fds[i], &clients[i])) {
                                close(fds[i].fd);
                                fds[i] = (struct pollfd){.fd = -1}; /* poll passes it over */
                                left--;
                        }
        }
        close(fds[0].fd);
        return echo_clients_join(&callers) < 0;
}
