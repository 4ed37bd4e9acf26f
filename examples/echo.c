/* SPDX-License-Identifier: MIT */
/* An echo server with a fiber for each connection: as simple as the blocking one, and serves all.
 */
#include "echo_clients.h"

static int serve(void *arg)
{
        sj_stream *s = arg;
        char bytes[4096];
        ssize_t n;
        while ((n = sj_read(s, bytes, sizeof(bytes), SJ_NEVER)) > 0)
                if (sj_write(s, bytes, (size_t)n, SJ_NEVER) < 0)
                        break;
        sj_stream_close(s);
        return 0;
}

static int main_fiber(void *arg)
{
        sj_listener *listener;
        int r = sj_tcp_listen("127.0.0.1", 0, 0, &listener);
        if (r >= 0)
                r = echo_clients_start(arg, sj_listener_port(listener));
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        for (int i = 0; r >= 0 && i < ECHO_CLIENTS; i++) {
                sj_stream *stream;
                r = sj_accept(listener, &stream, SJ_NEVER);
                if (r >= 0 && (r = sj_spawn(s, serve, stream, NULL)) < 0)
                        sj_stream_close(stream);
        }
        sj_listener_close(listener);
        return r < 0 ? r : sj_scope_join(s);
}

int main(void)
{
        echo_clients clients;
        return sj_run(main_fiber, &clients) < 0 || echo_clients_join(&clients) < 0;
}
