/* SPDX-License-Identifier: MIT */
/* A connection that is accepted within a block is closed on every path out of it. */
#include "speed.h"

#include <sanjab/net.h>
#include <stdio.h>

static void close_stream(sj_stream **s)
{
        if (*s)
                printf("  closed\n");
        sj_stream_close(*s);
}

/* Until the end of the enclosing block `name` is the listener's next connection. */
#define CONNECTED(name, listener, ret)                                 \
        __attribute__((cleanup(close_stream))) sj_stream *name = NULL; \
        *(ret) = sj_accept((listener), &name, SJ_NEVER)

static int serve(sj_listener *listener)
{
        int r;
        CONNECTED(s, listener, &r);
        if (r < 0)
                return r;
        char word[5] = "";
        r = sj_read_exactly(s, word, 4, sj_after(seconds(1)));
        if (r < 0)
                return r; /* the client is late, or has left */
        return strcmp(word, "ping") == 0 ? sj_write(s, "pong", 4, SJ_NEVER) : -EPROTO;
}

typedef struct visit {
        const char *kind;
        const char *says;
        bool leaves; /* at once, without waiting for an answer */
        uint16_t port;
} visit;

static int client(void *arg)
{
        const visit *v = arg;
        char answer[8];
        sj_stream *s;
        int r = sj_tcp_connect("127.0.0.1", v->port, &s, SJ_NEVER);
        if (r < 0)
                return r;
        r = sj_write(s, v->says, strlen(v->says), SJ_NEVER);
        while (r >= 0 && !v->leaves && sj_read(s, answer, sizeof(answer), SJ_NEVER) > 0)
                ; /* until the server closes it */
        sj_stream_close(s);
        return r;
}

static int main_fiber(void *arg)
{
        (void)arg;
        static visit visits[] = {{.kind = "good", .says = "ping"},
                                 {.kind = "rude", .says = "oink"},
                                 {.kind = "slow", .says = "pi"},
                                 {.kind = "fickle", .says = "pi", .leaves = true}};
        sj_listener *listener;
        int r = sj_tcp_listen("127.0.0.1", 0, 0, &listener);
        if (r < 0)
                return r;
        for (size_t i = 0; r >= 0 && i < sizeof(visits) / sizeof(visits[0]); i++) {
                SJ_SCOPE(s, SJ_NEVER, SJ_COLLECT);
                visits[i].port = sj_listener_port(listener);
                r = sj_spawn(s, client, &visits[i], NULL);
                if (r < 0)
                        break;
                printf("%s:\n", visits[i].kind);
                printf("  %s\n", sj_strerror(serve(listener)));
                r = sj_scope_join(s);
        }
        sj_listener_close(listener);
        return r;
}

int main(void)
{
        return sj_run(main_fiber, NULL) < 0;
}
