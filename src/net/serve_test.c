/* SPDX-License-Identifier: MIT */
#include "base/unit.h"
#include "net/net_test.h"
#include "os/os.h"

#include <sanjab/sync.h>

/* A server in a fiber of its own, and what is seen of it. */
typedef struct shop {
        sj_listener *listener;
        sj_serve_handler *handler;
        sj_serve_options options;
        sj_time deadline;
        sj_fiber *fiber;
        unsigned calls, now, most; /* of the handler: ever, at the moment, at most at once */
        unsigned cancelled;
} shop;

static int serve_it(void *arg)
{
        shop *p = arg;
        return sj_serve(p->listener, p->handler, p, &p->options, p->deadline);
}

static void open_shop(shop *p, sj_scope *scope)
{
        if (p->deadline == 0)
                p->deadline = SJ_NEVER;
        CHECK_INT(sj_tcp_listen("127.0.0.1", 0, 0, &p->listener), 0);
        CHECK_INT(sj_spawn(scope, serve_it, p, &p->fiber), 0);
}

/* Its result, when it has ended. */
static int close_shop(shop *p)
{
        int r = sj_join(p->fiber, SJ_NEVER);
        CHECK_INT(p->now, 0);
        sj_listener_close(p->listener);
        return r;
}

static sj_stream *enter(const shop *p)
{
        sj_stream *s;
        CHECK_INT(sj_tcp_connect("127.0.0.1", sj_listener_port(p->listener), &s, SJ_NEVER), 0);
        return s;
}

static void come(shop *p)
{
        p->calls++;
        p->now++;
        if (p->now > p->most)
                p->most = p->now;
}

static void go(shop *p, int r)
{
        p->now--;
        if (r == -ECANCELED)
                p->cancelled++;
}

/* Gives back each byte, until the end. */
static int echo(sj_stream *s, void *arg)
{
        shop *p = arg;
        char byte;
        ssize_t r;
        come(p);
        while ((r = sj_read(s, &byte, 1, SJ_NEVER)) > 0)
                if ((r = sj_write(s, &byte, 1, SJ_NEVER)) < 0)
                        break;
        go(p, (int)r);
        sj_stream_close(s);
        return 0;
}

/* Gives back one byte, and lets it rest. */
static int echo_once(sj_stream *s, void *arg)
{
        shop *p = arg;
        char byte;
        come(p);
        ssize_t r = sj_read(s, &byte, 1, SJ_POLL);
        if (r > 0)
                r = sj_write(s, &byte, 1, SJ_NEVER) < 0 ? -1 : 1;
        go(p, (int)r);
        if (r > 0 || r == -ETIMEDOUT)
                return SJ_SERVE_AGAIN;
        sj_stream_close(s);
        return 0;
}

static void ask(sj_stream *s, char byte)
{
        char back = 0;
        CHECK_INT(sj_write(s, &byte, 1, SJ_NEVER), 0);
        CHECK_INT(sj_read_exactly(s, &back, 1, SJ_NEVER), 0);
        CHECK_INT(back, byte);
}

/* The server has closed it. */
static void expect_end(sj_stream *s)
{
        char byte;
        ssize_t r = sj_read(s, &byte, 1, SJ_NEVER);
        CHECK(r == 0 || r == -ECONNRESET);
        sj_stream_close(s);
}

static int visit(void *arg)
{
        sj_stream *s = enter(arg);
        for (char c = 'a'; c < 'e'; c++)
                ask(s, c);
        CHECK_INT(sj_sleep(SJ_MS), 0);
        ask(s, 'e');
        sj_stream_close(s);
        return 0;
}

static void visits(shop *p, int n)
{
        SJ_SCOPE(clients, SJ_NEVER, 0);
        for (int i = 0; i < n; i++)
                CHECK_INT(sj_spawn(clients, visit, p, NULL), 0);
        CHECK_INT(sj_scope_join(clients), 0);
}

static int limited(void *arg)
{
        (void)arg;
        shop p = {.handler = echo, .options.connections = 3};
        SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
        open_shop(&p, scope);
        visits(&p, 10);
        CHECK_INT(p.calls, 10);
        CHECK_INT(p.most, 3);
        sj_cancel(p.fiber);
        CHECK_INT(close_shop(&p), -ECANCELED);
        return 0;
}

