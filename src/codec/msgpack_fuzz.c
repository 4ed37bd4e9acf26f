/* SPDX-License-Identifier: MIT */
/* Any bytes as msgpack: what is read is JSON, and written and read again it is the same JSON. */
#include "codec/msgpack.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_at(bool true_, int line)
{
        if (true_)
                return;
        fprintf(stderr, "msgpack_fuzz.c:%d\n", line);
        abort();
}
#define check(true_) check_at(true_, __LINE__)

/* NULL: it was refused. */
static const sj_json *read_back(sj_arena *arena, sj_str bytes)
{
        const msgpack_limits limits = {.depth = SJ_JSON_DEPTH_MAX - 1, .size = 1 << 20};
        const char *why = NULL;
        sj_json_writer *w;
        sj_str text;
        const sj_json *v = NULL;
        check(sj_json_writer_new(SJ_JSON_PYTHON, &w) == 0);
        int r = msgpack_to_json(bytes, &limits, w, &why);
        check(r == 0 || r == -EBADMSG || r == -EMSGSIZE);
        check((r == -EBADMSG) == (why != NULL));
        if (r == 0) {
                check(sj_json_writer_end(w, &text) == 0);
                check(text.n <= limits.size);
                check(sj_json_parse(arena, text, SJ_JSON_PYTHON, &v, NULL) == 0);
        }
        sj_json_writer_free(w);
        return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        sj_arena *arena;
        check(sj_arena_new(&arena) == 0);
        const sj_json *v = read_back(arena, (sj_str){(const char *)data, size});
        if (v) {
                buf again = BUF_INIT(0);
                int r = msgpack_from_json(&again, v);
                check(r == 0 || r == -EINVAL);
                if (r == 0) {
                        const sj_json *same = read_back(arena, buf_str(&again));
                        sj_str first, second;
                        check(same != NULL);
                        check(sj_json_text(arena, v, SJ_JSON_PYTHON, &first) == 0);
                        check(sj_json_text(arena, same, SJ_JSON_PYTHON, &second) == 0);
                        check(sj_str_equal(first, second));
                }
                buf_fini(&again);
        }
        sj_arena_free(arena);
        return 0;
}
