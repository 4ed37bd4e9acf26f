/* SPDX-License-Identifier: MIT */
/* Both outputs are read at once, each by a fiber: a program that fills one pipe must not wait for
 * ever while the other is listened to. */
#include "cli/capture.h"

#include "os/os.h"

#include <sanjab/process.h>
#include <sanjab/select.h>

enum { PIECE = 64 * 1024 };

typedef struct reading {
        int fd;
        buf *into;
} reading;

static int read_all(void *arg)
{
        reading *g = arg;
        for (;;) {
                int r = buf_reserve(g->into, PIECE);
                if (r < 0)
                        return r;
                ssize_t n = os_read(g->fd, buf_tail(g->into), buf_room(g->into));
                if (n == 0)
                        return 0;
                if (n > 0)
                        buf_advance(g->into, (size_t)n);
                else if (n != -EAGAIN)
                        return (int)n;
                else if ((r = sj_fd_wait(g->fd, SJ_READABLE, SJ_NEVER)) < 0)
                        return r;
        }
}

/* Reads until both ends are closed, and waits for the child. */
static int attend(sj_child *child, reading readings[2], int *ret_status, sj_time deadline)
{
        SJ_SCOPE(s, deadline, 0);
        int r = sj_spawn(s, read_all, &readings[0], NULL);
        if (r >= 0)
                r = sj_spawn(s, read_all, &readings[1], NULL);
        if (r >= 0)
                r = sj_scope_join(s);
        return r < 0 ? r : sj_child_wait(child, ret_status, deadline);
}

/* A pipe whose writing end blocks, as programs expect. */
static int make_pipe(int ret[2])
{
        int r = os_pipe(ret);
        if (r < 0)
                return r;
        r = os_set_nonblocking(ret[1], false);
        if (r < 0) {
                os_close(ret[0]);
                os_close(ret[1]);
                ret[0] = ret[1] = -1;
        }
        return r;
}

int capture_run(char *const argv[], buf *out, buf *err, int *ret_status, sj_time deadline)
{
        int pipes[2][2] = {{-1, -1}, {-1, -1}};
        sj_child *child = NULL;
        int r = make_pipe(pipes[0]);
        if (r >= 0)
                r = make_pipe(pipes[1]);
        if (r >= 0) {
                const sj_child_options options = {
                        .out = pipes[0][1], .err = pipes[1][1], .die_with_parent = true};
                r = sj_child_start(argv, &options, &child);
        }
        os_close(pipes[0][1]);
        os_close(pipes[1][1]);
        if (r >= 0) {
                reading readings[2] = {{pipes[0][0], out}, {pipes[1][0], err}};
                r = attend(child, readings, ret_status, deadline);
        }
        sj_child_free(child);
        for (int i = 0; i < 2; i++) {
                if (pipes[i][0] >= 0)
                        sj_fd_forget(pipes[i][0]);
                os_close(pipes[i][0]);
        }
        return r;
}