static void a_fiber_serves_each_connection_and_no_more_than_allowed(void **state)
{
        (void)state;
        each_world(limited);
}

static int resting(void *arg)
{
        (void)arg;
        shop p = {.handler = echo_once, .options = {.at_first_byte = true, .connections = 4}};
        SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
        open_shop(&p, scope);
        sj_stream *silent = enter(&p);
        visits(&p, 8);
        CHECK(p.calls >= 8 * 5);
        unsigned calls = p.calls;
        CHECK_INT(sj_sleep(10 * SJ_MS), 0);
        /* Who has said nothing has no fiber. */
        CHECK_INT(p.now, 0);
        ask(silent, 'x');
        CHECK(p.calls > calls);
        ask(silent, 'y');
        sj_cancel(p.fiber);
        CHECK_INT(close_shop(&p), -ECANCELED);
        expect_end(silent);
        CHECK_INT(p.cancelled, 0);
        return 0;
}

static void a_connection_that_rests_has_no_fiber_until_something_comes(void **state)
{
        (void)state;
        each_world(resting);
}

static int too_idle(void *arg)
{
        (void)arg;
        shop p = {.handler = echo_once,
                  .options = {.at_first_byte = true, .idle_limit = 50 * SJ_MS, .connections = 2}};
        SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
        open_shop(&p, scope);
        sj_time start = sj_now();
        sj_stream *a = enter(&p), *b = enter(&p), *waits = enter(&p);
        expect_end(a);
        expect_end(b);
        CHECK(sj_now() - start >= 50 * SJ_MS);
        /* Their places are free. */
        ask(waits, 'x');
        expect_end(waits);
        sj_cancel(p.fiber);
        CHECK_INT(close_shop(&p), -ECANCELED);
        return 0;
}

static void a_connection_that_rests_for_too_long_is_closed(void **state)
{
        (void)state;
        each_quiet_world(too_idle);
}

/* Answers the first byte half a second late. */
static int slow_echo(sj_stream *s, void *arg)
{
        shop *p = arg;
        char byte;
        come(p);
        int r = sj_read_exactly(s, &byte, 1, SJ_NEVER);
        if (r == 0)
                r = sj_sleep(500 * SJ_MS);
        if (r == 0)
                r = sj_write(s, &byte, 1, SJ_NEVER);
        go(p, r);
        if (r == 0)
                return SJ_SERVE_AGAIN;
        sj_stream_close(s);
        return r;
}

typedef enum way { BY_CANCEL, BY_EVENT, BY_DEADLINE, WAYS } way;

/* Ends a server with one that runs; what its client gets. */
static int ended(way how, sj_time limit, ssize_t expected)
{
        static const int results[WAYS] = {-ECANCELED, 0, -ETIMEDOUT};
        sj_event stop = SJ_EVENT_INIT;
        shop p = {.handler = slow_echo, .options = {.drain_limit = limit, .stop = &stop}};
        char byte = 'x';
        if (how == BY_DEADLINE)
                p.deadline = sj_after(200 * SJ_MS);
        SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
        open_shop(&p, scope);
        sj_stream *s = enter(&p);
        CHECK_INT(sj_write(s, &byte, 1, SJ_NEVER), 0);
        while (p.now == 0)
                CHECK_INT(sj_sleep(SJ_MS), 0);
        CHECK_INT(sj_sleep(100 * SJ_MS), 0);
        if (how == BY_CANCEL)
                sj_cancel(p.fiber);
        if (how == BY_EVENT)
                sj_event_set(&stop);
        CHECK_INT(sj_read(s, &byte, 1, SJ_NEVER), expected);
        /* Given back too late to rest. */
        CHECK_INT(sj_fiber_done(p.fiber, NULL) ? 0 : sj_read(s, &byte, 1, sj_after(SJ_SEC)), 0);
        CHECK_INT(close_shop(&p), results[how]);
        CHECK_INT(p.cancelled, expected == 0);
        sj_stream_close(s);
        return 0;
}

static int drained(void *arg)
{
        (void)arg;
        for (way how = BY_CANCEL; how < WAYS; how++)
                ended(how, 0, 1);
        ended(BY_CANCEL, SJ_NEVER, 1);
        return 0;
}

