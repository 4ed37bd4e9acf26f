/* SPDX-License-Identifier: MIT */
/*
 * Replies: whatever the bytes are and however they are cut, the outcome is the same: the same
 * replies, then the same error or none. The first byte says how to cut. What is dropped is read to
 * the same end as what is kept.
 */
#include "store/redis_reply.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct outcome {
        uint64_t hash; /* of all replies */
        size_t n;
        int end;
} outcome;

static void check(bool so)
{
        if (!so)
                abort();
}

static void mix(outcome *o, uint64_t value)
{
        o->hash = (o->hash ^ value) * 1099511628211u;
}

static void mix_reply(outcome *o, const redis_reply *reply, unsigned depth)
{
        check(depth <= REDIS_DEPTH_MAX && reply->n <= REDIS_ELEMENTS_MAX);
        mix(o, reply->type);
        mix(o, (uint64_t)reply->integer);
        for (size_t i = 0; i < reply->text.n; i++)
                mix(o, (unsigned char)reply->text.data[i]);
        for (size_t i = 0; i < reply->n; i++)
                mix_reply(o, &reply->elements[i], depth + 1);
}

static outcome decode(const uint8_t *data, size_t size, size_t piece, bool keep)
{
        outcome o = {.hash = 14695981039346656037u};
        redis_decoder d;
        sj_arena *arena;
        check(redis_decoder_init(&d) == 0 && sj_arena_new(&arena) == 0);
        for (size_t at = 0; at < size && o.end == 0; at += piece) {
                /* A copy of its own, so that no byte beyond it can be read unseen. */
                size_t n = size - at < piece ? size - at : piece;
                char *copy = malloc(n);
                check(copy != NULL);
                memcpy(copy, data + at, n);
                sj_str in = {copy, n};
                const redis_reply *reply;
                while ((o.end = redis_decode(&d, &in, keep ? arena : NULL, &reply)) == 1) {
                        o.n++;
                        if (keep)
                                mix_reply(&o, reply, 0);
                }
                check(o.end < 0 || in.n == 0);
                free(copy);
        }
        sj_arena_free(arena);
        redis_decoder_fini(&d);
        return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 2)
                return 0;
        size_t piece = data[0] % 32 + 1;
        outcome whole = decode(data + 1, size - 1, size - 1, true);
        outcome cut = decode(data + 1, size - 1, piece, true);
        outcome dropped = decode(data + 1, size - 1, piece, false);
        check(whole.n == cut.n && whole.end == cut.end && whole.hash == cut.hash);
        check(whole.n == dropped.n && whole.end == dropped.end);
        return 0;
}
