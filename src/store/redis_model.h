/* SPDX-License-Identifier: MIT */
/*
 * For tests: a small Redis of fibers, on a port of 127.0.0.1 of the world that the test is linked
 * with, which can be told to misbehave. redis_differential_test.c checks it against the real one.
 *
 * It knows: PING ECHO AUTH SELECT CLIENT INFO ROLE, SET GET DEL EXISTS INCR, LPUSH RPUSH LPOP RPOP
 * LLEN LRANGE BRPOP, HSET HGET HDEL HLEN, MULTI EXEC, SCRIPT EVALSHA (by a function of the test's),
 * SUBSCRIBE UNSUBSCRIBE PUBLISH, FLUSHALL.
 */
#ifndef SANJAB_STORE_REDIS_MODEL_H
#define SANJAB_STORE_REDIS_MODEL_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"

#include <sanjab/net.h>
#include <sanjab/sync.h>

typedef struct redis_model redis_model;

/* What to do with a command instead of doing it. */
typedef enum redis_model_act {
        MODEL_DO,
        MODEL_SAY,    /* the bytes of model->say, as they are, instead of an answer */
        MODEL_SILENT, /* nothing is done or said on this connection any more */
        MODEL_CLOSE,  /* what was said before is sent, then the connection is closed */
} redis_model_act;

struct redis_model {
        /* Set by the test, at any time. All may be zero. */
        redis_model_act (*hook)(redis_model *m, const sj_str words[], size_t n);
        void *arg;  /* of the hook */
        sj_str say; /* for MODEL_SAY */
        size_t cut; /* each connection is closed after so many bytes were sent; 0: never */
        const char *password;
        const char *role; /* NULL: "master" */
        bool cluster;     /* says that it is a Cluster's node */
        /* Writes the answer of a script. words: keys and arguments. */
        void (*script)(redis_model *m, buf *out, const sj_str words[], size_t n);

        /* To be looked at. */
        uint16_t port;
        char url[64];
        unsigned accepted; /* connections */
        unsigned open;     /* of them, now */
        unsigned done;     /* commands */

        /* Private. */
        sj_listener *listener;
        sj_fiber *acceptor;
        map keys;
        map scripts;
        list guests;
        sj_event pushed;
};

/* Starts it, as a fiber of the scope; on m->port, if that is set. */
void redis_model_start(redis_model *m, sj_scope *scope);
/* Ends it with all its connections, and forgets all keys. It can be started again. */
void redis_model_stop(redis_model *m);
/* Breaks all connections. */
void redis_model_break(redis_model *m);

/* For scripts: appends an answer. */
void redis_model_put_status(buf *out, const char *text);
void redis_model_put_error(buf *out, const char *text);
void redis_model_put_integer(buf *out, int64_t value);
void redis_model_put_string(buf *out, sj_str text);
void redis_model_put_nil(buf *out);
void redis_model_put_array(buf *out, size_t n);

#endif
