/* SPDX-License-Identifier: MIT */
/*
 * A Cluster is served as one server: all keys hold the same hash tag, so all lie in one slot, which
 * one node has. The server works the slot out, and tells who has it; who that is may change, and
 * then MOVED tells.
 *
 *         CLUSTER KEYSLOT {jobs} ─► 8372        CLUSTER SLOTS ─► [[from, to, [host, port, id],
 * ...]] CLUSTER MYID           ─► id
 */
#include "store/redis_dial.h"

#include <stdlib.h>

sj_str redis_cluster_tag(sj_str prefix)
{
        const char *end = prefix.data + prefix.n;
        const char *open = prefix.n ? memchr(prefix.data, '{', prefix.n) : NULL;
        const char *close = open ? memchr(open, '}', (size_t)(end - open)) : NULL;
        return close ? (sj_str){open + 1, (size_t)(close - open) - 1} : (sj_str){"", 0};
}

bool redis_cluster_tagged(const char *prefix)
{
        return prefix && redis_cluster_tag(sj_str_of(prefix)).n > 0;
}

bool redis_cluster_moved(sj_str text, redis_node *ret)
{
        const char *at = text.data ? memrchr(text.data, ' ', text.n) : NULL;
        const char *colon = at ? memrchr(text.data, ':', text.n) : NULL;
        if (!colon || colon < at)
                return false;
        size_t n = (size_t)(colon - at) - 1;
        long port = strtol(colon + 1, NULL, 10);
        if (n >= sizeof(ret->host) || port <= 0 || port > UINT16_MAX)
                return false;
        memcpy(ret->host, at + 1, n);
        ret->host[n] = '\0';
        ret->port = (uint16_t)port;
        return true;
}

/* The node [host, port, id, ...] of a range, if it is well-formed. */
static bool read_node(const redis_reply *r, redis_node *ret, sj_str *ret_id)
{
        if (r->type != REDIS_ARRAY || r->n < 2 || r->elements[1].type != REDIS_INTEGER)
                return false;
        const redis_reply *host = &r->elements[0];
        int64_t port = r->elements[1].integer;
        if (host->text.n >= sizeof(ret->host) || port <= 0 || port > UINT16_MAX)
                return false;
        if (host->text.n)
                memcpy(ret->host, host->text.data, host->text.n);
        ret->host[host->text.n] = '\0';
        ret->port = (uint16_t)port;
        *ret_id = r->n > 2 ? r->elements[2].text : (sj_str){0};
        return true;
}

static const redis_reply *range_of(const redis_reply *slots, int64_t slot)
{
        for (size_t i = 0; slots->type == REDIS_ARRAY && i < slots->n; i++) {
                const redis_reply *range = &slots->elements[i];
                if (range->type == REDIS_ARRAY && range->n >= 3 &&
                    range->elements[0].integer <= slot && slot <= range->elements[1].integer)
                        return range;
        }
        return NULL;
}

static int choose(const redis_reply *replies[3], redis_route *route, char *why)
{
        redis_node node = {0};
        sj_str id;
        for (size_t i = 0; i < 3; i++)
                if (replies[i]->type == REDIS_ERROR)
                        return redis_dial_fail(why, -EACCES, "%s says: %.*s", route->place,
                                               SJ_STR_ARG(replies[i]->text));
        const redis_reply *range = range_of(replies[1], replies[0]->integer);
        if (!range || !read_node(&range->elements[2], &node, &id))
                return redis_dial_fail(why, -EAGAIN, "%s: no node of the Cluster has the slot",
                                       route->place);
        if (node.host[0] == '\0' || sj_str_equal(id, replies[2]->text))
                return 0;
        route->node = node;
        return 1;
}

int redis_cluster_find(const redis_dial *d, redis_link *l, redis_route *route, char *why,
                       sj_time deadline)
{
        if (!d->tag)
                return redis_dial_fail(why, -EXDEV,
                                       "%s is a Redis Cluster, which is served only when the key "
                                       "prefix has a hash tag, as \"{jobs}\"",
                                       route->place);
        const sj_str slot[] = {SJ_STR("CLUSTER"), SJ_STR("KEYSLOT"), sj_str_of(d->tag)};
        const sj_str slots[] = {SJ_STR("CLUSTER"), SJ_STR("SLOTS")};
        const sj_str id[] = {SJ_STR("CLUSTER"), SJ_STR("MYID")};
        const redis_command commands[] = {{slot, 3}, {slots, 2}, {id, 2}};
        const redis_reply *replies[3];
        sj_arena *arena;
        int r = sj_arena_new(&arena);
        if (r < 0)
                return redis_dial_fail(why, r, "%s", sj_strerror(r));
        r = redis_link_call(l, arena, commands, 3, replies, d->silence, deadline);
        r = r < 0 ? redis_dial_fail(why, r, "%s: %s", route->place, redis_dial_text(r))
                  : choose(replies, route, why);
        sj_arena_free(arena);
        return r;
}
