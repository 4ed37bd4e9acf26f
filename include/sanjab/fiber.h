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
 *
 * The child of a fork(2) inside of a fiber is outside of all fibers: the loop is the parent's,
 * which does not notice. There a call that blocks says -EPERM; streams may be closed; sj_run begins
 * a loop of the child's own. To leave a scope of the parent's, to return from the fiber or to wake
 * another fiber aborts with a message: the child ends by exec or _exit.
 *
 * exit may be called in any fiber. A thread that ends by itself (pthread_exit, pthread_cancel)
 * while its loop runs would leave its fibers for ever, and aborts with a message.
 */
#define sj_run(main, arg) sj_run_named((main), (arg), #main, SJ_WHERE)
SJ_PUBLIC int sj_run_named(sj_fn *main, void *arg, const char *name, const char *where);

/*
 * Runs main(arg) on n loops at once, each on a thread of its own, the first of them on this one; n
 * 0: one for each processor. What main shares through arg is shared between threads. The first that
 * fails stops the others (sj_loop_stop), and all are waited for: returns that failure, else 0.
 * Errors of its own: -EBUSY a loop runs on this thread already; -ENOMEM; -EAGAIN no thread could be
 * started; -EINVAL more than 1024; -ENOTSUP more than one under the simulator, which has no
 * threads.
 */
#define sj_run_threads(n, main, arg) sj_run_threads_named((n), (main), (arg), #main, SJ_WHERE)
SJ_PUBLIC int sj_run_threads_named(unsigned n, sj_fn *main, void *arg, const char *name,
                                   const char *where);

/*
 * Has the loop end in good order: its main fiber is cancelled, with the reason SJ_BY_STOP, and what
 * it owns with it, and so are those that sj_spawn_on has spawned there, from now on at their start.
 * One of sj_run_threads stops all of these. Does not wait; a second time it does
 * nothing. From any thread; the loop must live while this is called.
 */
SJ_PUBLIC void sj_loop_stop(sj_loop *loop);

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
 * closes it. By another fiber than the one that entered it, or before a scope inside it: aborts
 * with a message. If a child had failed and nobody was told (by a join of it or of the scope), the
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
 * As sj_scope_cancel, with a reason of the program's own, 1 or more, for sj_cancel_reason. Who is
 * cancelled already keeps the first reason. -EINVAL: a reason below 1, nobody is cancelled.
 */
SJ_PUBLIC int sj_scope_cancel_for(sj_scope *s, int reason);

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
 * Errors: -ENOMEM no stack, or no memory for inherited values; -ENOBUFS the kernel's limit of
 * mappings is reached (see vm.max_map_count); -EXDEV the scope belongs to another thread. fn is not
 * called then.
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

/* As sj_cancel, with a reason as in sj_scope_cancel_for. */
SJ_PUBLIC int sj_cancel_for(sj_fiber *f, int reason);

/* Whether the calling fiber is cancelled: its next cancellation point will say so. */
SJ_PUBLIC bool sj_cancelled(void);

/* Why a fiber is cancelled; what is 1 or more is the program's own. */
enum {
        SJ_BY_NONE = 0,      /* it is not */
        SJ_BY_CALL = -1,     /* sj_cancel, sj_scope_cancel */
        SJ_BY_DEADLINE = -2, /* the deadline of a scope around it has passed */
        SJ_BY_FAILURE = -3,  /* another fiber of its scope has failed */
        SJ_BY_LEAVING = -4,  /* the scope that it belongs to is being left */
        SJ_BY_STOP = -5,     /* sj_loop_stop, or another loop of sj_run_threads has failed */
};

/*
 * Why the calling fiber is cancelled: by what came first. SJ_BY_NONE too inside of a shield, until
 * the shield is cancelled itself, and outside of a fiber.
 */
SJ_PUBLIC int sj_cancel_reason(void);

/*
 * Waits for all n fibers. ret[i] (ret may be NULL) is the result of f[i], written for all only
 * when 0 is returned. -ETIMEDOUT, -ECANCELED: the fibers go on, and no failure counts as told.
 * Whether a failure among them cancels the others is their scope's matter (SJ_COLLECT).
 * -EDEADLK: the calling fiber is among them.
 */
SJ_PUBLIC int sj_gather(sj_fiber *const f[], size_t n, int ret[], sj_time deadline);

/* What a wait for several of them is for. */
typedef enum sj_until {
        SJ_ALL,           /* all have ended */
        SJ_FIRST,         /* one has */
        SJ_FIRST_FAILURE, /* one has failed, or all have ended; to be cancelled is no failure */
} sj_until;

/*
 * Waits for the n fibers; the others go on then, and sj_fiber_done tells which have ended. Returns
 * the least index of those that were waited for: SJ_FIRST of those that have ended,
 * SJ_FIRST_FAILURE of those that have failed; n when all have ended, and none so. Its failure, and
 * only that, counts as told. To have them in the order of ending without doing this again and
 * again: sj_scope_next.
 * Cancellation point. -ETIMEDOUT; -ECANCELED; -EINVAL SJ_FIRST of none, or more than INT_MAX;
 * -EDEADLK the calling fiber is among them; -ENOMEM when n is more than 64.
 */
SJ_PUBLIC int sj_wait(sj_fiber *const f[], size_t n, sj_until until, sj_time deadline);

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
/* Where it was spawned: "file:line". */
SJ_PUBLIC const char *sj_fiber_where(const sj_fiber *f);

/* ── Values of a fiber's own ─────────────────────────────────────────────────────────────── */

/*
 * The key of a value that each fiber has of its own: a static object, whose address is what counts.
 *
 *         static const sj_local request_id = {.inherit = sj_local_share};
 */
typedef struct sj_local {
        /*
         * Called with the value when its fiber's function has returned and before anybody is told
         * so, the newest first; NULL: nothing is. It runs in the fiber, which may be cancelled.
         */
        void (*drop)(void *value);
        /*
         * Called by sj_spawn in the spawning fiber, with that one's value: what it returns is the
         * new fiber's value (a copy, or the same with one more reference), NULL none. Must not
         * block. NULL here: fibers begin without a value.
         */
        void *(*inherit)(void *value);
} sj_local;

/*
 * Sets the calling fiber's value; NULL takes it away. The value that was there is the caller's
 * matter: drop is not called for it. -ENOMEM: nothing has changed; -EPERM.
 */
SJ_PUBLIC int sj_local_set(const sj_local *key, void *value);

/* The calling fiber's value, or NULL. It is looked for among all that the fiber has. */
SJ_PUBLIC void *sj_local_get(const sj_local *key);

/* For sj_local.inherit: the very same value, for those that outlive both fibers. */
SJ_PUBLIC void *sj_local_share(void *value);

/* ── The inside of a scope: private, here because it lies on the caller's stack ──────────── */

struct sj_scope {
        void *private_[24];
};

#ifdef __cplusplus
}
#endif

#endif
