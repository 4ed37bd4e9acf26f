/* SPDX-License-Identifier: MIT */
/*
 * What the broker in Redis reads of what others wrote: envelopes in lists, entries of `unacked`,
 * transport options. An envelope that is marked as delivered before can be read again, and says
 * so.
 */
#include "queue/redis/broker_redis.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
        if (!holds)
                abort();
}

static void fuzz_envelope(sj_arena *arena, sj_str text)
{
        redis_envelope before, after;
        sj_str marked, again;
        char reason[200];
        int r = redis_envelope_read(arena, text, &before, reason, sizeof(reason));
        check(redis_envelope_mark(arena, text, &marked) == 0);
        check(redis_envelope_mark(arena, marked, &again) == 0);
        check(sj_str_equal(marked, again));
        if (r < 0)
                return;
        check(redis_envelope_read(arena, marked, &after, reason, sizeof(reason)) == 0);
        check(sj_str_equal(before.id, after.id) && before.eta.us == after.eta.us);
        broker_message m = {
                .id = before.id, .envelope = text, .max_deliveries = 3, .key = SJ_STR("k")};
        check(redis_envelope_sign(arena, &m, &marked) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        sj_arena *arena;
        sj_str text = {(const char *)data, size}, envelope, exchange, key;
        redis_queue_settings settings;
        char error[200];
        if (sj_arena_new(&arena) < 0)
                return 0;
        fuzz_envelope(arena, text);
        if (redis_envelope_unpack(arena, text, &envelope, &exchange, &key) == 0)
                fuzz_envelope(arena, envelope);
        const char *options = sj_arena_strndup(arena, text.data, text.n);
        int r = options ? redis_queue_read_settings(arena, options, &settings, error, sizeof(error))
                        : -ENOMEM;
        if (r == 0)
                redis_queue_settle_fanout(arena, &settings, 7);
        sj_arena_free(arena);
        return 0;
}
