/* SPDX-License-Identifier: MIT */
/*
 * sanjab/fiber.h: fibers, and how they wait.
 *
 * A fiber is a function with a stack of its own that can wait without holding up its thread: it
 * is written as straight-line code, and thousands of them share one loop. A fiber belongs to a
 * scope, and a scope is left only when all its fibers have ended, so that no work outlives the
 * block that started it:
 *
 *         static int fetch(void *arg) { ... return 0; }
 *
 *         static int main_fiber(void *arg)
 *         {
 *                 SJ_SCOPE(s, sj_after(2 * SJ_SEC), 0);
 *                 sj_spawn(s, fetch, "a", NULL);
 *                 sj_spawn(s, fetch, "b", NULL);
 *                 return sj_scope_join(s);
 *         }
 *
 *         int main(void) { return sj_run(main_fiber, NULL) < 0; }
 *
 * Whose time, whose decision
 *   -ETIMEDOUT  only when the call's own deadline has passed.
 *   -ECANCELED  the scope around the call was cancelled, or its deadline has passed. It comes
 *               back from every blocking call, again and again, until that scope is left. Clean-up
 *               that must still block runs in a scope with SJ_SHIELD and a finite deadline.
 *
 * A call that is said to be "a cancellation point" checks this first, even when it would not have
 * blocked. When a call fails with one of the two, nothing has happened: no value was taken or
 * given, no lock is held.
 *
 * Everything here belongs to one thread's loop, and is used by fibers of that loop alone, unless
 * it is said to work "from any thread". A call made outside of a fiber, where one is needed,
 * returns -EPERM; an object of another thread's loop, where that can be told, -EXDEV.
 */
#ifndef SANJAB_FIBER_H
#define SANJAB_FIBER_H

#include <sanjab/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits. A stack's reservation; what is touched of it is committed in pages of 4 KiB. */
#define SJ_STACK_SIZE ((size_t)256 * 1024)

/* What a fiber runs. 0 or more is its result, a negative errno value its failure. */
typedef int sj_fn(void *arg);

typedef struct sj_fiber sj_fiber;
typedef struct sj_scope sj_scope;
typedef struct sj_loop sj_loop;

/* ── Running ─────────────────────────────────────────────────────────────────────────────── */

/*
 * Runs main as the first fiber of a new loop on this thread, until it and all that it owns have
 * ended. Returns what main returned; if that is 0 or more and a scope that main left had failed
 * without a join, that failure.
 * Errors of its own: -EBUSY a loop runs on this thread already; -ENOMEM; -EMFILE.
 */
#define sj_run(main, arg) sj_run_named((main), (arg), #main, SJ_WHERE)
SJ_PUBLIC int sj_run_named(sj_fn *main, void *arg, const char *name, const char *where);

/* The loop that runs on this thread, or NULL. */
SJ_PUBLIC sj_loop *sj_loop_current(void);

/*
 * Runs fn(arg) on the loop's thread, soon, in the order of posting, outside of any fiber: it must
 * not block; what it returns is ignored. From any thread. -ENOMEM.
 * The loop must live while this is called: have a fiber of it wait for the outcome. What was
 * posted before the last fiber ended is run before sj_run returns.
 */
SJ_PUBLIC int sj_post(sj_loop *loop, sj_fn *fn, void *arg);

/* ── Scopes ──────────────────────────────────────────────────────────────────────────────── */

enum {
        /* A child that fails does not cancel its siblings nor the scope's body. */
        SJ_COLLECT = 1 << 0,
        /* Cancellation from above does not reach inside. The deadline must be finite. */
        SJ_SHIELD = 1 << 1,
};

/*
 * Opens a scope until the end of the enclosing block: `name` becomes an sj_scope * on the stack.
 * Leaving the block, by any way, cancels and joins what is left of its fibers.
 */
