/* SPDX-License-Identifier: MIT */
/*
 * The children of a worker: asked of the zygote, heard to start and to end, replaced.
 *
 * A child that ends before it was ready counts as a failed start; after a few of them in a row
 * the worker gives up, since the next will fail too. Others are replaced at once.
 */
#include "queue/worker/worker_internal.h"

#include "queue/worker/worker_child.h"

#include <sanjab/exec.h>
#include <sanjab/select.h>
#include <sanjab/sync.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { FAILED_STARTS_MAX = 5 };
#define START_PAUSE (200 * SJ_MS)

/* Which limit it may be that has been reached. */
static const char *hint(int error)
{
        return error == -EAGAIN ? ": see ulimit -u" : error == -EMFILE ? ": see ulimit -n" : "";
}

/* ── One child ───────────────────────────────────────────────────────────────────────────── */

static size_t slots_of(const worker *w)
{
        size_t n = worker_crew_capacity(w) + WIRE_SLOTS_BESIDE;
        return n < WIRE_SLOTS_MAX ? n : WIRE_SLOTS_MAX;
}

static void child_free(worker_child *c)
{
        if (!c)
                return;
        duplex_fini(&c->duplex);
        os_close(c->pidfd);
        free(c->free);
        free(c->recalled);
        free(c->by_slot);
        free(c);
}

static int child_new(worker *w, worker_child **ret)
{
        worker_child *c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        *c = (worker_child){.w = w,
                            .id = ++w->next_child,
                            .pidfd = -1,
                            .duplex = DUPLEX_INIT,
                            .capacity = worker_crew_capacity(w),
                            .slots = (uint32_t)slots_of(w)};
        list_init(&c->outbox);
        list_init(&c->sent);
        list_init(&c->replies);
        c->free = calloc(c->slots, sizeof(*c->free));
        c->by_slot = calloc(c->slots, sizeof(*c->by_slot));
        c->recalled = calloc(c->slots, sizeof(*c->recalled));
        const duplex_shape shape = wire_shape(c->slots);
        int r = c->free && c->by_slot && c->recalled ? duplex_new("sj-task", &shape, &c->duplex)
                                                     : -ENOMEM;
        if (r < 0) {
                child_free(c);
                return r;
        }
        while (c->n_free < c->slots) {
                c->free[c->n_free] = c->slots - 1 - c->n_free;
                c->n_free++;
        }
        *ret = c;
        return 0;
}

static int ask_zygote(worker *w, worker_child *c)
{
        const char *tasks = w->options.tasks ? w->options.tasks : "";
        size_t n = sizeof(worker_child_start) + strlen(tasks) + 1;
        if (n > ZYGOTE_ARGUMENT_MAX)
                return -ENAMETOOLONG;
        worker_child_start *start = calloc(1, n);
        if (!start)
                return -ENOMEM;
        start->pool = (uint32_t)w->options.pool;
        start->slots = c->slots;
        start->concurrency = c->capacity;
        strcpy(start->tasks, tasks);
        int fds[DUPLEX_FDS];
        duplex_fds(&c->duplex, fds);
        int r = zygote_spawn(w->zygote, &(zygote_request){.id = c->id,
                                                          .entry = WORKER_CHILD_ENTRY,
                                                          .name = "sanjab-task",
                                                          .argument = {(char *)start, n},
                                                          .fds = fds,
                                                          .n_fds = DUPLEX_FDS});
        free(start);
        return r;
}

/* Starts the child of a place. */
static int start_child(worker *w, size_t place, bool ward)
{
        worker_child *c;
        int r = child_new(w, &c);
        if (r < 0)
                return r;
        c->ward = ward;
        r = ask_zygote(w, c);
        if (r >= 0)
                r = sj_spawn(w->duties, worker_link_life, c, NULL);
        if (r < 0) {
                child_free(c);
                return r;
        }
        w->children[place] = c;
        return 0;
}

