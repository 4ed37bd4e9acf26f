/* SPDX-License-Identifier: MIT */
/*
 * The server works out a script's SHA-1 when it is loaded. It forgets scripts when it is started
 * anew, at a failover, and by SCRIPT FLUSH; then it is loaded once more, in one write with the
 * call.
 */
#include "store/redis_client.h"

#include <stdio.h>

enum { LOADS_MAX = 5 };

static int keep_sha(redis_script *script, const redis_reply *reply)
{
        if (reply->type == REDIS_ERROR)
                return -EREMOTEIO;
        if (reply->type != REDIS_STRING || reply->text.n != sizeof(script->sha) - 1)
                return -EPROTO;
        memcpy(script->sha, reply->text.data, sizeof(script->sha) - 1);
        script->sha[sizeof(script->sha) - 1] = '\0';
        return 0;
}

static redis_command loading(const redis_script *script, sj_str words[3])
{
        words[0] = SJ_STR("SCRIPT");
        words[1] = SJ_STR("LOAD");
        words[2] = sj_str_of(script->text);
        return (redis_command){words, 3};
}

static int load(redis *r, sj_arena *arena, redis_script *script, bool once, sj_time deadline)
{
        sj_str words[3];
        const redis_reply *reply;
        const redis_command command = loading(script, words);
        int k = (once ? redis_call_once : redis_call)(r, arena, command.words, command.n, &reply,
                                                      deadline);
        k = k < 0 ? k : keep_sha(script, reply);
        if (k == -EPROTO)
                redis_distrust(r);
        return k;
}

/* Loads it and calls it. */
static int load_and_call(redis *r, sj_arena *arena, redis_script *script, const redis_command *call,
                         const redis_reply **ret, bool once, sj_time deadline)
{
        sj_str words[3];
        const redis_reply *replies[2];
        const redis_command commands[2] = {loading(script, words), *call};
        int k = redis_send(r, arena, commands, 2, replies, once, deadline);
        if (k == 0 && replies[0]->type == REDIS_ERROR) {
                redis_note(r, replies[0]->text);
                return -EREMOTEIO;
        }
        if (k == 0)
                *ret = replies[1];
        return k;
}

int redis_script_command(sj_arena *arena, const redis_script *script, const sj_str words[],
                         size_t n_keys, size_t n, redis_command *ret)
{
        char count[24];
        int length = snprintf(count, sizeof(count), "%zu", n_keys);
        if (!script->sha[0])
                return -ENOENT;
        sj_str *all = sj_arena_alloc(arena, (n + 3) * sizeof(sj_str));
        const char *kept = sj_arena_strndup(arena, count, (size_t)length);
        if (!all || !kept)
                return -ENOMEM;
        all[0] = SJ_STR("EVALSHA");
        all[1] = sj_str_of(script->sha);
        all[2] = (sj_str){kept, (size_t)length};
        if (n)
                memcpy(all + 3, words, n * sizeof(sj_str));
        *ret = (redis_command){all, n + 3};
        return 0;
}

int redis_script_call(redis *r, sj_arena *arena, redis_script *script, const sj_str words[],
                      size_t n_keys, size_t n, const redis_reply **ret, bool once, sj_time deadline)
{
        const redis_reply *reply;
        redis_command command;
        int k = script->sha[0] ? 0 : load(r, arena, script, once, deadline);
        k = k < 0 ? k : redis_script_command(arena, script, words, n_keys, n, &command);
        if (k < 0)
                return k;
        k = redis_send(r, arena, &command, 1, &reply, once, deadline);
        for (int i = 0; k == 0 && i < LOADS_MAX && redis_reply_is_error(reply, "NOSCRIPT"); i++)
                k = load_and_call(r, arena, script, &command, &reply, once, deadline);
        if (k < 0)
                return k;
        if (reply->type == REDIS_ERROR) {
                redis_note(r, reply->text);
                return -EREMOTEIO;
        }
        *ret = reply;
        return 0;
}
