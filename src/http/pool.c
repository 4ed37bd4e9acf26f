/* SPDX-License-Identifier: MIT */
/*
 *         origins ──► origin ──► kept connections          waiters ──► waiter ──► waiter
 *                       open (slots)                                   (on a fiber's stack)
 *
 * Invariants: no waiter could be served (whenever something comes free, the line is walked and
 * everyone who can be served is); an origin lives as long as it has a slot or a waiter. A waiter
 * brings the memory of its slot with it, so that serving it cannot fail.
 */
#include "http/pool.h"

#include "os/os.h"

#include <sanjab/sync.h>

#include <stdlib.h>

struct http_origin {
        list kept;
        unsigned open; /* slots */
        unsigned waiting;
        size_t key_n;
        char key[];
};

typedef struct waiter {
        list node; /* in waiters */
        http_origin *origin;
        http_conn *spare;   /* memory for a new slot, NULL when it was used */
        http_conn *granted; /* what it got */
        bool fresh;
        sj_event event;
} waiter;

void http_pool_init(http_pool *p, unsigned open_max, unsigned origin_max, sj_time keep)
{
        uint64_t seed;
        os_random(&seed, sizeof(seed));
        *p = (http_pool){
                .origins = MAP_INIT(seed),
                .open_max = open_max,
                .origin_max = origin_max,
                .keep = keep,
        };
        list_init(&p->by_age);
        list_init(&p->waiters);
}

static int origin_get(http_pool *p, sj_str key, http_origin **ret)
{
        http_origin *o = map_get(&p->origins, key);
        if (!o) {
                o = malloc(sizeof(*o) + key.n);
                if (!o)
                        return -ENOMEM;
                *o = (http_origin){.key_n = key.n};
                list_init(&o->kept);
                memcpy(o->key, key.data, key.n);
                int r = map_add(&p->origins, (sj_str){o->key, key.n}, o);
                if (r < 0) {
                        free(o);
                        return r;
                }
        }
        *ret = o;
        return 0;
}

static void origin_put(http_pool *p, http_origin *o)
{
        if (o->open || o->waiting)
                return;
        map_remove(&p->origins, (sj_str){o->key, o->key_n});
        free(o);
}

/* Takes a kept connection out of its lists. */
static void unkeep(http_conn *c)
{
        list_remove(&c->in_origin);
        list_remove(&c->in_age);
}

/* Closes the connection and gives the slot up; the line is not served. */
static void close_slot(http_pool *p, http_conn *c)
{
        http_origin *o = c->origin;
        unkeep(c);
        http_wire_fini(&c->wire);
        free(c);
        o->open--;
        p->open--;
        origin_put(p, o);
}

static http_conn *oldest(http_pool *p)
{
        return container_of(p->by_age.next, http_conn, in_age);
}

static void close_expired(http_pool *p)
{
        sj_time now = sj_now();
        while (!list_empty(&p->by_age) && now - oldest(p)->kept_since >= p->keep)
                close_slot(p, oldest(p));
}

/* Makes room for one more slot of the origin, at the cost of what another one keeps. */
static bool make_room(http_pool *p, const http_origin *o)
{
        if (o->open >= p->origin_max)
                return false;
        if (p->open >= p->open_max && !list_empty(&p->by_age))
                close_slot(p, oldest(p));
        return p->open < p->open_max;
}

static void wire_reset(http_conn *c)
{
        http_wire_fini(&c->wire);
        http_wire_init(&c->wire, NULL);
        c->kept = false;
}

/*
 * A kept connection, or a slot in the memory of *spare; NULL when there is neither. Who wants a
 * fresh one while there is a kept one gets the slot of the latter.
 */
static http_conn *try_take(http_pool *p, http_origin *o, bool fresh, http_conn **spare)
{
        if (!list_empty(&o->kept)) {
                http_conn *c = container_of(o->kept.next, http_conn, in_origin);
                unkeep(c);
                if (fresh)
                        wire_reset(c);
                return c;
        }
        if (!make_room(p, o))
                return NULL;
        http_conn *c = *spare;
        *spare = NULL;
        c->origin = o;
        o->open++;
        p->open++;
        return c;
}

/* Serves all in the line who can be. */
static void serve(http_pool *p)
{
        list_for_each_safe (node, &p->waiters) {
                waiter *w = container_of(node, waiter, node);
                w->granted = try_take(p, w->origin, w->fresh, &w->spare);
                if (!w->granted)
                        continue;
                list_remove(&w->node);
                sj_event_set(&w->event);
        }
}

static int conn_new(http_conn **ret)
{
        http_conn *c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        list_init(&c->in_origin);
        list_init(&c->in_age);
        http_wire_init(&c->wire, NULL);
        *ret = c;
        return 0;
}

/* Waits in the line. What was granted in the moment of giving up is given back. */
static int wait_in_line(http_pool *p, waiter *w, sj_time deadline)
{
        list_append(&p->waiters, &w->node);
        w->origin->waiting++;
        int r = sj_event_wait(&w->event, deadline);
        w->origin->waiting--;
        if (r == 0)
                return 0;
        list_remove(&w->node);
        if (w->granted && w->granted->wire.stream)
                http_pool_keep(p, w->granted);
        else if (w->granted)
                http_pool_drop(p, w->granted);
        else
                origin_put(p, w->origin);
        return r;
}

static int take(http_pool *p, sj_str key, bool fresh, http_conn **ret, sj_time deadline)
{
        waiter w = {.fresh = fresh, .event = SJ_EVENT_INIT};
        list_init(&w.node);
        int r = origin_get(p, key, &w.origin);
        if (r < 0)
                return r;
        if (list_empty(&w.origin->kept))
                r = conn_new(&w.spare);
        if (r == 0)
                w.granted = try_take(p, w.origin, fresh, &w.spare);
        if (r < 0)
                origin_put(p, w.origin);
        else if (!w.granted)
                r = wait_in_line(p, &w, deadline);
        free(w.spare);
        if (r == 0)
                *ret = w.granted;
        return r;
}

/*
 * Closes a kept connection that the peer has closed, or on which it has said something unasked;
 * what stays is a slot.
 */
static int check_alive(http_conn *c)
{
        char byte;
        if (!c->wire.stream)
                return 0;
        ssize_t r = buf_size(&c->wire.in) ? 1 : sj_read(c->wire.stream, &byte, 1, SJ_POLL);
        if (r == -ECANCELED)
                return -ECANCELED;
        if (r != -ETIMEDOUT)
                wire_reset(c);
        return 0;
}

int http_pool_take(http_pool *p, sj_str key, bool fresh, http_conn **ret, sj_time deadline)
{
        close_expired(p);
        http_conn *c = NULL;
        int r = take(p, key, fresh, &c, deadline);
        if (r < 0)
                return r;
        r = check_alive(c);
        if (r < 0) {
                http_pool_keep(p, c);
                return r;
        }
        *ret = c;
        return 0;
}

void http_pool_keep(http_pool *p, http_conn *c)
{
        c->kept = true;
        c->kept_since = sj_now();
        list_prepend(&c->origin->kept, &c->in_origin);
        list_append(&p->by_age, &c->in_age);
        close_expired(p);
        serve(p);
}

void http_pool_drop(http_pool *p, http_conn *c)
{
        if (!c)
                return;
        close_slot(p, c);
        serve(p);
}

void http_pool_close_idle(http_pool *p)
{
        while (!list_empty(&p->by_age))
                close_slot(p, oldest(p));
        serve(p);
}

void http_pool_fini(http_pool *p)
{
        http_pool_close_idle(p);
        map_fini(&p->origins);
}
