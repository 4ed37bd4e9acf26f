/* SPDX-License-Identifier: MIT */
/*
 * sanjab/exec.h: executors, for what must not hold up a loop: calls that block, and computation.
 *
 *   sj_offload       one blocking call on a thread of the process's own pool, awaited by a fiber
 *   sj_thread_pool   many calls on n threads, awaited through futures
 *   sj_process_pool  many calls in n processes: a crash costs one call
 *
 *         static int count(void *arg) { ... }
 *
 *         sj_thread_pool *pool = NULL;
 *         sj_future done = SJ_FUTURE_INIT;
 *         sj_thread_pool_new(4, NULL, &pool);
 *         sj_thread_pool_submit(pool, count, &job, &done, SJ_NEVER);
 *         int result = sj_future_get(&done, NULL, sj_after(SJ_SEC));
 *         sj_thread_pool_free(pool);
 *
 * Everything here may be called from any thread and from fibers, unless it is said otherwise. A
 * call with a deadline waits as a fiber in a fiber (it is a cancellation point there) and blocks
 * the thread elsewhere.
 *
 * Memory that is handed to an executor (arguments, inputs, outputs, futures) stays the caller's
 * and must live until the future is set, which is the last time that the executor touches any of
 * it. Where a wait was given up (-ETIMEDOUT, -ECANCELED from sj_future_get), the cancel function
 * of the pool ends the executor's interest.
 */
#ifndef SANJAB_EXEC_H
#define SANJAB_EXEC_H

#include <sanjab/fiber.h>
#include <sanjab/future.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ── Limits ──────────────────────────────────────────────────────────────────────────────── */

/* The most threads that sj_offload uses at once; further calls wait for one of them. */
#define SJ_OFFLOAD_THREADS 64
/* The most threads or processes of one pool. */
#define SJ_POOL_WORKERS_MAX 1024
/* How many calls wait in a pool's queue if its options do not say. */
#define SJ_POOL_QUEUE 4096
/* The most bytes of one input or output of a process pool. */
#define SJ_PROCESS_BYTES_MAX ((size_t)256 * 1024 * 1024)

/* ── Blocking calls ──────────────────────────────────────────────────────────────────────── */

/*
 * Runs fn(arg), which may block, on a thread of a pool that the process shares, and returns its
 * result. The calling fiber waits, its loop goes on. The pool starts with the first call, grows by
 * need up to SJ_OFFLOAD_THREADS, and its idle threads end. Cancellation point.
 *
 * Once fn runs it is waited for, whatever happens: it may use the caller's stack through arg.
 * So the deadline and cancellation bound only the wait for a free thread, and -ETIMEDOUT and
 * -ECANCELED of this call mean that fn was not called (a result of fn itself is returned as it
 * is). A function that can block for long should have its own limit in arg, or be started with
 * sj_offload_detached.
 *
 * Outside of a fiber fn is simply called: there is no loop to hold up.
 * -ENOMEM, -EAGAIN: no thread could be started; fn was not called.
 */
SJ_PUBLIC int sj_offload(sj_fn *fn, void *arg, sj_time deadline);

/*
 * As sj_offload, for calls that may be abandoned: when the deadline passes or the caller is
 * cancelled while fn runs, this returns at once and fn goes on without a listener.
 *
 * 0: fn has ended, *ret_result is its result (ret_result may be NULL), and arg is the caller's.
 * Any failure (-ETIMEDOUT, -ECANCELED, -ENOMEM, -EAGAIN): arg is the library's, which calls
 * release(arg) exactly once, when fn has ended or was not started; on the pool's thread or before
 * this returns. So arg is memory from the heap that nobody else uses; release may be NULL.
 */
SJ_PUBLIC int sj_offload_detached(sj_fn *fn, void *arg, void (*release)(void *arg), int *ret_result,
                                  sj_time deadline);

/* ── Thread pool ─────────────────────────────────────────────────────────────────────────── */

typedef struct sj_thread_pool sj_thread_pool;

/* All zero is the default. */
typedef struct sj_thread_pool_options {
        const char *name; /* threads are called NAME-0, NAME-1, ...; NULL: "pool"; copied */
        size_t queue;     /* calls that may wait; 0: SJ_POOL_QUEUE */
        sj_time idle;     /* a thread that long without work ends; 0: never */
} sj_thread_pool_options;

/* What a shutdown does with calls that have not begun. */
typedef enum sj_pending {
        SJ_PENDING_RUN,    /* they are run */
        SJ_PENDING_CANCEL, /* their futures are set to -ECANCELED */
} sj_pending;

