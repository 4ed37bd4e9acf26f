/* SPDX-License-Identifier: MIT */
/*
 * redis: a client of a Redis server, for the fibers of one loop.
 *
 * Many fibers share one connection: what they send at the same time leaves in one write, the
 * replies come back in the order of the commands (RESP2), and each wakes who waits for it.
 *
 *         fibers ──► commands, in order ──► one write ──► server
 *         fibers ◄── each its reply     ◄── one reader ◄──┘
 *
 * What blocks in the server (BLMOVE, BRPOP, ...) has a connection to itself while it lasts, from
 * a small stock (redis_block). Subscriptions share one more.
 *
 * A connection that breaks is made again, with back-off and jitter, for as long as somebody has
 * something to send. Commands that were sent and have no reply yet get -EPIPE: whether they were
 * done is not known, and only who sent them knows whether they may be sent again. Those that were
 * not sent yet wait for the new connection until their deadline. A server that is connected but
 * does not answer (stopped, cut off without a word) is found out by the watchdog: when an answer
 * is due for REDIS_SILENCE, a PING's included, the connection is torn down.
 *
 * Errors of all calls: -ETIMEDOUT, -ECANCELED (a command that was begun is carried to its end by
 * others: the reply is dropped); -EPIPE as above; -ECONNREFUSED and others of connecting, when the
 * deadline comes before a connection does, are told as that error; -EACCES the password or user is
 * refused; -EPROTO the peer does not speak Redis, or says what makes no sense: the connection is
 * made again; -ENOBUFS it says more than the limits below, likewise; -EMSGSIZE a command does;
 * -ENOMEM; -ESHUTDOWN it is being closed.
 * A reply that is an error of the server is no error of the call, but for these, which are met
 * here: LOADING, MASTERDOWN, TRYAGAIN, CLUSTERDOWN (sent again after a pause, until the deadline:
 * -EAGAIN then), READONLY (a replica: the connection is made again, through the Sentinel if there
 * is one), NOSCRIPT (loaded and sent again), OOM (-ENOSPC), MOVED and ASK (-EXDEV, see
 * redis_options.prefix), NOAUTH and NOPERM (-EACCES).
 */
#ifndef SANJAB_STORE_REDIS_H
#define SANJAB_STORE_REDIS_H

#include "base/list.h"

#include <sanjab/fiber.h>

/* Limits. */
#define REDIS_REPLY_MAX    ((size_t)512 << 20) /* bytes of a reply, with all in it */
#define REDIS_LINE_MAX     ((size_t)64 << 10)  /* bytes of a status, an error, a number */
#define REDIS_ELEMENTS_MAX ((size_t)1 << 24)   /* elements of one aggregate */
#define REDIS_DEPTH_MAX    32                  /* hiredis before 1.0 reads 7, and gives -EPROTO */
#define REDIS_ARGS_MAX     ((size_t)1 << 20)
#define REDIS_BACKLOG_BYTES \
        ((size_t)16 << 20)            /* that wait in a subscription; one text always may */
#define REDIS_SILENCE   (10 * SJ_SEC) /* an answer that is due this long will not come */
#define REDIS_BLOCK_MAX (5 * SJ_SEC)  /* the time-out of a command that blocks */
#define REDIS_PAUSE_MIN (20 * SJ_MS)  /* between attempts to connect; doubled, with jitter */
#define REDIS_PAUSE_MAX (2 * SJ_SEC)

/* ── Where ───────────────────────────────────────────────────────────────────────────────── */

/*
 * redis://[[user]:password@]host[:port][/db]     rediss:// the same over TLS, verified
 * redis+socket:///path[?virtual_host=db]         (also unix://; the password as ?password=)
 * sentinel://[[user]:password@]host[:port][/db][;sentinel://host:port...]   with `master`
 * Percent-encoding as in RFC 3986. Query parameters as kombu's and redis-py's: db, password,
 * ssl_ca_certs, ssl_certfile, ssl_keyfile, ssl_cert_reqs (required; none must be spelled out, and
 * is told in the log).
 */
typedef struct redis_options {
        const char *url;
        const char *master;            /* the name that the Sentinels know, or NULL: "mymaster" */
        const char *sentinel_username; /* of the Sentinels themselves, or NULL */
        const char *sentinel_password;
        const char *client_name; /* CLIENT SETNAME, or NULL */
        /*
         * All keys begin with it; or NULL. With a hash tag in it, as "{jobs}", a Redis Cluster is
         * served, since all keys lie in one slot then: the node that has it is looked up. Without,
         * a cluster is refused when connecting: -EXDEV, in one sentence.
         */
        const char *prefix;
        sj_time silence; /* 0: REDIS_SILENCE */
} redis_options;

typedef struct redis redis;

/*
 * Makes a client and connects it, in a fiber; all calls on it are of fibers of this loop. Options
 * are copied. -EINVAL the url is malformed; errors of connecting, as above: error (size bytes, may
 * be NULL) then has a sentence without secrets.
 */
int redis_open(const redis_options *options, redis **ret, char *error, size_t size,
               sj_time deadline);
/* Nobody may be inside a call. NULL is allowed. */
void redis_close(redis *r);
/*
 * 0 it is connected, as far as is known; else waits for the end of the attempt to connect that is
 * under way, or the next, which it brings about, and returns how it ended.
 */
int redis_reach(redis *r, sj_time deadline);
/* "127.0.0.1:6379/0", for people: without secrets. */
const char *redis_place(const redis *r);
int redis_db(const redis *r);
/*
 * Whether keys that begin so can be in one script with those that begin with redis_options.prefix:
 * not in a Cluster, without the same hash tag.
 */
