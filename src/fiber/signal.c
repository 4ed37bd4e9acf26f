/* SPDX-License-Identifier: MIT */
/* Signals, read like any other descriptor: no handler, no code that runs at any moment. */
#include "fiber/fiber.h"

#include <sanjab/process.h>

#include <stdlib.h>

enum { SIGNALS_MAX = 64 };

struct sj_signals {
        loop_fd lfd;
        struct sj_loop *loop;
        unsigned waiting; /* fibers in sj_signals_next: the last of them frees what was closed */
        bool closed;
        size_t n;
        int signals[SIGNALS_MAX];
};

int sj_signals_open(const int signals[], size_t n, sj_signals **ret)
{
        struct sj_loop *loop = fiber_loop_current();
        if (!loop)
                return -EPERM;
        if (n == 0 || n > SIGNALS_MAX)
                return -EINVAL;
        sj_signals *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        int fd = os_signal_open(signals, n);
        int r = fd;
        s->loop = loop;
        s->n = n;
        memcpy(s->signals, signals, n * sizeof(int));
        s->lfd.notify = fiber_fd_notify;
        if (r >= 0)
                r = loop_fd_add(loop, &s->lfd, fd);
        if (r < 0) {
                os_signal_close(fd, signals, fd < 0 ? 0 : n);
                free(s);
                return r;
        }
        *ret = s;
        return 0;
}

void sj_signals_close(sj_signals *s)
{
        if (!s)
                return;
        s->closed = true;
        fiber_fd_abort(&s->lfd, -EBADF);
        loop_fd_remove(s->loop, &s->lfd);
        os_signal_close(s->lfd.fd, s->signals, s->n);
        if (s->waiting == 0)
                free(s);
}

static int next(sj_signals *s, sj_time deadline)
{
        for (;;) {
                int r = fiber_check();
                if (r < 0)
                        return r;
                if (s->closed)
                        return -EBADF;
                r = os_signal_next(s->lfd.fd);
                if (r != -EAGAIN)
                        return r;
                r = fiber_wait_fd(&s->lfd, OS_READABLE, deadline);
                if (r < 0)
                        return r;
        }
}

int sj_signals_next(sj_signals *s, sj_time deadline)
{
        s->waiting++;
        int r = next(s, deadline);
        s->waiting--;
        if (s->closed && s->waiting == 0)
                free(s);
        return r;
}
