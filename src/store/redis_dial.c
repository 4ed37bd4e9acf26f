/* SPDX-License-Identifier: MIT */
/*
 *         route ──► (Sentinels) ──► connect ──► TLS ──► AUTH ──► CLIENT SETNAME ┐
 *                                                                SELECT         │ one write
 *                                                                INFO cluster   │
 *                                                                ROLE           ┘
 *
 * AUTH goes alone, because a server that needs it may refuse all else with another word. What the
 * user may not ask (NOPERM for INFO or ROLE) is taken as the answer of an ordinary server.
 */
#include "store/redis_dial.h"

#include <stdio.h>
#include <stdlib.h>

int redis_dial_fail(char *why, int r, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        vsnprintf(why, REDIS_WHY_MAX, format, args);
        va_end(args);
        return r;
}

/* An answer that was not as it should be, in words. The server's own are cut, not trusted. */
static int refused(char *why, int r, const char *place, const redis_reply *reply)
{
        return redis_dial_fail(why, r, "%s says: %.*s", place,
                               (int)(reply->text.n < 200 ? reply->text.n : 200),
                               reply->text.n ? reply->text.data : "");
}

const char *redis_dial_text(int error)
{
        switch (error) {
        case -EPROTO:
                return "it does not speak Redis";
        case -EHOSTDOWN:
                return "it does not answer";
        case -EPIPE:
                return "it has closed the connection";
        default:
                return sj_strerror(error);
        }
}

/* ── Connecting ──────────────────────────────────────────────────────────────────────────── */

static int make_link(sj_stream *stream, redis_link **ret)
{
        int r = redis_link_new(stream, ret);
        if (r < 0)
                sj_stream_close(stream);
        return r;
}

static int dial_path(const redis_dial *d, redis_link **ret, char *why, sj_time deadline)
{
        sj_stream *stream;
        int r = sj_unix_connect(d->url.path, &stream, deadline);
        if (r < 0)
                return redis_dial_fail(why, r, "%s: %s", d->url.path, sj_strerror(r));
        return make_link(stream, ret);
}

static int secure(const redis_dial *d, const char *host, sj_stream **stream, char *why,
                  sj_time deadline)
{
        sj_stream *above;
        int r = sj_tls_connect(d->tls, *stream, host, &above, why, deadline);
        if (r == 0)
                *stream = above;
        else
                sj_stream_close(*stream);
        return r;
}

int redis_dial_node(const redis_dial *d, const redis_node *node, redis_link **ret, char *why,
                    sj_time deadline)
{
        sj_address addresses[SJ_ADDRESSES_MAX];
        sj_stream *stream;
        char place[sizeof(((redis_route *)0)->place)];
        char reason[SJ_TLS_WHY_MAX] = "";
        redis_node_text(node, place, sizeof(place));
        int n = sj_resolve(node->host, node->port, addresses, SJ_ADDRESSES_MAX, deadline);
        if (n < 0)
                return redis_dial_fail(why, n, "%s: %s", place, sj_resolve_strerror(n));
        int r = sj_tcp_connect_any(addresses, (size_t)n, &stream, deadline);
        if (r < 0)
                return redis_dial_fail(why, r, "%s: %s", place, sj_strerror(r));
        if (d->tls)
                r = secure(d, node->host, &stream, reason, deadline);
        if (r == -ETIMEDOUT && !reason[0])
                snprintf(reason, sizeof(reason), "it does not answer to TLS (rediss:)");
        if (r < 0)
                return redis_dial_fail(why, r, "%s: %s", place,
                                       reason[0] ? reason : sj_strerror(r));
        return make_link(stream, ret);
}

/* ── Logging in ──────────────────────────────────────────────────────────────────────────── */

/* Its own words are not passed on: some servers repeat in them what they were sent. */
static bool has_none(sj_str text)
{
        static const char *const says[] = {"without any password configured", "no password is set"};
        for (size_t i = 0; i < sizeof(says) / sizeof(says[0]); i++)
                if (text.n && memmem(text.data, text.n, says[i], strlen(says[i])))
                        return true;
        return false;
}

int redis_dial_login(const redis_dial *d, redis_link *l, const char *user, const char *password,
                     const char *place, char *why, sj_time deadline)
{
        if (!password)
                return 0;
        sj_str words[] = {SJ_STR("AUTH"), sj_str_of(user), sj_str_of(password)};
        if (!user) {
                words[1] = words[2];
        }
        const redis_command command = {words, user ? 3 : 2};
        const redis_reply *reply;
        sj_arena *arena;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return redis_dial_fail(why, r, "%s", sj_strerror(r));
        r = redis_link_call(l, arena, &command, 1, &reply, d->silence, deadline);
        if (r < 0)
                redis_dial_fail(why, r, "%s: %s", place, redis_dial_text(r));
        else if (reply->type != REDIS_STATUS)
                r = redis_dial_fail(why, -EACCES, "%s refuses the password%s%s", place,
                                    user ? " or the user" : "",
                                    has_none(reply->text) ? ": it has none set" : "");
        sj_arena_free(arena);
        return r;
}

/* ── Checking ────────────────────────────────────────────────────────────────────────────── */

enum { ASK_NAME, ASK_DB, ASK_CLUSTER, ASK_ROLE, ASKED };

typedef struct greeting {
        const redis_dial *d;
        const char *place;
        char *why;
        bool cluster;
} greeting;

