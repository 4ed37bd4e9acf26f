/* SPDX-License-Identifier: MIT */
/* Making a link that is ready: found, connected, secured, logged in, checked. */
#ifndef SANJAB_STORE_REDIS_DIAL_H
#define SANJAB_STORE_REDIS_DIAL_H

#include "store/redis_link.h"
#include "store/redis_url.h"

enum { REDIS_WHY_MAX = 512 };

/* What does not change. Texts are the owner's. */
typedef struct redis_dial {
        redis_url url;
        const char *master;
        const char *sentinel_username, *sentinel_password;
        const char *client_name;
        const char *tag;   /* the key prefix, if it has a hash tag; else NULL */
        const sj_tls *tls; /* NULL: plain */
        sj_time silence;
} redis_dial;

/* Where it leads at present; kept between attempts. */
typedef struct redis_route {
        redis_node node;              /* host "": to be found anew */
        size_t sentinel;              /* the next to be asked */
        bool cluster;                 /* it is a Cluster's node, as was said last */
        char place[SJ_HOST_MAX + 64]; /* "127.0.0.1:6379/0" */
} redis_route;

/*
 * A new link to where the route leads; which is found first if need be, and forgotten after a
 * failure. why (REDIS_WHY_MAX bytes): a sentence when it fails, without secrets.
 * Errors: those of sj_tcp_connect, sj_unix_connect, sj_tls_connect; -EACCES the user or the
 * password is refused; -EXDEV a Cluster, and no tag; -ENXIO no Sentinel knows the master;
 * -EROFS it is a replica; -EAGAIN the server will not have us now; -EPIPE, -EPROTO, -ENOMEM;
 * -ETIMEDOUT, -ECANCELED.
 */
int redis_dial_open(const redis_dial *d, redis_route *route, redis_link **ret, char *why,
                    sj_time deadline);

/* Writes a sentence; returns r. */
SJ_PRINTF(3, 4) int redis_dial_fail(char *why, int r, const char *format, ...);
/* What went wrong while talking to a server that is being connected to. */
const char *redis_dial_text(int error);
/* Connects to one node: stream and link, nothing said yet. */
int redis_dial_node(const redis_dial *d, const redis_node *node, redis_link **ret, char *why,
                    sj_time deadline);
/* The words AUTH wants, before all else. 0, -EACCES, or as redis_link_call. */
int redis_dial_login(const redis_dial *d, redis_link *l, const char *user, const char *password,
                     const char *place, char *why, sj_time deadline);

/* redis_sentinel.c: asks the Sentinels in turn for the master; sets route->node. */
int redis_sentinel_find(const redis_dial *d, redis_route *route, char *why, sj_time deadline);
/* redis_cluster.c: of a server that is a Cluster's node, the node that has the tag's slot. 1: it
 * is another one, and route->node is set; 0: it is this one. */
int redis_cluster_find(const redis_dial *d, redis_link *l, redis_route *route, char *why,
                       sj_time deadline);
/* Whether the prefix (may be NULL) has a hash tag: something in its first braces. */
bool redis_cluster_tagged(const char *prefix);
/* That tag; empty: there is none. */
sj_str redis_cluster_tag(sj_str prefix);
/* Where MOVED sends us: "MOVED 3999 127.0.0.1:6381". Host "": the one that said so. */
bool redis_cluster_moved(sj_str text, redis_node *ret);

#endif
