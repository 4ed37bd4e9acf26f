/* SPDX-License-Identifier: MIT */
/* Revoked ids: a sorted set by the moment, out of which those that are over are taken. */
#include "queue/redis/broker_redis.h"

#include <stdlib.h>

typedef struct revoke_args {
        const sj_str *ids;
        size_t n;
        sj_wall after;
        sj_arena *arena;
        const broker_revoked **ret;
        sj_time deadline;
} revoke_args;

static int revoke_in(redis_lane *lane, void *arg)
{
        const revoke_args *a = arg;
        const redis_reply *replies[2];
        REDIS_SCRATCH(arena, lane);
        int64_t now = sj_wall_now().us;
        sj_str key = redis_queue_name(lane->q, arena, "sanjab.revoked");
        redis_words add = redis_words_new(arena, 3 + 2 * a->n);
        redis_words trim = redis_words_new(arena, 4);
        redis_words_add(&add, SJ_STR("ZADD"));
        redis_words_add(&add, key);
        redis_words_add(&add, SJ_STR("NX"));
        for (size_t i = 0; i < a->n; i++) {
                redis_words_add_int(&add, now);
                redis_words_add(&add, a->ids[i]);
        }
        redis_words_add(&trim, SJ_STR("ZREMRANGEBYSCORE"));
        redis_words_add(&trim, key);
        redis_words_add(&trim, SJ_STR("-inf"));
        redis_words_add_int(&trim, now - BROKER_REVOKED_KEPT / SJ_US);
        if (add.bad || trim.bad || !key.data)
                return -ENOMEM;
        const redis_command commands[] = {{trim.at, trim.n}, {add.at, add.n}};
        int r = redis_call_all(lane->client, arena, commands, 2, replies,
                               redis_queue_deadline(a->deadline));
        for (size_t i = 0; r == 0 && i < 2; i++)
                r = replies[i]->type == REDIS_ERROR
                            ? -EIO
                            : redis_answer_command(lane->client, commands[i].words[0], replies[i]);
        return r;
}

int redis_queue_revoke(broker *b, const sj_str ids[], size_t n, sj_time deadline)
{
        revoke_args a = {.ids = ids, .n = n, .deadline = deadline};
        return redis_lane_call(b, revoke_in, &a);
}

static int list_in(redis_lane *lane, void *arg)
{
        const revoke_args *a = arg;
        const redis_reply *reply;
        REDIS_SCRATCH(arena, lane);
        int64_t oldest = sj_wall_now().us - BROKER_REVOKED_KEPT / SJ_US;
        redis_words w = redis_words_new(arena, 5);
        redis_words_add(&w, SJ_STR("ZRANGEBYSCORE"));
        redis_words_add(&w, redis_queue_name(lane->q, arena, "sanjab.revoked"));
        redis_words_format(&w, "(%lld", (long long)(a->after.us > oldest ? a->after.us : oldest));
        redis_words_add(&w, SJ_STR("+inf"));
        redis_words_add(&w, SJ_STR("WITHSCORES"));
        int r = redis_lane_command(lane, &w, &reply, a->deadline);
        if (r < 0)
                return r;
        broker_revoked *all = sj_arena_alloc(a->arena, (reply->n / 2 + 1) * sizeof(*all));
        if (!all)
                return -ENOMEM;
        size_t n = 0;
        for (size_t i = 0; i + 1 < reply->n; i += 2) {
                sj_str id = redis_reply_text(&reply->elements[i]);
                sj_str score = redis_reply_text(&reply->elements[i + 1]);
                const char *kept = sj_arena_strndup(a->arena, id.data, id.n);
                const char *number = sj_arena_strndup(arena, score.data, score.n);
                if (!kept || !number)
                        return -ENOMEM;
                all[n++] = (broker_revoked){{kept, id.n}, {(int64_t)strtod(number, NULL)}};
        }
        *a->ret = all;
        return (int)n;
}

int redis_queue_revoked_list(broker *b, sj_wall after, sj_arena *arena, const broker_revoked **ret,
                             sj_time deadline)
{
        revoke_args a = {.after = after, .arena = arena, .ret = ret, .deadline = deadline};
        return redis_lane_call(b, list_in, &a);
}