/*
 * A pool of at most n threads, which are started as they are needed; n = 0: one for each
 * processor. options may be NULL. -EINVAL n > SJ_POOL_WORKERS_MAX; -ENOMEM.
 */
SJ_PUBLIC int sj_thread_pool_new(size_t n, const sj_thread_pool_options *options,
                                 sj_thread_pool **ret);

/*
 * Cancels what has not begun, waits for what runs (blocks the thread: in a fiber, await
 * sj_thread_pool_shutdown first), and frees the pool. NULL is allowed. Not from a pool's thread.
 */
SJ_PUBLIC void sj_thread_pool_free(sj_thread_pool *pool);

/*
 * Queues fn(arg). When it has returned, future is set to its result and the value NULL. With
 * future NULL nobody waits, and a failure is logged. Calls begin in the order of submitting.
 * Does not block unless the queue is full; then it waits for room until the deadline.
 * -ETIMEDOUT (SJ_POLL: the queue is full), -ECANCELED; -EPIPE the pool was shut down; -EAGAIN,
 * -ENOMEM no thread could be started and none runs. The call is not queued then, and the future
 * not touched.
 */
SJ_PUBLIC int sj_thread_pool_submit(sj_thread_pool *pool, sj_fn *fn, void *arg, sj_future *future,
                                    sj_time deadline);

/*
 * Takes back a call that has not begun: its future is set to -ECANCELED. Never blocks.
 * -EALREADY: it runs or has ended; await the future.
 */
SJ_PUBLIC int sj_thread_pool_cancel(sj_thread_pool *pool, sj_future *future);

/*
 * Calls fn(item) for each of the n items of `size` bytes at items, in no order, and waits for all.
 * results[i] (results may be NULL) is the result of item i. Returns the failure of the lowest
 * index that failed, else 0; a failure stops nothing.
 * In a thread without a loop the caller works too, so map may be called by a pool's own thread.
 * -ETIMEDOUT, -ECANCELED: no further items were begun and those begun have ended; the result of
 * each item that was not called is this error. -EPIPE, -EAGAIN, -ENOMEM as submit: nothing was
 * called, results are untouched.
 */
SJ_PUBLIC int sj_thread_pool_map(sj_thread_pool *pool, sj_fn *fn, void *items, size_t size,
                                 size_t n, int results[], sj_time deadline);

/*
 * Refuses further calls, treats those that wait as told, and waits until all have ended and the
 * threads with them. -ETIMEDOUT, -ECANCELED: it goes on, and may be awaited again; a second call
 * may turn SJ_PENDING_RUN into SJ_PENDING_CANCEL. -EDEADLK by a thread of the pool.
 */
SJ_PUBLIC int sj_thread_pool_shutdown(sj_thread_pool *pool, sj_pending pending, sj_time deadline);

/* The calls that wait to begin; may be old by the time it is read. */
SJ_PUBLIC size_t sj_thread_pool_waiting(sj_thread_pool *pool);
/* The threads that live; likewise. */
SJ_PUBLIC size_t sj_thread_pool_threads(sj_thread_pool *pool);

/* ── Process pool ────────────────────────────────────────────────────────────────────────── */

/*
 * The first statement of main in a program that uses a process pool or a task worker:
 *
 *         int main(int argc, char **argv)
 *         {
 *                 sj_boot(argc, argv);
 *                 ...
 *
 * The workers are forked from a small process that is started by executing this same program
 * again; in that one, and in the workers, sj_boot does not return. So nothing of this process is
 * inherited by accident: no thread, no fiber, no descriptor, no lock. What main does before
 * sj_boot is done by those processes too. The arguments are not changed. What the workers print
 * goes where this process prints, line by line.
 */
SJ_PUBLIC void sj_boot(int argc, char *const argv[]);

typedef struct sj_process_pool sj_process_pool;

/*
 * What a worker process runs. It reads n bytes at input (aligned for any type), may write up to
 * `capacity` bytes at output (likewise), and returns how many it wrote, or a negative errno value.
 * It must be a function of the program itself, not of a shared library: functions are named by
 * their place in the program. It sees none of the memory that the caller has written since the
 * program began.
 */
typedef int sj_process_fn(const void *input, size_t n, void *output, size_t capacity);

/* All zero is the default. */
typedef struct sj_process_pool_options {
        const char *name; /* processes are called NAME-0, ...; NULL: "pool"; copied */
        size_t queue;     /* calls that may wait, besides the 64 on their way to each worker;
                             0: SJ_POOL_QUEUE */
        size_t ring;      /* bytes of shared memory in each direction of a worker; 0: 256 KiB.
                             A longer input or output passes through it in pieces. */
} sj_process_pool_options;

