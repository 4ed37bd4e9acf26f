/* SPDX-License-Identifier: MIT */
/*
 * The Sentinels are asked in the order of the url, beginning with the one that last gave an
 * answer that served; one that does not answer within its share of the time is passed over. That
 * the server is the master is verified by redis_dial.c, with ROLE: during a failover a Sentinel may
 * still name the old one.
 */
#include "store/redis_dial.h"

#include <stdlib.h>

#define SENTINEL_TIME (2 * SJ_SEC)

static int read_answer(const redis_dial *d, const redis_reply *reply, redis_route *route,
                       const char *place, char *why)
{
        if (reply->type == REDIS_NIL)
                return redis_dial_fail(why, -ENXIO, "the Sentinel %s knows no master %s", place,
                                       d->master);
        if (reply->type == REDIS_ERROR)
                return redis_dial_fail(
                        why, redis_reply_is_error(reply, "NOAUTH") ? -EACCES : -EAGAIN,
                        "the Sentinel %s says: %.*s", place,
                        (int)(reply->text.n < 200 ? reply->text.n : 200), reply->text.data);
        redis_node node = {0};
        bool well = reply->type == REDIS_ARRAY && reply->n == 2 &&
                    reply->elements[0].type == REDIS_STRING &&
                    reply->elements[1].type == REDIS_STRING && reply->elements[0].text.n > 0 &&
                    reply->elements[0].text.n < sizeof(node.host);
        long port = well ? strtol(reply->elements[1].text.data, NULL, 10) : 0;
        if (port <= 0 || port > UINT16_MAX)
                return redis_dial_fail(why, -EPROTO, "the Sentinel %s gives no address", place);
        memcpy(node.host, reply->elements[0].text.data, reply->elements[0].text.n);
        node.port = (uint16_t)port;
        route->node = node;
        return 0;
}

static int ask(const redis_dial *d, const redis_node *sentinel, redis_route *route, char *why,
               sj_time deadline)
{
        char place[SJ_HOST_MAX + 16];
        redis_link *l;
        sj_arena *arena;
        const redis_reply *reply;
        const sj_str words[] = {SJ_STR("SENTINEL"), SJ_STR("get-master-addr-by-name"),
                                sj_str_of(d->master)};
        const redis_command command = {words, 3};
        redis_node_text(sentinel, place, sizeof(place));
        int r = redis_dial_node(d, sentinel, &l, why, deadline);
        if (r < 0)
                return r;
        r = redis_dial_login(d, l, d->sentinel_username, d->sentinel_password, place, why,
                             deadline);
        if (r == 0)
                r = sj_arena_new(&arena);
        if (r == 0) {
                r = redis_link_call(l, arena, &command, 1, &reply, d->silence, deadline);
                r = r < 0 ? redis_dial_fail(why, r, "the Sentinel %s: %s", place,
                                            redis_dial_text(r))
                          : read_answer(d, reply, route, place, why);
                sj_arena_free(arena);
        }
        redis_link_free(l);
        return r;
}

int redis_sentinel_find(const redis_dial *d, redis_route *route, char *why, sj_time deadline)
{
        int r = -ENXIO;
        for (size_t i = 0; i < d->url.n; i++) {
                size_t at = (route->sentinel + i) % d->url.n;
                sj_time most = sj_after(SENTINEL_TIME);
                r = ask(d, &d->url.nodes[at], route, why, deadline < most ? deadline : most);
                if (r == 0) {
                        route->sentinel = at;
                        return 0;
                }
                if (r == -ECANCELED || deadline <= sj_now())
                        return r;
        }
        return r == -ETIMEDOUT ? -EHOSTDOWN : r;
}
