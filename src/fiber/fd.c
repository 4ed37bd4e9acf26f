/* SPDX-License-Identifier: MIT */
/*
 * Waits for descriptors that somebody else owns. There is no object of ours for one, so that a
 * table by number holds what is known: who waits to read and who to write. Each wait arms the
 * poller for one report, and the report arms it again if the other direction still waits.
 */
#include "fiber/fd.h"

#include "fiber/fiber.h"

#include <sanjab/select.h>

#include <stdlib.h>

enum { FD_TABLE_FIRST = 64, FD_MOST = 1 << 26 };

typedef struct fd_record {
        loop_fd lfd;
} fd_record;

void fd_table_free(fiber_loop *fl)
{
        for (size_t i = 0; i < fl->fd_table_size; i++)
                free(fl->fd_table[i]);
        free(fl->fd_table);
        fl->fd_table = NULL;
        fl->fd_table_size = 0;
}

static void notify(loop_fd *lfd, unsigned ready)
{
        lfd->ready = 0;
        fiber_fd_notify(lfd, ready);
        unsigned rest = fiber_fd_wanted(lfd);
        int r = rest ? loop_fd_arm(fiber_loop_current(), lfd, rest) : 0;
        if (r < 0)
                fiber_fd_abort(lfd, r);
}

static int grow(fiber_loop *fl, int fd)
{
        size_t size = fl->fd_table_size ? fl->fd_table_size : FD_TABLE_FIRST;
        while (size <= (size_t)fd)
                size *= 2;
        fd_record **table = realloc(fl->fd_table, size * sizeof(fd_record *));
        if (!table)
                return -ENOMEM;
        for (size_t i = fl->fd_table_size; i < size; i++)
                table[i] = NULL;
        fl->fd_table = table;
        fl->fd_table_size = size;
        return 0;
}

static int record_of(fiber_loop *fl, int fd, fd_record **ret)
{
        if (fd < 0 || fd >= FD_MOST)
                return -EBADF;
        if ((size_t)fd >= fl->fd_table_size) {
                int r = grow(fl, fd);
                if (r < 0)
                        return r;
        }
        if (!fl->fd_table[fd]) {
                fd_record *record = calloc(1, sizeof(*record));
                if (!record)
                        return -ENOMEM;
                record->lfd.fd = fd;
                record->lfd.notify = notify;
                fl->fd_table[fd] = record;
        }
        *ret = fl->fd_table[fd];
        return 0;
}

int fd_enter(int fd, unsigned ready, clause *c)
{
        fiber_loop *fl = fiber_loop_of_thread;
        fd_record *record;
        int r = record_of(fl, fd, &record);
        if (r < 0)
                return r;
        r = fiber_fd_enter(&record->lfd, ready, c);
        if (r != 0)
                return r;
        r = loop_fd_arm(&fl->loop, &record->lfd, fiber_fd_wanted(&record->lfd));
        if (r >= 0)
                return 0;
        fiber_fd_leave(&record->lfd, c);
        return r == -EPERM ? (int)ready : r;
}

void fd_leave(int fd, clause *c)
{
        fiber_loop *fl = fiber_loop_of_thread;
        if (c->data)
                fiber_fd_leave(&fl->fd_table[fd]->lfd, c);
}

int sj_fd_wait(int fd, unsigned ready, sj_time deadline)
{
        int r = fiber_check();
        if (r < 0)
                return r;
        if (!(ready & (SJ_READABLE | SJ_WRITABLE)))
                return -EINVAL;
        clause c;
        r = fd_enter(fd, ready, &c);
        if (r != 0)
                return r;
        /* Only the poller knows: one look is needed even by who does not want to wait. */
        if (deadline == SJ_POLL)
                deadline = SJ_POLL + 1;
        r = fiber_wait(&c, 1, deadline, "descriptor", NULL);
        fd_leave(fd, &c);
        return r;
}

void sj_fd_forget(int fd)
{
        fiber_loop *fl = fiber_loop_of_thread;
        if (!fl || fd < 0 || (size_t)fd >= fl->fd_table_size || !fl->fd_table[fd])
                return;
        fd_record *record = fl->fd_table[fd];
        fl->fd_table[fd] = NULL;
        loop_fd_remove(&fl->loop, &record->lfd);
        fiber_fd_abort(&record->lfd, -EBADF);
        free(record);
}
