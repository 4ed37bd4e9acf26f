/* SPDX-License-Identifier: MIT */
/* The inside of a client, for redis*.c. */
#ifndef SANJAB_STORE_REDIS_CLIENT_H
#define SANJAB_STORE_REDIS_CLIENT_H

#include "store/redis.h"
#include "store/redis_dial.h"
#include "store/redis_pipe.h"

enum { REDIS_ERROR_TEXT_MAX = 256, REDIS_STOCK_MAX = 16 };

#define REDIS_CONNECT_TIME (5 * SJ_SEC)

struct redis {
        sj_arena *arena; /* of the options' texts */
        redis_dial dial;
        redis_route route;
        sj_tls *tls;
        redis_pipe pipe;
        list pending;  /* requests that wait for a connection */
        list watchers; /* clauses of those who wait for one, or to hear that there will be none */
        list attempts; /* of those who wait for the end of an attempt to connect, however it ends */
        list idle;     /* the keeper's clause, while nobody wants anything */
        list pausing;  /* and while it waits before the next attempt */
        list ended;    /* the closer's clause */
        size_t fibers; /* that it has */
        sj_fiber *keeper;        /* NULL: it has not begun */
        struct redis_feed *feed; /* NULL: nobody has subscribed yet */
        sj_fiber *feeder;        /* its fiber; NULL: it has not begun */
        list stock;              /* links of redis_block that nobody uses */
        size_t stocked;
        uint64_t era; /* connections made */
        redis_health health;
        bool closing;
        int down; /* why the last attempt to connect failed; 0: it did not */
        char why[REDIS_WHY_MAX];
        char error[REDIS_ERROR_TEXT_MAX];
};

/* Waits until there is a connection. As the errors of redis.h. */
int redis_await(redis *r, sj_time deadline);
/*
 * The server is not the one that it should be: connects to that node as soon as no answer is due,
 * or, if it has no host, finds one anew.
 */
void redis_retire(redis *r, const redis_node *to);
/* What a call says when its time is up before there is a connection. */
int redis_late(const redis *r, int error);
/*
 * Waits before the next attempt after a number of failures, with jitter. -EAGAIN: at once, when
 * the deadline would come first.
 */
int redis_pause_until(unsigned failures, sj_time deadline);
/*
 * Starts a fiber that lives until the client is closed: it looks at r->closing first, and has no
 * handle, which would outlive the client.
 */
int redis_spawn(redis *r, sj_fn *fn, const char *name);
/* The last thing that such a fiber does. */
void redis_leave(redis *r);

/* As redis_call_all; once: as redis_call_once. */
int redis_send(redis *r, sj_arena *arena, const redis_command commands[], size_t n,
               const redis_reply *ret[], bool once, sj_time deadline);
/*
 * One exchange: every command of the request (commands, n, arena and ret are set) has its reply,
 * whatever it says. ret is written even when it fails.
 */
int redis_exchange(redis *r, redis_request *q, sj_time deadline);

/* What an error means for who gets it. */
typedef enum redis_verdict {
        REDIS_FINE,
        REDIS_AGAIN,     /* send it again, after a pause */
        REDIS_ELSEWHERE, /* the same, and the server was made to be found anew */
        REDIS_REFUSED,
} redis_verdict;

/* *ret: the error of the call, when it is REDIS_REFUSED. Notes the text. */
redis_verdict redis_judge(redis *r, const redis_reply *reply, int *ret);
/* Notes what the server said, for redis_error. */
void redis_note(redis *r, sj_str text);

void redis_feed_free(struct redis_feed *f);

#endif
