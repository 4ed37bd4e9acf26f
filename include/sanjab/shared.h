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

#include <sanjab/chan.h>
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

/* ── Locks, semaphores, events ───────────────────────────────────────────────────────────── */

/*
 * As those of sanjab/sync.h, which are for the fibers of one loop and cost less: first in, first
 * out, allocating nothing, and who gives up while he waits leaves no trace. What was released is
 * handed over: who waited has it, even if his time ran out in that moment. Once the caller has been
 * let through, nobody who came before him touches the thing any more: he may free it. One of zeros
 * is as good as one that was made with its SJ_..._INIT, if that takes no number.
 */

/* Mutual exclusion between fibers and threads, in the order of asking. */
typedef struct sj_shared_lock {
        uint32_t mutex; /* private, as all below */
        const void *owner;
        struct sj_list waiters;
} sj_shared_lock;

#define SJ_SHARED_LOCK_INIT \
        {                   \
                0           \
        }

/*
 * It is the calling fiber's, or the thread's outside of one. Cancellation point. -EDEADLK the
 * caller holds it already; -ETIMEDOUT; -ECANCELED.
 */
SJ_PUBLIC int sj_shared_lock_acquire(sj_shared_lock *l, sj_time deadline);
/* Hands it to the one who has waited longest. -EPERM the caller does not hold it. */
SJ_PUBLIC int sj_shared_lock_release(sj_shared_lock *l);

/* So many at once. Who acquires need not be who releases. */
typedef struct sj_shared_semaphore {
        uint32_t mutex; /* private, as all below */
        size_t free;
        size_t limit; /* it is never more than that */
        struct sj_list waiters;
} sj_shared_semaphore;

/* With n free, and without a limit. */
#define SJ_SHARED_SEMAPHORE_INIT(n) \
        {                           \
                0, (n), SIZE_MAX,   \
                {                   \
                        0, 0        \
                }                   \
        }
/* With n free, which is also the limit: more releases than acquisitions are a mistake. */
#define SJ_SHARED_SEMAPHORE_BOUNDED(n) \
        {                              \
                0, (n), (n),           \
                {                      \
                        0, 0           \
                }                      \
        }

/* Cancellation point. -ETIMEDOUT (SJ_POLL: none is free); -ECANCELED. */
SJ_PUBLIC int sj_shared_semaphore_acquire(sj_shared_semaphore *s, sj_time deadline);
/* Hands it to the one who has waited longest. -EOVERFLOW it is at its limit: nothing changes. */
SJ_PUBLIC int sj_shared_semaphore_release(sj_shared_semaphore *s);

/* A flag that fibers and threads wait for. */
typedef struct sj_shared_event {
        uint32_t mutex; /* private, as all below */
        bool is_set;
        struct sj_list waiters;
} sj_shared_event;

#define SJ_SHARED_EVENT_INIT \
        {                    \
                0            \
        }

/* Sets it and wakes all who wait. */
SJ_PUBLIC void sj_shared_event_set(sj_shared_event *e);
/* Those who come from now on wait until it is set again. */
SJ_PUBLIC void sj_shared_event_clear(sj_shared_event *e);
/*
 * Returns 0 when it is set, even if it is cleared again before the caller runs. Cancellation
 * point. -ETIMEDOUT (SJ_POLL: it is not set), -ECANCELED.
 */
SJ_PUBLIC int sj_shared_event_wait(sj_shared_event *e, sj_time deadline);

/* ── Chans ───────────────────────────────────────────────────────────────────────────────── */

/*
 * A bounded channel between fibers and threads: as sj_chan between the fibers of one loop, which
 * costs less. sj_select takes it beside other things, in a fiber. It may be freed when no call on
 * it runs any more; who was told -EPIPE, or given an item, has returned from his.
 */
typedef struct sj_shared_chan sj_shared_chan;

/* As sj_chan_new. */
SJ_PUBLIC int sj_shared_chan_new(size_t item_size, size_t capacity, sj_shared_chan **ret);
/* As sj_chan_new_lifo. */
SJ_PUBLIC int sj_shared_chan_new_lifo(size_t item_size, size_t capacity, sj_shared_chan **ret);
/* As sj_chan_new_priority; compare is called by any of the threads, one at a time. */
SJ_PUBLIC int sj_shared_chan_new_priority(size_t item_size, size_t capacity,
                                          sj_chan_compare *compare, sj_shared_chan **ret);
/* NULL is allowed. */
SJ_PUBLIC void sj_shared_chan_free(sj_shared_chan *c);
/* Copies the item in. Cancellation point. -EPIPE closed; -ETIMEDOUT (SJ_POLL: full); -ECANCELED. */
SJ_PUBLIC int sj_shared_chan_send(sj_shared_chan *c, const void *item, sj_time deadline);
/*
 * Copies the oldest item out, or that of its order. Cancellation point. -EPIPE closed and empty;
 * -ETIMEDOUT; -ECANCELED.
 */
SJ_PUBLIC int sj_shared_chan_recv(sj_shared_chan *c, void *ret_item, sj_time deadline);
/* No more can be sent; what is inside can still be received. Who waits to send gets -EPIPE. */
SJ_PUBLIC void sj_shared_chan_close(sj_shared_chan *c);
/* As sj_chan_drain; drop is called by the caller, while nobody else is held up. */
SJ_PUBLIC size_t sj_shared_chan_drain(sj_shared_chan *c, void (*drop)(void *item, void *arg),
                                      void *arg);
/* The items inside; may be old by the time it is read. */
SJ_PUBLIC size_t sj_shared_chan_count(sj_shared_chan *c);
/* As sj_chan_done. */
SJ_PUBLIC int sj_shared_chan_done(sj_shared_chan *c);
/* As sj_chan_join. */
SJ_PUBLIC int sj_shared_chan_join(sj_shared_chan *c, sj_time deadline);

#ifdef __cplusplus
}
#endif

#endif
