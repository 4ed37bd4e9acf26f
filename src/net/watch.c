/* SPDX-License-Identifier: MIT */
/*
 * Watching files. The system's reports are read in batches and given out one by one; a batch that
 * was read is not lost when the fiber that waits is cancelled.
 *
 * To add a path is a walk through the file system, which may be slow, and so runs on a thread.
 */
#include <sanjab/file.h>

#include "net/socket.h"

#include <stdlib.h>
#include <sys/inotify.h>

enum { BATCH = 4096 }; /* bytes; a report of the longest name needs 272 */

struct sj_watch {
        struct socket file;
        unsigned streak;
        size_t at, n; /* in the batch */
        _Alignas(struct inotify_event) char batch[BATCH];
};

static const struct {
        unsigned what;
        uint32_t mask;
} kinds[] = {
        {SJ_WATCH_WRITTEN, IN_MODIFY},    {SJ_WATCH_CLOSED, IN_CLOSE_WRITE},
        {SJ_WATCH_ATTRIBUTES, IN_ATTRIB}, {SJ_WATCH_MADE, IN_CREATE},
        {SJ_WATCH_REMOVED, IN_DELETE},    {SJ_WATCH_MOVED_FROM, IN_MOVED_FROM},
        {SJ_WATCH_MOVED_TO, IN_MOVED_TO}, {SJ_WATCH_MOVED, IN_MOVE_SELF},
        {SJ_WATCH_GONE, IN_IGNORED},      {SJ_WATCH_LOST, IN_Q_OVERFLOW},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

int sj_watch_new(sj_watch **ret)
{
        sj_watch *w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->file.fd = os_watch_new();
        if (w->file.fd < 0) {
                int r = w->file.fd;
                free(w);
                return r;
        }
        *ret = w;
        return 0;
}

void sj_watch_free(sj_watch *w)
{
        if (!w)
                return;
        socket_close(&w->file);
        free(w);
}

struct job {
        int fd;
        const char *path;
        uint32_t mask;
};

static int run_add(void *arg)
{
        const struct job *j = arg;
        return os_watch_add(j->fd, j->path, j->mask);
}

int sj_watch_add(sj_watch *w, const char *path, unsigned what, sj_time deadline)
{
        struct job j = {.fd = w->file.fd, .path = path};
        if (what == 0 || what & ~(unsigned)SJ_WATCH_ALL)
                return -EINVAL;
        for (size_t i = 0; i < KINDS; i++)
                if (what & kinds[i].what)
                        j.mask |= kinds[i].mask;
        return sj_offload(run_add, &j, deadline);
}

int sj_watch_remove(sj_watch *w, int id)
{
        return os_watch_remove(w->file.fd, id);
}

/* The next report of the batch that means something to us; false: there is none. */
static bool next_of_batch(sj_watch *w, sj_watch_event *ret)
{
        while (w->at < w->n) {
                const struct inotify_event *e = (const void *)(w->batch + w->at);
                w->at += sizeof(*e) + e->len;
                for (size_t i = 0; i < KINDS; i++) {
                        if (!(e->mask & kinds[i].mask))
                                continue;
                        *ret = (sj_watch_event){.id = e->wd < 0 ? 0 : e->wd,
                                                .what = kinds[i].what,
                                                .is_folder = e->mask & IN_ISDIR,
                                                .move = e->cookie,
                                                .name = e->len ? e->name : ""};
                        return true;
                }
        }
        return false;
}

int sj_watch_next(sj_watch *w, sj_watch_event *ret, sj_time deadline)
{
        int r = socket_turn(&w->streak);
        while (r >= 0) {
                if (next_of_batch(w, ret))
                        return 0;
                ssize_t got = os_read(w->file.fd, w->batch, sizeof(w->batch));
                w->at = 0;
                w->n = got > 0 ? (size_t)got : 0;
                if (got < 0 && got != -EAGAIN)
                        return (int)got;
                if (got > 0)
                        continue;
                w->streak = 0;
                r = socket_wait(&w->file, OS_READABLE, deadline);
        }
        return r;
}
