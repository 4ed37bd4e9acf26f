/* SPDX-License-Identifier: MIT */
/*
 * MULTI, the commands and EXEC stand in one request, so that nobody's command comes between. If
 * one of them is refused when it is queued, the server does none, and so all are sent again, or
 * none.
 */
#include "store/redis_client.h"

/* What the replies mean together: the first that is not fine. */
static redis_verdict judge(redis *r, const redis_reply *const replies[], size_t n, int *ret)
{
        for (size_t i = 0; i < n; i++) {
                redis_verdict v = redis_judge(r, replies[i], ret);
                if (v != REDIS_FINE)
                        return v;
        }
        return REDIS_FINE;
}

/* The first thing that was refused tells more than EXEC, which says only that something was. */
static int unpack(redis *r, const redis_reply *const replies[], size_t n, const redis_reply *ret[])
{
        const redis_reply *exec = replies[n + 1];
        for (size_t i = 0; i < n + 2; i++) {
                if (replies[i]->type == REDIS_ERROR) {
                        redis_note(r, replies[i]->text);
                        return -EREMOTEIO;
                }
        }
        if (exec->type != REDIS_ARRAY || exec->n != n) {
                redis_distrust(r);
                return -EPROTO;
        }
        for (size_t i = 0; i < n; i++)
                ret[i] = &exec->elements[i];
        return 0;
}

int redis_transact(redis *r, sj_arena *arena, const redis_command commands[], size_t n,
                   const redis_reply *ret[], sj_time deadline)
{
        const sj_str multi = SJ_STR("MULTI"), exec = SJ_STR("EXEC");
        redis_command *all = sj_arena_alloc(arena, (n + 2) * sizeof(*all));
        const redis_reply **replies = sj_arena_alloc(arena, (n + 2) * sizeof(*replies));
        if (!all || !replies)
                return -ENOMEM;
        all[0] = (redis_command){&multi, 1};
        all[n + 1] = (redis_command){&exec, 1};
        for (size_t i = 0; i < n; i++)
                all[i + 1] = commands[i];
        for (unsigned failures = 1;; failures++) {
                int error = 0;
                redis_request q = {.commands = all, .n = n + 2, .arena = arena, .ret = replies};
                int k = redis_exchange(r, &q, deadline);
                if (k < 0)
                        return k;
                redis_verdict v = judge(r, replies, n + 2, &error);
                if (v == REDIS_FINE)
                        return unpack(r, replies, n, ret);
                if (v == REDIS_REFUSED)
                        return error;
                k = redis_pause_until(failures, deadline);
                if (k < 0)
                        return k;
        }
}
