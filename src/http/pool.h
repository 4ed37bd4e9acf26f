/* SPDX-License-Identifier: MIT */
/*
 * The connections of a session: how many there may be, who waits for one, and which are kept.
 *
 * A slot is the right to have one connection to an origin. A kept connection has its slot; so does
 * one in use, and one that is just being made. Who finds no slot waits in one line for all
 * origins, and is passed only by those whose origin has room when his has not.
 */
#ifndef SANJAB_HTTP_POOL_H
#define SANJAB_HTTP_POOL_H

#include "base/list.h"
#include "base/map.h"
#include "http/wire.h"

typedef struct http_origin http_origin;

typedef struct http_conn {
        list in_origin; /* kept ones: the most recently used first */
        list in_age;    /* kept ones: the least recently used first */
        http_origin *origin;
        http_wire wire; /* without a stream: a slot whose connection is yet to be made */
        sj_time kept_since;
        bool kept; /* it was used before */
} http_conn;

typedef struct http_pool {
        map origins;
        list by_age;
        list waiters;
        unsigned open; /* slots in use, over all origins */
        unsigned open_max;
        unsigned origin_max;
        sj_time keep;
} http_pool;

void http_pool_init(http_pool *p, unsigned open_max, unsigned origin_max, sj_time keep);
/* Closes what is kept. Nothing may be in use, and nobody wait. */
void http_pool_fini(http_pool *p);

/*
 * Takes a kept connection to the origin that the key names, one that is still alive, or a slot for
 * a new one; with fresh always the latter. Waits in line. -ENOMEM; -ETIMEDOUT, -ECANCELED.
 */
int http_pool_take(http_pool *p, sj_str key, bool fresh, http_conn **ret, sj_time deadline);

/* Gives it back to be kept: its stream is idle, and nothing of a message lies in it. */
void http_pool_keep(http_pool *p, http_conn *c);
/* Gives it back and closes it. NULL is allowed. */
void http_pool_drop(http_pool *p, http_conn *c);

/* Closes all that are kept. */
void http_pool_close_idle(http_pool *p);

#endif
