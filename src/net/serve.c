/* SPDX-License-Identifier: MIT */
/*
 * A server: accepts, and runs the handler for each connection in a fiber of its own.
 *
 *              ┌────────── bytes, the end ────────────┐
 *              │                                      ▼
 *   accept ──► resting: a guest in a list,        running: a fiber
 *              no fiber, no stack                     │
 *              ▲ │ idle limit, drain: closed          ├──► ended
 *              └─┼──────── SJ_SERVE_AGAIN ────────────┘
 *                └──► ended
 *
 * A guest is in one of the two lists from being accepted until it has ended, and counts as open
 * for so long. One that rests is registered in the loop with its stream's own registration, whose
 * notification spawns the fiber; the idle limit is the same for all, so that the list is in the
 * order of their deadlines, and one timer does for all of them.
 *
 * Draining must outlast the cancellation of the caller's scope, so the fibers are the loop's own
 * children, not the caller's: sj_serve cancels them by the list when their time is up, and does not
 * return before the last has ended. (A shielded scope would do the same, but needs an end in time,
 * which a server has not.)
 */
#include "base/list.h"
#include "fiber/wait.h"
#include "net/socket.h"

#include <sanjab/sync.h>

#include <stdlib.h>

#define IDLE_LIMIT  (60 * SJ_SEC)
#define DRAIN_LIMIT (5 * SJ_SEC)

enum { CONNECTIONS = 1000 };

typedef struct server {
        sj_serve_handler *handler;
        void *arg;
        sj_serve_options options;
        list running, resting; /* guests */
        loop_timer idle;       /* of the first that rests, if the limit is finite */
        unsigned open;
        bool draining;
        bool cancelled;   /* the running ones, and those that have not begun */
        bool told;        /* to stop */
        sj_event room;    /* set while open is below the limit */
        list end;         /* who waits for the last guest */
        sj_scope *accept; /* what is cancelled when the server is told to stop */
} server;

typedef struct guest {
        list link;
        server *server;
        sj_stream *stream; /* the handler's while it runs */
        sj_fiber *fiber;   /* when it runs */
        struct socket_sleeper sleeper;
        sj_time until; /* when it rests */
} guest;

static sj_serve_options complete(const sj_serve_options *options)
{
        sj_serve_options o = options ? *options : (sj_serve_options){0};
        if (o.idle_limit == 0)
                o.idle_limit = IDLE_LIMIT;
        if (o.drain_limit == 0)
                o.drain_limit = DRAIN_LIMIT;
        if (o.connections == 0)
                o.connections = CONNECTIONS;
        return o;
}

static guest *guest_of(list *node)
{
        return container_of(node, guest, link);
}

/* Its stream is closed already. */
static void farewell(guest *g)
{
        server *s = g->server;
        list_remove(&g->link);
        free(g);
        s->open--;
        sj_event_set(&s->room);
        if (s->open == 0)
                clause_fire_all(&s->end, 0);
}

static void turn_away(guest *g)
{
        sj_stream_close(g->stream);
        farewell(g);
}

/* ── Resting ─────────────────────────────────────────────────────────────────────────────── */

static void watch_the_first(server *s)
{
        struct sj_loop *loop = fiber_loop_current();
        if (list_empty(&s->resting))
                loop_timer_cancel(loop, &s->idle);
        else if (s->options.idle_limit != SJ_NEVER)
                loop_timer_set(loop, &s->idle, guest_of(s->resting.next)->until);
}

static void turn_away_the_idle(loop_timer *timer)
{
        server *s = container_of(timer, server, idle);
        sj_time now = sj_now();
        while (!list_empty(&s->resting) && guest_of(s->resting.next)->until <= now)
                turn_away(guest_of(s->resting.next));
        watch_the_first(s);
}

static void start(guest *g);

static void wake_up(struct socket_sleeper *sleeper)
{
        guest *g = container_of(sleeper, guest, sleeper);
        server *s = g->server;
        bool was_first = s->resting.next == &g->link;
        list_remove(&g->link);
        if (was_first)
                watch_the_first(s);
        start(g);
}

static void rest(guest *g)
{
        server *s = g->server;
        list_remove(&g->link);
        if (s->draining) {
                turn_away(g);
                return;
        }
        g->sleeper.wake = wake_up;
        if (socket_rest(g->stream, &g->sleeper) != 0) {
                /* There is something already, or it cannot rest: let the handler wait. */
                start(g);
                return;
        }
        g->until = sj_after(s->options.idle_limit);
        list_append(&s->resting, &g->link);
        if (s->resting.next == &g->link)
                watch_the_first(s);
}