#define SJ_SCOPE(name, deadline, flags)                                   \
        __attribute__((cleanup(sj_scope_leave))) sj_scope name##_storage; \
        __attribute__((unused)) sj_scope *const name =                    \
                sj_scope_enter(&name##_storage, (deadline), (flags))

/*
 * What SJ_SCOPE does, for those who place a scope by hand: enter and leave must pair in the same
 * fiber, innermost first. Aborts with a message when it is called outside of a fiber, or with
 * SJ_SHIELD and SJ_NEVER: both are mistakes of the program. Returns its first argument.
 */
SJ_PUBLIC sj_scope *sj_scope_enter(sj_scope *storage, sj_time deadline, unsigned flags);

/*
 * Cancels the scope's fibers, waits until all have ended (it cannot itself be cancelled) and
 * closes it. If a child had failed and nobody was told (by a join of it or of the scope), the
 * scope around it fails with that error, as if the failure were its own child's.
 */
SJ_PUBLIC void sj_scope_leave(sj_scope *s);

/*
 * Waits until all fibers of the scope have ended, always; cancellation reaches the fibers, not
 * this wait. Then returns the first real failure of a child (-ECANCELED of a cancelled child is
 * none), else -ETIMEDOUT if the scope's own deadline has passed by then, else -ECANCELED if a
 * scope above was cancelled, else 0. The scope stays open and may be used again. Another fiber
 * than the one that opened it may wait too, even until it has been left.
 * -EDEADLK: called by a fiber of the scope itself.
 */
SJ_PUBLIC int sj_scope_join(sj_scope *s);

/*
 * The next fiber of the scope that has ended, in the order of ending, each once; only those
 * spawned with a handle. Cancellation point. -ENOENT no such fiber is left; -ETIMEDOUT;
 * -ECANCELED.
 */
SJ_PUBLIC int sj_scope_next(sj_scope *s, sj_fiber **ret, sj_time deadline);

/* Cancels the scope: its fibers and its body. From the same loop; does not block. */
SJ_PUBLIC void sj_scope_cancel(sj_scope *s);

/*
 * Moves the scope's deadline. No effect on one that has passed already. That of a shield must stay
 * finite: SJ_NEVER aborts as in sj_scope_enter.
 */
SJ_PUBLIC void sj_scope_set_deadline(sj_scope *s, sj_time deadline);

/* The earliest deadline around the calling fiber, up to the nearest shield; SJ_NEVER if none. */
SJ_PUBLIC sj_time sj_scope_deadline(void);

/* ── Fibers ──────────────────────────────────────────────────────────────────────────────── */

/*
 * Starts fn(arg) as a fiber of the scope. It is put behind those that are ready and never runs at
 * once. arg must live until the fiber has ended. *ret (may be NULL) is its handle, valid until
 * the scope is left; a fiber without a handle is freed when it ends.
 * The fiber bears the name of fn and the place of the call; sj_spawn_named gives others, which
 * must be literals or outlive the fiber.
 * A fiber that is spawned into a cancelled scope does run, and finds itself cancelled at its
 * first cancellation point: it can release arg.
 * Errors: -ENOMEM no stack; -ENOBUFS the kernel's limit of mappings is reached (see
 * vm.max_map_count); -EXDEV the scope belongs to another thread. fn is not called then.
 */
#define sj_spawn(scope, fn, arg, ret) sj_spawn_named((scope), (fn), (arg), #fn, SJ_WHERE, (ret))
SJ_PUBLIC int sj_spawn_named(sj_scope *s, sj_fn *fn, void *arg, const char *name, const char *where,
                             sj_fiber **ret);

/*
 * Waits for the fiber's end and returns its result. Cancellation point: the fiber goes on then.
 * -ETIMEDOUT (see sj_fiber_done to tell it from the fiber's own); -ECANCELED; -EDEADLK a fiber
 * that joins itself.
 */
SJ_PUBLIC int sj_join(sj_fiber *f, sj_time deadline);

/* Whether the fiber has ended; *ret_result (may be NULL) is its result then. */
SJ_PUBLIC bool sj_fiber_done(const sj_fiber *f, int *ret_result);

/* Cancels one fiber, with all that it owns. Does not wait; no effect on one that has ended. */
SJ_PUBLIC void sj_cancel(sj_fiber *f);

/* Whether the calling fiber is cancelled: its next cancellation point will say so. */
SJ_PUBLIC bool sj_cancelled(void);

/*
 * Waits for all n fibers. ret[i] (ret may be NULL) is the result of f[i], written for all only
 * when 0 is returned. -ETIMEDOUT, -ECANCELED: the fibers go on, and no failure counts as told.
 * Whether a failure among them cancels the others is their scope's matter (SJ_COLLECT).
 * -EDEADLK: the calling fiber is among them.
 */
SJ_PUBLIC int sj_gather(sj_fiber *const f[], size_t n, int ret[], sj_time deadline);

/*
 * Waits until one of the n fibers has ended; *ret is the least index of those that have. Its
 * failure, if it is one, counts as told. Cancellation point. -ETIMEDOUT; -ECANCELED; -EINVAL n is
 * 0; -EDEADLK the calling fiber is among them; -ENOMEM when n is more than 64.
 */
SJ_PUBLIC int sj_wait_first(sj_fiber *const f[], size_t n, size_t *ret, sj_time deadline);

/* Lets the others run that are ready. 0, or -ECANCELED: a cancellation point. */
SJ_PUBLIC int sj_yield(void);

/* Sleeps until the moment. 0, or -ECANCELED. */
SJ_PUBLIC int sj_sleep_until(sj_time moment);

/* Sleeps for the duration. 0, or -ECANCELED. */
static inline int sj_sleep(sj_time duration)
{
        return sj_sleep_until(sj_after(duration));
}

/* The calling fiber, or NULL outside of one. */
SJ_PUBLIC sj_fiber *sj_fiber_self(void);
/* The name that it was spawned with. */
SJ_PUBLIC const char *sj_fiber_name(const sj_fiber *f);

/* ── Futures ─────────────────────────────────────────────────────────────────────────────── */

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

/* Sets it to a result and a value (the setter's and the waiter's matter). -EALREADY: it was. */
SJ_PUBLIC int sj_future_set(sj_future *f, int result, void *value);
/* Whether it is set. */
SJ_PUBLIC bool sj_future_done(const sj_future *f);
/*
 * Waits until it is set; returns its result, and its value in *ret (may be NULL; written whatever
 * the result). In a fiber: a cancellation point. In a thread without a loop it blocks the thread.
 * -ETIMEDOUT, -ECANCELED.
 */
SJ_PUBLIC int sj_future_get(sj_future *f, void **ret, sj_time deadline);

/* ── Chans ───────────────────────────────────────────────────────────────────────────────── */

/*
 * A bounded first-in first-out channel between fibers of one loop. Capacity 0: a sender waits
 * until a receiver takes the value from its hands. Waiting senders and receivers are served in
 * the order of their coming.
 */
typedef struct sj_chan sj_chan;

/*
 * A chan for items of that many bytes; the caller owns *ret. Sending and receiving allocate
 * nothing. -ENOMEM; -EINVAL item_size is 0, or the product overflows.
 */
SJ_PUBLIC int sj_chan_new(size_t item_size, size_t capacity, sj_chan **ret);
/* Nobody may be waiting on it. NULL is allowed. */
SJ_PUBLIC void sj_chan_free(sj_chan *c);
/* Copies the item in. Cancellation point. -EPIPE closed; -ETIMEDOUT (SJ_POLL: full). */
SJ_PUBLIC int sj_chan_send(sj_chan *c, const void *item, sj_time deadline);
/* Copies the oldest item out. Cancellation point. -EPIPE closed and empty; -ETIMEDOUT. */
SJ_PUBLIC int sj_chan_recv(sj_chan *c, void *ret_item, sj_time deadline);
/* No more can be sent; what is inside can still be received. Who waits to send gets -EPIPE. */
SJ_PUBLIC void sj_chan_close(sj_chan *c);
/* The items inside. */
SJ_PUBLIC size_t sj_chan_count(const sj_chan *c);

/* ── Locks and events ────────────────────────────────────────────────────────────────────── */

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
} sj_case_kind;

