/* SPDX-License-Identifier: MIT */
/*
 * The workers of a process pool: started through the zygote, replaced when they end, told to end.
 *
 * A worker that ends before its first reply is barren; after a few of those in a row the next is
 * started later and later, so that a program that cannot run workers does not fork at full speed.
 *
 * The zygote's end is the end of all workers. Another zygote is started.
 */
#include "exec/process_pool.h"

#include <signal.h>
#include <stdio.h>

enum {
        BARREN_FREE = 2, /* ends without a reply before restarts slow down */
        BARREN_MOST = 8,
};

static const sj_time RESTART = 50 * SJ_MS; /* doubled for each barren end */
static const sj_time QUIT_LIMIT = 2 * SJ_SEC;

/* ── Starting and ending ─────────────────────────────────────────────────────────────────── */

static size_t index_of(const sj_process_pool *p, const process_worker *w)
{
        return (size_t)(w - p->workers);
}

static void set_pid(sj_process_pool *p, process_worker *w, int pid)
{
        w->pid = pid;
        mutex_lock(&p->lock);
        p->pids[index_of(p, w)] = pid;
        mutex_unlock(&p->lock);
}

static void give_up(sj_process_pool *p, int error)
{
        sj_log(SJ_LOG_ERROR, "%s: no more processes can be started: %s", p->name,
               sj_strerror(error));
        mutex_lock(&p->lock);
        p->broken = true;
        mutex_unlock(&p->lock);
}

/* It has no process any more, or none yet; another try at `start_at`. */
void process_fleet_clear(sj_process_pool *p, process_worker *w, sj_time start_at)
{
        if (w->link.memory)
                os_poller_forget(p->poller, w->link.bell);
        os_close(w->pidfd);
        duplex_fini(&w->link);
        set_pid(p, w, 0);
        *w = (process_worker){
                .pidfd = -1,
                .link = DUPLEX_INIT,
                .barren = w->barren,
                .start_at = start_at,
        };
}

static void retry_worker(sj_process_pool *p, process_worker *w)
{
        if (w->barren < BARREN_MOST)
                w->barren++;
        sj_time delay = w->barren <= BARREN_FREE ? 0 : RESTART << (w->barren - BARREN_FREE);
        process_fleet_clear(p, w, p->now + delay);
}

static int ask_for_worker(sj_process_pool *p, process_worker *w)
{
        duplex_shape shape = process_shape(p->ring);
        int error = duplex_new(p->name, &shape, &w->link);
        if (error < 0)
                return error;
        w->shared = w->link.extra;
        error = os_poller_watch(p->poller, w->link.bell, w);
        if (error < 0)
                return error;
        uint64_t capacity = p->ring;
        char name[40];
        snprintf(name, sizeof(name), "%.*s-%zu", ZYGOTE_NAME_MAX - 4, p->name, index_of(p, w));
        int fds[DUPLEX_FDS];
        duplex_fds(&w->link, fds);
        zygote_request request = {
                .id = w->id = ++p->next_id,
                .entry = process_worker_entry,
                .name = name,
                .argument = {(const char *)&capacity, sizeof(capacity)},
                .fds = fds,
                .n_fds = DUPLEX_FDS,
        };
        return zygote_spawn(p->zygote, &request);
}

void process_fleet_start(sj_process_pool *p)
{
        if (p->broken || (p->leaving && list_empty(&p->pending)))
                return;
        for (size_t i = 0; i < p->n; i++) {
                process_worker *w = &p->workers[i];
                if (w->state != WORKER_NONE || w->start_at > p->now)
                        continue;
                int error = ask_for_worker(p, w);
                if (error == 0) {
                        w->state = WORKER_STARTING;
                        continue;
                }
                sj_log(SJ_LOG_WARNING, "%s: a process could not be started: %s", p->name,
                       sj_strerror(error));
                retry_worker(p, w);
        }
}

static void worker_ended(sj_process_pool *p, process_worker *w, int status)
{
        process_calls_worker_ended(p, w, status);
        bool expected = w->quitting || w->useful;
        if (expected)
                process_fleet_clear(p, w, p->now);
        else
                retry_worker(p, w);
}

static process_worker *worker_of(sj_process_pool *p, uint64_t id)
{
        for (size_t i = 0; i < p->n; i++)
                if (p->workers[i].state != WORKER_NONE && p->workers[i].id == id)
                        return &p->workers[i];
        return NULL;
}

static void take_event(sj_process_pool *p, const zygote_event *e)
{
        process_worker *w = worker_of(p, e->id);
        if (!w) {
                os_close(e->pidfd);
                return;
        }
        switch (e->what) {
        case ZYGOTE_STARTED:
                w->state = WORKER_LIVE;
                w->pidfd = e->pidfd;
                set_pid(p, w, e->pid);
                break;
        case ZYGOTE_REFUSED:
                sj_log(SJ_LOG_WARNING, "%s: a process could not be forked: %s", p->name,
                       sj_strerror(e->status));
                w->barren = w->barren > BARREN_FREE ? w->barren : BARREN_FREE;
                retry_worker(p, w);
                if (e->status == -ENOENT)
                        give_up(p, e->status);
                break;
        case ZYGOTE_ENDED:
                worker_ended(p, w, e->status);
                break;
        }
}

/* The kernel has killed the workers, or will have in a moment: no claim of theirs can win now. */
static void replace_zygote(sj_process_pool *p)
{
        sj_log(SJ_LOG_WARNING, "%s: the process that forks the others has ended; a new one starts",
               p->name);
        os_poller_forget(p->poller, zygote_fd(p->zygote));
        for (size_t i = 0; i < p->n; i++) {
                process_worker *w = &p->workers[i];
                if (w->state == WORKER_LIVE)
                        os_kill(w->pidfd, SIGKILL);
                if (w->state != WORKER_NONE)
                        worker_ended(p, w, SIGKILL);
        }
        zygote_free(p->zygote);
        p->zygote = NULL;
        int error = zygote_new(p->name, &p->zygote);
        if (error == 0)
                error = os_poller_watch(p->poller, zygote_fd(p->zygote), p);
        if (error < 0)
                give_up(p, error);
}

void process_fleet_events(sj_process_pool *p)
{
        if (!p->zygote)
                return;
        zygote_event e;
        int error;
        while ((error = zygote_next(p->zygote, &e)) == 0)
                take_event(p, &e);
        if (error != -EAGAIN)
                replace_zygote(p);
}

/* ── The end of all ──────────────────────────────────────────────────────────────────────── */

/* Asks the workers to end. True when none is left, or their time is over. */
bool process_fleet_farewell(sj_process_pool *p)
{
        bool left = false;
        if (p->quit_by == 0)
                p->quit_by = p->now + QUIT_LIMIT;
        for (size_t i = 0; i < p->n; i++) {
                process_worker *w = &p->workers[i];
                left = left || w->state != WORKER_NONE;
                if (w->state != WORKER_LIVE || w->quitting || w->killed)
                        continue;
                process_request r = {.kind = PROCESS_QUIT};
                struct iovec part = {&r, sizeof(r)};
                w->quitting = ring_put(&w->link.out, &part, 1) == 0;
                ring_flush(&w->link.out);
        }
        return !left || p->now >= p->quit_by;
}
