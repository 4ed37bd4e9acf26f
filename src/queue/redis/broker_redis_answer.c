/* SPDX-License-Identifier: MIT */
/*
 * What the server's answers look like. Each is held against this before anybody reads it: an answer
 * of another shape is one of no Redis, or one to another command, when the two have come out of
 * step. Taken for "nothing there" or "not yours any more", it would lose a chord's part, or end a
 * task that runs. So the call fails, all else on that connection is in doubt with it, and what was
 * asked is asked again on a new one.
 *
 * An answer that has its shape and is a lie cannot be told from the truth.
 */
#include "queue/redis/broker_redis.h"

static const uint8_t of_script[SCRIPT_MAX] = {
        [SCRIPT_AGAIN] = ANSWER_ARRAY,
        [SCRIPT_BEAT] = ANSWER_ARRAY,
        [SCRIPT_COUNT] = ANSWER_ARRAY,
        [SCRIPT_DEAD] = ANSWER_ARRAY | ANSWER_INTEGER,
        [SCRIPT_DELAY] = ANSWER_INTEGER,
        [SCRIPT_DELAYED] = ANSWER_ARRAY,
        [SCRIPT_DEPTHS] = ANSWER_ARRAY,
        [SCRIPT_EXPIRED] = ANSWER_ARRAY,
        [SCRIPT_FORGET] = ANSWER_INTEGER,
        [SCRIPT_GONE] = ANSWER_ARRAY,
        [SCRIPT_JOIN] = ANSWER_ARRAY | ANSWER_INTEGER | ANSWER_TEXT | ANSWER_NIL,
        [SCRIPT_LEASE] = ANSWER_ARRAY,
        [SCRIPT_LOOK] = ANSWER_ARRAY,
        [SCRIPT_MAILBOX] = ANSWER_INTEGER,
        [SCRIPT_NODE] = ANSWER_ARRAY | ANSWER_INTEGER,
        [SCRIPT_PUBLISH] = ANSWER_ARRAY,
        [SCRIPT_PURGE] = ANSWER_ARRAY,
        [SCRIPT_RATE] = ANSWER_ARRAY,
        [SCRIPT_RECLAIM] = ANSWER_INTEGER,
        [SCRIPT_RENEW] = ANSWER_ARRAY,
        [SCRIPT_RESTORE] = ANSWER_INTEGER,
        [SCRIPT_RESULTS] = ANSWER_INTEGER,
        [SCRIPT_SETTLE] = ANSWER_ARRAY,
        [SCRIPT_STALE] = ANSWER_ARRAY,
        [SCRIPT_TALLY] = ANSWER_ARRAY,
};

/* The others that are used, the most frequent first. */
static const struct {
        const char *word;
        uint8_t answers;
} of_command[] = {
        {"LPUSH", ANSWER_INTEGER},
        {"PUBLISH", ANSWER_INTEGER},
        {"ZMSCORE", ANSWER_ARRAY},
        {"BLMOVE", ANSWER_TEXT | ANSWER_NIL},
        {"RPOP", ANSWER_TEXT | ANSWER_NIL},
        {"SADD", ANSWER_INTEGER},
        {"SMEMBERS", ANSWER_ARRAY},
        {"PEXPIRE", ANSWER_INTEGER},
        {"HGET", ANSWER_TEXT | ANSWER_NIL},
        {"ZRANK", ANSWER_INTEGER | ANSWER_NIL},
        {"ZRANGEBYSCORE", ANSWER_ARRAY},
        {"ZADD", ANSWER_INTEGER},
        {"ZREMRANGEBYSCORE", ANSWER_INTEGER},
        {"SCAN", ANSWER_ARRAY},
        {"ZREM", ANSWER_INTEGER},
        {"INFO", ANSWER_TEXT},
};

static bool is_one_of(const redis_reply *reply, unsigned answers)
{
        return answers >> reply->type & 1;
}

int redis_answer_wrong(redis *client)
{
        redis_distrust(client);
        return -EPROTO;
}

int redis_answer_script(redis *client, redis_queue_script script, const redis_reply *reply)
{
        return is_one_of(reply, of_script[script]) ? 0 : redis_answer_wrong(client);
}

int redis_answer_command(redis *client, sj_str word, const redis_reply *reply)
{
        for (size_t i = 0; i < sizeof(of_command) / sizeof(of_command[0]); i++)
                if (sj_str_equal(word, sj_str_of(of_command[i].word)))
                        return is_one_of(reply, of_command[i].answers) ? 0
                                                                       : redis_answer_wrong(client);
        return 0;
}

int redis_answer_each(redis *client, const redis_reply *reply, size_t n, unsigned answers)
{
        bool well = reply->type == REDIS_ARRAY && reply->n == n;
        for (size_t i = 0; well && i < n; i++)
                well = is_one_of(&reply->elements[i], answers);
        return well ? 0 : redis_answer_wrong(client);
}
