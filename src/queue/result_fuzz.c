/* SPDX-License-Identifier: MIT */
/* Any bytes as a stored result: the first one chooses the state. */
#include "queue/result.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        sj_arena *arena;
        sj_outcome o;
        if (size == 0 || sj_arena_new(&arena) < 0)
                return 0;
        sj_str state = sj_str_of(sj_state_name((sj_state)(data[0] % (SJ_CUSTOM + 1))));
        if (result_decode(arena, state, (sj_str){(const char *)data + 1, size - 1}, &o) == 0) {
                if (!o.state_name || !o.error.type || !o.error.module || !o.error.message)
                        abort();
                if (strlen(o.error.message) == SIZE_MAX)
                        abort();
        }
        sj_arena_free(arena);
        return 0;
}