static int check_any(greeting *g, const redis_reply *reply)
{
        if (redis_reply_is_error(reply, "NOAUTH"))
                return redis_dial_fail(g->why, -EACCES, "%s wants a password", g->place);
        if (redis_reply_is_error(reply, "DENIED"))
                return redis_dial_fail(g->why, -EACCES, "%s is in protected mode", g->place);
        static const char full[] = "ERR max number of clients";
        if (reply->type == REDIS_ERROR && reply->text.n >= sizeof(full) - 1 &&
            memcmp(reply->text.data, full, sizeof(full) - 1) == 0)
                return refused(g->why, -EAGAIN, g->place, reply);
        return 0;
}

static int check_name(greeting *g, const redis_reply *reply)
{
        (void)g;
        (void)reply;
        return 0;
}

static int check_db(greeting *g, const redis_reply *reply)
{
        if (reply->type == REDIS_STATUS)
                return 0;
        if (redis_reply_is_error(reply, "LOADING"))
                return refused(g->why, -EAGAIN, g->place, reply);
        if (redis_reply_is_error(reply, "NOPERM"))
                return refused(g->why, -EACCES, g->place, reply);
        return refused(g->why, reply->type == REDIS_ERROR ? -EINVAL : -EPROTO, g->place, reply);
}

static int check_cluster(greeting *g, const redis_reply *reply)
{
        static const char says[] = "cluster_enabled:1";
        g->cluster = reply->type == REDIS_STRING &&
                     memmem(reply->text.data, reply->text.n, says, sizeof(says) - 1);
        return 0;
}

static int check_role(greeting *g, const redis_reply *reply)
{
        if (!g->d->url.sentinel || reply->type != REDIS_ARRAY || reply->n == 0)
                return 0;
        if (sj_str_equal(reply->elements[0].text, SJ_STR("master")))
                return 0;
        return redis_dial_fail(g->why, -EROFS, "%s is not the master yet", g->place);
}

static int greet(greeting *g, redis_link *l, sj_arena *arena, sj_time deadline)
{
        const redis_dial *d = g->d;
        static int (*const checks[ASKED])(greeting * g, const redis_reply *reply) = {
                check_name, check_db, check_cluster, check_role};
        char db[16];
        snprintf(db, sizeof(db), "%u", d->url.db);
        const sj_str name[] = {SJ_STR("CLIENT"), SJ_STR("SETNAME"),
                               sj_str_of(d->client_name ? d->client_name : "sanjab")};
        const sj_str select[] = {SJ_STR("SELECT"), sj_str_of(db)};
        const sj_str info[] = {SJ_STR("INFO"), SJ_STR("cluster")};
        const sj_str role[] = {SJ_STR("ROLE")};
        const redis_command commands[ASKED] = {{name, 3}, {select, 2}, {info, 2}, {role, 1}};
        const redis_reply *replies[ASKED];
        int r = redis_link_call(l, arena, commands, ASKED, replies, d->silence, deadline);
        if (r < 0)
                return redis_dial_fail(g->why, r, "%s: %s", g->place, redis_dial_text(r));
        for (size_t i = 0; r == 0 && i < ASKED; i++) {
                r = check_any(g, replies[i]);
                if (r == 0)
                        r = checks[i](g, replies[i]);
        }
        return r;
}

/* As redis_cluster_find: 1 another node has what we want. */
static int prepare(const redis_dial *d, redis_link *l, redis_route *route, char *why,
                   sj_time deadline)
{
        greeting g = {.d = d, .place = route->place, .why = why};
        sj_arena *arena;
        int r = redis_dial_login(d, l, d->url.user, d->url.password, route->place, why, deadline);
        if (r < 0)
                return r;
        r = sj_arena_new(&arena);
        if (r < 0)
                return redis_dial_fail(why, r, "%s", sj_strerror(r));
        r = greet(&g, l, arena, deadline);
        sj_arena_free(arena);
        if (r == 0)
                route->cluster = g.cluster;
        return r == 0 && g.cluster ? redis_cluster_find(d, l, route, why, deadline) : r;
}

static int find(const redis_dial *d, redis_route *route, char *why, sj_time deadline)
{
        if (route->node.host[0])
                return 0;
        if (d->url.sentinel)
                return redis_sentinel_find(d, route, why, deadline);
        route->node = d->url.nodes[0];
        return 0;
}

static int dial_once(const redis_dial *d, redis_route *route, redis_link **ret, char *why,
                     sj_time deadline)
{
        redis_link *l;
        int r;
        if (d->url.path) {
                snprintf(route->place, sizeof(route->place), "%.*s/%u", SJ_HOST_MAX, d->url.path,
                         d->url.db);
                r = dial_path(d, &l, why, deadline);
        } else {
                r = find(d, route, why, deadline);
                if (r < 0)
                        return r;
                redis_node_text(&route->node, route->place, sizeof(route->place));
                size_t n = strlen(route->place);
                snprintf(route->place + n, sizeof(route->place) - n, "/%u", d->url.db);
                r = redis_dial_node(d, &route->node, &l, why, deadline);
        }
        if (r < 0)
                return r;
        r = prepare(d, l, route, why, deadline);
        if (r == 0)
                *ret = l;
        else
                redis_link_free(l);
        return r;
}

int redis_dial_open(const redis_dial *d, redis_route *route, redis_link **ret, char *why,
                    sj_time deadline)
{
        enum { HOPS_MAX = 4 };
        int r = 1;
        for (int i = 0; r == 1 && i < HOPS_MAX; i++)
                r = dial_once(d, route, ret, why, deadline);
        if (r == 1)
                r = redis_dial_fail(why, -EAGAIN, "%s: the Cluster does not agree on who has %s",
                                    route->place, d->tag);
        if (r < 0)
                route->node.host[0] = '\0';
        return r;
}
