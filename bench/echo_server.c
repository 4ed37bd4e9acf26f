/* SPDX-License-Identifier: MIT */
/* What the echo cases measure of ours: a fiber for each connection. Prints its port. */
#include <sanjab/net.h>

#include <stdio.h>

static int serve(void *arg)
{
        sj_stream *s = arg;
        char bytes[32768];
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
        int r = sj_tcp_listen("127.0.0.1", 0, 1024, &listener);
        if (r < 0)
                return r;
        printf("%d\n", sj_listener_port(listener));
        fflush(stdout);
        SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
        for (;;) {
                sj_stream *stream;
                r = sj_accept(listener, &stream, SJ_NEVER);
                if (r < 0 || (r = sj_spawn(s, serve, stream, arg)) < 0)
                        return r;
        }
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
