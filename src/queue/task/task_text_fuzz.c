/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as what a child says to its controller, since a child runs whatever code its user
 * wrote. What is accepted must be written as a text that says the same.
 */
#include "queue/task/task.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        sj_arena *arena;
        task_return r, again;
        task_manifest manifest;
        sj_str text = {(const char *)data, size}, written;
        if (sj_arena_new(&arena) < 0)
                return 0;
        if (task_return_read(arena, text, &r) == 0 &&
            (task_return_write(arena, &r, &written) < 0 ||
             task_return_read(arena, written, &again) < 0 || again.end != r.end ||
             !sj_str_equal(again.type, r.type) || !sj_str_equal(again.args, r.args)))
                abort();
        if (task_manifest_read(arena, text, &manifest) == 0)
                for (size_t i = 0; i < manifest.n; i++)
                        task_manifest_find(&manifest, manifest.tasks[i].name);
        sj_arena_free(arena);
        return 0;
}
