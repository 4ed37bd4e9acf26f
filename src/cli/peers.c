/* SPDX-License-Identifier: MIT */
/*
 * What such a worker says of itself ("stats", protocol §5.3) is written as our own write it beside
 * their names, so that both are shown alike.
 */
#include "cli/peers.h"

#include "codec/json_named.h"
#include "queue/control/control.h"
#include "queue/control/letter.h"

static int64_t sum_of(const sj_json *totals)
{
        int64_t sum = 0;
        SJ_JSON_EACH (totals, i, value) {
                int64_t n = 0;
                if (sj_json_int(value, &n) >= 0 && n > 0 && n < INT64_MAX / 2 - sum)
                        sum += n;
        }
        return sum;
}

static int describe(const session *s, const control_reply *reply, broker_node *ret)
{
        const sj_json *pool = sj_json_member(reply->value, "pool");
        int64_t uptime = letter_int(reply->value, "uptime", 0);
        sj_json_writer *w;
        int r = sj_json_writer_new(SJ_JSON_PYTHON, &w);
        if (r < 0)
                return r;
        sj_json_write_object_begin(w);
        json_named_value(w, "pid", sj_json_member(reply->value, "pid"));
        json_named_value(w, "concurrency", sj_json_member(pool, "max-concurrency"));
        json_named_int(w, "processed", sum_of(sj_json_member(reply->value, "total")));
        sj_json_write_object_end(w);
        sj_str text;
        r = sj_json_writer_end(w, &text);
        const char *copy = r >= 0 ? sj_arena_strndup(s->arena, text.data, text.n) : NULL;
        sj_json_writer_free(w);
        if (!copy)
                return r < 0 ? r : -ENOMEM;
        *ret = (broker_node){.name = reply->node, .info = {copy, text.n}};
        if (uptime > 0 && uptime < INT64_MAX / 1000000)
                ret->since.us = sj_wall_now().us - uptime * 1000000;
        return 0;
}

static bool is_among(const broker_node nodes[], size_t n, sj_str name)
{
        for (size_t i = 0; i < n; i++)
                if (sj_str_equal(nodes[i].name, name))
                        return true;
        return false;
}

int peers_add(const session *s, const broker_node **nodes, size_t n)
{
        queue_clock clock = {0};
        const control_reply *replies;
        const control_call call = {.method = "stats", .packed = control_is_packed(&s->options)};
        if (broker_can(s->broker, BROKER_OURS) || !broker_can(s->broker, BROKER_PUBSUB))
                return (int)n;
        int r = control_broadcast(s->broker, &clock, &call, s->arena, &replies,
                                  sj_after(CONTROL_TIMEOUT));
        if (r <= 0)
                return r < 0 ? r : (int)n;
        broker_node *all = sj_arena_alloc(s->arena, (n + (size_t)r) * sizeof(*all));
        if (!all)
                return -ENOMEM;
        if (n > 0)
                memcpy(all, *nodes, n * sizeof(*all));
        for (int i = 0; i < r; i++) {
                if (is_among(all, n, replies[i].node))
                        continue;
                int described = describe(s, &replies[i], &all[n]);
                if (described < 0)
                        return described;
                n++;
        }
        *nodes = all;
        return (int)n;
}
