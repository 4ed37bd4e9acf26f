/* SPDX-License-Identifier: MIT */
/*
 * Any JSON as a signature: it is begun in both forms or refused; what is begun can be read again,
 * and whatever it carries can be begun or refused in its turn.
 */
#include "queue/canvas/canvas.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void go_on(sj_arena *arena, const canvas_context *context, const canvas_start *s)
{
        const sj_json *result = sj_json_new_int(arena, 1);
        for (size_t i = 0; i < s->n_messages && i < 8; i++) {
                message m;
                message_error error;
                canvas_part part;
                canvas_start next;
                const canvas_part *parts;
                size_t n;
                if (message_decode(arena, s->messages[i].envelope, &m, &error) < 0)
                        abort();
                if (canvas_arrival(&m, &part) && !canvas_is_reference(part.chord))
                        canvas_begin_body(arena, context, part.chord, result, &next, &error);
                for (size_t k = 0; k < sj_json_count(m.chain) && k < 8; k++) {
                        const sj_json *link = sj_json_at(m.chain, k);
                        canvas_begin(arena, context, link, &result, 1, m.chain, &next, &error);
                        canvas_abandoned(arena, link, &parts, &n, &error);
                }
        }
        for (size_t i = 0; i < s->n_joins && i < 8; i++) {
                const sj_json *body;
                message_error error;
                canvas_start next;
                if (!s->joins[i].body.n)
                        continue;
                if (sj_json_parse(arena, s->joins[i].body, SJ_JSON_PYTHON, &body, NULL) < 0)
                        abort();
                canvas_begin_body(arena, context, body, result, &next, &error);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        sj_arena *arena;
        const sj_json *signature;
        canvas_context context = {
                .now = {1000000}, .origin = SJ_STR("gen1@here"), .default_queue = SJ_STR("celery")};
        if (size > 1 << 16 || sj_arena_new(&arena) < 0)
                return 0;
        if (sj_json_parse(arena, (sj_str){(const char *)data, size}, SJ_JSON_PYTHON, &signature,
                          NULL) == 0)
                for (int compact = 0; compact < 2; compact++) {
                        canvas_start s;
                        message_error error;
                        context.compact = compact;
                        if (canvas_begin(arena, &context, signature, NULL, 0, NULL, &s, &error) ==
                            0)
                                go_on(arena, &context, &s);
                        else if (error.defect != MESSAGE_SOUND && !*error.text)
                                abort();
                }
        sj_arena_free(arena);
        return 0;
}
