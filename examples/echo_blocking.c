/* SPDX-License-Identifier: MIT */
/* An echo server by hand: one client at a time, while the others wait. */
#include "echo_clients.h"

#include <arpa/inet.h>
#include <unistd.h>

static int listen_on_loopback(uint16_t *ret_port)
{
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t n = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
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

static void serve(int fd)
{
        char bytes[4096];
        ssize_t n;
        while ((n = read(fd, bytes, sizeof(bytes))) > 0)
                for (ssize_t sent = 0, m; sent < n; sent += m)
                        if ((m = send(fd, bytes + sent, (size_t)(n - sent), MSG_NOSIGNAL)) < 0)
                                return;
}

int main(void)
{
        uint16_t port = 0;
        echo_clients clients;
        int listener = listen_on_loopback(&port);
        if (listener < 0 || echo_clients_start(&clients, port) < 0)
                return 1;
        for (int i = 0; i < ECHO_CLIENTS; i++) {
                int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                if (fd < 0)
                        return 1;
                serve(fd);
                close(fd);
        }
        close(listener);
        return echo_clients_join(&clients) < 0;
}