void worker_child_kill(worker_child *c)
{
        if (c->state == CHILD_ENDED)
                return;
        c->state = CHILD_ENDING;
        c->killed = true;
        if (c->pidfd >= 0)
                os_kill(c->pidfd, SIGKILL);
}

void worker_child_interrupt(worker_child *c)
{
        if (c->w->options.pool == WORKER_PREFORK && c->pidfd >= 0)
                os_kill(c->pidfd, WORKER_CHILD_INTERRUPT);
}

void worker_child_gone(worker_child *c)
{
        worker *w = c->w;
        for (size_t i = 0; i < w->n_children; i++)
                if (w->children[i] == c)
                        w->children[i] = NULL;
        child_free(c);
        sj_event_set(&w->child_gone);
}

/* ── What the zygote says ────────────────────────────────────────────────────────────────── */

static worker_child *child_of(const worker *w, uint64_t id)
{
        for (size_t i = 0; i < w->n_children; i++)
                if (w->children[i] && w->children[i]->id == id)
                        return w->children[i];
        return NULL;
}

static void child_started(worker_child *c, const zygote_event *event)
{
        c->pid = event->pid;
        c->pidfd = event->pidfd;
        if (c->killed)
                os_kill(c->pidfd, SIGKILL);
}

static void child_ended(worker *w, worker_child *c, const char *how)
{
        /* Also one that was killed because of what it said. */
        if (!c->was_ready && !c->retired && !w->stopping) {
                w->failed_starts++;
                sj_log(SJ_LOG_ERROR, "a child that was to load the tasks has ended: %s", how);
                if (w->failed_starts >= FAILED_STARTS_MAX)
                        worker_fail(w, -ECHILD, "no child can be started: the last was %s", how);
        } else if (c->state == CHILD_READY) {
                sj_log(SJ_LOG_ERROR, "child %d has ended (%s): it is replaced", c->pid, how);
        }
        c->state = CHILD_ENDED;
        snprintf(c->how, sizeof(c->how), "%s", how);
        sj_event_set(&c->ended);
}

static void heard(worker *w, const zygote_event *event)
{
        worker_child *c = child_of(w, event->id);
        char how[64];
        if (!c) {
                if (event->pidfd >= 0)
                        os_kill(event->pidfd, SIGKILL);
                os_close(event->pidfd);
                return;
        }
        switch (event->what) {
        case ZYGOTE_STARTED:
                child_started(c, event);
                break;
        case ZYGOTE_REFUSED:
                snprintf(how, sizeof(how), "refused (%s)%s", sj_strerror(event->status),
                         hint(event->status));
                child_ended(w, c, how);
                break;
        case ZYGOTE_ENDED:
                child_ended(w, c, sj_process_error(event->status, how, sizeof(how)));
                break;
        }
}

/* All that it has said. */
static int hear_zygote(worker *w)
{
        zygote_event event;
        int r;
        while ((r = zygote_next(w->zygote, &event)) >= 0)
                heard(w, &event);
        if (r == -EAGAIN)
                return 0;
        /* It is gone, and its children with it: a new one is tried. */
        sj_log(SJ_LOG_ERROR, "the process that makes the children is gone: it is replaced");
        for (size_t i = 0; i < w->n_children; i++)
                if (w->children[i]) {
                        /* The kernel does it, too, but maybe a moment later. */
                        worker_child_kill(w->children[i]);
                        child_ended(w, w->children[i], "killed with the process that made it");
                }
        sj_fd_forget(zygote_fd(w->zygote));
        zygote_free(w->zygote);
        w->zygote = NULL;
        return zygote_new("sanjab-zygote", &w->zygote);
}

/* An empty place, which may be a new one at the end. */
static int find_place(worker *w, size_t *ret)
{
        size_t place = 0;
        while (place < w->n_children && w->children[place])
                place++;
        if (place == w->n_children) {
                worker_child **more = realloc(w->children, (place + 1) * sizeof(*more));
                if (!more)
                        return -ENOMEM;
                w->children = more;
                w->children[w->n_children++] = NULL;
        }
        *ret = place;
        return 0;
}

