/* SPDX-License-Identifier: MIT */
/*
 * libuv in the echo cases: what can be written at once is, without a request, and only the rest is
 * copied and queued. Prints its port.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

typedef struct connection {
        uv_tcp_t tcp;
        char bytes[32768];
} connection;

typedef struct rest {
        uv_write_t write;
        char bytes[];
} rest;

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

static void end(uv_stream_t *stream)
{
        if (!uv_is_closing((uv_handle_t *)stream))
                uv_close((uv_handle_t *)stream, gone);
}

static void written(uv_write_t *write, int status)
{
        if (status < 0)
                end(write->handle);
        free(write);
}

static int write_later(uv_stream_t *stream, const char *bytes, size_t n)
{
        rest *r = malloc(sizeof(*r) + n);
        if (!r)
                return UV_ENOMEM;
        memcpy(r->bytes, bytes, n);
        uv_buf_t buffer = uv_buf_init(r->bytes, (unsigned)n);
        int error = uv_write(&r->write, stream, &buffer, 1, written);
        if (error < 0)
                free(r);
        return error;
}

static int answer(uv_stream_t *stream, const char *bytes, size_t n)
{
        uv_buf_t buffer = uv_buf_init((char *)bytes, (unsigned)n);
        int sent = uv_try_write(stream, &buffer, 1);
        if (sent < 0 && sent != UV_EAGAIN)
                return sent;
        size_t done = sent < 0 ? 0 : (size_t)sent;
        return done == n ? 0 : write_later(stream, bytes + done, n - done);
}

static void came(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
        if (n < 0 || (n > 0 && answer(stream, buffer->base, (size_t)n) < 0))
                end(stream);
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
