/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of the simulated world, and the simplest kinds of them: bells and pipes.
 *
 * Numbers are given as the system gives them, the least free one first, so that a stale number
 * soon names somebody else, as in life. They start high: a simulated number that leaks into a
 * real call is -EBADF, and a real one in a simulated call too. The exceptions are 0, 1 and 2, for
 * a program that prints: they are the real ones, and reading 0 is the end.
 */
#include "os/sim_world.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool sim_fd_room(const sim_world *w)
{
        return w->fds_left > 0 && w->fd_open < w->options.descriptors;
}

static int least_free(sim_world *w)
{
        for (size_t i = 0; i < w->fd_capacity; i++)
                if (!w->fds[i])
                        return (int)i;
        size_t capacity = w->fd_capacity ? 2 * w->fd_capacity : 64;
        sim_fd **grown = sim_grow(w->fds, capacity * sizeof(*grown));
        memset(grown + w->fd_capacity, 0, (capacity - w->fd_capacity) * sizeof(*grown));
        int i = (int)w->fd_capacity;
        w->fds = grown;
        w->fd_capacity = capacity;
        return i;
}

int sim_fd_add(sim_world *w, sim_fd *f)
{
        list_init(&f->watches);
        if (!sim_fd_room(w))
                return -EMFILE;
        if (w->fds_left != SIZE_MAX)
                w->fds_left--;
        int i = least_free(w);
        w->fds[i] = f;
        w->fd_open++;
        f->number = SIM_FD_FIRST + i;
        return f->number;
}

sim_fd *sim_fd_get(sim_world *w, int fd, const sim_class *class)
{
        if (fd < SIM_FD_FIRST || (size_t)(fd - SIM_FD_FIRST) >= w->fd_capacity)
                return NULL;
        sim_fd *f = w->fds[fd - SIM_FD_FIRST];
        return f && (!class || f->class == class) ? f : NULL;
}

void sim_fd_close(sim_world *w, sim_fd *f)
{
        if (sim_fd_unwatch(f) > 0)
                w->counters.closed_watched++;
        w->fds[f->number - SIM_FD_FIRST] = NULL;
        w->fd_open--;
        f->class->close(f);
}

void sim_fd_close_all(sim_world *w)
{
        for (size_t i = 0; i < w->fd_capacity; i++)
                if (w->fds[i])
                        sim_fd_close(w, w->fds[i]);
}

size_t sim_fail_descriptors_after(size_t n)
{
        sim_world *w = sim_world_get();
        size_t left = w->fds_left;
        w->fds_left = n;
        return left;
}

void os_close(int fd)
{
        sim_world *w = sim_enter();
        sim_fd *f = sim_fd_get(w, fd, NULL);
        if (fd >= SIM_FD_FIRST)
                sim_trace(w, "close", fd, f ? 0 : -EBADF);
        if (f)
                sim_fd_close(w, f);
}

ssize_t os_read(int fd, void *data, size_t n)
{
        sim_world *w = sim_enter();
        sim_fd *f = sim_fd_get(w, fd, NULL);
        ssize_t got = -EBADF;
        if (f)
                got = f->class->read ? f->class->read(f, data, n) : -EINVAL;
        else if (fd == 0)
                got = 0;
        return sim_trace(w, "read", fd, got);
}

ssize_t os_write(int fd, const void *data, size_t n)
{
        sim_world *w = sim_enter();
        sim_fd *f = sim_fd_get(w, fd, NULL);
        ssize_t put = -EBADF;
        if (f)
                put = f->class->write ? f->class->write(f, data, n) : -EINVAL;
        else if (fd == 1 || fd == 2)
                put = write(fd, data, n) < 0 ? -errno : (ssize_t)n;
        return sim_trace(w, "write", fd, put);
}

int os_set_nonblocking(int fd, bool on)
{
        /* A simulated descriptor never blocks: there is nobody else who could end it. */
        (void)on;
        return sim_fd_get(sim_enter(), fd, NULL) || (fd >= 0 && fd <= 2) ? 0 : -EBADF;
}

int os_status_flags(int fd)
{
        sim_world *w = sim_enter();
        sim_fd *f = sim_fd_get(w, fd, NULL);
        int flags = f && f->class->flags ? f->class->flags(f) : O_RDWR;
        bool standard = fd >= 0 && fd <= 2;
        if (standard)
                flags = fd == 0 ? O_RDONLY : O_WRONLY;
        return (int)sim_trace(w, "status_flags", fd, f || standard ? flags : -EBADF);
}

/* ── Copies of 0, 1 and 2 ────────────────────────────────────────────────────────────────── */

typedef struct standard {
        sim_fd base;
        int number;
} standard;

static void standard_close(sim_fd *f)
{
        free(f);
}

static unsigned standard_level(const sim_fd *f)
{
        (void)f;
        return OS_READABLE | OS_WRITABLE;
}

static ssize_t standard_read(sim_fd *f, void *data, size_t n)
{
        (void)data, (void)n;
        return ((const standard *)f)->number == 0 ? 0 : -EBADF;
}

static ssize_t standard_write(sim_fd *f, const void *data, size_t n)
{
        int number = ((const standard *)f)->number;
        if (number == 0)
                return -EBADF;
        return write(number, data, n) < 0 ? -errno : (ssize_t)n;
}

