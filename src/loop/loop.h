/* SPDX-License-Identifier: MIT */
/*
 * The loop: what is ready, what waits for a moment, for a descriptor, or for another thread.
 * It knows nothing of fibers: it calls functions, which make something ready.
 *
 * A turn of the loop (loop_poll) is: wait for descriptors, as long as the first timer allows;
 * tell whose descriptor is ready; run what other threads posted; fire the timers that are due.
 * Everything here belongs to the loop's thread, but for loop_post_send.
 */
#ifndef SANJAB_LOOP_LOOP_H
#define SANJAB_LOOP_LOOP_H

#include "base/heap.h"
#include "base/list.h"
#include "os/os.h"

/* What can run, embedded in what it is for. */
typedef struct loop_task {
        struct loop_task *next;
} loop_task;

/* A timer, embedded in what it is for. Zeroed: not set. */
typedef struct loop_timer {
        heap_node node;
        void (*fire)(struct loop_timer *timer);
} loop_timer;

/* A call from another thread, embedded in what it is for; it must live until it has run. */
typedef struct loop_post {
        struct loop_post *next;
        void (*run)(struct loop_post *post);
} loop_post;

/*
 * A descriptor of our own, registered once, in both directions. An edge that nobody waited for
 * is remembered in `ready` until fiber_wait_fd takes it.
 */
typedef struct loop_fd {
        int fd;
        unsigned ready; /* what was seen and not taken yet; OS_HANGUP is never taken */
        void (*notify)(struct loop_fd *lfd, unsigned ready);
        void *waiting[2]; /* who waits to read and to write: the waiter's matter */
        bool registered;
} loop_fd;

/*
 * What another room keeps for as long as the loop lives, embedded in it: free(annex) is called by
 * loop_fini, the last added first, when no fiber is left.
 */
typedef struct loop_annex {
        struct loop_annex *next;
        const void *key;
        void (*free)(struct loop_annex *annex);
} loop_annex;

struct sj_loop {
        loop_task *first; /* what can run, oldest first; to run it is its owner's matter */
        loop_task **last; /* where the next goes */
        heap timers;
        os_poller *poller;
        sj_time now; /* of the last turn */
        size_t fds;  /* descriptors registered: none, and no need to ask the system when busy */
        _Atomic(loop_post *) posts; /* the newest first */
        _Atomic bool sleeping;      /* a post must wake the poller */
        _Atomic uint32_t
                senders; /* threads inside of loop_post_send: they still look at the loop */
        loop_annex *annexes;
        uint64_t posts_run; /* how many there were */
};

int loop_init(struct sj_loop *loop);
void loop_fini(struct sj_loop *loop);
/* The last turn, when nothing waits any more: runs what was posted before. */
void loop_drain(struct sj_loop *loop);

static inline void loop_ready(struct sj_loop *loop, loop_task *task)
{
        task->next = NULL;
        *loop->last = task;
        loop->last = &task->next;
}

/* Under the simulator the seed chooses which of those that are ready is the next: made the first.
 */
void loop_choose(struct sj_loop *loop);

/* The next that is ready, taken out, or NULL: the oldest, but for the simulator. */
static inline loop_task *loop_next(struct sj_loop *loop)
{
        if (!loop->first)
                return NULL;
        if (__builtin_expect(os_simulated, 0))
                loop_choose(loop);
        loop_task *task = loop->first;
        loop->first = task->next;
        if (!loop->first)
                loop->last = &loop->first;
        return task;
}

/*
 * One turn. block: when nothing is ready, waits until something is. Returns 0, or the poller's
 * error.
 */
int loop_poll(struct sj_loop *loop, bool block);

/* Sets the timer, anew if it was set. Fires at the moment or later, never before. */
void loop_timer_set(struct sj_loop *loop, loop_timer *timer, sj_time moment);
void loop_timer_cancel(struct sj_loop *loop, loop_timer *timer);
/* How many are set. */
static inline size_t loop_timers(const struct sj_loop *loop)
{
        return loop->timers.n;
}

/*
 * Registers lfd->fd. lfd->notify must be set; it may be called until loop_fd_remove, which comes
 * before the descriptor is closed.
 */
int loop_fd_add(struct sj_loop *loop, loop_fd *lfd, int fd);
void loop_fd_remove(struct sj_loop *loop, loop_fd *lfd);

/*
 * For a descriptor that is not ours: registered for one report (level-triggered), each time anew.
 * The first time, lfd->fd must be set and loop_fd_remove undoes it. -EPERM: it is always ready.
 */
int loop_fd_arm(struct sj_loop *loop, loop_fd *lfd, unsigned ready);

/* The annex of that key (any address that is its maker's own), or NULL. */
loop_annex *loop_annex_find(const struct sj_loop *loop, const void *key);
/* Adds one; annex->free must be set. */
void loop_annex_add(struct sj_loop *loop, const void *key, loop_annex *annex);

/*
 * From any thread: post->run(post) will be called on the loop's thread, in the order of posting.
 * Allocates nothing, and asks the system for nothing unless the loop sleeps.
 */
void loop_post_send(struct sj_loop *loop, loop_post *post);

#endif
