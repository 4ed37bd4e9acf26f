/* SPDX-License-Identifier: MIT */
/*
 * sanjab/shared.h: what loops and threads share.
 *
 * All of it may be used from any thread: by fibers of any loop, whose calls are cancellation points
 * and hold up nothing but their fiber, and by threads without a loop, which block. What runs on a
 * loop's thread outside of a fiber (sj_post) would hold up the loop, and must not wait.
 */
#ifndef SANJAB_SHARED_H
#define SANJAB_SHARED_H

#include <sanjab/future.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ── Fibers of another loop ──────────────────────────────────────────────────────────────── */

/*
 * A fiber that was spawned on another loop, or on the same. It lies with who spawns it, and must
 * stay where it is until `done` is set and the calls that use it have returned.
 *
 *         sj_remote remote;
 *         sj_spawn_on(loop, work, &job, &remote);
 *         int r = sj_future_get(&remote.done, NULL, sj_after(SJ_SEC));
 *         sj_remote_leave(&remote);
 */
typedef struct sj_remote {
        sj_future done; /* set to the fiber's result when it has ended; its value is NULL */
        void *private_[14];
} sj_remote;

/*
 * Starts fn(arg) as a fiber of that loop, soon, in the order of spawning. It belongs to the loop,
 * which does not end before it; its failure goes to remote->done alone. arg must live until that is
 * set: to -ENOMEM or -ENOBUFS when there was no stack, and fn not called. The fiber begins without
 * the values of the caller's (sj_local); sj_loop_stop cancels it. From any thread; does not wait.
 * The loop must live while this is called: have a fiber of it wait for the outcome.
 */
#define sj_spawn_on(loop, fn, arg, remote) \
        sj_spawn_on_named((loop), (fn), (arg), #fn, SJ_WHERE, (remote))
SJ_PUBLIC void sj_spawn_on_named(sj_loop *loop, sj_fn *fn, void *arg, const char *name,
                                 const char *where, sj_remote *remote);

/*
 * Cancels the fiber with all that it owns, soon: await remote->done. From any thread, also more
 * than once; no effect on one that has ended.
 */
SJ_PUBLIC void sj_remote_cancel(sj_remote *remote);

/*
 * Cancels the fiber unless it has ended, waits for its end, which cancellation of the caller does
 * not cut short, and returns its result. After that *remote may go.
 */
SJ_PUBLIC int sj_remote_leave(sj_remote *remote);

#ifdef __cplusplus
}
#endif

#endif
