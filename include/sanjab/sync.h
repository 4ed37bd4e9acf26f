/* SPDX-License-Identifier: MIT */
/*
 * sanjab/sync.h: how fibers keep out of each other's way, and wait for each other.
 *
 * All of them serve those who wait in the order of their coming, and allocate nothing. Who is
 * cancelled or runs out of time while he waits leaves no trace. One of zeros is as good as one that
 * was made with its SJ_..._INIT, if that takes no number.
 */
#ifndef SANJAB_SYNC_H
#define SANJAB_SYNC_H

#include <sanjab/fiber.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Mutual exclusion between fibers of one loop, in the order of asking. */
typedef struct sj_lock {
        sj_fiber *owner;
        struct sj_list waiters; /* private */
} sj_lock;

#define SJ_LOCK_INIT \
        {            \
                0    \
        }

/* Cancellation point. -EDEADLK the caller holds it already; -ETIMEDOUT; -ECANCELED. */
SJ_PUBLIC int sj_lock_acquire(sj_lock *l, sj_time deadline);
/* Hands it to the one who has waited longest. -EPERM the caller does not hold it. */
SJ_PUBLIC int sj_lock_release(sj_lock *l);

/*
 * A lock that its owner may acquire again, by which it becomes free only when it was released as
 * often.
 */
typedef struct sj_reentrant {
        sj_lock lock;
        size_t depth; /* how often the owner has acquired it */
} sj_reentrant;

#define SJ_REENTRANT_INIT \
        {                 \
                {0}, 0    \
        }

/* Cancellation point, for the owner too. -ETIMEDOUT; -ECANCELED. */
SJ_PUBLIC int sj_reentrant_acquire(sj_reentrant *l, sj_time deadline);
/* -EPERM the caller does not hold it. */
SJ_PUBLIC int sj_reentrant_release(sj_reentrant *l);

/* Many may read, or one may write. A reader who comes after a waiting writer waits behind him. */
typedef struct sj_rwlock {
        sj_fiber *writer;
        struct sj_list readers; /* private */
        struct sj_list waiters; /* private */
} sj_rwlock;

/* One who reads: it must stay where it is until it is released. */
typedef struct sj_rwlock_reader {
        sj_fiber *fiber;
        struct sj_list link; /* private */
} sj_rwlock_reader;

#define SJ_RWLOCK_INIT \
        {              \
                0      \
        }

/*
 * *reader is the caller's, and holds nothing yet. A fiber may read more than once, with a reader
 * for each. Cancellation point. -EDEADLK the caller writes, or it reads already and a writer waits;
 * -ETIMEDOUT; -ECANCELED.
 */
SJ_PUBLIC int sj_rwlock_acquire_read(sj_rwlock *l, sj_rwlock_reader *reader, sj_time deadline);
/* Cancellation point. -EDEADLK the caller reads or writes already; -ETIMEDOUT; -ECANCELED. */
SJ_PUBLIC int sj_rwlock_acquire_write(sj_rwlock *l, sj_time deadline);
/* -EPERM the caller did not acquire it with that reader. */
SJ_PUBLIC int sj_rwlock_release_read(sj_rwlock *l, sj_rwlock_reader *reader);
/* -EPERM the caller does not write. */
SJ_PUBLIC int sj_rwlock_release_write(sj_rwlock *l);

/* So many at once. Who acquires need not be who releases. */
typedef struct sj_semaphore {
        size_t free;
        size_t limit;           /* it is never more than that */
        struct sj_list waiters; /* private */
} sj_semaphore;

/* With n free, and without a limit. */
#define SJ_SEMAPHORE_INIT(n)   \
        {                      \
                (n), SIZE_MAX, \
                {              \
                        0, 0   \
                }              \
        }
/* With n free, which is also the limit: more releases than acquisitions are a mistake. */
#define SJ_SEMAPHORE_BOUNDED(n) \
        {                       \
                (n), (n),       \
                {               \
                        0, 0    \
                }               \
        }