/* ── Running ─────────────────────────────────────────────────────────────────────────────── */

/* What becomes of one connection is no failure of the server's. */
static int serve_guest(void *arg)
{
        guest *g = arg;
        server *s = g->server;
        g->fiber = sj_fiber_self();
        if (s->cancelled)
                sj_cancel(g->fiber);
        int r = s->handler(g->stream, s->arg);
        g->fiber = NULL;
        if (r == SJ_SERVE_AGAIN)
                rest(g);
        else
                farewell(g);
        return 0;
}

static void start(guest *g)
{
        server *s = g->server;
        list_append(&s->running, &g->link);
        int r = sj_spawn(fiber_root_scope(), serve_guest, g, NULL);
        if (r < 0) {
                sj_log(SJ_LOG_WARNING, "a connection is not served: %s", sj_strerror(r));
                turn_away(g);
        }
}

static void welcome(server *s, sj_stream *stream)
{
        guest *g = malloc(sizeof(*g));
        if (!g) {
                sj_log(SJ_LOG_WARNING, "a connection is not served: %s", sj_strerror(-ENOMEM));
                sj_stream_close(stream);
                return;
        }
        *g = (guest){.server = s, .stream = stream};
        list_init(&g->link);
        s->open++;
        if (s->open >= s->options.connections)
                sj_event_clear(&s->room);
        if (s->options.at_first_byte)
                rest(g);
        else
                start(g);
}

/* ── Accepting and ending ────────────────────────────────────────────────────────────────── */

static int accept_all(server *s, sj_listener *listener, sj_time deadline)
{
        for (;;) {
                sj_stream *stream;
                int r = sj_event_wait(&s->room, deadline);
                if (r == 0)
                        r = sj_accept(listener, &stream, deadline);
                if (r < 0)
                        return r;
                welcome(s, stream);
        }
}

static int await_stop(void *arg)
{
        server *s = arg;
        int r = sj_event_wait(s->options.stop, SJ_NEVER);
        if (r < 0)
                return r;
        s->told = true;
        sj_scope_cancel(s->accept);
        return 0;
}

static int accept_until_told(server *s, sj_listener *listener, sj_time deadline)
{
        SJ_SCOPE(scope, SJ_NEVER, 0);
        s->accept = scope;
        int r = s->options.stop ? sj_spawn(scope, await_stop, s, NULL) : 0;
        if (r == 0)
                r = accept_all(s, listener, deadline);
        return s->told && r == -ECANCELED ? 0 : r;
}

/* Waits until the last has ended, as long as the drain limit allows. */
static void let_them_end(server *s)
{
        sj_time until = sj_after(s->options.drain_limit);
        clause c = {0};
        if (s->open == 0 || s->options.drain_limit < 0)
                return;
        clause_add(&s->end, &c);
        if (until == SJ_NEVER) {
                (void)fiber_wait_shielded(&c, 1, "serve: drain");
                return;
        }
        SJ_SCOPE(scope, until, SJ_SHIELD);
        (void)scope;
        (void)fiber_wait(&c, 1, SJ_NEVER, "serve: drain", NULL);
}

static void drain(server *s)
{
        s->draining = true;
        while (!list_empty(&s->resting))
                turn_away(guest_of(s->resting.next));
        watch_the_first(s);
        let_them_end(s);
        s->cancelled = true;
        for (list *l = s->running.next; l != &s->running; l = l->next)
                if (guest_of(l)->fiber)
                        sj_cancel(guest_of(l)->fiber);
        if (s->open == 0)
                return;
        clause c = {0};
        clause_add(&s->end, &c);
        (void)fiber_wait_shielded(&c, 1, "serve: drain");
}

int sj_serve(sj_listener *listener, sj_serve_handler *handler, void *arg,
             const sj_serve_options *options, sj_time deadline)
{
        if (!sj_fiber_self())
                return -EPERM;
        server s = {.handler = handler,
                    .arg = arg,
                    .options = complete(options),
                    .idle.fire = turn_away_the_idle,
                    .room = SJ_EVENT_INIT};
        list_init(&s.running);
        list_init(&s.resting);
        list_init(&s.end);
        sj_event_set(&s.room);
        int r = accept_until_told(&s, listener, deadline);
        drain(&s);
        return r;
}
