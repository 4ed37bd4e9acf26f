/* SPDX-License-Identifier: MIT */
/*
 * The pages that the HTTP examples fetch: a server on loopback, in the program itself.
 * /DELAY/SIZE/STATUS answers after DELAY seconds, with SIZE bytes and that status.
 */
#ifndef EXAMPLES_PAGES_H
#define EXAMPLES_PAGES_H

#include "speed.h"

#include <sanjab/http.h>
#include <stdio.h>

static inline int pages_answer(sj_http_exchange *exchange, void *arg)
{
        (void)arg;
        static const char bytes[10000] = {0};
        double delay;
        int size, status;
        char path[64] = "";
        sj_str given = sj_http_exchange_path(exchange);
        if (given.n < sizeof(path))
                memcpy(path, given.data, given.n);
        if (sscanf(path, "/%lf/%4d/%3d", &delay, &size, &status) != 3)
                return sj_http_respond(exchange, 404, NULL, 0, SJ_STR("no such page"), SJ_NEVER);
        int r = sj_sleep(seconds(delay));
        if (r < 0)
                return r;
        const sj_http_header type = {"Content-Type", "application/octet-stream"};
        return sj_http_respond(exchange, status, &type, 1, (sj_str){bytes, (size_t)size}, SJ_NEVER);
}

static inline int pages_serve(void *listener)
{
        return sj_http_serve(listener, pages_answer, NULL, NULL);
}

typedef struct pages_program {
        int (*body)(uint16_t port);
        sj_listener *listener;
} pages_program;

static inline int pages_main(void *arg)
{
        pages_program *p = arg;
        SJ_SCOPE(s, SJ_NEVER, 0); /* leaving it ends the server */
        int r = sj_spawn(s, pages_serve, p->listener, NULL);
        return r < 0 ? r : p->body(sj_listener_port(p->listener));
}

static inline int pages_listen(void *arg)
{
        pages_program *p = arg;
        int r = sj_tcp_listen("127.0.0.1", 0, 0, &p->listener);
        if (r >= 0)
                r = pages_main(p);
        sj_listener_close(p->listener);
        return r;
}

/* Runs body, as a fiber, while the pages are served on that port. For main to return. */
static inline int pages_run(int (*body)(uint16_t port))
{
        return sj_run(pages_listen, &(pages_program){.body = body}) < 0;
}

#endif