static void who_runs_when_the_server_ends_may_end_in_peace(void **state)
{
        (void)state;
        each_quiet_world(drained);
}

static int cut_short(void *arg)
{
        (void)arg;
        for (way how = BY_CANCEL; how < WAYS; how++)
                ended(how, 10 * SJ_MS, 0);
        ended(BY_CANCEL, -1, 0);
        return 0;
}

static void who_runs_beyond_the_drain_limit_is_cancelled(void **state)
{
        (void)state;
        world_seeds_share = 4;
        each_quiet_world(cut_short);
        world_seeds_share = 1;
}

/* The stop of the loop cancels the server, not those that it serves. */
static int stopped(void *arg)
{
        (void)arg;
        shop p = {.handler = slow_echo};
        char byte = 'x';
        SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
        open_shop(&p, scope);
        sj_stream *s = enter(&p);
        CHECK_INT(sj_write(s, &byte, 1, SJ_NEVER), 0);
        while (p.now == 0)
                CHECK_INT(sj_sleep(SJ_MS), 0);
        sj_loop_stop(sj_loop_current());
        CHECK_INT(sj_sleep(SJ_HOUR), -ECANCELED);
        CHECK_INT(sj_cancel_reason(), SJ_BY_STOP);
        SJ_SCOPE(client, sj_after(SJ_HOUR), SJ_SHIELD);
        (void)client;
        CHECK_INT(sj_read(s, &byte, 1, SJ_NEVER), 1);
        CHECK_INT(close_shop(&p), -ECANCELED);
        CHECK_INT(p.cancelled, 0);
        sj_stream_close(s);
        return 0;
}

static void a_server_drains_when_its_loop_is_stopped(void **state)
{
        (void)state;
        each_quiet_world(stopped);
}

/* ── Clients that break off ──────────────────────────────────────────────────────────────── */

static int rough_visit(void *arg)
{
        sj_stream *s;
        const shop *p = arg;
        char byte = 'x';
        if (sj_tcp_connect("127.0.0.1", sj_listener_port(p->listener), &s, sj_after(SJ_SEC)) < 0)
                return 0;
        for (size_t i = world_draw(4); i > 0; i--) {
                if (sj_write(s, &byte, 1, sj_after(SJ_SEC)) < 0 ||
                    sj_read(s, &byte, 1, sj_after(SJ_SEC)) <= 0)
                        break;
                (void)sj_sleep((sj_time)world_draw(200) * SJ_MS);
        }
        sj_stream_close(s);
        return 0;
}

static int rough(void *arg)
{
        (void)arg;
        shop p = {.handler = world_draw(2) ? echo_once : echo,
                  .options = {.at_first_byte = world_draw(2),
                              .connections = 3,
                              .idle_limit = 100 * SJ_MS,
                              .drain_limit = 50 * SJ_MS},
                  .deadline = sj_after((sj_time)world_draw(2000) * SJ_MS)};
        SJ_SCOPE(scope, SJ_NEVER, SJ_COLLECT);
        open_shop(&p, scope);
        for (int i = 0; i < 10; i++)
                CHECK_INT(sj_spawn(scope, rough_visit, &p, NULL), 0);
        CHECK_INT(sj_join(p.fiber, SJ_NEVER), -ETIMEDOUT);
        CHECK_INT(p.now, 0);
        (void)sj_scope_join(scope);
        sj_listener_close(p.listener);
        return 0;
}

static void nothing_is_left_of_connections_that_break(void **state)
{
        (void)state;
        each_rough_world(rough);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_fiber_serves_each_connection_and_no_more_than_allowed),
                cmocka_unit_test(a_connection_that_rests_has_no_fiber_until_something_comes),
                cmocka_unit_test(a_connection_that_rests_for_too_long_is_closed),
                cmocka_unit_test(who_runs_when_the_server_ends_may_end_in_peace),
                cmocka_unit_test(who_runs_beyond_the_drain_limit_is_cancelled),
                cmocka_unit_test(a_server_drains_when_its_loop_is_stopped),
                cmocka_unit_test(nothing_is_left_of_connections_that_break),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
