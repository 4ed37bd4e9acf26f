/* SPDX-License-Identifier: MIT */
/* Any text as a settings file: it is read or complained of, by lines that there are. */
#include "queue/settings/settings_internal.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each complaint begins with the file and, but for what is said of it whole, a line of it. */
static void check_complaints(const char *text, size_t lines)
{
        for (; *text; text += strcspn(text, "\n") + 1) {
                unsigned line = 1;
                if (strncmp(text, "f: ", 3) != 0 &&
                    (sscanf(text, "f:%u: ", &line) != 1 || line < 1 || line > lines))
                        abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        sj_arena *arena;
        buf error = BUF_INIT(0);
        size_t lines = 1;
        if (sj_arena_new(&arena) < 0)
                return 0;
        for (size_t i = 0; i < size; i++)
                lines += data[i] == '\n';
        char *exact = malloc(size ? size : 1);
        if (!exact)
                abort();
        if (size)
                memcpy(exact, data, size);
        settings s = {.arena = arena, .path = "f"};
        settings_reading x = {.s = &s, .error = &error};
        settings_file_read(&x, (sj_str){exact, size});
        free(exact);
        settings_pairs_mean(&x);
        if (x.r < 0 || buf_terminate(&error) < 0)
                abort();
        check_complaints(buf_data(&error), lines);
        buf_fini(&error);
        sj_arena_free(arena);
        return 0;
}
