/* SPDX-License-Identifier: MIT */
/*
 * Fibers that another thread has spawned. Two posts, which lie in the remote, reach its loop: one
 * starts the fiber, the other, if it is sent, cancels it. The end of the fiber and the sending of
 * the second meet in one atomic word: if it was sent first, the remote is still needed, and set as
 * done by the post when that has come; if the end was first, it is not sent.
 *
 * They are children of the loop's own scope, which must not hear of their failures, and in a list,
 * by which the loop knows what it has to wait for, and what to cancel when it is stopped.
 */
#include "fiber/remote.h"

#include "fiber/await.h"

#include <sanjab/shared.h>

enum { CANCEL_SENT = 1, ENDED = 2 };

/* What sj_remote holds; may_alias, since it lies in the caller's storage of another type. */
typedef struct __attribute__((may_alias)) remote {
        sj_future done;
        fiber_loop *loop;
        loop_post start, cancel;
        list link; /* in the loop's remotes, from the start until it is done */
        sj_fn *fn;
        void *arg;
        const char *name, *where;
        sj_fiber *fiber; /* while it runs */
        int result;
        int cancelled;    /* why, or SJ_BY_NONE */
        bool cancel_came; /* the post has been run */
        _Atomic uint8_t state;
} remote;

static_assert(sizeof(remote) <= sizeof(sj_remote), "sj_remote must hold a remote");

/* The last touch. */
static void finish(remote *r)
{
        list_remove(&r->link);
        sj_future_set(&r->done, r->result, NULL);
}

static void end(remote *r, int result)
{
        r->fiber = NULL;
        r->result = result;
        uint8_t before = atomic_fetch_or(&r->state, ENDED);
        if (!(before & CANCEL_SENT) || r->cancel_came)
                finish(r);
}

static void cancel(remote *r, int reason)
{
        if (!r->cancelled)
                r->cancelled = reason;
        if (r->fiber)
                scope_cancel_fiber(r->fiber, reason);
}

static void cancel_here(loop_post *post)
{
        remote *r = container_of(post, remote, cancel);
        r->cancel_came = true;
        if (atomic_load(&r->state) & ENDED)
                finish(r);
        else
                cancel(r, SJ_BY_CALL);
}

static int run(void *arg)
{
        remote *r = arg;
        r->fiber = fiber_current();
        if (r->cancelled)
                scope_cancel_fiber(r->fiber, r->cancelled);
        int result = r->fn(r->arg);
        /* Before anybody is told of the end. */
        local_end(fiber_current());
        end(r, result);
        return 0;
}

static void start_here(loop_post *post)
{
        remote *r = container_of(post, remote, start);
        list_append(&r->loop->remotes, &r->link);
        if (r->loop->stopped)
                r->cancelled = SJ_BY_STOP;
        int error = sj_spawn_named((sj_scope *)&r->loop->root, run, r, r->name, r->where, NULL);
        if (error < 0)
                end(r, error);
}

void remotes_cancel(fiber_loop *fl, int reason)
{
        list_for_each (node, &fl->remotes)
                cancel(container_of(node, remote, link), reason);
}

void sj_spawn_on_named(sj_loop *loop, sj_fn *fn, void *arg, const char *name, const char *where,
                       sj_remote *storage)
{
        remote *r = (remote *)storage;
        *r = (remote){.done = SJ_FUTURE_INIT,
                      .loop = (fiber_loop *)loop,
                      .start.run = start_here,
                      .cancel.run = cancel_here,
                      .fn = fn,
                      .arg = arg,
                      .name = name,
                      .where = where};
        list_init(&r->link);
        loop_post_send(loop, &r->start);
}

void sj_remote_cancel(sj_remote *storage)
{
        remote *r = (remote *)storage;
        uint8_t before = atomic_fetch_or(&r->state, CANCEL_SENT);
        if (!(before & (CANCEL_SENT | ENDED)))
                loop_post_send(&r->loop->loop, &r->cancel);
}

int sj_remote_leave(sj_remote *storage)
{
        sj_remote_cancel(storage);
        return await_surely(&storage->done, NULL);
}