/* Cancellation point. -ETIMEDOUT (SJ_POLL: none is free); -ECANCELED. */
SJ_PUBLIC int sj_semaphore_acquire(sj_semaphore *s, sj_time deadline);
/* Hands it to the one who has waited longest. -EOVERFLOW it is at its limit: nothing changes. */
SJ_PUBLIC int sj_semaphore_release(sj_semaphore *s);

/* Waiting for what is guarded by a lock to change. */
typedef struct sj_condition {
        struct sj_list waiters; /* private */
} sj_condition;

#define SJ_CONDITION_INIT    \
        {                    \
                {            \
                        0, 0 \
                }            \
        }

/*
 * Releases the lock, waits to be woken, and acquires it again: it is held when this returns, with
 * whatever result, but -EPERM: the caller does not hold it. So it may take longer than to the
 * deadline. Who was woken returns 0, even if it is cancelled then. The state must be looked at
 * again, since others may have held the lock in between. All who wait use the same lock.
 * Cancellation point. -ETIMEDOUT, -ECANCELED.
 */
SJ_PUBLIC int sj_condition_wait(sj_condition *c, sj_lock *l, sj_time deadline);
/* Wakes the one who has waited longest; nobody, if none waits. The lock need not be held. */
SJ_PUBLIC void sj_condition_wake_one(sj_condition *c);
SJ_PUBLIC void sj_condition_wake_all(sj_condition *c);

/* Where a number of fibers wait for each other, again and again. */
typedef struct sj_barrier {
        unsigned parties;
        unsigned waiting;
        unsigned round; /* private */
        bool broken;
        struct sj_list waiters; /* private */
} sj_barrier;

#define SJ_BARRIER_INIT(parties)        \
        {                               \
                (parties), 0, 0, false, \
                {                       \
                        0, 0            \
                }                       \
        }

/*
 * Waits until all parties are there, and returns the caller's place: 0 came first. Cancellation
 * point. -ETIMEDOUT, -ECANCELED: a party that leaves, or comes cancelled, breaks the barrier
 * (SJ_POLL does not: it passes only as the last, and has not come otherwise); -EPIPE it is, or has
 * become, broken; -EINVAL it has no parties.
 */
SJ_PUBLIC int sj_barrier_wait(sj_barrier *b, sj_time deadline);
/* Breaks it: those who wait, and those who come until it is reset, get -EPIPE. */
SJ_PUBLIC void sj_barrier_break(sj_barrier *b);
/* As new. Those who wait get -EPIPE. */
SJ_PUBLIC void sj_barrier_reset(sj_barrier *b);

/* What is done by the first who needs it. */
typedef struct sj_once {
        sj_lock lock; /* private */
        int result;
        bool is_done;
} sj_once;

#define SJ_ONCE_INIT          \
        {                     \
                {0}, 0, false \
        }

/*
 * Calls fn(arg) unless that was done, and returns its result, the same to all. Who comes while it
 * runs waits for it until the deadline. If it fails, its caller gets the failure, and the next one
 * who waits or comes tries again. Cancellation point. -EDEADLK called by its own fn; -ETIMEDOUT;
 * -ECANCELED.
 */
SJ_PUBLIC int sj_once_run(sj_once *o, sj_fn *fn, void *arg, sj_time deadline);

/* A flag that fibers of one loop wait for. */
typedef struct sj_event {
        bool is_set;
        struct sj_list waiters; /* private */
} sj_event;

#define SJ_EVENT_INIT \
        {             \
                0     \
        }

/* Sets it and wakes all who wait. */
SJ_PUBLIC void sj_event_set(sj_event *e);
/* Those who come from now on wait until it is set again. */
SJ_PUBLIC void sj_event_clear(sj_event *e);
/*
 * Returns 0 when it is set, even if it is cleared again before the caller runs. Cancellation
 * point. -ETIMEDOUT, -ECANCELED.
 */
SJ_PUBLIC int sj_event_wait(sj_event *e, sj_time deadline);

#ifdef __cplusplus
}
#endif

#endif