bool redis_keeps_together(const redis *r, sj_str prefix);

/* How it goes with the connection that all share. */
typedef struct redis_health {
        unsigned
                failures; /* attempts to connect that have failed since the last one that has not */
        unsigned breaks;  /* connections that have broken */
} redis_health;

redis_health redis_health_of(const redis *r);

/* ── Commands ────────────────────────────────────────────────────────────────────────────── */

typedef enum redis_type {
        REDIS_NIL,
        REDIS_STATUS, /* text: "OK" */
        REDIS_ERROR,  /* text: "WRONGTYPE Operation ..." */
        REDIS_INTEGER,
        REDIS_STRING,
        REDIS_ARRAY,
} redis_type;

/* All of it lives in the arena that was given. */
typedef struct redis_reply redis_reply;
struct redis_reply {
        redis_type type;
        sj_str text;
        int64_t integer;
        const redis_reply *elements; /* n of them, side by side */
        size_t n;
};

/* A command: its words. Those of a call are not copied; they stay as they are until it returns. */
typedef struct redis_command {
        const sj_str *words;
        size_t n;
} redis_command;

/* Sends n commands in one piece, waits for all the replies: ret[i] of commands[i]. */
int redis_call_all(redis *r, sj_arena *arena, const redis_command commands[], size_t n,
                   const redis_reply *ret[], sj_time deadline);
/* One; words: REDIS_WORDS("GET", key), texts or views. A reply that is an error: -EREMOTEIO. */
int redis_call(redis *r, sj_arena *arena, const sj_str words[], size_t n, const redis_reply **ret,
               sj_time deadline);
/*
 * The same, of who would rather try again by himself: if it could not be sent before the end of the
 * next attempt to connect, it returns how that ended; and a server that is not ready yet, after one
 * more try, is -EAGAIN.
 */
int redis_call_once(redis *r, sj_arena *arena, const sj_str words[], size_t n,
                    const redis_reply **ret, sj_time deadline);
/*
 * The same within MULTI and EXEC: all or none; ret[i] of commands[i]. -EREMOTEIO the server
 * refused one of them when it was queued, and none was done.
 */
int redis_transact(redis *r, sj_arena *arena, const redis_command commands[], size_t n,
                   const redis_reply *ret[], sj_time deadline);

/*
 * A script, made once; its SHA-1 is worked out when it is first used, and it is loaded wherever it
 * is not known yet.
 */
typedef struct redis_script {
        const char *text;
        char sha[41];
} redis_script;
/*
 * words: the keys (n_keys of them), then the arguments; once: as redis_call_once. An error that it
 * gave: -EREMOTEIO.
 */
int redis_script_call(redis *r, sj_arena *arena, redis_script *script, const sj_str words[],
                      size_t n_keys, size_t n, const redis_reply **ret, bool once,
                      sj_time deadline);
/* The command that such a call sends, in the arena. -ENOENT the script was never called; -ENOMEM.
 */
int redis_script_command(sj_arena *arena, const redis_script *script, const sj_str words[],
                         size_t n_keys, size_t n, redis_command *ret);

/*
 * A command that blocks in the server, on a connection of its own, for REDIS_BLOCK_MAX at most; the
 * silence that is too long begins after that. If the deadline comes first, the connection is
 * closed, so that the server forgets the command.
 */
int redis_block(redis *r, sj_arena *arena, const sj_str words[], size_t n, const redis_reply **ret,
                sj_time deadline);
/*
 * The same with others behind it, which the server does as soon as the first is over, whatever came
 * of that: ret[i] of commands[i]. Nothing is sent twice, and a reply that is an error is handed on
 * as it is. After an error of the call it is not known which of them were done, or will be.
 */
int redis_block_all(redis *r, sj_arena *arena, const redis_command commands[], size_t n,
                    const redis_reply *ret[], sj_time deadline);

/*
 * What it answered is not what was asked for: either it is no Redis, or its replies have come out
 * of step with the commands. All that is under way gets -EPROTO, and the connection is made again.
 */
void redis_distrust(redis *r);

/* What the last reply that was an error said, on this fiber's call; for log lines. */
const char *redis_error(const redis *r);

/* ── Publish and subscribe ───────────────────────────────────────────────────────────────── */

/*
 * What a subscription is told. Subscribed: from now on nothing that is published is missed, until
 * a break; after a break it is told again, and what depends on completeness must be read again.
 */
typedef enum redis_news { REDIS_SUBSCRIBED, REDIS_MESSAGE } redis_news;

typedef struct redis_subscription redis_subscription;

/*
 * Subscribes to channels (or, if pattern, to all that match them) on the shared connection; does
 * not wait for the server: the first news is REDIS_SUBSCRIBED. backlog: texts that wait for a slow
 * reader before the oldest are dropped; as they are beyond REDIS_BACKLOG_BYTES.
 */
int redis_subscribe(redis *r, const sj_str channels[], size_t n, bool pattern, size_t backlog,
                    redis_subscription **ret);
/*
 * The next news, in the arena. -ETIMEDOUT; -ENOBUFS texts were dropped since the last call: the
 * next one goes on with the oldest left; -EACCES the user may not see one of the channels: told
 * once for each time that it was asked for, which is so after every break, too.
 */
int redis_next(redis_subscription *s, sj_arena *arena, redis_news *ret_news, sj_str *ret_channel,
               sj_str *ret_text, sj_time deadline);
void redis_unsubscribe(redis_subscription *s);

#endif
