/* SPDX-License-Identifier: MIT */
/*
 * Memory in the simulated world is real memory: addresses are not part of the trace, and a stack
 * must be a stack. What is simulated is that there is none left, and the descriptor of shared
 * memory, which stands for a real one.
 */
#include "os/map.h"
#include "os/sim_world.h"

#include <stdlib.h>
#include <unistd.h>

size_t sim_fail_maps_after(size_t n)
{
        sim_world *w = sim_world_get();
        size_t left = w->maps_left;
        w->maps_left = n;
        return left;
}

void *os_map(size_t size)
{
        sim_world *w = sim_enter();
        if (w->maps_left == 0)
                return NULL;
        if (w->maps_left != SIZE_MAX)
                w->maps_left--;
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

typedef struct shared {
        sim_fd base;
        int real;
} shared;

static void shared_close(sim_fd *f)
{
        close(((shared *)f)->real);
        free(f);
}

static const sim_class shared_class = {.name = "shared memory", .close = shared_close};

int os_shared_new(const char *name, size_t size)
{
        sim_world *w = sim_enter();
        int real = map_shared_new(name, size);
        if (real < 0)
                return real;
        shared *s = sim_alloc(sizeof(*s));
        *s = (shared){.base.class = &shared_class, .real = real};
        int fd = sim_fd_add(w, &s->base);
        if (fd < 0)
                shared_close(&s->base);
        return (int)sim_trace(w, "shared_new", fd, fd);
}

void *os_shared_map(int fd, size_t size)
{
        const shared *s = (shared *)sim_fd_get(sim_enter(), fd, &shared_class);
        return s ? map_shared(s->real, size) : NULL;
}