static int standard_flags(const sim_fd *f)
{
        return ((const standard *)f)->number == 0 ? O_RDONLY : O_WRONLY;
}

static const sim_class standard_class = {.name = "standard",
                                         .mode = S_IFCHR,
                                         .close = standard_close,
                                         .level = standard_level,
                                         .flags = standard_flags,
                                         .read = standard_read,
                                         .write = standard_write};

int os_duplicate(int fd)
{
        sim_world *w = sim_enter();
        /* What is simulated has one number each: nobody outside could share it. */
        if (fd < 0 || fd > 2)
                return (int)sim_trace(w, "duplicate", fd,
                                      sim_fd_get(w, fd, NULL) ? -ENOSYS : -EBADF);
        standard *s = sim_alloc(sizeof(*s));
        *s = (standard){.base.class = &standard_class, .number = fd};
        int own = sim_fd_add(w, &s->base);
        if (own < 0)
                free(s);
        return (int)sim_trace(w, "duplicate", fd, own);
}

/* ── Bells ───────────────────────────────────────────────────────────────────────────────── */

typedef struct bell {
        sim_fd base;
        uint64_t rings;
} bell;

static void bell_close(sim_fd *f)
{
        free(f);
}

static unsigned bell_level(const sim_fd *f)
{
        return ((const bell *)f)->rings ? OS_READABLE | OS_WRITABLE : OS_WRITABLE;
}

static const sim_class bell_class = {.name = "bell", .close = bell_close, .level = bell_level};

int os_bell_new(void)
{
        sim_world *w = sim_enter();
        bell *b = sim_alloc(sizeof(*b));
        b->base.class = &bell_class;
        int fd = sim_fd_add(w, &b->base);
        if (fd < 0)
                free(b);
        return (int)sim_trace(w, "bell_new", fd, fd);
}

void os_bell_ring(int fd)
{
        sim_world *w = sim_enter();
        bell *b = (bell *)sim_fd_get(w, fd, &bell_class);
        sim_trace(w, "bell_ring", fd, b ? 0 : -EBADF);
        if (!b)
                return;
        b->rings++;
        sim_fd_changed(&b->base);
}

uint64_t os_bell_clear(int fd)
{
        sim_world *w = sim_enter();
        bell *b = (bell *)sim_fd_get(w, fd, &bell_class);
        uint64_t rings = b ? b->rings : 0;
        if (b)
                b->rings = 0;
        sim_trace(w, "bell_clear", fd, (ssize_t)rings);
        return rings;
}

/* ── Pipes: a link of which each end uses one direction ──────────────────────────────────── */

enum { READ_END, WRITE_END };

typedef struct pipe_end {
        sim_fd base;
        sim_link *link;
        int side;
} pipe_end;

static void pipe_close(sim_fd *f)
{
        pipe_end *p = (pipe_end *)f;
        sim_link_close(p->link, p->side);
        free(p);
}

static unsigned pipe_level(const sim_fd *f)
{
        const pipe_end *p = (const pipe_end *)f;
        unsigned level = sim_link_level(p->link, p->side);
        if (p->side == READ_END)
                return level & OS_READABLE;
        /* Nobody reads any more: an error, which is reported in both directions. */
        return sim_link_peer_closed(p->link, WRITE_END) ? level : level & OS_WRITABLE;
}

static ssize_t pipe_read(sim_fd *f, void *data, size_t n)
{
        pipe_end *p = (pipe_end *)f;
        return p->side == READ_END ? sim_link_recv(p->link, READ_END, data, n) : -EBADF;
}

static ssize_t pipe_write(sim_fd *f, const void *data, size_t n)
{
        pipe_end *p = (pipe_end *)f;
        return p->side == WRITE_END ? sim_link_send(p->link, WRITE_END, data, n) : -EBADF;
}

static int pipe_flags(const sim_fd *f)
{
        return ((const pipe_end *)f)->side == READ_END ? O_RDONLY : O_WRONLY;
}

static const sim_class pipe_class = {.name = "pipe",
                                     .mode = S_IFIFO,
                                     .close = pipe_close,
                                     .level = pipe_level,
                                     .flags = pipe_flags,
                                     .read = pipe_read,
                                     .write = pipe_write};

static int pipe_end_new(sim_world *w, sim_link *link, int side)
{
        pipe_end *p = sim_alloc(sizeof(*p));
        *p = (pipe_end){.base.class = &pipe_class, .link = link, .side = side};
        int fd = sim_fd_add(w, &p->base);
        if (fd < 0) {
                sim_link_close(link, side);
                free(p);
                return fd;
        }
        sim_link_attach(link, side, &p->base);
        return fd;
}

int os_pipe(int ret_fds[2])
{
        sim_world *w = sim_enter();
        sim_link *link = sim_link_new(w, SIM_PIPE, NULL, NULL);
        int reader = pipe_end_new(w, link, READ_END);
        int writer = pipe_end_new(w, link, WRITE_END);
        if (reader < 0 || writer < 0) {
                if (reader >= 0)
                        sim_fd_close(w, sim_fd_get(w, reader, NULL));
                return (int)sim_trace(w, "pipe", -1, -EMFILE);
        }
        ret_fds[0] = reader;
        ret_fds[1] = writer;
        return (int)sim_trace(w, "pipe", reader, 0);
}