/* The outcome of one call. */
typedef struct sj_process_result {
        int result; /* the function's; or -EOWNERDEAD, -ECANCELED, -ETIMEDOUT, -EMSGSIZE */
        int status; /* with -EOWNERDEAD: how the worker ended, as waitpid's status */
} sj_process_result;

/*
 * A pool of n worker processes, which are started at once; n = 0: one for each processor.
 * options may be NULL. Does not wait for them. They end with this process, however it ends.
 * -EPERM sj_boot was not called; -EINVAL n > SJ_POOL_WORKERS_MAX; -ENOMEM, -EMFILE, -EAGAIN;
 * -ENOSYS under the simulator.
 */
SJ_PUBLIC int sj_process_pool_new(size_t n, const sj_process_pool_options *options,
                                  sj_process_pool **ret);

/*
 * Cancels what waits, kills what runs (its futures are set to -ECANCELED), ends the processes and
 * frees the pool. NULL is allowed.
 */
SJ_PUBLIC void sj_process_pool_free(sj_process_pool *pool);

/*
 * Queues fn for a worker. The input is read, and the output (may be NULL when capacity is 0)
 * written, until the future is set: to the number of bytes written, or to a failure:
 *   -EOWNERDEAD  the worker ended during this call; the future's value is its status, see
 *                sj_process_error. The pool replaces the worker, and no other call fails.
 *   -EMSGSIZE    fn claims to have written more than capacity
 *   -ECANCELED   see sj_process_pool_cancel and _shutdown
 *   -EPIPE       workers can no longer be started; the reason is in the log
 * Waits for room in the queue until the deadline. Errors of its own, with nothing queued:
 * -EINVAL fn is not a function of this program, or future is NULL; -EMSGSIZE more than
 * SJ_PROCESS_BYTES_MAX; -EPIPE shut down; -ETIMEDOUT, -ECANCELED.
 */
SJ_PUBLIC int sj_process_pool_submit(sj_process_pool *pool, sj_process_fn *fn, const void *input,
                                     size_t n, void *output, size_t capacity, sj_future *future,
                                     sj_time deadline);

/*
 * Ends a call whatever its state: what waits is taken back, what runs is killed with its worker,
 * which is replaced. The future is set soon, to -ECANCELED, or to the result if the call ended at
 * that very moment: await it. -EALREADY: it has ended.
 */
SJ_PUBLIC int sj_process_pool_cancel(sj_process_pool *pool, sj_future *future);

/*
 * Submits one call and waits for its outcome; when the deadline passes or the caller is cancelled,
 * the call is cancelled as above, so that input and output are the caller's alone on return.
 * Returns the number of bytes written; *ret_status (may be NULL) is written with -EOWNERDEAD.
 */
SJ_PUBLIC int sj_process_pool_call(sj_process_pool *pool, sj_process_fn *fn, const void *input,
                                   size_t n, void *output, size_t capacity, int *ret_status,
                                   sj_time deadline);

/*
 * Calls fn for each of the n inputs of input_size bytes each; output i is at outputs + i *
 * output_size (outputs may be NULL when output_size is 0). results[i] (results may be NULL) is its
 * outcome. Returns the failure of the lowest index that failed, else 0; a failure stops nothing.
 * -ETIMEDOUT, -ECANCELED: calls that had not ended were cancelled and have that result.
 * Other errors as submit, with no call made.
 */
SJ_PUBLIC int sj_process_pool_map(sj_process_pool *pool, sj_process_fn *fn, const void *inputs,
                                  size_t input_size, size_t n, void *outputs, size_t output_size,
                                  sj_process_result results[], sj_time deadline);

/* As sj_thread_pool_shutdown, for the processes. */
SJ_PUBLIC int sj_process_pool_shutdown(sj_process_pool *pool, sj_pending pending, sj_time deadline);

/*
 * How a process ended, for people: "killed by SIGSEGV", "exited with status 3". status is as
 * waitpid's: of an sj_process_result, or (int)(intptr_t)value of a future with -EOWNERDEAD.
 * Writes at most size bytes with the NUL at ret and returns ret.
 */
SJ_PUBLIC const char *sj_process_error(int status, char *ret, size_t size);

/* The process ids of the workers that live, at most n written to ret; how many there are. */
SJ_PUBLIC size_t sj_process_pool_pids(sj_process_pool *pool, int ret[], size_t n);

#ifdef __cplusplus
}
#endif

#endif
