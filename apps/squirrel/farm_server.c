/* SPDX-License-Identifier: MIT */
#include "farm_server.h"

#include "dump.h"

#include <sanjab/http.h>
#include <sanjab/process.h>

#include <signal.h>
#include <stdio.h>
#include <strings.h>

enum { SITE_CONNECTIONS = 1000, NO_ANSWER = -ECONNABORTED };

static const farm_site *find(const farm *f, sj_str host)
{
        const char *colon = memchr(host.data, ':', host.n);
        size_t n = colon ? (size_t)(colon - host.data) : host.n;
        for (size_t i = 0; i < f->n; i++)
                if (strlen(f->sites[i].name) == n &&
                    strncasecmp(f->sites[i].name, host.data, n) == 0)
                        return &f->sites[i];
        return NULL;
}

static int answer(sj_http_exchange *exchange, const farm_site *s)
{
        static const sj_http_header type = {"Content-Type", "text/plain"};
        int r = sj_sleep(s->delay_ms * SJ_MS);
        if (r < 0)
                return r;
        switch (s->kind) {
        case FARM_STATUS:
                return sj_http_respond(exchange, s->status, &type, 1, SJ_STR("squirrel\n"),
                                       sj_after(30 * SJ_SEC));
        case FARM_SILENT:
                r = sj_sleep_until(SJ_NEVER);
                return r < 0 ? r : NO_ANSWER;
        case FARM_RESET:
        case FARM_UNKNOWN:
                break;
        }
        return NO_ANSWER;
}

static int handle(sj_http_exchange *exchange, void *arg)
{
        sj_str host = {0};
        sj_http_exchange_header(exchange, "host", &host);
        const farm_site *s = host.n ? find(arg, host) : NULL;
        if (!s)
                return sj_http_respond(exchange, 404, NULL, 0, SJ_STR("no such site here\n"),
                                       sj_after(SJ_SEC));
        return answer(exchange, s);
}

typedef struct server {
        const farm *farm;
        const farm_options *options;
        sj_listener *listener;
        char *error;
        size_t size;
} server;

static int serve(void *arg)
{
        server *s = arg;
        return sj_http_serve(s->listener, handle, (void *)(uintptr_t)s->farm,
                             &(sj_http_serve_options){.connections = SITE_CONNECTIONS});
}

/* SIGUSR1 shows all fibers; the others are the end. */
static int await_stop(sj_signals *signals)
{
        int r;
        while ((r = sj_signals_next(signals, SJ_NEVER)) == SIGUSR1)
                dump_fibers();
        return r;
}

static int serve_until_signal(server *s, sj_signals *signals)
{
        SJ_SCOPE(all, SJ_NEVER, 0);
        int r = sj_spawn(all, serve, s, NULL);
        if (r >= 0)
                r = await_stop(signals);
        return r < 0 ? r : 0;
}

static int listen_and_serve(server *s, sj_signals *signals)
{
        int r = sj_tcp_listen("127.0.0.1", s->options->port, 0, &s->listener);
        if (r < 0) {
                snprintf(s->error, s->size, "port %u of 127.0.0.1 cannot be opened: %s",
                         s->options->port, sj_strerror(r));
                return r;
        }
        uint16_t port = sj_listener_port(s->listener);
        r = farm_write_files(s->farm, s->options, port);
        if (r < 0) {
                snprintf(s->error, s->size, "the farm's files cannot be written: %s",
                         sj_strerror(r));
        } else {
                printf("%zu sites on 127.0.0.1:%u; stop it with Ctrl-C\n", s->farm->n, port);
                fflush(stdout);
                r = serve_until_signal(s, signals);
        }
        sj_listener_close(s->listener);
        return r;
}

/* The signals come first: whoever sees the farm's files may end it at once. */
static int open_and_serve(void *arg)
{
        const int taken[] = {SIGINT, SIGTERM, SIGUSR1};
        sj_signals *signals;
        int r = sj_signals_open(taken, 3, &signals);
        if (r < 0)
                return r;
        r = listen_and_serve(arg, signals);
        sj_signals_close(signals);
        return r;
}

int farm_serve(const farm *f, const farm_options *options, char *error, size_t size)
{
        server s = {.farm = f, .options = options, .error = error, .size = size};
        error[0] = '\0';
        int r = sj_run(open_and_serve, &s);
        if (r < 0 && error[0] == '\0')
                snprintf(error, size, "the farm has stopped: %s", sj_strerror(r));
        return r;
}
