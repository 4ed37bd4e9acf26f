/* SPDX-License-Identifier: MIT */
/* Rates: a text for each, which the server forgets when its last turn is over (lua/rate.lua). */
#include "queue/broker/broker_bucket.h"
#include "queue/redis/broker_redis.h"

typedef struct rate_args {
        broker_turn *turns;
        size_t n;
        sj_time horizon;
        sj_time deadline;
} rate_args;

static void add_keys(redis_words *w, const redis_queue *q, sj_arena *arena, const rate_args *a)
{
        for (size_t i = 0; i < a->n; i++)
                for (size_t k = 0; k < a->turns[i].n; k++)
                        redis_words_add(w, redis_queue_name(q, arena, "sanjab.rate.%.*s",
                                                            SJ_STR_ARG(a->turns[i].rates[k].name)));
}

static void add_turns(redis_words *w, const rate_args *a)
{
        redis_words_add_int(w, a->horizon / SJ_US);
        for (size_t i = 0; i < a->n; i++) {
                redis_words_add_int(w, (int64_t)a->turns[i].n);
                for (size_t k = 0; k < a->turns[i].n; k++)
                        redis_words_add_int(w, broker_bucket_interval(&a->turns[i].rates[k]));
        }
}

static int take_in(redis_lane *lane, void *arg)
{
        rate_args *a = arg;
        const redis_reply *reply;
        REDIS_SCRATCH(arena, lane);
        redis_words w = redis_words_new(arena, 2 + a->n * (1 + 2 * BROKER_RATES_MAX));
        add_keys(&w, lane->q, arena, a);
        redis_words_arguments(&w);
        add_turns(&w, a);
        int r = redis_lane_script(lane, SCRIPT_RATE, &w, &reply, a->deadline);
        for (size_t i = 0; r >= 0 && i < a->n; i++) {
                int64_t taken = redis_reply_int(redis_reply_at(reply, 2 * i), -1);
                int64_t wait = redis_reply_int(redis_reply_at(reply, 2 * i + 1), -1);
                if (taken < 0 || wait < 0 || wait > INT64_MAX / SJ_US)
                        return redis_answer_wrong(lane->client);
                a->turns[i].taken = taken != 0;
                a->turns[i].wait = wait * SJ_US;
        }
        return r < 0 ? r : 0;
}

int redis_queue_rate_take(broker *b, broker_turn turns[], size_t n, sj_time horizon,
                          sj_time deadline)
{
        rate_args a = {.turns = turns, .n = n, .horizon = horizon, .deadline = deadline};
        return redis_lane_call(b, take_in, &a);
}
