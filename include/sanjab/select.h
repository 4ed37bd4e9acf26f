/* SPDX-License-Identifier: MIT */
/*
 * sanjab/select.h: waiting for descriptors, and for the first of several things.
 */
#ifndef SANJAB_SELECT_H
#define SANJAB_SELECT_H

#include <sanjab/chan.h>
#include <sanjab/future.h>
#include <sanjab/shared.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ── Descriptors ─────────────────────────────────────────────────────────────────────────── */

enum { SJ_READABLE = 1, SJ_WRITABLE = 2 };

/*
 * Waits until the descriptor, whoever owns it, is ready for one of `ready`; returns what it is
 * ready for. Level-triggered, one shot: nothing stays registered for others to stumble over, but
 * sj_fd_forget must be called before the descriptor is closed: who waits gets -EBADF.
 * Cancellation point.
 * -ETIMEDOUT, -ECANCELED; -EBUSY another fiber waits for the same direction of it; -EBADF.
 * A regular file is always ready.
 */
SJ_PUBLIC int sj_fd_wait(int fd, unsigned ready, sj_time deadline);
/* Before a descriptor that was waited for is closed; of one that was not, it does nothing. */
SJ_PUBLIC void sj_fd_forget(int fd);

/* ── Select ──────────────────────────────────────────────────────────────────────────────── */

typedef enum sj_case_kind {
        SJ_CASE_NONE, /* never fires */
        SJ_CASE_SEND,
        SJ_CASE_RECV,
        SJ_CASE_FIBER,
        SJ_CASE_FD,
        SJ_CASE_FUTURE,
        SJ_CASE_SHARED_SEND,
        SJ_CASE_SHARED_RECV,
} sj_case_kind;

typedef struct sj_case {
        sj_case_kind kind;
        unsigned ready; /* FD: SJ_READABLE | SJ_WRITABLE */
        union {
                sj_chan *chan;          /* SEND, RECV */
                sj_fiber *fiber;        /* FIBER: it has ended */
                int fd;                 /* FD */
                sj_future *future;      /* FUTURE: it is set */
                sj_shared_chan *shared; /* SHARED_SEND, SHARED_RECV */
        };
        void *item; /* SEND: read from here; RECV: written here; shared or not */
        /*
         * Of the case that fired: SEND, RECV, shared or not, 0 or -EPIPE; FIBER, FUTURE its result;
         * FD what it is ready for, or why it cannot be waited for (sj_fd_wait).
         */
        int result;
} sj_case;

#define SJ_SELECT_MAX 64

/*
 * Waits until one of the cases can go on, does it, and returns its index; of several that can at
 * once, the first. The same thing may be in several cases. Cancellation point. -ETIMEDOUT;
 * -ECANCELED; -EINVAL more than SJ_SELECT_MAX; -EDEADLK it waits for the calling fiber's own end.
 */
SJ_PUBLIC int sj_select(sj_case cases[], size_t n, sj_time deadline);

#ifdef __cplusplus
}
#endif

#endif
