/* SPDX-License-Identifier: MIT */
/* Where a Redis is: the text of redis_options.url, taken apart. */
#ifndef SANJAB_STORE_REDIS_URL_H
#define SANJAB_STORE_REDIS_URL_H

#include <sanjab/net.h>

enum { REDIS_NODES_MAX = 16, REDIS_PORT = 6379, REDIS_SENTINEL_PORT = 26379 };
enum { REDIS_URL_MAX = 4096, REDIS_DB_MAX = 1 << 20 };

typedef struct redis_node {
        char host[SJ_HOST_MAX + 1];
        uint16_t port;
} redis_node;

typedef struct redis_url {
        bool tls;
        bool insecure;    /* TLS without verification, as was asked for */
        bool sentinel;    /* the nodes are Sentinels, in the order of asking; else there is one */
        const char *path; /* of a Unix socket; NULL: the nodes */
        redis_node nodes[REDIS_NODES_MAX];
        size_t n;
        const char *user, *password; /* NULL: none */
        unsigned db;
        const char *ca_file, *certificate_file, *key_file; /* NULL: none */
} redis_url;

/*
 * Texts are put into the arena. -EINVAL it is malformed; -ENOMEM. *ret_why is a sentence then,
 * which holds nothing of the url.
 */
int redis_url_parse(sj_arena *arena, const char *text, redis_url *ret, const char **ret_why);

/* host:port, with brackets around an IPv6 address; returns its first argument after the node. */
const char *redis_node_text(const redis_node *node, char *ret, size_t size);

#endif
