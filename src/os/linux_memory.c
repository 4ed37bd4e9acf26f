/* SPDX-License-Identifier: MIT */
/* Memory in the real world is memory: see map.c. */
#include "os/map.h"
#include "os/os.h"

void *os_map(size_t size)
{
        return map_reserve(size);
}

void os_unmap(void *memory, size_t size)
{
        map_release(memory, size);
}

int os_guard(void *memory, size_t size)
{
        return map_guard(memory, size);
}

void os_discard(void *memory, size_t size)
{
        map_discard(memory, size);
}

int os_shared_new(const char *name, size_t size)
{
        return map_shared_new(name, size);
}

void *os_shared_map(int fd, size_t size)
{
        return map_shared(fd, size);
}
