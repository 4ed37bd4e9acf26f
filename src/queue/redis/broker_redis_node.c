/* SPDX-License-Identifier: MIT */
/*
 * Nodes: a key for each, `sanjab.node.NAME`, that lives for as long as its node says so, and a
 * set of their names, out of which those that are gone are taken when it is read.
 *
 *   value: TOKEN SINCE INFO, so that a beat and a leave can be compared with it
 *
 * What may be done twice (all but leave) is asked for again when its answer was lost with the
 * connection: a worker that is being started should not end for that.
 */
#include "queue/redis/broker_redis.h"

#include <stdio.h>
#include <stdlib.h>

enum { CUTS_MAX = 3 };

typedef struct node_args {
        sj_str name;
        sj_str info;
        sj_time ttl;
        broker_token token;
        sj_arena *arena;
        const broker_node **ret;
        sj_time deadline;
} node_args;

static void add_token(redis_words *w, broker_token token)
{
        redis_words_format(w, "%016llx%016llx", (unsigned long long)token.high,
                           (unsigned long long)token.low);
}

/* One call of node.lua: what, the node's key, the set of names, name, token, ttl, info, now. */
static int node_call(redis_lane *lane, const node_args *a, const char *what)
{
        const redis_reply *reply;
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, 10);
        redis_words_add(&w,
                        redis_queue_name(lane->q, arena, "sanjab.node.%.*s", SJ_STR_ARG(a->name)));
        redis_words_add(&w, redis_queue_name(lane->q, arena, "sanjab.nodes"));
        redis_words_arguments(&w);
        redis_words_add(&w, sj_str_of(what));
        redis_words_add(&w, a->name);
        add_token(&w, a->token);
        redis_words_add_int(&w, a->ttl / SJ_MS > 0 ? a->ttl / SJ_MS : 1);
        redis_words_add(&w, a->info);
        redis_words_add_int(&w, sj_wall_now().us);
        int r = redis_lane_script(lane, SCRIPT_NODE, &w, &reply, a->deadline);
        if (r == 0 && redis_reply_int(reply, 0) != 1 && redis_reply_int(reply, 1) != 0)
                r = redis_answer_wrong(lane->client);
        return r < 0 ? r : reply->integer == 1 ? 0 : -ESTALE;
}

static int call_again(broker *b, redis_lane_fn *fn, node_args *a)
{
        int r = redis_lane_call(b, fn, a);
        for (int i = 0; r == -EPIPE && i < CUTS_MAX && sj_now() < a->deadline; i++)
                r = redis_lane_call(b, fn, a);
        return r;
}

static int join_in(redis_lane *lane, void *arg)
{
        int r = node_call(lane, arg, "join");
        return r == -ESTALE ? -EEXIST : r;
}

int redis_queue_node_join(broker *b, const broker_node *node, broker_token token, sj_time ttl,
                          sj_time deadline)
{
        node_args a = {.name = node->name,
                       .info = node->info,
                       .token = token,
                       .ttl = ttl,
                       .deadline = deadline};
        return call_again(b, join_in, &a);
}

static int beat_in(redis_lane *lane, void *arg)
{
        return node_call(lane, arg, "beat");
}

int redis_queue_node_beat(broker *b, sj_str name, broker_token token, sj_str info, sj_time ttl,
                          sj_time deadline)
{
        node_args a = {
                .name = name, .token = token, .info = info, .ttl = ttl, .deadline = deadline};
        return call_again(b, beat_in, &a);
}

static int leave_in(redis_lane *lane, void *arg)
{
        return node_call(lane, arg, "leave");
}

int redis_queue_node_leave(broker *b, sj_str name, broker_token token, sj_time deadline)
{
        node_args a = {.name = name, .token = token, .deadline = deadline};
        return redis_lane_call(b, leave_in, &a);
}

/* ── The list ────────────────────────────────────────────────────────────────────────────── */

static int compare_nodes(const void *a, const void *b)
{
        sj_str x = ((const broker_node *)a)->name, y = ((const broker_node *)b)->name;
        int c = memcmp(x.data, y.data, x.n < y.n ? x.n : y.n);
        return c ? c : (x.n > y.n) - (x.n < y.n);
}

static sj_str copy(sj_arena *arena, sj_str s, bool *bad)
{
        char *kept = sj_arena_strndup(arena, s.n ? s.data : "", s.n);
        *bad |= !kept;
        return (sj_str){kept, s.n};
}

/* {name, value, ms that it lives} of one. */
static bool read_node(sj_arena *arena, const redis_reply *one, broker_node *ret, bool *bad)
{
        sj_str value = redis_reply_text(redis_reply_at(one, 1));
        char number[24] = "";
        if (value.n < 34)
                return false;
        const char *space = memchr(value.data + 33, ' ', value.n - 33);
        size_t n = space ? (size_t)(space - value.data) - 33 : 0;
        if (!space || n >= sizeof(number))
                return false;
        memcpy(number, value.data + 33, n);
        sj_str info = {space + 1, value.n - 34 - n};
        *ret = (broker_node){
                .name = copy(arena, redis_reply_text(redis_reply_at(one, 0)), bad),
                .info = copy(arena, info, bad),
                .since = {strtoll(number, NULL, 10)},
                .until = {sj_wall_now().us + redis_reply_int(redis_reply_at(one, 2), 0) * 1000},
        };
        return true;
}

static int nodes_in(redis_lane *lane, void *arg)
{
        const node_args *a = arg;
        const redis_reply *reply;
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, 4);
        redis_words_add(&w, redis_queue_name(lane->q, arena, "sanjab.node."));
        redis_words_add(&w, redis_queue_name(lane->q, arena, "sanjab.nodes"));
        redis_words_arguments(&w);
        redis_words_add(&w, SJ_STR("list"));
        int r = redis_lane_script(lane, SCRIPT_NODE, &w, &reply, a->deadline);
        if (r < 0)
                return r;
        broker_node *nodes = sj_arena_alloc(a->arena, (reply->n + 1) * sizeof(*nodes));
        bool bad = !nodes;
        size_t n = 0;
        for (size_t i = 0; !bad && i < reply->n; i++)
                n += read_node(a->arena, &reply->elements[i], &nodes[n], &bad);
        if (bad)
                return -ENOMEM;
        qsort(nodes, n, sizeof(*nodes), compare_nodes);
        *a->ret = nodes;
        return (int)n;
}

int redis_queue_nodes(broker *b, sj_arena *arena, const broker_node **ret, sj_time deadline)
{
        node_args a = {.arena = arena, .ret = ret, .deadline = deadline};
        return call_again(b, nodes_in, &a);
}
