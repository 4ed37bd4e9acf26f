/* SPDX-License-Identifier: MIT */
/* Which proxy a request goes through. */
#ifndef SANJAB_HTTP_PROXY_H
#define SANJAB_HTTP_PROXY_H

#include <sanjab/base.h>

#include "codec/url.h"

typedef struct http_proxies {
        bool has_http, has_https;
        bool environment;       /* loopback addresses are reached directly then */
        struct url http, https; /* the proxy for requests of that scheme */
        sj_str direct;          /* hosts that are reached directly, as in no_proxy */
} http_proxies;

/* As getenv. */
typedef const char *http_proxy_environment(const char *name);

/*
 * Reads the settings: from `option` if it is not NULL ("" means none), else from the environment.
 * What is kept lies in the arena. -EINVAL: one of them is malformed (which one goes to the log,
 * without its text: it may hold a password); -ENOMEM.
 */
int http_proxy_init(http_proxies *p, sj_arena *arena, const char *option,
                    http_proxy_environment *environment);

/* The proxy for that URL, or NULL: directly. */
const struct url *http_proxy_pick(const http_proxies *p, const struct url *target);

#endif