static bool wants_children(const worker *w)
{
        return !w->stopping && !w->failure &&
               (worker_crew_count(w) < worker_crew_size(w) || worker_ward_lacks_child(w));
}

/* Starts those that are missing, unless the worker is stopping. */
static int fill(worker *w)
{
        while (wants_children(w)) {
                if (w->failed_starts > 0) {
                        int r = sj_sleep(START_PAUSE);
                        if (r < 0)
                                return r;
                }
                size_t place;
                int r = find_place(w, &place);
                if (r >= 0)
                        r = start_child(w, place, worker_crew_count(w) >= worker_crew_size(w));
                /* Too many requests wait, or the zygote is gone: it will be heard of. */
                if (r == -EAGAIN || r == -EPIPE)
                        return 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

void worker_pool_poke(worker *w)
{
        if (w->waiting_for_news)
                sj_scope_cancel(w->waiting_for_news);
}

static int wait_for_news(worker *w)
{
        sj_case cases[] = {{.kind = SJ_CASE_FD, .fd = zygote_fd(w->zygote), .ready = SJ_READABLE}};
        int r;
        {
                SJ_SCOPE(s, SJ_NEVER, 0);
                w->waiting_for_news = s;
                r = sj_select(cases, 1, wants_children(w) ? sj_after(SJ_MS) : SJ_NEVER);
                w->waiting_for_news = NULL;
        }
        if (r == -ECANCELED && !sj_cancelled())
                return 0;
        return r == -ETIMEDOUT ? 0 : r;
}

/* Goes on after a failure, too: the ends of the children that are left are to be heard. */
int worker_pool_duty(void *arg)
{
        worker *w = arg;
        for (;;) {
                int r = hear_zygote(w);
                if (r >= 0)
                        r = fill(w);
                if (r < 0 && r != -ECANCELED)
                        worker_fail(w, r, "children cannot be started: %s%s", sj_strerror(r),
                                    hint(r));
                if (!w->zygote)
                        return 0;
                if (r != -ECANCELED)
                        r = wait_for_news(w);
                if (r < 0)
                        return r;
        }
}

/* ── Opening and closing ─────────────────────────────────────────────────────────────────── */

int worker_pool_open(worker *w)
{
        int r = zygote_new("sanjab-zygote", &w->zygote);
        if (r == -EPERM)
                worker_fail(w, r, "this program does not call sj_boot first in main");
        else if (r < 0)
                worker_fail(w, r, "no process can be started: %s%s", sj_strerror(r), hint(r));
        return r;
}

void worker_pool_close(worker *w)
{
        if (w->zygote)
                sj_fd_forget(zygote_fd(w->zygote));
        zygote_free(w->zygote);
        w->zygote = NULL;
        free(w->children);
        w->children = NULL;
        w->n_children = 0;
}

static size_t children_left(const worker *w)
{
        size_t n = 0;
        for (size_t i = 0; i < w->n_children; i++)
                n += w->children[i] != NULL;
        return n;
}

void worker_pool_quit(worker *w)
{
        for (size_t i = 0; i < w->n_children; i++) {
                worker_child *c = w->children[i];
                if (c && c->state == CHILD_READY) {
                        c->state = CHILD_ENDING;
                        sj_event_set(&c->work);
                } else if (c) {
                        worker_child_kill(c);
                }
        }
        sj_time limit = sj_after(WORKER_QUIT_LIMIT);
        while (w->zygote && children_left(w) > 0) {
                sj_event_clear(&w->child_gone);
                if (sj_event_wait(&w->child_gone, limit) < 0)
                        break;
        }
}

int worker_take_manifest(worker *w, sj_str text)
{
        if (w->has_manifest)
                return 0;
        int r = task_manifest_read(w->manifest_arena, text, &w->manifest);
        if (r >= 0)
                r = worker_tune_tasks(w);
        if (r < 0)
                return r;
        w->has_manifest = true;
        sj_event_set(&w->ready);
        if (w->options.ready)
                w->options.ready(w->options.arg, w->manifest.n);
        return 0;
}
