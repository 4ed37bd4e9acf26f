/* SPDX-License-Identifier: MIT */
/*
 * sanjab/future.h: results that are awaited.
 */
#ifndef SANJAB_FUTURE_H
#define SANJAB_FUTURE_H

#include <sanjab/fiber.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A result that is set once and awaited by any number of fibers and threads. From any thread.
 * The owner keeps it alive until all who wait have returned and the setter's call has.
 */
typedef struct sj_future {
        uint32_t state; /* private, as all below */
        int result;
        void *value;
        struct sj_list waiters;
} sj_future;

#define SJ_FUTURE_INIT \
        {              \
                0      \
        }

/*
 * Sets it to a result and a value (the setter's and the waiter's matter); a failure is a negative
 * result. -EALREADY: it was.
 */
SJ_PUBLIC int sj_future_set(sj_future *f, int result, void *value);
/*
 * Sets it to -ECANCELED, so that those who wait go on, and who comes to set it hears -EALREADY.
 * It does not stop whoever works for it. -EALREADY: it was set.
 */
SJ_PUBLIC int sj_future_cancel(sj_future *f);
/* Whether it is set. */
SJ_PUBLIC bool sj_future_done(const sj_future *f);
/*
 * Waits until it is set; returns its result, and its value in *ret (may be NULL; written whatever
 * the result). In a fiber: a cancellation point. In a thread without a loop it blocks the thread.
 * -ETIMEDOUT, -ECANCELED: of this call, or the result: sj_future_done tells.
 */
SJ_PUBLIC int sj_future_get(sj_future *f, void **ret, sj_time deadline);

/*
 * Waits for n futures as sj_wait does for fibers, and returns what that does; a result of
 * -ECANCELED is no failure. To take them as they are set: SJ_FIRST, take it out, and again. In a
 * fiber: a cancellation point. In a thread without a loop it blocks the thread.
 * -ETIMEDOUT, -ECANCELED: the others stay as they are; -EINVAL SJ_FIRST of none, or more than
 * INT_MAX; -ENOMEM when n is more than 8.
 */
SJ_PUBLIC int sj_future_wait(sj_future *const f[], size_t n, sj_until until, sj_time deadline);

/* ── Callbacks ───────────────────────────────────────────────────────────────────────────── */

/* A call that is to be made when a future is set: embedded in what it is for. */
typedef struct sj_then {
        struct sj_list link; /* private */
        bool queued;         /* private, under the future's lock */
        void (*call)(struct sj_then *then, int result, void *value);
} sj_then;

/*
 * Has then->call called once, as soon as the future is set: by the setter, inside of its
 * sj_future_set and on its thread, after those that came before; if it is set already, by the
 * caller, at once. It must not block nor touch the future, and may free `then`, which must live
 * until then.
 */
SJ_PUBLIC void sj_future_then(sj_future *f, sj_then *then);
/*
 * Takes the call back. False: it has been made, or is being made by another thread at this moment.
 */
SJ_PUBLIC bool sj_future_forget(sj_future *f, sj_then *then);

#ifdef __cplusplus
}
#endif

#endif