typedef struct sj_case {
        sj_case_kind kind;
        unsigned ready; /* FD: SJ_READABLE | SJ_WRITABLE */
        union {
                sj_chan *chan;     /* SEND, RECV */
                sj_fiber *fiber;   /* FIBER: it has ended */
                int fd;            /* FD */
                sj_future *future; /* FUTURE: it is set */
        };
        void *item; /* SEND: read from here; RECV: written here */
        /*
         * Of the case that fired: SEND, RECV 0 or -EPIPE; FIBER, FUTURE its result; FD what it is
         * ready for, or why it cannot be waited for (sj_fd_wait).
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

/* ── Signals and child processes ─────────────────────────────────────────────────────────── */

typedef struct sj_signals sj_signals;

/*
 * Takes the signals of the list for this program: they are blocked in this thread and in those
 * that it starts later, and are read with sj_signals_next. The library takes no signal unasked.
 * Does not block. The caller owns *ret. -EINVAL there is none in the list, or more than 64, or
 * one is no signal; -EMFILE; -ENOMEM.
 */
SJ_PUBLIC int sj_signals_open(const int signals[], size_t n, sj_signals **ret);
/* Gives them back to their former treatment; who waits gets -EBADF. NULL is allowed. */
SJ_PUBLIC void sj_signals_close(sj_signals *s);
/*
 * The next signal's number. Cancellation point. -ETIMEDOUT, -ECANCELED; -EBUSY another fiber
 * waits already.
 */
SJ_PUBLIC int sj_signals_next(sj_signals *s, sj_time deadline);

typedef struct sj_child sj_child;

typedef struct sj_child_options {
        char *const *environment; /* NULL: this process's */
        int in, out, err;         /* 0: /dev/null for in, this process's own for out and err */
        bool die_with_parent;     /* SIGKILL when this process ends */
} sj_child_options;

/*
 * Starts the program argv[0] (searched in PATH when it has no slash), which inherits no other
 * descriptor. options may be NULL. -ENOENT, -EACCES and so on; -ENOMEM.
 */
SJ_PUBLIC int sj_child_start(char *const argv[], const sj_child_options *options, sj_child **ret);
/*
 * Waits for its end; *ret (may be NULL) is as waitpid's status. 0, -ETIMEDOUT, -ECANCELED (the
 * child goes on then). By several fibers too, and again after the end.
 */
SJ_PUBLIC int sj_child_wait(sj_child *c, int *ret, sj_time deadline);
/* Sends it a signal. -ESRCH it has ended and was reaped; -EINVAL there is no such signal. */
SJ_PUBLIC int sj_child_kill(sj_child *c, int signo);
/* Its process id, which the system may give to another once it has ended and was reaped. */
SJ_PUBLIC int sj_child_pid(const sj_child *c);
/*
 * Kills it if it still runs, and reaps it; who waits gets -EBADF. NULL is allowed. May block the
 * thread shortly.
 */
SJ_PUBLIC void sj_child_free(sj_child *c);

/* ── Looking inside ──────────────────────────────────────────────────────────────────────── */

/*
 * Writes a line for every fiber of this thread's loop: name, where it was spawned, what it waits
 * for and since when, and the addresses of its calls; with `write` called for each piece of text.
 */
SJ_PUBLIC void sj_dump(void (*write)(void *arg, const char *text, size_t n), void *arg);

/*
 * Reports (as a warning in the log) each fiber that holds the loop longer than the limit, with its
 * name and where it was spawned. 0 turns it off. On from the start with 100 ms in debug builds.
 */
SJ_PUBLIC void sj_watchdog(sj_time limit);

/* ── The inside of a scope: private, here because it lies on the caller's stack ──────────── */

struct sj_scope {
        void *private_[24];
};

#ifdef __cplusplus
}
#endif

#endif
