/* SPDX-License-Identifier: MIT */
#include "mode.h"

const mode modes[] = {
        {"serial", mode_serial},       {"threads", mode_threads}, {"futures", mode_futures},
        {"processes", mode_processes}, {"fibers", mode_fibers},   {"queue", mode_queue},
};
const size_t modes_count = sizeof(modes) / sizeof(modes[0]);

const mode *mode_find(const char *name)
{
        for (size_t i = 0; i < modes_count; i++)
                if (strcmp(modes[i].name, name) == 0)
                        return &modes[i];
        return NULL;
}
