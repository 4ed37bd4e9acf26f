/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as an envelope. A message that is accepted must be written again as the same value;
 * and each of its links must be a signature or be refused.
 */
#include "queue/message/message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void links(sj_arena *arena, const sj_json *list)
{
        message made;
        message_error error;
        const sj_json *partial = sj_json_new_int(arena, 1);
        for (size_t i = 0; i < sj_json_count(list) && i < 16; i++)
                message_from_signature(arena, sj_json_at(list, i), &partial, 1, SJ_STR("r"),
                                       SJ_STR("p"), (sj_wall){1}, &made, &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        sj_arena *arena;
        message m, again;
        message_error error;
        sj_str text;
        if (sj_arena_new(&arena) < 0)
                return 0;
        if (message_decode_accepting(arena, (sj_str){(const char *)data, size}, MESSAGE_ACCEPT_ALL,
                                     &m, &error) == 0) {
                links(arena, m.callbacks);
                links(arena, m.errbacks);
                links(arena, m.chain);
                if (message_encode(arena, &m, &text) < 0 ||
                    message_decode_accepting(arena, text, MESSAGE_ACCEPT_ALL, &again, &error) < 0 ||
                    !sj_json_equal(m.headers, again.headers) || !sj_json_equal(m.args, again.args))
                        abort();
                m.retries++;
                m.args = m.kwargs;
                if (message_encode(arena, &m, &text) < 0)
                        abort();
        }
        sj_arena_free(arena);
        return 0;
}
