/* SPDX-License-Identifier: MIT */
/* libuv in the echo cases, as its own examples do it, with the buffers kept. Prints its port. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

typedef struct connection {
        uv_tcp_t tcp;
        uv_write_t write;
        char bytes[16384];
} connection;

static void give(uv_handle_t *handle, size_t wanted, uv_buf_t *ret)
{
        (void)wanted;
        connection *c = (connection *)handle;
        *ret = uv_buf_init(c->bytes, sizeof(c->bytes));
}

static void gone(uv_handle_t *handle)
{
        free(handle);
}

static void written(uv_write_t *write, int status)
{
        if (status < 0 && !uv_is_closing((uv_handle_t *)write->handle))
                uv_close((uv_handle_t *)write->handle, gone);
}

static void came(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
        connection *c = (connection *)stream;
        uv_buf_t answer = uv_buf_init(buffer->base, n > 0 ? (unsigned)n : 0);
        if (n < 0 || (n > 0 && uv_write(&c->write, stream, &answer, 1, written) < 0))
                uv_close((uv_handle_t *)stream, gone);
}

static void welcome(uv_stream_t *listener, int status)
{
        connection *c = status < 0 ? NULL : malloc(sizeof(*c));
        if (!c)
                return;
        uv_tcp_init(listener->loop, &c->tcp);
        if (uv_accept(listener, (uv_stream_t *)&c->tcp) < 0) {
                uv_close((uv_handle_t *)&c->tcp, gone);
                return;
        }
        uv_tcp_nodelay(&c->tcp, 1);
        uv_read_start((uv_stream_t *)&c->tcp, give, came);
}

int main(void)
{
        uv_tcp_t listener;
        struct sockaddr_in at;
        int size = sizeof(at);
        uv_ip4_addr("127.0.0.1", 0, &at);
        uv_tcp_init(uv_default_loop(), &listener);
        uv_tcp_bind(&listener, (struct sockaddr *)&at, 0);
        if (uv_listen((uv_stream_t *)&listener, 1024, welcome) < 0)
                return 1;
        uv_tcp_getsockname(&listener, (struct sockaddr *)&at, &size);
        printf("%d\n", ntohs(at.sin_port));
        fflush(stdout);
        return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
