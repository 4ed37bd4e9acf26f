/* SPDX-License-Identifier: MIT */
/*
 * The memory: │ extra, to a multiple of 64 │ the owner's out │ the owner's in │
 */
#include "exec/duplex.h"

#include "os/os.h"

#include <sanjab/fiber.h>
#include <sanjab/select.h>

enum { LINE = 64 };

static size_t extra_size(const duplex_shape *shape)
{
        return (shape->extra + LINE - 1) / LINE * LINE;
}

static int map_sides(duplex *d, const duplex_shape *shape, bool owner)
{
        if (shape->capacity > RING_CAPACITY_MAX || shape->extra > RING_CAPACITY_MAX)
                return -EINVAL;
        d->size = extra_size(shape) + 2 * ring_size(shape->capacity);
        d->memory = os_shared_map(d->fd, d->size);
        if (!d->memory)
                return -ENOMEM;
        d->extra = d->memory;
        char *first = (char *)d->memory + extra_size(shape);
        char *second = first + ring_size(shape->capacity);
        int error = ring_open(&d->out, owner ? first : second, shape->capacity, shape->limit, true,
                              d->peer_bell);
        if (error < 0)
                return error;
        return ring_open(&d->in, owner ? second : first, shape->capacity, shape->limit, false,
                         d->peer_bell);
}

static int open_descriptors(duplex *d, const char *name, const duplex_shape *shape)
{
        if (shape->capacity > RING_CAPACITY_MAX || shape->extra > RING_CAPACITY_MAX)
                return -EINVAL;
        d->fd = os_shared_new(name, extra_size(shape) + 2 * ring_size(shape->capacity));
        if (d->fd < 0)
                return d->fd;
        d->bell = os_bell_new();
        if (d->bell < 0)
                return d->bell;
        d->peer_bell = os_bell_new();
        return d->peer_bell < 0 ? d->peer_bell : 0;
}

int duplex_new(const char *name, const duplex_shape *shape, duplex *ret)
{
        duplex d = DUPLEX_INIT;
        int error = open_descriptors(&d, name, shape);
        if (error == 0)
                error = map_sides(&d, shape, true);
        if (error < 0) {
                duplex_fini(&d);
                return error;
        }
        *ret = d;
        return 0;
}

void duplex_fds(const duplex *d, int ret[DUPLEX_FDS])
{
        ret[0] = d->fd;
        ret[1] = d->peer_bell;
        ret[2] = d->bell;
}

int duplex_open(const int fds[DUPLEX_FDS], const duplex_shape *shape, duplex *ret)
{
        duplex d = {.fd = fds[0], .bell = fds[1], .peer_bell = fds[2]};
        int error = map_sides(&d, shape, false);
        if (error < 0) {
                duplex_fini(&d);
                return error;
        }
        *ret = d;
        return 0;
}

void duplex_fini(duplex *d)
{
        if (!d)
                return;
        ring_close(&d->out);
        ring_close(&d->in);
        if (d->memory)
                os_unmap(d->memory, d->size);
        os_close(d->fd);
        os_close(d->bell);
        os_close(d->peer_bell);
        *d = DUPLEX_INIT;
}

bool duplex_announce(duplex *d, bool writing)
{
        if (!ring_announce(&d->in, RING_BELL))
                return false;
        if (!writing || ring_announce(&d->out, RING_BELL))
                return true;
        ring_withdraw(&d->in);
        return false;
}

void duplex_woken(duplex *d)
{
        os_bell_clear(d->bell);
        ring_withdraw(&d->in);
        ring_withdraw(&d->out);
}

int duplex_wait(duplex *d, bool writing, sj_time deadline)
{
        if (!duplex_announce(d, writing))
                return 0;
        int result = sj_fd_wait(d->bell, SJ_READABLE, deadline);
        duplex_woken(d);
        return result < 0 ? result : 0;
}
