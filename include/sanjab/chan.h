/* SPDX-License-Identifier: MIT */
/*
 * sanjab/chan.h: channels between fibers.
 */
#ifndef SANJAB_CHAN_H
#define SANJAB_CHAN_H

#include <sanjab/fiber.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A bounded channel between fibers of one loop, first in, first out unless it is made otherwise.
 * Capacity 0: a sender waits
 * until a receiver takes the value from its hands. Waiting senders and receivers are served in
 * the order of their coming.
 */
typedef struct sj_chan sj_chan;

/*
 * A chan for items of that many bytes; the caller owns *ret. Sending and receiving allocate
 * nothing. -ENOMEM; -EINVAL item_size is 0, or the product overflows.
 */
SJ_PUBLIC int sj_chan_new(size_t item_size, size_t capacity, sj_chan **ret);
/* As sj_chan_new, and the newest item inside is received first. -EINVAL too: capacity 0. */
SJ_PUBLIC int sj_chan_new_lifo(size_t item_size, size_t capacity, sj_chan **ret);
/*
 * Less than 0: a is received before b; more: after it; 0: in the order of sending. */
typedef int sj_chan_compare(const void *a, const void *b);
/*
 * As sj_chan_new, and the least item inside is received first, in a time that grows with the
 * logarithm of their number. compare must not wait. -EINVAL too: capacity 0.
 */
SJ_PUBLIC int sj_chan_new_priority(size_t item_size, size_t capacity, sj_chan_compare *compare,
                                   sj_chan **ret);
/* Nobody may be waiting on it. NULL is allowed. */
SJ_PUBLIC void sj_chan_free(sj_chan *c);
/* Copies the item in. Cancellation point. -EPIPE closed; -ETIMEDOUT (SJ_POLL: full). */
SJ_PUBLIC int sj_chan_send(sj_chan *c, const void *item, sj_time deadline);
/* Copies the oldest item out, or that of its order. Cancellation point. -EPIPE closed and empty;
 * -ETIMEDOUT. */
SJ_PUBLIC int sj_chan_recv(sj_chan *c, void *ret_item, sj_time deadline);
/* No more can be sent; what is inside can still be received. Who waits to send gets -EPIPE. */
SJ_PUBLIC void sj_chan_close(sj_chan *c);
/*
 * Closes it, and takes out what is inside: calls drop(item, arg) for each (drop may be NULL), in no
 * order but of a chan that is first in, first out; they count as done. Who waits to receive gets
 * -EPIPE, too. Does not wait, also in a fiber that is cancelled. Returns how many they were.
 */
SJ_PUBLIC size_t sj_chan_drain(sj_chan *c, void (*drop)(void *item, void *arg), void *arg);
/* The items inside. */
SJ_PUBLIC size_t sj_chan_count(const sj_chan *c);

/*
 * Says that the work on one received item is done, for sj_chan_join. -EOVERFLOW it was said of all
 * that were received already.
 */
SJ_PUBLIC int sj_chan_done(sj_chan *c);
/*
 * Waits until the work on all that was sent is done; closed or not. Only for chans whose receivers
 * say so. Cancellation point. -ETIMEDOUT; -ECANCELED.
 */
SJ_PUBLIC int sj_chan_join(sj_chan *c, sj_time deadline);

#ifdef __cplusplus
}
#endif

#endif
